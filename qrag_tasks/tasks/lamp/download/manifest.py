"""Which files of a data root were had from where: ``qrag-manifest.json``."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from qrag_tasks.errors import DownloadError

_FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """One file, as it was when it was recorded.

    :ivar url: where it came from; ``None`` for a file that was put there by hand.
    :ivar bytes: its size.
    :ivar sha256: of its bytes, in hexadecimal.
    :ivar time: when it was recorded: UTC, ISO 8601.
    """

    url: str | None
    bytes: int
    sha256: str
    time: str

    def __post_init__(self) -> None:
        """Refuse what no entry can be: the file is open to any hand."""
        if not isinstance(self.url, str | None) or not isinstance(self.time, str):
            raise ValueError("url or time is not text")
        if type(self.bytes) is not int or self.bytes < 0:
            raise ValueError(f"bytes is {self.bytes!r}")
        if not (isinstance(self.sha256, str) and re.fullmatch("[0-9a-f]{64}", self.sha256)):
            raise ValueError(f"sha256 is {self.sha256!r}")

    def __str__(self) -> str:
        return f"{self.bytes:,} bytes, sha256 {self.sha256}"


class Manifest:
    """The record of one data root; safe with any number of processes at once."""

    def __init__(self, root: Path) -> None:
        self.path = root / "qrag-manifest.json"
        self._lock = locks(root) / "manifest.lock"

    def read(self) -> dict[str, Entry]:
        """Return the entries by the files' paths below the root, with ``/``.

        :raises DownloadError: when the file is damaged.
        """
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        try:
            return _entries(json.loads(text))
        except (ValueError, TypeError, RecursionError) as error:
            raise DownloadError(
                f"{self.path} is damaged: {error}. Move it away: the files beside it are then "
                f"checked and recorded again."
            ) from error

    def record(self, name: str, entry: Entry) -> None:
        """Put ``entry`` in the place of what was recorded of ``name``."""
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._lock):
            entries = {**self.read(), name: entry}
            body = {
                "format": _FORMAT,
                "files": {name: asdict(entries[name]) for name in sorted(entries)},
            }
            temporary = self.path.with_name(f"{self.path.name}.part")
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(body, file, indent=2)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)


def locks(root: Path) -> Path:
    """Return the folder of the locks of a data root (not created here)."""
    return root / ".locks"


def _entries(body: Any) -> dict[str, Entry]:
    if not isinstance(body, dict) or not isinstance(body.get("files"), dict):
        raise ValueError('expected {"format": 1, "files": {...}}')
    if body.get("format") != _FORMAT:
        raise ValueError(f"its format is {body.get('format')!r}, known is {_FORMAT}")
    entries = {}
    for name, fields in body["files"].items():
        try:
            entries[name] = Entry(**fields)
        except (ValueError, TypeError) as error:
            raise ValueError(f"entry {name!r}: {error}") from None
    return entries
