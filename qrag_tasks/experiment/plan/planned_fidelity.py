"""What a plan says of the answers that its arms are to read."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from qrag_tasks.engines.readings import TOP
from qrag_tasks.errors import did_you_mean
from qrag_tasks.experiment.plan.planned_model import Strict
from qrag_tasks.experiment.plan.yaml_values import plain

OWN, GOLD = "own", "gold"
KINDS = (OWN, GOLD)
"""Whose answer is read: the base arm's own greedy one, or the right one."""
MOST = 127
"""Tokens of a distribution that can be kept: vLLM tells 128, the answer's own among them."""


def _kind(value: object) -> object:
    if isinstance(value, str) and value not in KINDS:
        known = ", ".join(KINDS)
        raise ValueError(
            f"unknown answers {plain(value)} (known: {known}).{did_you_mean(value, KINDS)}"
        )
    return value


class Fidelity(Strict):
    """Every arm reads answers, token by token, while it is loaded.

    :ivar top: tokens of each distribution that are kept.
    :ivar answers: whose they are.
    """

    top: int = Field(default=TOP, ge=1, le=MOST, strict=True)
    answers: tuple[Annotated[str, BeforeValidator(_kind)], ...] = Field(default=KINDS, min_length=1)


def chosen_fidelity(value: object) -> object:
    """Take ``true`` for all defaults, and ``false`` for none."""
    if isinstance(value, bool):
        return {} if value else None
    return value
