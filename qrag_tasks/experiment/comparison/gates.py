"""Conditions on which a comparison fails, as before a model is released: ``pooled: worse``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from qrag_tasks.errors import SettingsError, did_you_mean
from qrag_tasks.experiment.comparison.gated_rows import CELLS, POOLED, GatedRow
from qrag_tasks.experiment.comparison.verdicts import NOT_TESTED, TOO_FEW, VERDICTS

GRAMMAR = (
    "[pooled|cells] [NAME=VALUE ...]: CONDITION [and CONDITION ...], where a condition is a "
    "verdict, `not` and a verdict, or a figure with <, <=, > or >= and a number"
)
FIGURES: Mapping[str, tuple[str, ...]] = {
    "recovery": (CELLS, POOLED),
    "loss": (CELLS, POOLED),
    "same_answers": (CELLS,),
}
"""Figure -> the kinds of rows that have it."""
NAMES = ("model", "arm", "base", "task", "k", "retriever", "metric")
"""What rows can be chosen by."""

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_SHARE_AT_MOST = 2.0
_FIGURE = re.compile(r"(?P<name>\S+?)\s*(?P<operator><=|>=|<|>)\s*(?P<number>\S+)")


@dataclass(frozen=True)
class _Verdict:
    word: str
    negated: bool

    def holds(self, row: GatedRow) -> bool:
        return (self.word in row.verdict.split(", ")) is not self.negated


@dataclass(frozen=True)
class _Figure:
    name: str
    operator: str
    number: float

    def holds(self, row: GatedRow) -> bool:
        value = row.figures.get(self.name)
        # What is not known is not taken for good.
        return value is None or _OPERATORS[self.operator](value, self.number)


@dataclass(frozen=True)
class Gate:
    """One condition on which a comparison fails.

    :ivar text: as it was given.
    :ivar kind: of the rows that it is asked of; ``None`` for all.
    :ivar chosen: what these rows are called.
    """

    text: str
    kind: str | None
    chosen: Mapping[str, str]
    conditions: Sequence[_Verdict | _Figure]

    @classmethod
    def read(cls, text: str) -> Gate:
        """Read a gate.

        :raises SettingsError: when it is not one.
        """
        where, _, condition = text.rpartition(":")
        kind, chosen = _read_where(text, where)
        conditions = [_read(text, term.strip()) for term in re.split(r"\band\b", condition)]
        gate = cls(text, kind, chosen, conditions)
        if not gate.kinds:
            figure = next(c.name for c in conditions if isinstance(c, _Figure))
            raise _wrong(text, f"{kind} rows have no {figure}")
        return gate

    @property
    def kinds(self) -> list[str]:
        """The kinds of rows that it can be asked of: those that have its figures."""
        names = [one.name for one in self.conditions if isinstance(one, _Figure)]
        kinds = [kind for kind in (CELLS, POOLED) if self.kind in (None, kind)]
        return [kind for kind in kinds if all(kind in FIGURES[name] for name in names)]

    def asks(self, row: GatedRow) -> bool:
        """Whether it is asked of a row."""
        if row.repeats and self.kind != POOLED:
            return False
        return row.kind in self.kinds and all(
            row.names.get(name) == value for name, value in self.chosen.items()
        )

    def fails(self, row: GatedRow) -> bool:
        """Whether a row fails it: all of its conditions hold, or are not known."""
        return all(condition.holds(row) for condition in self.conditions)


@dataclass(frozen=True)
class Outcome:
    """What became of a gate.

    :ivar rows: of which it was asked, at least one.
    :ivar failed: those that failed it.
    """

    gate: Gate
    rows: Sequence[GatedRow]
    failed: Sequence[GatedRow]

    @property
    def untested(self) -> list[GatedRow]:
        """The rows of which no test could be made, and which passed."""
        return [row for row in self.rows if row not in self.failed and is_untested(row)]


def judge(gates: Sequence[Gate], rows: Sequence[GatedRow]) -> list[Outcome]:
    """Ask every gate of the rows that it is for.

    :raises SettingsError: for a gate that no row is for: it would pass whatever the arms do.
    """
    outcomes = []
    for gate in gates:
        asked = [row for row in rows if gate.asks(row)]
        if not asked:
            raise SettingsError(f"--fail-if {gate.text}: {_why_none(gate, rows)}")
        outcomes.append(Outcome(gate, asked, [row for row in asked if gate.fails(row)]))
    return outcomes


def is_untested(row: GatedRow) -> bool:
    """Whether no test could be made of a row."""
    return row.verdict in (TOO_FEW, NOT_TESTED)


def _why_none(gate: Gate, rows: Sequence[GatedRow]) -> str:
    of_kind = [row for row in rows if row.kind in gate.kinds]
    if not of_kind:
        return f"there is no such row ({' or '.join(gate.kinds)}) in this comparison"
    for name, value in gate.chosen.items():
        known = dict.fromkeys(row.names[name] for row in of_kind if row.names.get(name))
        if value not in known:
            has = f"they have {', '.join(known)}" if known else f"they have no {name}"
            return f"no row has {name}={value} ({has}).{did_you_mean(value, known)}"
    return "no row has all of these"


def _read_where(text: str, where: str) -> tuple[str | None, dict[str, str]]:
    kind, chosen = None, {}
    for word in where.split():
        name, equals, value = word.partition("=")
        if word in (CELLS, POOLED) and kind is None:
            kind = word
        elif equals and value and name in NAMES:
            chosen[name] = value
        elif equals:
            raise _wrong(
                text, f"rows cannot be chosen by {name!r} (known: {', '.join(NAMES)})", name, NAMES
            )
        else:
            raise _wrong(text, f"{word!r} does not say which rows it is asked of")
    return kind, chosen


def _read(text: str, term: str) -> _Verdict | _Figure:
    if match := _FIGURE.fullmatch(term):
        name, number = match["name"], _number(match["number"])
        if name not in FIGURES:
            raise _wrong(
                text, f"unknown figure {name!r} (known: {', '.join(FIGURES)})", name, FIGURES
            )
        if number is None:
            raise _wrong(text, f"{match['number']!r} is not a number")
        if name != "loss" and not 0 <= number <= _SHARE_AT_MOST:
            raise _wrong(text, f"{name} is a share: 0.98 or 98%, not {match['number']}")
        return _Figure(name, match["operator"], number)
    negated = term.startswith("not ") and term not in VERDICTS
    word = " ".join(term.removeprefix("not ").split() if negated else term.split())
    if word not in VERDICTS:
        known = ", ".join(VERDICTS)
        raise _wrong(text, f"unknown verdict {word!r} (known: {known})", word, VERDICTS)
    return _Verdict(word, negated)


def _number(text: str) -> float | None:
    try:
        number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return None
    # Nothing is beyond NaN or infinity: such a gate would pass whatever the arms do.
    return number if math.isfinite(number) else None


def _wrong(
    text: str, why: str, value: str = "", known: Sequence[str] | Mapping[str, object] = ()
) -> SettingsError:
    return SettingsError(f"--fail-if {text!r}: {why}.{did_you_mean(value, known)} Write {GRAMMAR}")
