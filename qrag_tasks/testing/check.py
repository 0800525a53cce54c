"""What a check is, how it is registered, and what comes of running it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

KIT_VERSION = "2.4"
"""Version of the checks. The first number rises when what passed may now fail: a check is new,
stricter or renamed. The second rises with everything else that one can notice."""

State = Literal["passed", "failed", "skipped", "expected"]
"""``expected``: it failed, as ``expected_failures`` says it does, with a reason."""


class CheckFailed(Exception):  # noqa: N818 - a verdict, not an error of the kit
    """What is examined breaks its contract; the message says how."""


class CheckSkipped(Exception):  # noqa: N818 - likewise
    """The check cannot tell anything of this one; the message says why."""


@dataclass(frozen=True)
class Check:
    """One thing that what plugins supply is held to.

    :ivar name: in snake case; what ``expected_failures`` names.
    :ivar summary: what is checked, and why, in a sentence or two on one line.
    :ivar function: is given the subject of its kit, and raises :class:`CheckFailed` or
        :class:`CheckSkipped`; anything else that it lets through comes from what is examined, and
        is a failure, too.
    """

    name: str
    summary: str
    function: Callable[[Any], None] = field(repr=False)


@dataclass(frozen=True)
class Outcome:
    """What came of one check.

    :ivar message: what is wrong, or why it was skipped; empty when it passed.
    :ivar seconds: how long it took. What several checks share is counted with the first of them.
    :ivar cause: what was raised by what is examined, if that is why the check failed.
    """

    check: Check
    state: State
    message: str
    seconds: float
    cause: BaseException | None = field(default=None, repr=False, compare=False)


_REGISTERED: list[Check] = []


S = TypeVar("S")


def check(function: Callable[[S], None]) -> Callable[[S], None]:
    """Register a function as the check of its name; its docstring is the summary."""
    summary = " ".join((inspect.getdoc(function) or "").split())
    _REGISTERED.append(Check(function.__name__, summary, function))
    return function


def registered(module: str) -> list[Check]:
    """Return the checks of one module, in the order in which they stand there."""
    return [known for known in _REGISTERED if known.function.__module__ == module]
