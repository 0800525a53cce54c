"""Samples in columnar files: written once, then mapped into memory and read one by one.

One folder holds what one questions file and its outputs file say. ``questions-*.arrow`` has a row
a question; ``profiles-*.arrow`` has a row a profile item, and a profile stands there once, however
many questions repeat it (:mod:`~qrag_tasks.tasks.corpus.arrow_files`). ``about.json`` names them,
says what they were made from, and holds their checksums. It is written last, beside its place, and
renamed: a folder is whole, or counts as empty.
"""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import IO, Any, overload

from filelock import FileLock, Timeout

from qrag_tasks.errors import StoreError
from qrag_tasks.tasks.base import Item, Sample
from qrag_tasks.tasks.corpus.arrow_files import (
    DamagedError,
    Part,
    TableFile,
    TableWriter,
    flush_to_disk,
)

logger = logging.getLogger("lm_eval.qrag_tasks")

_FORMAT = 4
"""To be raised when equal data are written otherwise: in other columns, or repaired otherwise."""
_MOST_NOTES = 10_000
_TABLES = ("questions", "profiles")


class Samples(Sequence[Sample]):
    """All samples of a folder, each built when it is asked for.

    :ivar ids: of the samples, in their order.
    :ivar damaged: whether a damaged part was met. That access raised :class:`StoreError`; the next
        :meth:`ColumnFolder.open` makes the files again.
    """

    def __init__(self, questions: TableFile, profiles: TableFile) -> None:
        self.damaged = False
        self._questions = questions
        self._profiles = profiles
        batches = [questions.batch(i) for i in range(questions.batches)]
        self.ids = tuple(i for batch in batches for i in batch.column("id").to_pylist())
        self._starts = list(accumulate((batch.num_rows for batch in batches), initial=0))
        # Of questions that share their documents, each would build them again.
        self._last: tuple[list[int], tuple[Item, ...]] = [], ()

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Sample, ...]: ...
    def __getitem__(self, index: int | slice) -> Sample | tuple[Sample, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        index %= len(self)
        batch = bisect_right(self._starts, index) - 1
        (question,) = self._questions.rows(batch, index - self._starts[batch], 1)
        sample_id, text, target, user, attributes, *place = question
        try:
            if self._last[0] != place:
                self._last = place, tuple(self._profile(*place))
            profile = self._last[1]
        except DamagedError as fault:
            self.damaged = True
            path = self._profiles.path
            with suppress(OSError):
                path.with_name("about.json").unlink()
            raise StoreError(
                f"converted data {path} are damaged: {fault}. Run it again: they are then made "
                f"again from the json."
            ) from None
        known = json.loads(attributes) if attributes else {}
        return Sample(sample_id, text, profile, target, user, known)

    def __reduce__(self) -> tuple[Any, ...]:
        return Samples, (self._questions, self._profiles)

    def _profile(self, batch: int, row: int, size: int) -> Iterator[Item]:
        names = self._profiles.columns
        while size:
            for values in self._profiles.rows(batch, row, size):
                item = dict(zip(names, values, strict=True))
                if item["date"] is None:
                    del item["date"]
                yield item
                size -= 1
            batch, row = batch + 1, 0


class ColumnWriter:
    """Writes samples, one by one.

    :ivar notes: remarks on the data, the first 10,000; ``more_notes`` counts the others.
    """

    def __init__(self, questions: IO[bytes], profiles: IO[bytes], fields: Sequence[str]) -> None:
        self._questions = TableWriter(
            questions, ("id", "input", "target", "user", "attributes"), ("batch", "row", "items")
        )
        self._item = ("id", *fields, "date")
        self._profiles = TableWriter(profiles, self._item)
        self._places: dict[str, tuple[int, int]] = {}
        self._last: tuple[Sequence[Item] | None, str] = None, ""
        self.notes: list[str] = []
        self.more_notes = 0

    def add(self, sample: Sample) -> None:
        """Write a sample; one that names no user gets that of its profile, or its own."""
        # Of profiles that were written only the hash is held: LaMP-3's would be 400 MB.
        if sample.profile is not self._last[0]:
            self._last = sample.profile, self._write_profile(sample.profile)
        digest = self._last[1]
        place = self._places[digest]
        by_profile = f"profile-{digest[:16]}" if sample.profile else f"question-{sample.id}"
        user = sample.user or by_profile
        size = len(sample.profile)
        attributes = json.dumps(dict(sample.attributes)) if sample.attributes else None
        texts = (sample.id, sample.input, sample.target, user, attributes)
        self._questions.add((*texts, *place, size))

    def _write_profile(self, profile: Sequence[Item]) -> str:
        """Write a profile that was not written yet, and return its hash."""
        rows = [tuple(map(item.get, self._item)) for item in profile]
        digest = _digest(rows)
        if digest not in self._places:
            self._places[digest] = self._profiles.place
            for row in rows:
                self._profiles.add(row)
        return digest

    def note(self, text: str) -> None:
        """Keep a remark on the data."""
        if len(self.notes) < _MOST_NOTES:
            self.notes.append(text)
        else:
            self.more_notes += 1

    def finish(self) -> tuple[list[Part], list[Part]]:
        """Write what is held yet, and return the parts of both files."""
        return self._questions.finish(), self._profiles.finish()


@dataclass(frozen=True)
class Columns:
    """What a folder holds.

    :ivar fingerprint: of the data, as :meth:`ColumnFolder.open` was given it.
    :ivar notes: as :class:`ColumnWriter` was given them, the first 10,000.
    :ivar more_notes: how many there were beyond these.
    """

    samples: Samples
    fingerprint: str
    notes: tuple[str, ...]
    more_notes: int


class ColumnFolder:
    """The folder of one questions file.

    Safe with any number of processes at once: it is filled under a lock that the system takes back
    from a process that dies.

    :param root: where all such folders lie; made when first written to.
    :param name: the first part of the folder's name, for people.
    :param questions: the questions file, by a path that no other file has.
    """

    def __init__(self, root: Path, name: str, questions: Path) -> None:
        key = json.dumps([_FORMAT, name, str(questions)])
        self.folder = root / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
        self._questions = questions
        self._about = self.folder / "about.json"
        self._lock = FileLock(self.folder / "lock")

    def open(
        self, source: Mapping[str, Any], fields: Sequence[str], fill: Callable[[ColumnWriter], str]
    ) -> Columns:
        """Return what the folder holds of ``source``; where that is nothing, it is filled first.

        :param source: the files that it is made from, and their state; JSON.
        :param fields: of a profile item, beside ``id`` and ``date``.
        :param fill: adds the samples and returns the data's fingerprint.
        :raises StoreError: when the folder cannot be written to, or not be read.
        """
        source = {**source, "fields": list(fields)}
        # What looks damaged may be being replaced at this moment: under the lock it is not.
        with suppress(DamagedError):
            if (columns := self._read(source)) is not None:
                self._tidy_if_needed()
                return columns
        with self._locked():
            try:
                columns = self._read(source)
            except DamagedError as fault:
                message = f"converted data {self.folder} are damaged and are made again: {fault}"
                warnings.warn(message, RuntimeWarning, stacklevel=2)
                columns = None
            if columns is None:
                logger.info("reading %s once, into %s", self._questions, self.folder)
                self._tidy()
                self._write(source, fields, fill)
                self._tidy()
                columns = self._read(source)
            if columns is None:
                raise StoreError(f"converted data {self.folder}: unreadable once written")
            return columns

    def _read(self, source: Mapping[str, Any]) -> Columns | None:
        """Return what the folder holds of ``source``, or ``None`` where it has yet to be made.

        :raises DamagedError: when it is not what was written.
        """
        try:
            about = self._read_about()
            if about is None or about["source"] != source:
                return None
            questions, profiles = (
                TableFile(self.folder / about[table]["file"], about[table]["parts"])
                for table in _TABLES
            )
        except OSError as error:
            raise StoreError(
                f"converted data cannot be read from {self.folder}: {_reason(error)}. Make them "
                f"readable, or name another folder in QRAG_CACHE."
            ) from error
        notes = tuple(about["notes"])
        return Columns(
            Samples(questions, profiles), about["fingerprint"], notes, about["more_notes"]
        )

    def _read_about(self) -> dict[str, Any] | None:
        try:
            sealed = json.loads(self._about.read_bytes())
            about: dict[str, Any] = sealed["about"]
            if sealed["sha256"] == _seal(about):
                return about
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, TypeError, KeyError):
            pass
        raise DamagedError(f"{self._about.name} is not as it was written")

    def _write(
        self, source: Mapping[str, Any], fields: Sequence[str], fill: Callable[[ColumnWriter], str]
    ) -> None:
        about: dict[str, Any] = {"format": _FORMAT, "source": source}
        temporary = [self.folder / f"{name}.tmp" for name in (*_TABLES, "about")]
        try:
            with self._told_if_it_fails():
                with temporary[0].open("wb") as questions, temporary[1].open("wb") as profiles:
                    writer = ColumnWriter(questions, profiles, fields)
                    fingerprint = fill(writer)
                    parts = writer.finish()
                about |= {"fingerprint": fingerprint, "notes": writer.notes}
                about["more_notes"] = writer.more_notes
                for table, parts_of_it in zip(_TABLES, parts, strict=True):
                    name = f"{table}-{fingerprint[:16]}.arrow"
                    about[table] = {"file": name, "parts": parts_of_it}
                with temporary[2].open("w", encoding="utf-8") as file:
                    json.dump({"about": about, "sha256": _seal(about)}, file)
                    flush_to_disk(file)
                for table, path in zip(_TABLES, temporary, strict=False):
                    path.replace(self.folder / about[table]["file"])
                temporary[2].replace(self._about)
        finally:
            for path in temporary:
                with suppress(OSError):
                    path.unlink()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._told_if_it_fails():
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                logger.warning("waiting for another process that reads %s", self._questions)
                self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def _tidy(self) -> None:
        """Remove what killed processes left, and what was replaced; to be called under the lock."""
        with suppress(OSError, DamagedError):
            for path in self._strangers():
                path.unlink()

    def _tidy_if_needed(self) -> None:
        with suppress(OSError, DamagedError, Timeout):
            if self._strangers():
                with self._lock.acquire(timeout=0):
                    self._tidy()

    def _strangers(self) -> list[Path]:
        known = {self._about.name, Path(self._lock.lock_file).name}
        if (about := self._read_about()) is not None:
            known |= {about[table]["file"] for table in _TABLES}
        return [path for path in self.folder.iterdir() if path.name not in known]

    @contextmanager
    def _told_if_it_fails(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"data cannot be converted into {self.folder}: {_reason(error)}. Make room there, "
                f"or name another folder in QRAG_CACHE. Nothing that was kept before is harmed."
            ) from error


def _digest(rows: Sequence[Sequence[str | None]]) -> str:
    # The lengths, too: they tell where one text ends and the next one starts.
    lengths = [text if text is None else len(text) for row in rows for text in row]
    digest = hashlib.blake2b(json.dumps(lengths).encode(), digest_size=16)
    for row in rows:
        digest.update("".join(filter(None, row)).encode())
    return digest.hexdigest()


def _seal(about: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
