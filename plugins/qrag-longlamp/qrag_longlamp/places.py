"""Where LongLaMP's files lie: data roots, the hub, and what to say of data that are not there.

A data root holds a folder for each configuration, as a download from the hub makes it:
``abstract_generation_user/val-00000-of-00002.parquet``. The rows of a split may as well be one
file, ``val.parquet``, ``val.jsonl``, ``val.json`` (a list) or ``val.json.gz``; a folder ``val`` of
Parquet files, or what ``datasets.save_to_disk`` made; or LaMP's pair of files,
``val_questions.json`` and ``val_outputs.json``, which LongLaMP's script for e-mails writes.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from qrag_tasks.errors import DataError, SettingsError, did_you_mean
from qrag_tasks.locations import cache_dir
from qrag_tasks.tasks.own.records import files_at

from qrag_longlamp.configuration import Configuration

REPOSITORY = "LongLaMP/LongLaMP"
"""Of the data set, on the hub."""
MINI = "mini"
HUB = "hub"
SPLITS = {"train": ("train",), "dev": ("val", "validation", "dev"), "test": ("test",)}
"""Split -> how files call it, the hub's name first."""
_ONE_FILE = (".parquet", ".jsonl", ".json", ".json.gz")
_PART = re.compile(r"-(\d{5})-of-(\d{5})\.parquet\Z")


