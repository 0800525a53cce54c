"""The beginning of a file, kept so that the next try goes on from it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Origin:
    """The version of a file that a server sends, as the server describes it.

    :ivar size: of the whole file, in bytes; ``None`` where the server did not say.
    :ivar status: the HTTP status it came with.
    """

    url: str
    etag: str
    last_modified: str
    size: int | None
    status: int
    content_type: str

    @property
    def validator(self) -> str:
        """What tells this version from others; empty where the server gave nothing that does."""
        return self.last_modified if self.etag.startswith("W/") or not self.etag else self.etag


class Part:
    """The beginning of a file: ``NAME.part``, and in ``NAME.part.json`` which version it is of.

    :param target: where the whole file will be.
    """

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self._about = target.with_name(f"{target.name}.part.json")

    def held(self, url: str) -> tuple[int, Origin | None]:
        """Return how many bytes are here to go on from, and of what; 0 and ``None`` if none."""
        try:
            origin = Origin(**json.loads(self._about.read_text(encoding="utf-8")))
            size = self.path.stat().st_size
        except (OSError, ValueError, TypeError):
            return 0, None  # never begun, or killed between the two files
        return (size, origin) if size and origin.url == url and origin.validator else (0, None)

    def begin(self, origin: Origin) -> None:
        """Start again with another version."""
        self.drop()
        self.path.touch()
        self._about.write_text(json.dumps(asdict(origin)), encoding="utf-8")

    def drop(self) -> None:
        """Remove both files."""
        # In this order: a beginning without its description is not gone on from.
        self._about.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
