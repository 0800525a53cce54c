"""How a verdict is drawn: one state, one sign, one colour, in the map and everywhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qrag_tasks.experiment.comparison.rows import MetricRow
from qrag_tasks.experiment.comparison.verdicts import (
    BETTER,
    DIFFERENT,
    EQUIVALENT,
    NOT_TESTED,
    TOO_FEW,
    UNDECIDED,
    WITHIN_NOISE,
    WORSE,
    verdict,
)


@dataclass(frozen=True)
class State:
    """What a verdict comes to.

    :ivar name: for the page's styles; its colour is there.
    :ivar sign: tells it without a colour.
    :ivar meaning: for the legend.
    """

    name: str
    word: str
    sign: str
    meaning: str


STATES: Mapping[str, State] = {
    state.word: state
    for state in (
        State("worse", WORSE, "▼", "a loss beyond chance"),
        State("better", BETTER, "▲", "a gain beyond chance"),
        State("different", DIFFERENT, "≠", "a difference beyond chance, of unknown direction"),
        State("equivalent", EQUIVALENT, "=", "shown to be within the margin"),
        State("noise", WITHIN_NOISE, "≈", "no more than other batches alone would change"),
        State("undecided", UNDECIDED, "?", "neither was shown: not an all-clear"),
        State("few", TOO_FEW, "…", "too few samples, or too few that differ, for a test"),
        State("untested", NOT_TESTED, "-", "no test is known for this score"),
    )
}
"""Word of a verdict -> its state, in the order of the legend."""
UNSCORED = State("unscored", "no gold", "%", "no golds: the share of same answers alone")


def state_of(row: MetricRow | None) -> State:
    """Return the state of a cell.

    A difference that is real and shown to be within the margin is equivalent: it does not matter,
    by what was stated to matter.
    """
    return UNSCORED if row is None else state_of_verdict(verdict(row))


def state_of_verdict(verdict_words: str) -> State:
    """Return the state of a verdict, which may be two words."""
    words = verdict_words.split(", ")
    return STATES[EQUIVALENT if EQUIVALENT in words else words[0]]
