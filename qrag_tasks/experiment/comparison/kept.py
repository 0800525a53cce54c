"""Comparisons that were made, kept on disk: a report after a comparison need not make it again."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from qrag_tasks.experiment.comparison.matching import Matched
from qrag_tasks.experiment.comparison.options import Options, Track
from qrag_tasks.experiment.comparison.readings import readings_files
from qrag_tasks.experiment.comparison.rows import Comparison
from qrag_tasks.logs.results import digest_of

logger = logging.getLogger(__name__)

_PACKAGE = Path(__file__).parents[2]
_LIBRARIES = ("numpy", "scipy")
_KEPT_AT_MOST = 50


class KeptComparisons:
    """A folder with a file for each comparison, named by a digest of all that it depends on.

    These are the bytes of the results, sample logs and readings, what they were matched as, the
    options, and this package's code and the libraries' versions. A folder that cannot be written
    to keeps nothing, and says so in the log.

    :param folder: made when first written to. It keeps the newest 50.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def key(
        self, matched: Matched, options: Options, track: Track = lambda members, _: members
    ) -> str:
        """Return the digest of all that a comparison depends on.

        :param track: shows how far it is with the files.
        :raises DataError: when a file cannot be read.
        """
        paths = {
            path
            for both in matched.sides
            for side in both
            for path in (side.run.path, side.task.log.path)
        } | readings_files(matched)
        files = {str(path): digest_of(path) for path in track(sorted(paths), "checking files")}
        sides = [
            [[side.run.label, side.task.task, str(side.run.path)] for side in both]
            for both in matched.sides
        ]
        depends_on = [files, sides, list(matched.notes), asdict(options), _code()]
        return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()

    def read(self, key: str) -> Comparison | None:
        """Return a comparison that was kept; ``None`` where it was not, or cannot be read."""
        try:
            return _COMPARISON.validate_json(self._path(key).read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, key: str, comparison: Comparison) -> None:
        """Keep a comparison."""
        path = self._path(key)
        half = path.with_suffix(".half")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            half.write_bytes(_COMPARISON.dump_json(comparison))
            half.replace(path)
            for old in sorted(self.folder.glob("*.json"), key=_age)[:-_KEPT_AT_MOST]:
                old.unlink(missing_ok=True)
        except (OSError, ValueError) as error:
            # Half of a surrogate pair, in a name, cannot be written as JSON.
            logger.info("%s: the comparison is not kept: %s", self.folder, error)
            with suppress(OSError):
                half.unlink()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"


_COMPARISON = TypeAdapter(Comparison)


def _age(path: Path) -> float:
    return path.stat().st_mtime


@cache
def _code() -> list[str]:
    """Return what tells this version of the code from others, in a checkout too."""
    versions = [f"{name} {version(name)}" for name in _LIBRARIES]
    digest = hashlib.sha256()
    for source in _sources():
        digest.update(source.read_bytes())
    return [*versions, digest.hexdigest()]


def _sources() -> Iterator[Path]:
    for part in ("experiment", "logs", "tasks"):
        yield from sorted((_PACKAGE / part).rglob("*.py"))
