"""An engine of a third party: plain Python over token ids, in one module with one hook.

After each token comes what came after it most often so far. It reads no weights: what it knows is
the prompt.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from qrag_tasks import hookimpl
from qrag_tasks.arms.precisions import precision
from qrag_tasks.engines.base import (
    Abilities,
    Answered,
    Engine,
    EngineFactory,
    GenerationRequest,
    Likelihood,
    LikelihoodRequest,
)
from qrag_tasks.engines.batch_limit import BatchLimit
from qrag_tasks.engines.decoding import decide
from qrag_tasks.engines.readings import Reading, ReadingRequest, of_distributions
from qrag_tasks.engines.tokenizers import model_text
from qrag_tasks.errors import ModelError, SettingsError
from qrag_tasks.metering.meter import Meter

ABILITIES = Abilities(
    evidence="stated",
    readings=True,
    sampling=False,
    precisions=frozenset({"fp32"}),
    loads_checkpoint=False,
)
KNOWN = {"engine", "tokenizer", "precision", "dtype", "device", "batch_size", "max_length", "prior"}


class NgramEngine(Engine):
    """Counts successors.

    :param prior: added to the count of every token.
    """

    abilities = ABILITIES
    computing = "float64"
    arm: Mapping[str, Any] = {"precision": "fp32", "layers": [], "weights": {"bytes": 0}}

    def __init__(self, arguments: Mapping[str, Any], meter: Meter) -> None:
        with meter.loading():
            text = model_text(arguments)
        assert text is not None
        self.tokenizer = text.tokenizer
        self.window = text.window
        self.decoding = decide(self.tokenizer, None, None)
        self.precision = precision("fp32")
        self.device = meter.device
        self.limit = BatchLimit()
        self.prior = float(arguments.get("prior", 0.5))
        self._meter = meter

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"model": "successors", "prior": self.prior}

    def generate(
        self, requests: Sequence[GenerationRequest], answered: Answered[Sequence[int]]
    ) -> None:
        for place, request in enumerate(requests):
            if unknown := {*request.settings} - {"do_sample", "temperature"}:
                raise SettingsError(f"generation argument {min(unknown)}: it is unknown to ngram")
            length = len(request.prompt)
            with self._meter.batch([length], length, "generate") as batch:
                tokens: list[int] = []
                while len(tokens) < request.max_new_tokens:
                    tokens.append(self.likeliest([*request.prompt, *tokens]))
                    batch.first_token()
                    text = self.tokenizer.decode(tokens)
                    if tokens[-1] in self.decoding.end_tokens or any(
                        stop in text for stop in request.stops
                    ):
                        break
                batch.generated([len(tokens)])
            answered({place: tokens}, batch.cost)

    def score(
        self, requests: Sequence[LikelihoodRequest], answered: Answered[Sequence[Likelihood]]
    ) -> None:
        for place, request in enumerate(requests):
            length = len(request.tokens)
            with self._meter.batch([length], length, "likelihood") as batch:
                likelihoods = [
                    self.likelihood(request.tokens, continuation)
                    for continuation in request.continuations
                ]
            answered({place: likelihoods}, batch.cost)

    def read(self, requests: Sequence[ReadingRequest], answered: Answered[Reading]) -> None:
        for place, request in enumerate(requests):
            length = len(request.tokens)
            with self._meter.batch([length], length, "likelihood") as batch:
                reading = of_distributions(self.distributions(request), request)
            answered({place: reading}, batch.cost)

    def distributions(self, request: ReadingRequest) -> list[list[float]]:
        """Return log-probabilities at each place of an answer, over the vocabulary."""
        first, last = len(request.prompt), len(request.tokens)
        return [self.distribution(request.tokens[:end]) for end in range(first, last + 1)]

    def distribution(self, tokens: Sequence[int]) -> list[float]:
        counts, size = self.counts(tokens), len(self.tokenizer)
        total = counts.total() + self.prior * size
        return [math.log((counts[token] + self.prior) / total) for token in range(size)]

    def likelihood(self, fed: Sequence[int], continuation: Sequence[int]) -> Likelihood:
        whole = [*fed, continuation[-1]]
        total, greedy = 0.0, True
        for end in range(len(whole) - len(continuation), len(whole)):
            counts = self.counts(whole[:end])
            share = counts[whole[end]] + self.prior
            total += math.log(share / (counts.total() + self.prior * len(self.tokenizer)))
            greedy = greedy and self.likeliest(whole[:end]) == whole[end]
        return total, greedy

    def likeliest(self, tokens: Sequence[int]) -> int:
        counts = self.counts(tokens)
        return min(counts, key=lambda token: (-counts[token], token), default=min(tokens))

    def counts(self, tokens: Sequence[int]) -> Counter[int]:
        pairs = pairwise(tokens)
        return Counter(after for before, after in pairs if before == tokens[-1])


def check(arguments: Mapping[str, Any]) -> None:
    for name in arguments:
        if name not in KNOWN:
            raise SettingsError(f"{name}={arguments[name]}: unknown to engine=ngram")
    if not arguments.get("tokenizer"):
        raise ModelError("engine=ngram needs tokenizer=, the folder of one")


def load(arguments: Mapping[str, Any], meter: Meter) -> Engine:
    check(arguments)
    return NgramEngine(arguments, meter)


@hookimpl
def qrag_register_engines(register):  # type: ignore[no-untyped-def]
    register("ngram", EngineFactory(ABILITIES, load, check))
