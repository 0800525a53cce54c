"""The part of the engines' conformance kit that reads given answers token by token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from qrag_tasks.engines.base import Engine
from qrag_tasks.engines.readings import Reading
from qrag_tasks.metering.meter import Meter
from qrag_tasks.testing.engine_requests import read, reading_requests

TOLERANCE = 1e-3
"""In nats, between a log-probability and its reference, both in 32 bits."""


class ReadingConformance:
    """What :meth:`Engine.read` promises, for engines that say that they tell distributions."""

    def test_readings_are_the_references(
        self,
        load: Callable[[], tuple[Engine, Meter]],
        reference: Callable[[Sequence[int]], Sequence[float]],
    ) -> None:
        """At each place of an answer: the likeliest tokens, the answer's own, and the rest."""
        engine = _with_readings(load)
        requests = reading_requests(engine)
        for request, reading in zip(requests, read(engine, requests), strict=True):
            assert reading.tokens.shape == (len(request.answer), request.top)
            assert Reading.from_dict(reading.as_dict()).as_dict() == reading.as_dict()
            for place, token in enumerate(request.answer):
                logprobs = np.array(reference([*request.prompt, *request.answer[:place]]))
                kept = logprobs[reading.tokens[place]]
                assert reading.given[place] == pytest.approx(logprobs[token], abs=TOLERANCE)
                assert reading.logprobs[place] == pytest.approx(kept, abs=TOLERANCE)
                # In order, and none of the others is likelier.
                best = np.sort(logprobs)[::-1][: request.top]
                assert kept == pytest.approx(best, abs=TOLERANCE)
                assert logprobs[reading.likeliest[place]] >= best[0] - TOLERANCE
                for value, known in (
                    (reading.entropy[place], -(np.exp(logprobs) * logprobs).sum()),
                    (reading.least[place], logprobs.min()),
                ):
                    assert np.isnan(value) or value == pytest.approx(known, abs=10 * TOLERANCE)

    def test_tokens_of_another_arm_are_read(self, load: Callable[[], tuple[Engine, Meter]]) -> None:
        """Tokens that are asked for come back as they were asked for, and nothing else changes."""
        engine = _with_readings(load)
        requests = reading_requests(engine)
        likeliest = read(engine, requests)
        backwards = [
            replace(request, wanted=reading.tokens[:, ::-1].tolist())
            for request, reading in zip(requests, likeliest, strict=True)
        ]
        for asked, one, other in zip(backwards, likeliest, read(engine, backwards), strict=True):
            assert other.tokens.tolist() == asked.wanted
            assert other.logprobs[:, ::-1] == pytest.approx(one.logprobs, abs=TOLERANCE)
            assert other.given == pytest.approx(one.given, abs=TOLERANCE)

    def test_readings_do_not_depend_on_the_company(
        self, load: Callable[[], tuple[Engine, Meter]]
    ) -> None:
        """Answers that are read together are read as each is alone."""
        engine = _with_readings(load)
        requests = reading_requests(engine)
        for request, together in zip(requests, read(engine, requests), strict=True):
            (alone,) = read(engine, [request])
            assert together.logprobs == pytest.approx(alone.logprobs, abs=TOLERANCE)
            assert together.given == pytest.approx(alone.given, abs=TOLERANCE)


def _with_readings(load: Callable[[], tuple[Engine, Meter]]) -> Engine:
    engine, _ = load()
    if not engine.abilities.readings:
        pytest.skip("the engine does not say that it tells its distributions")
    return engine
