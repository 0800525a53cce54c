"""Reading own data: from a folder with ``corpus.toml`` to checked samples."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

from qrag_tasks.errors import DataError, SettingsError, did_you_mean
from qrag_tasks.locations import cache_dir
from qrag_tasks.tasks.base import DataSet, Task
from qrag_tasks.tasks.corpus.columns import ColumnFolder, Columns, ColumnWriter
from qrag_tasks.tasks.corpus.data_sets import data_set, undamaged
from qrag_tasks.tasks.corpus.file_states import State, check_unchanged, file_state
from qrag_tasks.tasks.own.checking import read_corpus
from qrag_tasks.tasks.own.corpus_file import FILE, Corpus
from qrag_tasks.tasks.own.mistakes import Mistakes
from qrag_tasks.tasks.own.naming import NAME
from qrag_tasks.tasks.own.reading import Reader
from qrag_tasks.tasks.own.records import files_at
from qrag_tasks.tasks.own.row import row_of

SPLITS = ("dev", "train", "test")


def described(task: Task, data: str | None) -> Task:
    """Return the row that ``corpus.toml`` describes.

    :raises DataError: when the file is not there, or wrong.
    :raises SettingsError: when no folder is named.
    """
    _, corpus = _corpus(data)
    return replace(row_of(corpus, task.source), index=task.index)


def find(data: str | None, split: str) -> tuple[Path, Path]:
    """Return the file of the questions, which has the golds too: it is both."""
    folder, corpus = _corpus(data)
    path = folder / _file_of(corpus, folder, split)
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder, which {FILE} names")
    return path, path


def load(task: Task, data: str | None, split: str) -> DataSet:
    """Read and check the samples; their row is the one that ``corpus.toml`` describes."""
    folder, corpus = _corpus(data)
    questions, golds = find(data, split)
    paths = [questions]
    if corpus.documents.file is not None:
        paths.append(folder / corpus.documents.file)
    # A file that is missing is told by the reader, with the field that names it.
    files = tuple(file for path in paths if path.exists() for file in files_at(path))
    states = tuple(map(file_state, files))
    columns = undamaged(_columns, corpus, folder, split, files, states, cache_dir() / "data")
    return data_set(described(task, data), questions, golds, columns, split)


def corpus_folder(data: str | None) -> Path:
    """Return the folder of own data that ``data`` names; ``None`` means ``$QRAG_DATA``.

    :raises SettingsError: when none is named.
    :raises DataError: when there is no ``corpus.toml`` in it.
    """
    chosen = data or os.environ.get("QRAG_DATA")
    if not chosen:
        raise SettingsError(
            f"{NAME}: which data? Name their folder, which holds {FILE}: "
            f'--metadata \'{{"data": "FOLDER"}}\', or QRAG_DATA=FOLDER. `qrag init FOLDER` writes '
            f"an example"
        )
    folder = Path(chosen).expanduser()
    if folder.name == FILE:
        folder = folder.parent
    if not (folder / FILE).is_file():
        state = "holds no" if folder.is_dir() else "there is no such folder, so no"
        raise DataError(
            f"{folder}: {state} {FILE}, which says what own data are. `qrag init FOLDER` writes an "
            f"example of it"
        )
    return folder


def _corpus(data: str | None) -> tuple[Path, Corpus]:
    folder = corpus_folder(data)
    return folder, _read(folder, file_state(folder / FILE))


@lru_cache(maxsize=16)
def _read(folder: Path, _state: State) -> Corpus:
    mistakes = Mistakes()
    corpus = read_corpus(folder, mistakes)
    if corpus is None:
        raise mistakes.error(folder)
    return corpus


def _file_of(corpus: Corpus, folder: Path, split: str) -> str:
    files = {str(name): path for name, path in corpus.splits.items()}
    if split not in SPLITS:
        raise SettingsError(
            f"unknown split {split!r} (known: {', '.join(SPLITS)}).{did_you_mean(split, SPLITS)}"
        )
    if split not in files:
        raise DataError(
            f"{folder / FILE}: splits: there is no {split}, only {', '.join(files)}. Take one of "
            f'these (--metadata \'{{"split": "{next(iter(files))}"}}\'), or add the file of {split}'
        )
    return files[split]


@lru_cache(maxsize=16)
def _columns(
    corpus: Corpus,
    folder: Path,
    split: str,
    files: tuple[Path, ...],
    states: tuple[State, ...],
    root: Path,
) -> Columns:
    source = {
        "files": [state._asdict() for state in states],
        "corpus": corpus.decisive(),
        "attributes": list(corpus.questions.attributes),
    }
    place = (folder / FILE).resolve()
    columns = ColumnFolder(root, f"{NAME}-{corpus.name}-{split}", place)
    fields = tuple(corpus.documents.fields)
    fill = partial(_convert, corpus, folder, split, files, states)
    return columns.open(source, fields, fill)


def _convert(
    corpus: Corpus,
    folder: Path,
    split: str,
    files: tuple[Path, ...],
    states: tuple[State, ...],
    writer: ColumnWriter,
) -> str:
    """Write the samples, one at a time, and return the fingerprint."""
    # What is read of equal files is another thing where other columns are meant.
    digest = hashlib.sha256(json.dumps(corpus.decisive(), sort_keys=True).encode())
    mistakes = Mistakes()
    for sample in Reader(corpus, folder, mistakes, digest).samples(split):
        if not mistakes:
            writer.add(sample)
    if mistakes:
        raise mistakes.error(folder)
    for path, state in zip(files, states, strict=True):
        check_unchanged(path, state)
    return digest.hexdigest()
