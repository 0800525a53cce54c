"""Where LaMP's files lie: data roots, and what to say of data that are not there.

A data root is a folder in LaMP's own layout (``LaMP_3/dev/dev_questions.json`` beside
``dev_outputs.json``; ``time/LaMP_3/...`` for the time-based split) or in the flat one
(``lamp3u/questions.json`` beside ``outputs.json``), which holds dev splits only. Each file may be
packed, as ``.json.gz``.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from qrag_tasks.errors import DataError, SettingsError, did_you_mean
from qrag_tasks.locations import cache_dir, mini_root
from qrag_tasks.tasks.lamp.layout import LICENSE, LampFiles

LAMP_URL = "https://ciir.cs.umass.edu/downloads/LaMP"
MINI = "mini"
SPLITS = ("train", "dev", "test")


def data_root(data: str | None = None) -> Path:
    """Return the folder that ``data`` names.

    ``mini`` is the embedded sample. ``None`` means ``$QRAG_DATA``, else ``lamp`` in the cache
    folder (:func:`qrag_tasks.locations.cache_dir`); ``mini`` is never chosen by itself.

    :raises SettingsError: for ``~NAME`` of nobody.
    """
    chosen = data or os.environ.get("QRAG_DATA")
    if not chosen:
        return cache_dir() / "lamp"
    if chosen == MINI:
        return mini_root()
    try:
        return Path(chosen).expanduser()
    except RuntimeError:
        raise SettingsError(f"data {chosen!r}: there is no user of that name") from None


def find_files(files: LampFiles, root: Path, split: str = "dev") -> tuple[Path, Path | None]:
    """Return the questions file and the outputs file of a task under ``root``.

    A plain file goes before a packed one. The outputs file of a test split may be missing.

    :raises DataError: when a file is missing; the message says how to get the data.
    :raises SettingsError: when there is no such split.
    """
    if split not in SPLITS:
        raise SettingsError(
            f"unknown split {split!r} (known: {', '.join(SPLITS)}).{did_you_mean(split, SPLITS)}"
        )
    layouts = list(_layouts(files, root, split))
    for folder, prefix in layouts:
        questions = _plain_or_packed(folder / f"{prefix}questions.json")
        if questions is None:
            continue
        outputs = _plain_or_packed(folder / f"{prefix}outputs.json")
        if outputs is None and split != "test":
            raise DataError(
                f"{files.name}: {questions} has no {prefix}outputs.json beside it: the golds are "
                f"missing.\n{_how_to_get(files, root, split)}"
            )
        return questions, outputs
    raise DataError(_nothing_found(files, root, split, layouts))


def _layouts(files: LampFiles, root: Path, split: str) -> Iterator[tuple[Path, str]]:
    """Yield the folder of each layout, and what its files' names start with."""
    yield root / files.path / split, f"{split}_"
    if split == "dev":
        yield root / files.name, ""


def _plain_or_packed(path: Path) -> Path | None:
    packed = path.with_name(f"{path.name}.gz")
    return next((candidate for candidate in (path, packed) if candidate.is_file()), None)


def _nothing_found(
    files: LampFiles, root: Path, split: str, layouts: list[tuple[Path, str]]
) -> str:
    mini = root == mini_root()
    state = " (the embedded sample)" if mini else "" if root.is_dir() else " (no such folder)"
    of_split = "" if split == "dev" else f" of the {split} split"
    looked = [str(folder / f"{prefix}questions.json") for folder, prefix in layouts]
    lines = [
        f"{files.name}: no data{of_split} in {root}{state}",
        "  looked for:  " + "\n               ".join(looked),
        "               plain or as .json.gz",
    ]
    official = layouts[0][0]
    retired = official.parent.parent / split
    if files.path.endswith("/new") and retired.is_dir():
        lines.append(f"  not this:    {retired}, LaMP's retired task on news")
    if (near := _root_nearby(files, root, split)) is not None:
        choice = shlex.quote(json.dumps({"data": str(near)}, ensure_ascii=False))
        lines.append(f"  it is in:    {near}")
        lines.append(f"  so give:     --metadata {choice} or QRAG_DATA={shlex.quote(str(near))}")
        return "\n".join(lines)
    lines.append(_how_to_get(files, root, split))
    lines.append('  elsewhere?   --metadata \'{"data": "FOLDER"}\' or QRAG_DATA=FOLDER')
    if not mini:
        lines.append(
            '  to try out:  --metadata \'{"data": "mini"}\', the embedded sample '
            "(its users are made up)"
        )
    return "\n".join(lines)


def _root_nearby(files: LampFiles, root: Path, split: str) -> Path | None:
    """Return the data root that ``root`` lies in or is the parent of, if it has the task."""

    def has_it(folder: Path) -> bool:
        return any(
            _plain_or_packed(place / f"{prefix}questions.json")
            for place, prefix in _layouts(files, folder, split)
        )

    whole = root.absolute()
    below: list[Path] = []
    with suppress(OSError):
        below = sorted(path for path in whole.iterdir() if path.is_dir())
    for folder in (*below, *whole.parents):
        with suppress(OSError):  # it may not be looked into
            if has_it(folder):
                return folder
    return None


def _how_to_get(files: LampFiles, root: Path, split: str) -> str:
    if not files.public:
        return how_to_make(files, split)
    command = ["qrag", "download", files.name]
    if split != "dev":
        command += ["--split", split]
    # Nothing is downloaded into the embedded sample.
    into = cache_dir() / "lamp" if root == mini_root() else root
    if into != data_root():
        command += ["--into", str(into)]
    url = f"{LAMP_URL}/{files.path}/{split}/{split}"
    outputs = "" if split == "test" else f"               and {url}_outputs.json\n"
    return (
        f"  to get it:   {shlex.join(command)}\n"
        f"  by hand:     get {url}_questions.json\n{outputs}"
        f"               into {into / files.path / split}\n"
        f"               (LaMP's licence: {LICENSE})"
    )


def how_to_make(files: LampFiles, split: str) -> str:
    """Return where the e-mails of LaMP-6 come from, in words."""
    outputs = "" if split == "test" else f" and {split}_outputs.json"
    return (
        f"  to get it:   LaMP-6's e-mails are those of the LDC's Avocado corpus (LDC2015T03), and\n"
        f"               LaMP gives only ids. With the corpus, LaMP's own script\n"
        f"               data/avocado/create_avocado_dataset.py (github.com/LaMP-Benchmark/LaMP)\n"
        f"               makes {split}_questions.json{outputs}: they belong into\n"
        f"               {files.path}/{split} of the data folder"
    )
