"""The errors a user can meet. Each names the thing, the value and the next step."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Any


class QragError(Exception):
    """Base of every error that qrag-tasks raises on purpose.

    The command lines print its message without a traceback.
    """


class DataError(QragError, ValueError):
    """A data root is missing, or a LaMP file breaks LaMP's format."""


class SettingsError(QragError, ValueError):
    """A run-time choice (metadata key, option, environment variable) is unknown or wrong."""


class RetrieverError(QragError, ValueError):
    """A retriever is unknown, cannot be built, or returned something that is no ranking."""


class PluginError(QragError, RuntimeError):
    """An installed plugin is broken, or two supply the same name."""


class StoreError(QragError, OSError):
    """What is kept in the cache folder cannot be written, or cannot be read."""


class DownloadError(QragError, OSError):
    """A file cannot be fetched, or is not the one that was asked for or recorded."""


class BudgetError(QragError, ValueError):
    """A prompt cannot fit into the token budget, even without documents."""


class ModelError(QragError, RuntimeError):
    """A model cannot be had, or is not what its arguments claim."""


class PlanError(QragError, ValueError):
    """A plan of a grid is wrong, or cannot be run where it was asked to."""


class ComparisonError(QragError, ValueError):
    """Two runs cannot be compared: their prompts, or what made them, differ."""


def did_you_mean(value: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest known name, or an empty string.

    Names that are equally near are all told, up to three of them. A name that means something else
    is never told, however alike the two are: ``-1`` is not ``1``, ``max16k`` is not ``max8k``,
    ``min_length`` is not ``max_length``, ``inexact`` is not ``exact``.

    :param likeness: how much alike they must be, 0 to 1 (:mod:`difflib`'s ratio).
    """
    given = value.lower()
    ratios = {
        name: _likeness(given, name.lower())
        for name in known
        if not _differ_in_meaning(given, name.lower())
    }
    nearest = max(ratios.values(), default=0.0)
    names = [name for name, ratio in ratios.items() if ratio == nearest]
    if nearest < likeness or len(names) > 3:
        return ""
    return f" Did you mean {' or '.join(map(repr, names))}?"


# The square of rmse, and a name of its own.
_NOT_MISSPELT = frozenset({"mse"})
_NUMBERS = re.compile(r"\d+")
_WORDS = re.compile(r"[^-_ ]+")
_NEGATION = re.compile(r"(?:-|(?:un|in|non|not|no)[-_ ]?)")


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, other, one).ratio()


def _differ_in_meaning(given: str, known: str) -> bool:
    """Tell whether two names differ in a number, in a negation or in one whole word."""
    numbers: list[Any] = _NUMBERS.findall(given)
    others: list[Any] = _NUMBERS.findall(known)
    if not given.lstrip("+-").isdecimal():
        # In a name, digits that are swapped or doubled are a slip: bm52, lamp33u.
        numbers, others = ([sorted(set(each)) for each in found] for found in (numbers, others))
    if given in _NOT_MISSPELT or (numbers and numbers != others):
        return True
    if given.endswith(known) and _NEGATION.fullmatch(given.removesuffix(known)):
        return True
    words, known_words = _WORDS.findall(given), _WORDS.findall(known)
    return len(words) == len(known_words) > 1 and any(
        _likeness(one, other) < 0.5 for one, other in zip(words, known_words, strict=True)
    )


def first_of(ids: Sequence[str]) -> str:
    """Return the first ids, in a list for a message: ``'7', '8', '9', ...``; ``none`` of none."""
    listed = ", ".join(map(repr, ids[:3]))
    return f"{listed}, ..." if len(ids) > 3 else listed or "none"
