"""What is wrong with somebody's data: all of it at once, each mistake with its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qrag_tasks.errors import DataError

MOST_ALIKE = 3
"""How many mistakes of one kind in one file are told; the others are counted."""
_MOST_IN_AN_ERROR = 5


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong.

    :ivar line: in the file, from 1: its line, or its row where it has no lines; ``None`` where the
        file as a whole is meant.
    :ivar field: dotted, such as ``documents[2].text``; empty where none is meant.
    :ivar text: what was found and what was expected.
    :ivar rows: whether :attr:`line` counts rows.
    """

    file: Path
    line: int | None
    field: str
    text: str
    rows: bool = False

    def __str__(self) -> str:
        place = str(self.file)
        if self.line is not None:
            place += f", row {self.line}" if self.rows else f":{self.line}"
        return ": ".join(filter(None, (place, self.field, self.text)))


class Mistakes:
    """Takes mistakes, and counts those that are like three others."""

    def __init__(self) -> None:
        self._told: list[Mistake] = []
        self._alike: Counter[tuple[Path, str]] = Counter()
        self._first: dict[tuple[Path, str], Mistake] = {}

    def __bool__(self) -> bool:
        return bool(self._told)

    def __len__(self) -> int:
        return sum(self._alike.values())

    def add(self, mistake: Mistake, kind: str) -> None:
        """Take a mistake.

        :param kind: what those that are alike have in common.
        """
        key = (mistake.file, kind)
        self._first.setdefault(key, mistake)
        self._alike[key] += 1
        if self._alike[key] <= MOST_ALIKE:
            self._told.append(mistake)

    def lines(self) -> Iterator[str]:
        """Yield one line for each mistake, file by file, in the order of their places."""
        by_file: dict[Path, list[Mistake]] = {}
        for mistake in self._told:
            by_file.setdefault(mistake.file, []).append(mistake)
        for file, mistakes in by_file.items():
            mistakes.sort(key=lambda mistake: mistake.line or 0)
            yield from map(str, mistakes)
            for (path, kind), count in self._alike.items():
                if path == file and count > MOST_ALIKE:
                    yield f"{file}: {count - MOST_ALIKE:,} more like this one: {kind}"

    def error(self, folder: Path) -> DataError:
        """Return the error that tells the first mistakes.

        :param folder: of ``corpus.toml``.
        """
        lines = list(self.lines())
        if more := lines[_MOST_IN_AN_ERROR:]:
            lines = [*lines[:_MOST_IN_AN_ERROR], f"... and {len(more)} more lines of this kind."]
        return DataError("\n".join([*lines, f"`qrag check {folder}` tells all that is wrong."]))
