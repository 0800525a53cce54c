"""From LaMP's server to a data root, checked and recorded.

A file is fetched into ``NAME.part``, read through as LaMP json, flushed to the disk, recorded in
``qrag-manifest.json`` and only then given its name, so that it is whole or not there. What was
recorded once is held to that record from then on.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock, Timeout

from qrag_tasks.errors import DataError, DownloadError, QragError
from qrag_tasks.tasks.lamp.download.check import check, sha256
from qrag_tasks.tasks.lamp.download.fetch import (
    Patience,
    Progress,
    Room,
    fetch,
    require_room,
    sizes,
)
from qrag_tasks.tasks.lamp.download.files import LampFile, base_url, lamp_files, writable_root
from qrag_tasks.tasks.lamp.download.manifest import Entry, Manifest, locks
from qrag_tasks.tasks.lamp.download.part import Origin, Part
from qrag_tasks.tasks.lamp.layout import LICENSE

logger = logging.getLogger("lm_eval.qrag_tasks")

LICENCE = (
    f"LaMP's data are licensed {LICENSE} "
    "(https://creativecommons.org/licenses/by-nc-sa/4.0/): no commercial use."
)


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    :ivar state: in words.
    :ivar entry: what is recorded of it.
    """

    file: LampFile
    state: str
    entry: Entry


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk that ``folder`` is on, or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


class Download:
    """The files of some tasks, on their way into a data root.

    Safe with any number of processes at once; killed at any moment, the next goes on where it was.

    :param names: tasks, as :func:`lamp_files` takes them.
    :param into: a folder; ``None`` means the default data root.
    :param force: whether to fetch what is there already, and to accept what is unlike its record.
    :raises SettingsError: when there is no such task, or it cannot be downloaded into that folder.
    """

    def __init__(
        self,
        names: Sequence[str],
        split: str = "dev",
        into: str | None = None,
        force: bool = False,
        patience: Patience | None = None,
        free: Room = free_bytes,
    ) -> None:
        self.files = lamp_files(names, split)
        self.root = writable_root(into)
        self._base = base_url()
        self._force = force
        self._patience = patience or Patience()
        self._free = free
        self._manifest = Manifest(self.root)

    def missing(self) -> list[LampFile]:
        """Return the files that the server will be asked for."""
        with self._told_if_it_fails(self.root):
            return [f for f in self.files if self._force or not (self.root / f.name).is_file()]

    def check_room(self) -> None:
        """Ask the server how large the missing files are.

        :raises DownloadError: when they do not fit; sizes that it does not tell count as nothing.
        """
        missing = self.missing()
        urls = [self._url(file) for file in missing]
        remote = sizes(urls, self._patience)
        here = [Part(self.root / f.name).held(u)[0] for f, u in zip(missing, urls, strict=True)]
        needed = sum(max((size or 0) - part, 0) for size, part in zip(remote, here, strict=True))
        with self._told_if_it_fails(self.root):
            require_room(needed, self.root, self._free)

    def get(self, file: LampFile, progress: Progress = lambda *_: None) -> Outcome:
        """Bring ``file`` into the data root, or hold what is there to its record.

        :raises DownloadError: when it cannot be had, or is unlike its record.
        """
        target = self.root / file.name
        with self._told_if_it_fails(target):
            # Without a lock first: a data root that may only be read can be verified as well.
            entry = self._manifest.read().get(file.name)
            if entry and target.is_file() and not self._force and _like(target, entry):
                return Outcome(file, "there, as recorded", entry)
            with self._locked(file):
                entry = self._manifest.read().get(file.name)
                if self._force or not target.is_file():
                    return self._bring(file, target, entry, progress)
                if entry is None:
                    return self._adopt(file, target)
                if not _like(target, entry):
                    raise DownloadError(
                        f"{target} is not what was recorded on {entry.time}:\n"
                        f"  there:     {target.stat().st_size:,} bytes, sha256 {sha256(target)}\n"
                        f"  recorded:  {entry}\n"
                        f"It was changed since. Remove it, and the same command gets it again; "
                        f"--force gets all files again."
                    )
                return Outcome(file, "there, as recorded", entry)

    def _bring(
        self, file: LampFile, target: Path, recorded: Entry | None, progress: Progress
    ) -> Outcome:
        target.parent.mkdir(parents=True, exist_ok=True)
        url, part = self._url(file), Part(target)
        origin = fetch(url, part, self._patience, self._free, progress)
        try:
            digest = check(file, part.path)
        except DataError as error:
            got = _description(part.path, origin, error)
            part.drop()
            raise DownloadError(f"{url}: {got}") from error
        entry = _entry(part.path, digest, url)
        state = "downloaded"
        if recorded and recorded.sha256 == digest:
            state, entry = "downloaded, as recorded", recorded
        elif recorded and not self._force:
            raise DownloadError(
                f"{entry.url} is not what was recorded on {recorded.time}:\n"
                f"  came:      {entry}\n"
                f"  recorded:  {recorded}\n"
                f"Nothing was replaced. --force accepts what came."
            )
        with part.path.open("rb+") as whole:
            os.fsync(whole.fileno())
        # Recorded first: killed in between, the next run finds the part and needs no record again.
        self._manifest.record(file.name, entry)
        part.path.replace(target)
        part.drop()
        return Outcome(file, state, entry)

    def _adopt(self, file: LampFile, target: Path) -> Outcome:
        try:
            digest = check(file, target)
        except DataError as error:
            raise DownloadError(
                f"{error}\nNothing is recorded of it. Move it away, or let --force replace it."
            ) from error
        entry = _entry(target, digest, None)
        self._manifest.record(file.name, entry)
        return Outcome(file, "there already, recorded now", entry)

    def _url(self, file: LampFile) -> str:
        return f"{self._base}/{file.name}"

    @contextmanager
    def _locked(self, file: LampFile) -> Iterator[None]:
        folder = locks(self.root)
        folder.mkdir(parents=True, exist_ok=True)
        # Never removed: a process that waits for it would not see who takes a new one.
        lock = FileLock(folder / f"{file.name.replace('/', '-')}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.warning("waiting for another process that downloads %s", self.root / file.name)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _told_if_it_fails(self, target: Path) -> Iterator[None]:
        try:
            yield
        except QragError:
            raise
        except OSError as error:
            raise DownloadError(
                f"{error.filename or target}: {error.strerror or error}. Mend that, or name "
                f"another folder by --into FOLDER or QRAG_DATA=FOLDER. What was downloaded before "
                f"is not harmed."
            ) from error


def _description(path: Path, origin: Origin, error: DataError) -> str:
    """Return what came in the place of a LaMP file, in words."""
    with path.open("rb") as file:
        start = file.read(60).decode("utf-8", "replace")
    # The reader's own words for size and beginning stand behind its semicolon.
    fault = str(error).removeprefix(f"{path}: ").partition(";")[0]
    return (
        f"what came is no LaMP file: {fault}.\n"
        f"  got:  status {origin.status}, content type {origin.content_type}, "
        f"{path.stat().st_size:,} bytes, starting with {start!r}\n"
        f"Nothing of it is kept. Some servers, LaMP's among them, send a page in the place of a "
        f"file that they do not have."
    )


def _entry(path: Path, digest: str, url: str | None) -> Entry:
    now = datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Entry(url, path.stat().st_size, digest, now)


def _like(path: Path, entry: Entry) -> bool:
    return path.stat().st_size == entry.bytes and sha256(path) == entry.sha256
