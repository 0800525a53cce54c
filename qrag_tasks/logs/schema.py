"""What lm_eval's results hold of ours: under ``qrag``, of a run's arm and of a task's prompts.

Whoever writes results makes one of these, whoever reads results gets one. A new field needs a
default and no new number: earlier results do not have it. A field that means something else does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from qrag_tasks.errors import DataError
from qrag_tasks.logs.damage import RUN_AGAIN, wrong_field
from qrag_tasks.tasks.former_names import as_now

BLOCK = "qrag"
"""Where both stand: in ``config`` of the results, and in ``metadata`` of a task's configuration."""
SCHEMA = 1
"""The number of what is written now. Results without a number are of releases before it."""


class _Block:
    def as_dict(self) -> dict[str, Any]:
        """Return it as results hold it."""
        return {"schema": SCHEMA, **self.facts()}

    def facts(self) -> dict[str, Any]:
        """Return its fields by their names."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class LoggedArm(_Block):
    """What results say of the arm that ``--model qrag`` ran. What they do not say is ``None``.

    :ivar arm: what loaded layers showed; see :class:`~qrag_tasks.arms.verification.VerifiedArm`.
    :ivar identity: digest of all that the arm's answers depend on.
    :ivar identity_parts: what it is the digest of.
    :ivar decoding: end tokens and settings of generation.
    :ivar cost: see :class:`~qrag_tasks.metering.cost.Cost`.
    :ivar engine: what ran the model, where it was not transformers: ``name``, the ``distribution``
        and ``version`` that it is from, and the ``evidence`` that it gives of the arm
        (:class:`~qrag_tasks.engines.base.Abilities`).
    :ivar deterministic: whether no answer depended on what else was in its batch, as the model
        argument ``deterministic=True`` promises.
    :ivar kv_cache: what the cache of keys and values showed; see
        :class:`~qrag_tasks.arms.kv_caches.CacheFacts`.
    :ivar imported: of answers that no lm_eval wrote: the ``files`` that they are from, with the
        sha256 of each, and whether these hold the ``prompts`` as ``text`` or as ``sha256``.
    """

    precision: str | None = None
    arm: Mapping[str, Any] | None = None
    identity: str | None = None
    identity_parts: Mapping[str, Any] | None = None
    decoding: Mapping[str, Any] | None = None
    smoke_check: Mapping[str, Any] | None = None
    cost: Mapping[str, Any] | None = None
    engine: Mapping[str, Any] | None = None
    deterministic: bool | None = None
    kv_cache: Mapping[str, Any] | None = None
    imported: Mapping[str, Any] | None = None

    def facts(self) -> dict[str, Any]:
        """Return its fields by their names, without those that say nothing.

        These are the engine where transformers ran the model, and what nobody asked for.
        """
        silent = ("engine", "deterministic", "kv_cache", "imported")
        return {name: value for name, value in vars(self).items() if value or name not in silent}

    @property
    def engine_name(self) -> str | None:
        """Which engine ran the model; ``None`` where ``--model qrag`` did not run it."""
        return None if self.imported else self._of_engine("name", "transformers")

    @property
    def kv_cache_name(self) -> str | None:
        """How keys and values were kept; ``None`` where nothing else was asked for than usual."""
        name = (self.kv_cache or {}).get("name")
        return name if isinstance(name, str) and name != "auto" else None

    @property
    def evidence(self) -> str | None:
        """How the precision is known: see :data:`qrag_tasks.engines.base.Evidence`."""
        return "stated" if self.imported else self._of_engine("evidence", "layers")

    def _of_engine(self, name: str, of_transformers: str) -> str | None:
        if self.engine is None:
            return None if self.precision is None else of_transformers
        return str(self.engine[name]) if name in self.engine else None

    @property
    def replicas(self) -> int:
        """Models among which an engine that schedules prompts together shared them out.

        One for transformers, whose deterministic answers come from a prompt alone.
        """
        models = (self.cost or {}).get("ranks")
        return models if isinstance(models, int) and self.engine is not None else 1

    @property
    def weight_bytes(self) -> int | None:
        """Bytes of the arm's weights."""
        return self._of_weights("bytes")

    @property
    def bits_per_weight(self) -> float | None:
        """Bits that a weight of the whole model takes."""
        return _bits(self._of_weights("bytes"), self._of_weights("parameters"))

    @property
    def linear_bits_per_weight(self) -> float | None:
        """Bits that a weight of the linear layers in blocks takes, scales and zeros included.

        Earlier results say it of plain weights only, which have no scales.
        """
        counted = _bits(self._of_weights("linear_bytes"), self._of_weights("linear_weights"))
        if counted is not None:
            return counted
        layers = (self.arm or {}).get("layers")
        kinds = [kind for kind in layers or () if isinstance(kind, dict)]
        bits = {kind.get("bits") for kind in kinds if kind.get("method") == "none"}
        only = bits.pop() if len(bits) == 1 else None
        plain = all(kind.get("method") == "none" for kind in kinds)
        return float(only) if plain and isinstance(only, int) else None

    @property
    def shares(self) -> Mapping[str, float]:
        """Kind of tensors in a GGUF file -> its share of all bytes, the largest first.

        Nothing of other arms.
        """
        kinds = (self.arm or {}).get("tensor_kinds")
        known = {
            str(kind): float(facts["share"])
            for kind, facts in (kinds.items() if isinstance(kinds, dict) else ())
            if isinstance(facts, dict) and isinstance(facts.get("share"), int | float)
        }
        return dict(sorted(known.items(), key=lambda item: -item[1]))

    def _of_weights(self, name: str) -> int | None:
        weights = (self.arm or {}).get("weights")
        size = weights.get(name) if isinstance(weights, dict) else None
        return size if isinstance(size, int) else None

    @property
    def end_tokens(self) -> Any:
        """The tokens that end an answer."""
        return (self.decoding or {}).get("end_tokens")


