"""TREC run files, out and in: ``run:FILE`` is a retriever whose rankings were made elsewhere.

One line a document, six fields: ``query Q0 document rank score tag``. ``query`` is the sample's
id, ``document`` the id of the profile item. White space ends a field, and the form has no quotes:
an id that has some in it is written with ``\\u0020`` in the place of a space, and so on.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from pathlib import Path

from qrag_tasks.errors import RetrieverError, StoreError, first_of
from qrag_tasks.hookspecs import RegisterRetriever, hookimpl
from qrag_tasks.retrieval.base import Query, Ranking
from qrag_tasks.text_files import NotUTF8Error, decoded


def run_lines(samples: Iterable[tuple[str, Ranking]], tag: str) -> Iterable[str]:
    """Yield the lines of a run file; scores are written so that reading gives the same number.

    :param samples: (sample id, its ranking).
    :param tag: names the run; white space in it becomes ``_``.
    :raises RetrieverError: for an empty id, which the format cannot hold.
    """
    tag = "_".join(tag.split())
    for sample, ranking in samples:
        for rank, (document, score) in enumerate(
            zip(ranking.ids, ranking.scores, strict=True), start=1
        ):
            fields = _as_field(sample), "Q0", _as_field(document), str(rank), repr(score), tag
            yield " ".join(fields) + "\n"


_ESCAPED = re.compile(r"\\u([0-9a-f]{4})")


def _as_field(name: str) -> str:
    """Return an id without white space in it; one that has none is itself, as a rule.

    :raises RetrieverError: for an empty id.
    """
    if not name:
        raise RetrieverError("a TREC run file cannot hold an id that is empty")
    if name.split() == [name] and not _ESCAPED.search(name):
        return name
    return re.sub(r"[\s\\]", lambda found: f"\\u{ord(found[0]):04x}", name)


def _as_id(field: str) -> str:
    """Return the id that :func:`_as_field` made a field of."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), field)


def write_run(path: Path, lines: Iterable[str]) -> int:
    """Write a run file, whole or not at all; returns the number of lines.

    :raises StoreError: when it cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    written = 0
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            for line in lines:
                file.write(line)
                written += 1
        temporary.replace(path)
    except OSError as error:
        raise StoreError(f"run file {path}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return written


class RunFile:
    """Rankings out of a TREC run file, by score; equal scores by rank, then as they stand.

    A query that the file does not have is an error, unless its profile is empty.

    :param file: path to the file.
    """

    def __init__(self, file: str, /) -> None:
        try:
            self.path = Path(file).expanduser()
        except RuntimeError:
            raise RetrieverError(f"run file {file}: there is no user of that name") from None
        self._sha256 = _sha256(self._content())

    @property
    def identity(self) -> dict[str, str]:
        """The file's content as it is now."""
        return {"sha256": _sha256(self._content())}

    @property
    def known_queries(self) -> Collection[str]:
        """The queries that the file has."""
        return self._rankings.keys()

    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        """Return what the file says of each query."""
        return [self._rank(query).best(k) for query in queries]

    def _rank(self, query: Query) -> Ranking:
        if query.id in self._rankings:
            return self._rankings[query.id]
        if not query.documents:
            return Ranking()
        raise RetrieverError(
            f"run file {self.path} has no query {query.id!r} (it has {len(self._rankings)}: "
            f"{first_of(list(self._rankings))}). Was it made for other data?"
        )

    @cached_property
    def _rankings(self) -> dict[str, Ranking]:
        lines: dict[str, list[tuple[float, float, str]]] = {}
        content = self._content()
        if _sha256(content) != self._sha256:
            raise RetrieverError(f"run file {self.path}: it changed during the run. Run it again.")
        try:
            text = decoded(content)
        except NotUTF8Error as error:
            raise RetrieverError(f"run file {self.path}: {error}.") from None
        for number, line in enumerate(text.split("\n"), start=1):
            if not line.strip():
                continue
            fields = line.split()
            try:
                query, _, document, rank, score, _ = fields
                entry = (-float(score), float(rank), _as_id(document))
            except ValueError:
                raise self._wrong(number, line) from None
            if not math.isfinite(entry[0]):
                raise self._wrong(number, line)
            lines.setdefault(_as_id(query), []).append(entry)
        return {
            query: Ranking(
                tuple(document for _, _, document in entries), tuple(-s for s, _, _ in entries)
            )
            for query, entries in (
                (query, sorted(entries, key=lambda entry: entry[:2]))
                for query, entries in lines.items()
            )
        }

    def _content(self) -> bytes:
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise RetrieverError(f"run file {self.path}: {error.strerror}") from error

    def _wrong(self, number: int, line: str) -> RetrieverError:
        return RetrieverError(
            f"run file {self.path}, line {number}: {line[:80]!r} is not 'query Q0 document rank "
            f"score tag'"
        )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@hookimpl
def qrag_register_retrievers(register: RegisterRetriever) -> None:
    """Register ``run``."""
    register("run", RunFile)
