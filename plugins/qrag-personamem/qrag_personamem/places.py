"""Where PersonaMem's files lie: data roots, the hub, and what to say of data that are not there."""

from __future__ import annotations

import os
import shlex
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from qrag_tasks.errors import DataError, SettingsError
from qrag_tasks.locations import cache_dir

REPOSITORY = "bowen-upenn/PersonaMem-v1"
"""Of the data set, on the hub."""
MINI = "mini"
HUB = "hub"
SPLIT = "dev"
"""The only split: PersonaMem has no other questions."""


class Files(NamedTuple):
    """The two files of one size."""

    questions: Path
    contexts: Path


def find_files(size: str, data: str | None, split: str) -> Files:
    """Return the files of one size of the benchmark.

    :param data: a folder; ``mini``, the embedded sample; ``hub`` or ``hub@REVISION``, which fetches
        what is not in the hub's cache yet; ``None`` for ``$QRAG_DATA``, else the folder
        ``personamem`` in the cache folder.
    :raises DataError: where a file is missing; the message says how to get it.
    :raises SettingsError: where there is no such split.
    """
    if split != SPLIT:
        raise SettingsError(f"unknown split {split!r}: PersonaMem's questions are all {SPLIT!r}")
    chosen = data or os.environ.get("QRAG_DATA") or ""
    if chosen == MINI:
        return _named(Path(__file__).parent / "mini", MINI)
    name, _, revision = chosen.partition("@")
    if name == HUB and not Path(chosen).is_dir():
        return from_hub(size, revision or None)
    folder = Path(chosen).expanduser() if chosen else cache_dir() / "personamem"
    files = _named(folder, size)
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise DataError(_missing(size, folder, missing))
    return files


def _named(folder: Path, size: str) -> Files:
    return Files(folder / f"questions_{size}.csv", folder / f"shared_contexts_{size}.jsonl")


@lru_cache(maxsize=16)
def from_hub(size: str, revision: str | None) -> Files:
    """Return the files in the hub's cache, fetching what is not there yet.

    :param revision: a branch, a tag or a commit; ``None`` for the default branch.
    :raises DataError: where the hub's client is not installed, or the data cannot be fetched.
    """
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError:
        raise DataError(
            "data: hub: the hub's client is not installed: pip install huggingface-hub"
        ) from None
    names = [path.name for path in _named(Path(), size)]
    try:
        paths = [
            Path(hf_hub_download(REPOSITORY, name, repo_type="dataset", revision=revision))
            for name in names
        ]
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise DataError(
            f"data: hub: {' and '.join(names)} cannot be fetched: {str(error).splitlines()[0]}\n"
            f"  to get them where there is a network, and copy the folder here:\n"
            f"               {_command(size, Path('personamem'))}"
        ) from error
    return Files(*paths)


def _missing(size: str, folder: Path, missing: list[str]) -> str:
    state = "" if folder.is_dir() else " (no such folder)"
    return "\n".join(
        [
            f"PersonaMem {size}: {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not in {folder}{state}",
            f"  to get them: {_command(size, folder)}",
            '  or:          --metadata \'{"data": "hub"}\', which fetches them into its own cache',
            '  elsewhere?   --metadata \'{"data": "FOLDER"}\' or QRAG_DATA=FOLDER',
            '  to try out:  --metadata \'{"data": "mini"}\', the embedded sample '
            "(its users are made up)",
        ]
    )


def _command(size: str, folder: Path) -> str:
    names = [path.name for path in _named(Path(), size)]
    command = ["hf", "download", REPOSITORY, *names, "--repo-type", "dataset"]
    return shlex.join([*command, "--local-dir", str(folder)])