@dataclass(frozen=True, kw_only=True)
class LoggedPrompts(_Block):
    """What results say of how the prompts of a task came about. What they do not say is ``None``.

    :ivar version: of this package.
    :ivar data: the file of the questions.
    :ivar data_notes: what was noted of the data, the first few.
    :ivar retriever: as it was asked for, with its options.
    :ivar retriever_from: the plugin that brought it.
    :ivar retriever_sha256: digest of its name, options, version and code.
    :ivar retriever_sees_gold: whether it ranks by the right answers.
    :ivar answer_kind: of own data: what kind of answer they ask for, as ``corpus.toml`` says it;
        who reads the results has no need of the data.
    """

    version: str | None = None
    data: str | None = None
    split: str | None = None
    data_sha256: str | None = None
    data_notes: Sequence[str] | None = None
    protocol: str | None = None
    retriever: str | None = None
    retriever_from: str | None = None
    retriever_options: Mapping[str, Any] | None = None
    retriever_identity: Mapping[str, Any] | None = None
    retriever_sha256: str | None = None
    retriever_sees_gold: bool | None = None
    prompt: str | None = None
    prompt_from: str | None = None
    filter: str | None = None
    index: str | None = None
    order: str | None = None
    fill: str | None = None
    oversized: str | None = None
    answer: str | None = None
    answer_kind: Mapping[str, Any] | None = None

    def facts(self) -> dict[str, Any]:
        """Return its fields by their names, without a kind of answer that nobody asked for."""
        return {name: v for name, v in vars(self).items() if v is not None or name != "answer_kind"}


def _bits(size: int | None, count: int | None) -> float | None:
    return 8 * size / count if size is not None and count else None


T = TypeVar("T", LoggedArm, LoggedPrompts)


def read(kind: type[T], holder: Any, where: str) -> T | None:
    """Return what an object of the results holds of ours; ``None`` where it holds nothing.

    :param holder: as :data:`BLOCK` says.
    :param where: how a message calls it.
    :raises DataError: when a later release wrote it, or it is damaged.
    """
    if not isinstance(holder, dict) or not holder.get(BLOCK):
        return None
    _check(holder, BLOCK, dict, where)
    block = holder[BLOCK]
    if "schema" in block:
        _check(block, "schema", int, where)
    if (schema := block.get("schema", 0)) > SCHEMA:
        raise DataError(
            f"{where}: a later release of qrag-tasks wrote it (schema {schema}; this release "
            f"reads up to {SCHEMA}). Install that release, or a newer one, to read it."
        )
    known = {name: block[name] for name in _FIELDS[kind] if block.get(name) is not None}
    for name in known:
        _check(block, name, _FIELDS[kind][name], where)
    return kind(**as_now(known))


_KINDS: Mapping[str, type] = {
    "str | None": str,
    "bool | None": bool,
    "Sequence[str] | None": list,
    "Mapping[str, Any] | None": dict,
}
"""Annotation of a field -> what JSON has there."""
_FIELDS: Mapping[type, Mapping[str, type]] = {
    kind: {field.name: _KINDS[str(field.type)] for field in fields(kind)}
    for kind in (LoggedArm, LoggedPrompts)
}


def _check(record: Mapping[str, Any], name: str, expected: type, where: str) -> None:
    if (wrong := wrong_field(record, name, expected)) is not None:
        raise DataError(f"{where}, {BLOCK}: {wrong}. {RUN_AGAIN}")
