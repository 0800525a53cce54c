"""How an arm keeps keys and values: what there is, what a live cache shows, and whether it is that.

The precision of the cache is an axis of its own beside that of the weights: the model argument
``kv_cache=NAME``. Without it, or with ``auto``, keys and values stay in the dtype that the arm
computes in.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qrag_tasks.errors import ModelError, SettingsError, did_you_mean

AUTO = "auto"
"""Keys and values in the dtype that the arm computes in, or in what the engine keeps by itself."""

_TOLERANCE = 0.02
"""By how much of it the bits of a number may differ from those that are expected."""


@dataclass(frozen=True)
class KvCache:
    """A way to keep keys and values that an engine has.

    :ivar name: as users write it.
    :ivar bits: of a number, without what it is scaled by; the mean, where keys have others than
        values.
    :ivar scales: what numbers are scaled by, in words.
    :ivar own: the engine's own name of it; empty where it is ``name``.
    :ivar also: other names that users may write.
    :ivar distribution: that must be installed; empty where the engine needs nothing more.
    :ivar extra: of this package, that brings it.
    """

    name: str
    bits: float
    scales: str
    own: str = ""
    also: tuple[str, ...] = ()
    distribution: str = ""
    extra: str = ""

    @property
    def engine_name(self) -> str:
        """What the engine calls it."""
        return self.own or self.name

    def check_installed(self) -> None:
        """Check that what it needs can be imported.

        :raises ModelError: with the command that brings what is missing.
        """
        if self.distribution and self.version is None:
            raise ModelError(
                f"kv_cache={self.name} needs {self.distribution}: "
                f"pip install 'qrag-tasks[{self.extra}]'"
            )

    @property
    def version(self) -> str | None:
        """Which version of what it needs is installed; ``None`` where none is, or it needs none."""
        try:
            return importlib.metadata.version(self.distribution) if self.distribution else None
        except importlib.metadata.PackageNotFoundError:
            return None


@dataclass(frozen=True, kw_only=True)
class CacheFacts:
    """What a live cache showed.

    :ivar name: of the :class:`KvCache`; :data:`AUTO` where none was asked for.
    :ivar kinds: what each layer of it is: the name of a class, or the engine's name of how numbers
        are kept -> how many layers.
    :ivar dtypes: of the tensors that hold the numbers.
    :ivar bytes_per_token: of keys and values of all layers, with what they are scaled by.
    :ivar bits_per_number: the same, of one number of a key or value; ``None`` where it is not known
        how many there are.
    :ivar scales: what numbers are scaled by, in words; empty where by nothing.
    :ivar newest_in_full: the most generated tokens whose keys and values are still in the dtype of
        computation, until so many have come. Those of a prompt never are.
    """

    name: str
    kinds: Mapping[str, int]
    dtypes: Sequence[str]
    bytes_per_token: float
    bits_per_number: float | None = None
    scales: str = ""
    newest_in_full: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, as JSON has it."""
        return dataclasses.asdict(self)


def given_cache(arguments: Mapping[str, Any]) -> str | None:
    """Return what the model argument ``kv_cache`` says; ``None`` where it asks for nothing."""
    value = arguments.get("kv_cache")
    return None if value is None or str(value) == AUTO else str(value)


def names_of(rows: Iterable[KvCache]) -> list[str]:
    """Return all that users may write for some ways to keep keys and values."""
    return [AUTO, *(name for row in rows for name in (row.name, *row.also))]


def asked_cache(
    arguments: Mapping[str, Any], rows: Sequence[KvCache], engine: str
) -> KvCache | None:
    """Return how keys and values are to be kept; ``None`` for the engine's own way.

    :param arguments: of ``--model qrag``.
    :param rows: what the engine has.
    :param engine: its name, as users write it.
    :raises SettingsError: when it does not have that.
    """
    name = given_cache(arguments)
    if name is None:
        return None
    for row in rows:
        if name in (row.name, *row.also):
            return row
    known = names_of(rows)
    raise SettingsError(
        f"kv_cache={name}: engine={engine} does not keep keys and values so (it has: "
        f"{', '.join(known)}).{did_you_mean(name, known)}"
    )


def check_cache(
    asked: KvCache, facts: CacheFacts, kinds: Iterable[str], bits: float | None = None
) -> None:
    """Check that a live cache is the one that was asked for.

    :param kinds: what its layers may be, as in :attr:`CacheFacts.kinds`.
    :param bits: that each number must take, with what it is scaled by.
    :raises ModelError: when it is not, with what it is.
    """
    allowed = set(kinds)
    other = {kind: count for kind, count in facts.kinds.items() if kind not in allowed}
    total = sum(facts.kinds.values())
    if other or not total:
        shown = ", ".join(f"{kind} ({count})" for kind, count in other.items()) or "it is empty"
        raise ModelError(
            f"kv_cache={asked.name} was asked for, but {sum(other.values())} of {total} layers of "
            f"the cache are not that: {shown}. This arm would not be what it claims."
        )
    held = facts.bits_per_number
    if bits is not None and (held is None or abs(held - bits) > _TOLERANCE * bits):
        shown = "an unknown number of" if held is None else f"{held:.2f}"
        raise ModelError(
            f"kv_cache={asked.name} was asked for, but the cache holds {', '.join(facts.dtypes)}, "
            f"and {shown} bits for each number of a key or value, where {bits:.2f} were expected, "
            f"scales included. This arm would not be what it claims."
        )
