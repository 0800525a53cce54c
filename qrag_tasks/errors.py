"""The errors a user can meet. Each names the thing, the value and the next step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


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

    :param likeness: how much alike they must be, 0 to 1 (:mod:`difflib`'s ratio).
    """
    close = get_close_matches(value.lower(), list(known), n=1, cutoff=likeness)
    return f" Did you mean {close[0]!r}?" if close else ""


def first_of(ids: Sequence[str]) -> str:
    """Return the first ids, in a list for a message: ``'7', '8', '9', ...``; ``none`` of none."""
    listed = ", ".join(map(repr, ids[:3]))
    return f"{listed}, ..." if len(ids) > 3 else listed or "none"
