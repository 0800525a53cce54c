"""Plugins written on the spot, and on the path as installed ones are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

InstallPlugin = Callable[..., None]
"""What the fixture ``install`` gives: call it with a plugin's name and the code of its module."""


def put_plugin(folder: Path, name: str, code: str, requires: str = "") -> None:
    """Write a distribution with an entry point in the group ``qrag``, as a wheel leaves it.

    :param requires: a requirement that its metadata state.
    """
    (folder / f"{name}.py").write_text(code, encoding="utf-8")
    info = folder / f"{name}-0.3.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.3\n"
    if requires:
        metadata += f"Requires-Dist: {requires}\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[qrag]\n{name} = {name}\n", encoding="utf-8")
