"""Plugins with retrievers that are broken on purpose, on the path as installed ones are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugin_files import put_plugin

from qrag_tasks import plugins

BROKEN = Path(__file__).with_name("broken_retrievers.py").read_text(encoding="utf-8")
HEAVY = """
import torch
from qrag_tasks import ScoringRetriever, hookimpl

class Heavy(ScoringRetriever):
    def score(self, query):
        return [float(len(d.text)) for d in query.documents]

@hookimpl
def qrag_register_retrievers(register):
    register("heavy", Heavy)
"""


@pytest.fixture(scope="module")
def broken_plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of an installed plugin with the retrievers of ``broken_retrievers.py``."""
    folder = tmp_path_factory.mktemp("site")
    put_plugin(folder, "qrag_broken", BROKEN)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        plugins.forget()
        yield folder
    sys.modules.pop("qrag_broken", None)
    plugins.forget()


@pytest.fixture
def heavy_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of an installed plugin that imports ``torch`` (not the real one) at import."""
    (tmp_path / "torch.py").write_text("", encoding="utf-8")
    put_plugin(tmp_path, "qrag_heavy", HEAVY)
    monkeypatch.syspath_prepend(str(tmp_path))
    had = sys.modules.pop("torch", None)
    plugins.forget()
    yield tmp_path
    for name in ("qrag_heavy", "torch"):
        sys.modules.pop(name, None)
    if had is not None:
        sys.modules["torch"] = had
    plugins.forget()
