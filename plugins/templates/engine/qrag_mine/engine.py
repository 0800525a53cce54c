"""Token ids in, token ids out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from qrag_mine import ABILITIES
from qrag_tasks.arms.identity import model_parts
from qrag_tasks.arms.precisions import precision
from qrag_tasks.arms.verification import verify
from qrag_tasks.engines.base import (
    Answered,
    Engine,
    Generated,
    GenerationRequest,
    Likelihood,
    LikelihoodRequest,
)
from qrag_tasks.engines.batch_limit import BatchLimit
from qrag_tasks.engines.decoding import decide
from qrag_tasks.engines.not_a_number import not_a_number
from qrag_tasks.engines.tokenizers import model_window
from qrag_tasks.errors import SettingsError
from qrag_tasks.locations import embedded_model
from qrag_tasks.metering.meter import Meter


class MineEngine(Engine):
    """A model of transformers, a prompt and a token at a time."""

    abilities = ABILITIES

    def __init__(self, arguments: Mapping[str, Any], meter: Meter) -> None:
        place = arguments.get("pretrained") or str(embedded_model())
        self.precision = precision(arguments.get("precision", "bf16"))
        self.computing = str(self.precision.dtype)
        with meter.loading():
            model = AutoModelForCausalLM.from_pretrained(place, dtype=self.computing)
            self.model = model.to(meter.device).eval()
            self.tokenizer = AutoTokenizer.from_pretrained(place)
        self.config = self.model.config
        self.window = model_window(self.config, self.tokenizer)
        self.decoding = decide(self.tokenizer, self.config, self.model.generation_config)
        self.device, self.limit, self.meter = meter.device, BatchLimit(rows=1), meter
        self.arm = verify(self.model, self.precision).as_dict()  # evidence="layers"

    @property
    def identity(self) -> Mapping[str, Any]:
        """All that answers depend on."""
        return model_parts(self.model, self.tokenizer, self.device)

    def generate(
        self, requests: Sequence[GenerationRequest], answered: Answered[Generated]
    ) -> None:
        """Answer each request with the likeliest tokens."""
        for place, request in enumerate(requests):
            for name in request.settings.keys() - {"do_sample", "temperature"}:
                raise SettingsError(f"generation argument {name}: unknown to engine=mine")
            prompt, tokens = list(request.prompt), list[int]()
            with self.meter.batch([len(prompt)], len(prompt), "generate") as batch:
                while not tokens or not self._is_done(tokens, request):
                    logprobs = self.logprobs(prompt + tokens)[-1]
                    if logprobs.isnan().any():
                        raise not_a_number(request.name, self)
                    tokens.append(int(logprobs.argmax()))
                    batch.first_token()
                batch.generated([len(tokens)])
            answered({place: tokens}, batch.cost)

    def score(
        self, requests: Sequence[LikelihoodRequest], answered: Answered[Sequence[Likelihood]]
    ) -> None:
        """Measure the continuations of each request in one pass."""
        for place, request in enumerate(requests):
            length = len(request.tokens)
            with self.meter.batch([length], length, "likelihood") as batch:
                logprobs = self.logprobs(request.tokens)
                likelihoods = [_likelihood(each, logprobs) for each in request.continuations]
            answered({place: likelihoods}, batch.cost)

    def logprobs(self, tokens: Sequence[int]) -> Any:
        """Return the log-probabilities of the next token after each: (tokens, vocabulary)."""
        with torch.inference_mode():
            ids = torch.tensor([list(tokens)], device=self.device)
            return self.model(input_ids=ids).logits[0].float().log_softmax(-1)

    def _is_done(self, tokens: Sequence[int], request: GenerationRequest) -> bool:
        text = self.tokenizer.decode(tokens)
        return (
            len(tokens) == request.max_new_tokens
            or tokens[-1] in self.decoding.end_tokens
            or any(stop in text for stop in request.stops)
        )


def _likelihood(continuation: Sequence[int], logprobs: Any) -> Likelihood:
    after = logprobs[-len(continuation) :]
    chosen = sum(float(row[token]) for row, token in zip(after, continuation, strict=True))
    return chosen, after.argmax(-1).tolist() == list(continuation)
