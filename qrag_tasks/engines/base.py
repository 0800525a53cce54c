"""What runs a model: token ids in, token ids out. The contract of every engine.

An engine loads one model in one precision and answers requests. It knows nothing of lm_eval, of
tasks, or of what its answers are for. All that must be alike in all engines is written once,
around them: prompts that would be cut are refused, answers are kept in a journal, put in order and
read (:mod:`~qrag_tasks.engines.session`, :mod:`qrag_tasks.harness.model`), what ends an answer is
decided (:mod:`~qrag_tasks.engines.decoding`), and what a run costs is counted
(:mod:`qrag_tasks.metering`).

A plugin registers an :class:`EngineFactory` by the hook
:func:`~qrag_tasks.hookspecs.qrag_register_engines`; users choose it by the model argument
``engine=NAME`` of ``--model qrag``. :mod:`qrag_tasks.testing` holds an engine to this contract.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from qrag_tasks.arms.formats.facts import DEVICES, Precision
from qrag_tasks.arms.kv_caches import CacheFacts, KvCache
from qrag_tasks.engines.batch_limit import BatchLimit
from qrag_tasks.engines.decoding import Decoding
from qrag_tasks.engines.readings import Reading, ReadingRequest
from qrag_tasks.metering.meter import Meter

Evidence = Literal["layers", "headers", "stated"]
"""How an arm's precision is known: every loaded layer was read; the tensors of the checkpoint were
read, and the rest is the engine's word; all of it is a server's word."""


@dataclass(frozen=True, kw_only=True)
class Support:
    """How an engine runs a precision whose format another engine loads, as a rule transformers.

    :ivar devices: as :attr:`~qrag_tasks.arms.formats.facts.Precision.devices`.
    :ivar needs: modules that must be importable, beside the engine's own.
    :ivar ci: as :attr:`~qrag_tasks.arms.formats.facts.Precision.ci`.
    """

    devices: tuple[str, ...] = DEVICES
    needs: tuple[str, ...] = ()
    ci: str = ""


@dataclass(frozen=True, kw_only=True)
class Abilities:
    """What an engine can do, known before it loads anything.

    :ivar evidence: how it is known that a loaded model is in its precision.
    :ivar likelihoods: whether it measures the likelihood of given answers (:meth:`Engine.score`).
    :ivar readings: whether it tells its distributions along a given answer (:meth:`Engine.read`).
    :ivar sampling: whether it draws tokens (``do_sample``), or takes the likeliest only.
    :ivar deterministic: whether the same requests, given again in the same process, have the same
        answers, greedy ones, with the same batch limit.
    :ivar precisions: names of the precisions that it can load; ``None`` for all.
    :ivar loads_checkpoint: whether it loads what the model argument ``pretrained`` names; else its
        model is somewhere else, and that argument means nothing to it.
    :ivar support: precision -> how it is run, where that is not as the precision's own row says.
    :ivar needs: modules that must be importable for it to load anything.
    :ivar install: the command that brings them.
    :ivar install_on_cpu: what brings them where there is no GPU, if that is something else.
    :ivar kv_caches: the ways to keep keys and values that the model argument ``kv_cache`` may ask
        it for, beside its own.
    :ivar shares_ranks: whether processes that ``accelerate launch`` or ``torchrun`` started share
        the requests of a run among them (:class:`Ranks`).
    :ivar side_by_side: where they do not: what has requests run side by side instead, as an
        imperative for an error.
    """

    evidence: Evidence
    likelihoods: bool = True
    readings: bool = False
    sampling: bool = True
    deterministic: bool = True
    precisions: frozenset[str] | None = None
    loads_checkpoint: bool = True
    kv_caches: tuple[KvCache, ...] = ()
    shares_ranks: bool = False
    side_by_side: str = ""
    support: Mapping[str, Support] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    install: str = ""
    install_on_cpu: str = ""

    def support_of(self, row: Precision) -> Support | None:
        """Return how the engine runs a precision; ``None`` where it cannot load it."""
        if self.precisions is not None and row.name not in self.precisions:
            return None
        of_row = Support(devices=row.devices, needs=row.needs, ci=row.ci)
        return self.support.get(row.name, of_row)


@dataclass(frozen=True)
class GenerationRequest:
    """One prompt that is to be answered.

    :ivar name: says in errors which request it is: ``lamp3u_rag_k1, sample 17``.
    :ivar prompt: token ids, at least one, special ones included: an engine adds and drops none.
    :ivar max_new_tokens: the longest answer.
    :ivar stops: texts before which the answer ends, beside the end tokens.
    :ivar settings: further generation arguments, named as transformers names them: ``do_sample``,
        ``temperature``, ``num_beams``, ... An engine refuses one that it does not know
        (:class:`~qrag_tasks.errors.SettingsError`).
    """

    name: str
    prompt: Sequence[int]
    max_new_tokens: int
    stops: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LikelihoodRequest:
    """Given continuations, whose likelihood is to be measured; one pass serves them all.

    :ivar name: says in errors which request it is.
    :ivar tokens: the token ids that are fed, at least one: context and continuation without the
        continuation's last token. They are the same for all continuations.
    :ivar continuations: token ids of each, at least one. Their last one is not fed; those before
        it are the last of ``tokens``.
    :ivar softmax_dtype: in which log-probabilities are taken, as torch names it.
    """

    name: str
    tokens: Sequence[int]
    continuations: tuple[Sequence[int], ...]
    softmax_dtype: str = "float32"


Likelihood = tuple[float, bool]
"""Log-probability of a continuation in nats, and whether greedy decoding would give it."""

Generated = Sequence[int] | str
"""Token ids of an answer; or, of an engine that is told no tokens, the text of those generated,
without special tokens."""

Answer = TypeVar("Answer", contravariant=True)


class Answered(Protocol[Answer]):
    """The callback that takes answers as they are finished."""

    def __call__(self, answers: Mapping[int, Answer], cost: Mapping[str, float], /) -> None:
        """Take answers. When this returns they are on disk, where the run has a journal.

        :param answers: place of the request in the sequence that was given -> its answer. Each
            place comes once, in any order; several at once where they were one batch, which is
            then kept or lost as a whole.
        :param cost: what these took: :attr:`qrag_tasks.metering.meter.Batch.cost`.
        """
        ...


class Ranks:
    """The processes that share the requests of a run, each with a model of its own; here one."""

    rank = 0
    world_size = 1

    def all_gather(self, tensor: Any) -> Any:
        """Return the tensors of all ranks, one after the other."""
        return tensor

    def gather_object(self, thing: Any, dst: int = 0) -> list[Any] | None:
        """Return what every rank gave, on the rank ``dst``; elsewhere ``None``."""
        return [thing]

    def barrier(self) -> None:
        """Wait for the other ranks."""


class Engine(ABC):
    """A loaded model that answers.

    Methods are called by one thread, one at a time.

    :ivar abilities: as its factory has them.
    :ivar tokenizer: of transformers, or one that works alike; it has a pad token.
    :ivar config: the model's configuration, of transformers; ``None`` where there is none.
    :ivar window: tokens that prompt and answer may have together.
    :ivar decoding: what ends an answer: :func:`~qrag_tasks.engines.decoding.decide` says.
    :ivar precision: that the model is in.
    :ivar computing: name of the dtype that it computes in, as torch names it.
    :ivar device: ``torch.device`` where it computes.
    :ivar arm: what is known of the loaded weights, as JSON has it: ``layers``, ``weights``, ...
        (:meth:`qrag_tasks.arms.verification.VerifiedArm.as_dict`).
    :ivar limit: how much runs at once. May be set between calls; an engine that has no batches
        keeps it and looks at it no further. It falls where memory runs out.
    :ivar ranks: the processes that share the run.
    :ivar kv_cache: what its cache of keys and values showed, once :meth:`smoke` has run; ``None``
        where nothing shows it.
    :ivar batch_invariant: whether an answer depends on its own prompt alone, and not on what else
        is in its batch: the model argument ``deterministic=True`` asks for it, and an engine that
        cannot keep it refuses that.
    """

    abilities: Abilities
    tokenizer: Any
    config: Any = None
    window: int
    decoding: Decoding
    precision: Precision
    computing: str
    device: Any
    arm: Mapping[str, Any]
    limit: BatchLimit
    ranks: Ranks = Ranks()
    batch_invariant: bool = False
    kv_cache: CacheFacts | None = None

    @abstractmethod
    def generate(
        self,
        requests: Sequence[GenerationRequest],
        answered: Answered[Generated],
    ) -> None:
        """Answer every request, in whatever order and batches are best; do nothing for none.

        An answer is the generated token ids, where the engine knows them. It has at most
        ``max_new_tokens``, and ends with its end token where it has one
        (:meth:`~qrag_tasks.engines.decoding.Decoding.up_to_end`). With ``stops`` it need not go on
        once its text holds one of them; what follows is cut off by whoever reads it.

        What was answered before an error has been given to ``answered`` and stays.

        :raises SettingsError: for a generation argument that the engine does not know.
        :raises ModelError: when memory runs out on a single request, naming it, or its logits are
            not numbers (:func:`~qrag_tasks.engines.session.not_a_number`). A batch that is too
            large is split, and nothing of it is lost.
        """

    @abstractmethod
    def score(
        self,
        requests: Sequence[LikelihoodRequest],
        answered: Answered[Sequence[Likelihood]],
    ) -> None:
        """Measure the likelihood of every request's continuations; do nothing for none.

        An answer has one :data:`Likelihood` a continuation, in their order. Called only where
        :attr:`Abilities.likelihoods` says so.

        :raises ModelError: when memory runs out on a single request.
        """

    def read(self, requests: Sequence[ReadingRequest], answered: Answered[Reading]) -> None:
        """Tell the distributions along every request's answer; do nothing for none.

        They are the model's own, before any generation argument. Called only where
        :attr:`Abilities.readings` says so.

        :raises ModelError: when memory runs out on a single request, or logits are not numbers.
        """
        raise NotImplementedError(f"{type(self).__name__} tells no distributions")

    @property
    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """All that answers depend on, except the request, the batches, and what is around.

        Weights (a digest), configuration, dtype, kernels, kind of device, ``versions`` of the
        packages that compute. Neither paths nor names, except where the engine sees no weights:
        then what it was told, and by whom. JSON values, or what
        :func:`qrag_tasks.arms.components.plain` makes one of. It is read before the first request,
        and again whenever answers are looked up in a cache.
        """

    def smoke(self) -> Mapping[str, Any] | None:
        """Make a first pass that would find a kernel that computes something else.

        It is called once, after :attr:`identity` was read and before the first request.

        :returns: what it showed, as JSON has it; ``None`` where there is nothing to find.
        :raises ModelError: when the kernel fails, or computes something else.
        """
        return None

    def model_info(self) -> dict[str, Any]:
        """Return what lm_eval's results say of the model beside its arguments."""
        return {}

    def forget(self) -> None:  # noqa: B027 - most engines keep nothing of a request
        """Drop what earlier requests left for later ones, such as a cache of prefixes.

        What comes next is computed as if nothing had been asked before.

        :raises ModelError: when that cannot be done.
        """

    def close(self) -> None:  # noqa: B027 - most engines hold nothing that outlives them
        """Give memory, processes and connections back; the engine is not used after it.

        It is called once nobody holds the model any more, at the latest when Python ends.
        """


@dataclass(frozen=True)
class EngineFactory:
    """How an engine is had.

    :ivar abilities: of what it loads.
    :ivar load: (model arguments, meter) -> engine. The arguments are those of ``--model qrag``:
        ``pretrained``, ``precision``, ``device``, ``batch_size`` and so on, where they were given,
        and the engine's own. The meter measures: :meth:`Meter.loading`, :meth:`Meter.batch`. It
        raises :class:`~qrag_tasks.errors.ModelError` where the arm cannot be had, or is not what
        it claims.
    :ivar check: the same arguments, without loading any weights; raises
        :class:`~qrag_tasks.errors.SettingsError` for an argument that is unknown or cannot be, and
        :class:`~qrag_tasks.errors.ModelError` where it is plain that the arm cannot be had.
    """

    abilities: Abilities
    load: Callable[[Mapping[str, Any], Meter], Engine]
    check: Callable[[Mapping[str, Any]], object]
