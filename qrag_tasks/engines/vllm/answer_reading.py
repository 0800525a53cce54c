"""What vLLM makes of a given answer: a request for one token at each of its places.

The prompts of an answer's places extend each other, so that vLLM finds all but their ends in its
cache of prefixes. (Its own ``prompt_logprobs`` would read no prompt from there.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qrag_tasks.engines.readings import Reading, ReadingRequest
from qrag_tasks.engines.vllm.sampling import likeliest_params, next_token_params


class AnswerReading:
    """An answer that is being read.

    :param request: what was asked.
    """

    def __init__(self, request: ReadingRequest) -> None:
        places = len(request.answer)
        self.request = request
        self._left = set(range(places))
        self._likeliest = np.zeros(places, np.int32)
        self._rows: list[dict[int, float]] = [{} for _ in range(places)]

    def prompt(self, place: int) -> list[int]:
        """Return the tokens before a place of the answer."""
        return [*self.request.prompt, *self.request.answer[:place]]

    def params(self, place: int) -> Any:
        """Return vLLM's ``SamplingParams`` of the next request for a place.

        The likeliest tokens come without the answer's own where that is none of them: it is then
        asked for by a second request.
        """
        request, given = self.request, self.request.answer[place]
        if request.wanted is not None:
            return next_token_params(sorted({*request.wanted[place], given}))
        if self._rows[place]:
            return next_token_params([given])
        return likeliest_params(request.top)

    def take(self, place: int, output: Any) -> bool:
        """Take what a request returned; tell whether all that is wanted of the place is known."""
        (answer,) = output.outputs
        (logprobs,) = answer.logprobs
        self._likeliest[place] = answer.token_ids[0]
        self._rows[place] |= {int(token): float(each.logprob) for token, each in logprobs.items()}
        known = self.request.answer[place] in self._rows[place]
        if known:
            self._left.discard(place)
        return known

    @property
    def done(self) -> bool:
        """Whether every place is known."""
        return not self._left

    def reading(self) -> Reading:
        """Return what was read; of what vLLM does not tell, NaN."""
        request, unknown = self.request, np.full(len(self._rows), np.nan, np.float32)
        wanted = request.wanted
        if wanted is None:
            wanted = [sorted(row, key=row.__getitem__, reverse=True) for row in self._rows]
            wanted = [tokens[: request.top] for tokens in wanted]
        rows = list(zip(self._rows, wanted, request.answer, strict=True))
        return Reading(
            tokens=np.array(wanted, np.int32),
            logprobs=np.array([[row[t] for t in tokens] for row, tokens, _ in rows], np.float32),
            given=np.array([row[token] for row, _, token in rows], np.float32),
            likeliest=self._likeliest,
            entropy=unknown,
            least=unknown,
        )