@dataclass(frozen=True)
class Files:
    """The files of one split.

    :ivar rows: of the questions, in their order.
    :ivar golds: the file of the golds, where the rows have none.
    :ivar needs_golds: whether the rows are LaMP's questions, which have none.
    """

    rows: tuple[Path, ...]
    golds: Path | None = None
    needs_golds: bool = False

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file."""
        return self.rows if self.golds is None else (*self.rows, self.golds)

    @property
    def questions_and_golds(self) -> tuple[Path, Path | None]:
        """The first file of the questions, and that of the golds; ``None`` where none are there."""
        return self.rows[0], self.golds or (None if self.needs_golds else self.rows[0])


def find_files(source: Configuration, data: str | None, split: str) -> Files:
    """Return the files of a split.

    :param data: a data root; ``mini``, the embedded sample; ``hub`` or ``hub@REVISION``, which
        fetches what is not in the hub's cache yet; ``None`` for ``$QRAG_DATA``, else the folder
        ``longlamp`` in the cache folder. A folder of one of these names is ``./mini`` or ``./hub``.
    :raises DataError: where a file is missing; the message says how to get it.
    :raises SettingsError: where there is no such split.
    """
    if split not in SPLITS:
        raise SettingsError(
            f"unknown split {split!r} (known: {', '.join(SPLITS)}).{did_you_mean(split, SPLITS)}"
        )
    chosen = data or os.environ.get("QRAG_DATA") or ""
    name, _, revision = chosen.partition("@")
    if name == HUB:
        root = from_hub(source, split, revision or None)
    elif chosen == MINI:
        root = Path(__file__).parent / "mini"
    else:
        root = Path(chosen).expanduser() if chosen else cache_dir() / "longlamp"
    folder = root if root.name == source.config else root / source.config
    for hub_name in SPLITS[split]:
        if (files := _in_folder(folder, hub_name)) is not None:
            return files
    if name == HUB:
        raise DataError(
            f"data: {chosen}: the hub's cache has no files of {source.config}, {split} split, in "
            f"{root}.\n  to get it:   {_command(source, split)}"
        )
    raise DataError(_nothing_found(source, root, folder, split))


def _in_folder(folder: Path, name: str) -> Files | None:
    """Return the files that hold a split under one of its names; ``None`` where none does."""
    if parts := sorted(folder.glob(f"{name}-*-of-*.parquet")):
        return Files(_complete(parts))
    if (folder / name).is_dir() and (parts := files_at(folder / name)):
        return Files(tuple(parts))
    for ending in _ONE_FILE:
        if (path := folder / f"{name}{ending}").is_file():
            return Files((path,))
    for place in (folder, folder / name):
        if (questions := _plain_or_packed(place / f"{name}_questions.json")) is not None:
            outputs = _plain_or_packed(place / f"{name}_outputs.json")
            if outputs is None and name != "test":
                raise DataError(
                    f"{questions} has no {name}_outputs.json beside it: the golds are missing. "
                    f"Put it there"
                )
            return Files((questions,), outputs, needs_golds=True)
    return None


def _plain_or_packed(path: Path) -> Path | None:
    packed = path.with_name(f"{path.name}.gz")
    return next((candidate for candidate in (path, packed) if candidate.is_file()), None)


def _complete(parts: list[Path]) -> tuple[Path, ...]:
    """Return the parts of one split, once they are known to be all."""
    numbered = [match for part in parts if (match := _PART.search(part.name))]
    totals = {int(match[2]) for match in numbered}
    there = {int(match[1]) for match in numbered}
    missing = sorted(set(range(max(totals, default=0))) - there)
    if len(totals) != 1 or missing or len(numbered) < len(parts):
        what = f"part {missing[0]} is missing" if missing else "they are of different downloads"
        raise DataError(
            f"{parts[0].parent}: {len(parts)} parts of the split are there, and {what}: "
            f"{', '.join(part.name for part in parts[:3])}. Get all of it again"
        )
    return tuple(parts)


@lru_cache(maxsize=16)
def from_hub(source: Configuration, split: str, revision: str | None) -> Path:
    """Return a data root in the hub's cache that holds a split, fetching what is not there yet.

    :param revision: a branch, a tag or a commit; ``None`` for the default branch.
    :raises DataError: where the hub's client is not installed, or the data cannot be fetched.
    """
    if not source.public:
        raise DataError(f"{source.config} is not on the hub.\n{_how_to_make(source, split)}")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError:
        raise DataError(
            "data: hub: the hub's client is not installed: pip install 'qrag-longlamp[hub]'"
        ) from None
    try:
        root = snapshot_download(
            REPOSITORY,
            repo_type="dataset",
            revision=revision,
            allow_patterns=[f"{source.config}/{SPLITS[split][0]}*"],
        )
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise DataError(
            f"data: hub: {source.config} cannot be fetched: {str(error).splitlines()[0]}\n"
            f"  with no network: run this elsewhere, copy the folder, and name it as data:\n"
            f"               {_command(source, split, Path('longlamp'))}"
        ) from error
    return Path(root)


def _nothing_found(source: Configuration, root: Path, folder: Path, split: str) -> str:
    mini = root == Path(__file__).parent / "mini"
    state = " (the embedded sample)" if mini else "" if root.is_dir() else " (no such folder)"
    lines = [
        f"{source.config}: no data of the {split} split in {root}{state}",
        "  looked for:  " + "\n               ".join(map(str, _looked_for(folder, split))),
        *([_how_to_get(source, root, split)] if not mini else ["  mini has the dev split only"]),
        '  elsewhere?   --metadata \'{"data": "FOLDER"}\' or QRAG_DATA=FOLDER',
    ]
    if not mini:
        lines.append(
            '  to try out:  --metadata \'{"data": "mini"}\', the embedded sample '
            "(its users are made up)"
        )
    return "\n".join(lines)


def _looked_for(folder: Path, split: str) -> Iterator[Path]:
    name = SPLITS[split][0]
    yield folder / f"{name}-00000-of-*.parquet"
    yield from (folder / f"{name}{ending}" for ending in _ONE_FILE)
    yield folder / name / "*.parquet or *.arrow"
    yield folder / f"{name}_questions.json"


def _how_to_get(source: Configuration, root: Path, split: str) -> str:
    if not source.public:
        return _how_to_make(source, split)
    return (
        f"  to get it:   {_command(source, split, root)}\n"
        f'  or:          --metadata \'{{"data": "hub"}}\', which fetches it into the hub\'s cache'
    )


def _command(source: Configuration, split: str, root: Path | None = None) -> str:
    """Return the command of the hub's client that fetches a split, into its cache by default."""
    wanted = f"{source.config}/{SPLITS[split][0]}*"
    command = ["hf", "download", REPOSITORY, "--repo-type", "dataset", "--include", wanted]
    return shlex.join(command if root is None else [*command, "--local-dir", str(root)])


def _how_to_make(source: Configuration, split: str) -> str:
    name = SPLITS[split][0]
    return (
        f"  to get it:   its e-mails are those of the LDC's Avocado corpus (LDC2015T03). With the\n"
        f"               corpus, LongLaMP's own script data/avocado/create_avocado_dataset.py\n"
        f"               (github.com/LongLaMP-benchmark/LongLaMP-Benchmark) makes questions and\n"
        f"               outputs: they belong into {source.config}/{name}_questions.json and\n"
        f"               {source.config}/{name}_outputs.json of the data folder"
    )
