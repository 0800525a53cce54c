"""The conformance kit of engines: a class of tests, to inherit from.

In a plugin's tests::

    class TestMine(EngineConformance):
        name = "mine"

        @pytest.fixture
        def arguments(self):
            return {"pretrained": FOLDER, "precision": "fp32", "device": "cpu"}

Each test says what it checks and why. What a test needs beyond an engine is a fixture to override;
without it the test is skipped, and says what is missing. Take a small model that computes in 32
bits: in 16, answers depend on the batch, and half of the tests could tell nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from qrag_tasks.arms.components import canonical, plain
from qrag_tasks.arms.devices import checked_device
from qrag_tasks.engines.base import Engine, Generated, LikelihoodRequest
from qrag_tasks.engines.batch_limit import BatchLimit
from qrag_tasks.engines.journal import Journal, request_keys
from qrag_tasks.engines.session import Session
from qrag_tasks.errors import ModelError, SettingsError
from qrag_tasks.metering.meter import Meter
from qrag_tasks.registry import ENGINES
from qrag_tasks.testing.engine_readings import ReadingConformance
from qrag_tasks.testing.engine_requests import (
    GREEDY,
    LONGEST,
    generate,
    likelihood_requests,
    sample_requests,
    score,
)

Load = Callable[[], tuple[Engine, Meter]]
"""Loads the engine again: what it returns shares nothing with what it returned before."""

Reference = Callable[[Sequence[int]], Sequence[float]]
"""Token ids -> log-probabilities of the next token, in nats, over the whole vocabulary."""

Memory = Callable[[Engine, int], AbstractContextManager[object]]
"""(engine, tokens) -> within it, a batch of more prompt tokens than these runs out of memory."""

TOLERANCE = 1e-3
"""In nats, between a likelihood and its reference, both in 32 bits."""


class _Killed(Exception):  # noqa: N818 - stands for a signal
    pass


class EngineConformance(ReadingConformance):
    """Inherit from it, in a class that pytest collects, and say which engine is meant.

    :cvar name: of the engine, as users write it. Required.
    """

    name: ClassVar[str] = ""

    # ------------------------------------------------------------------ what to override
    @pytest.fixture
    def arguments(self) -> Mapping[str, Any]:
        """Return the model arguments to load the engine with."""
        return {}

    @pytest.fixture
    def reference(self) -> Reference:
        """Return what the model computes, computed by something else."""
        pytest.skip("there is nothing to compare with: override the fixture `reference`")

    @pytest.fixture
    def short_of_memory(self) -> Memory:
        """Return what has the engine run out of memory."""
        pytest.skip("memory cannot be made to run out: override the fixture `short_of_memory`")

    # ------------------------------------------------------------------ the engine
    @pytest.fixture
    def load(self, arguments: Mapping[str, Any]) -> Load:
        """Return what loads the engine."""
        factory = ENGINES.get(self.name).value

        def load() -> tuple[Engine, Meter]:
            meter = Meter(checked_device(arguments.get("device")))
            return factory.load(arguments, meter), meter

        return load

    def test_it_is_what_its_factory_says(self, load: Load) -> None:
        """Its abilities are known before it is loaded, and all that is needed of it is there."""
        engine, _ = load()
        abilities = ENGINES.get(self.name).value.abilities
        assert engine.abilities == abilities
        assert abilities.precisions is None or engine.precision.name in abilities.precisions
        assert engine.window > 0
        assert isinstance(engine.limit, BatchLimit)
        assert isinstance(engine.computing, str)
        weights = engine.arm["weights"]["bytes"]
        assert isinstance(weights, int) or (weights is None and abilities.evidence == "stated")
        ends = engine.tokenizer.eos_token_id
        assert ends is None or ends in engine.decoding.end_tokens
        engine.close()

    def test_an_unknown_argument_is_refused(self, arguments: Mapping[str, Any]) -> None:
        """A misspelt argument that is dropped in silence leaves an arm that nobody asked for."""
        with pytest.raises(SettingsError, match="no_such_argument"):
            ENGINES.get(self.name).value.check({**arguments, "no_such_argument": 1})

    def test_its_identity_stays(self, load: Load) -> None:
        """Answers are looked up by it: it is JSON, and the same before and after answering."""
        engine, _ = load()
        before = canonical(plain(engine.identity))
        engine.smoke()
        generate(engine, sample_requests(engine))
        assert canonical(plain(engine.identity)) == before
        assert canonical(plain(load()[0].identity)) == before

    # ------------------------------------------------------------------ answers
    def test_no_request_is_no_answer(self, load: Load) -> None:
        """An empty batch is nothing to run, and no error."""
        engine, meter = load()
        assert generate(engine, []) == []
        if engine.abilities.likelihoods:
            assert score(engine, []) == []
        assert meter.cost().batches == 0

    def test_answers_do_not_depend_on_the_company(self, load: Load) -> None:
        """Alone, together, in another order: the same answer, at the place of its request."""
        engine, _ = load()
        requests = sample_requests(engine)
        together = generate(engine, requests)
        assert [generate(engine, [request])[0] for request in requests] == together
        assert generate(engine, requests[::-1]) == together[::-1]
        mixed = [replace(r, max_new_tokens=2 + i % 3) for i, r in enumerate(requests)]
        cut = [tokens[: 2 + i % 3] for i, tokens in enumerate(together)]
        assert generate(engine, mixed) == cut
        assert len({tuple(tokens) for tokens in together}) > len(requests) // 2, (
            "they are all alike"
        )

    def test_it_answers_again_alike(self, load: Load) -> None:
        """Where it says that it is deterministic, it is, and so in another process's stead."""
        engine, _ = load()
        if not engine.abilities.deterministic:
            pytest.skip("the engine does not say that it is deterministic")
        first = generate(engine, sample_requests(engine))
        assert generate(engine, sample_requests(engine)) == first
        assert generate(load()[0], sample_requests(engine)) == first

    def test_an_answer_keeps_to_its_length(self, load: Load) -> None:
        """No token more than the budget, and none less without an end token."""
        engine, _ = load()
        for longest in (1, 3, LONGEST):
            for tokens in generate(engine, sample_requests(engine, max_new_tokens=longest)):
                assert len(tokens) <= longest
                ended = bool(tokens) and tokens[-1] in engine.decoding.end_tokens
                assert ended or len(tokens) == longest

    def test_an_answer_ends_with_its_end_token(self, load: Load) -> None:
        """The first end token is the last of an answer, whichever token that is."""
        engine, _ = load()
        requests = sample_requests(engine)
        whole = generate(engine, requests)
        for place in range(0, len(requests), 3):
            end = whole[place][2]
            engine.decoding = replace(engine.decoding, end_tokens=(end,))
            expected = [list(engine.decoding.up_to_end(tokens)) for tokens in whole]
            assert generate(engine, requests) == expected

    def test_stops_are_obeyed(self, load: Load) -> None:
        """It does not go on once a stop text is there, and is not changed by one before it."""
        engine, _ = load()
        decode = engine.tokenizer.decode
        tried = 0
        for request in sample_requests(engine):
            (whole,) = generate(engine, [request])
            texts = [decode(whole[:length]) for length in range(len(whole) + 1)]
            stop = decode(whole[1:3]).strip()
            if not (stop and stop.isascii() and stop in texts[-1]):
                continue
            tried += 1
            needed = next(length for length, text in enumerate(texts) if stop in text)
            (tokens,) = generate(engine, [replace(request, stops=(stop,))])
            assert tokens == whole[:needed]
            (tokens,) = generate(engine, [replace(request, stops=("\x00 is never said",))])
            assert tokens == whole
        assert tried, "no answer has a text to stop at"

    def test_an_unknown_setting_is_refused(self, load: Load) -> None:
        """A generation argument that has no effect leaves answers that nobody asked for."""
        engine, _ = load()
        with pytest.raises(SettingsError, match="no_such_setting"):
            generate(engine, sample_requests(engine, settings={**GREEDY, "no_such_setting": 1}))

    def test_the_tokens_go_in_as_they_are(self, load: Load, reference: Reference) -> None:
        """The likeliest token after exactly these ids: none is added, dropped or encoded again."""
        engine, _ = load()
        requests = sample_requests(engine)
        texts = [engine.tokenizer.decode(request.prompt) for request in requests]
        encoded = [engine.tokenizer(text)["input_ids"] for text in texts]
        assert encoded != [request.prompt for request in requests], "this tokenizer hides the fault"
        for request, tokens in zip(requests, generate(engine, requests), strict=True):
            for place, token in enumerate(tokens):
                logprobs = list(reference([*request.prompt, *tokens[:place]]))
                assert logprobs[token] >= max(logprobs) - TOLERANCE

    # ------------------------------------------------------------------ likelihoods
    def test_likelihoods_are_the_references(self, load: Load, reference: Reference) -> None:
        """Log-probabilities of all tokens of a continuation, and whether each is the likeliest."""
        engine = self._with_likelihoods(load)
        requests = likelihood_requests(engine)
        for request, measured in zip(requests, score(engine, requests), strict=True):
            assert len(measured) == len(request.continuations)
            for (value, likeliest), continuation in zip(
                measured, request.continuations, strict=True
            ):
                context = [*request.tokens[: len(request.tokens) - len(continuation) + 1]]
                total, greedy = 0.0, True
                for place, token in enumerate(continuation):
                    logprobs = list(reference([*context, *continuation[:place]]))
                    total += logprobs[token]
                    greedy = greedy and logprobs[token] >= max(logprobs) - TOLERANCE
                assert value == pytest.approx(total, abs=TOLERANCE * len(continuation))
                assert likeliest <= greedy

    def test_likelihoods_do_not_depend_on_the_company(self, load: Load) -> None:
        """Continuations that share a pass, and requests that share a batch, change nothing."""
        engine = self._with_likelihoods(load)
        requests = likelihood_requests(engine)
        alone = [
            score(engine, [replace(request, continuations=(continuation,))])[0][0]
            for request in requests
            for continuation in request.continuations
        ]
        together = [each for values in score(engine, requests) for each in values]
        assert [value for value, _ in together] == pytest.approx(
            [value for value, _ in alone], abs=TOLERANCE
        )
        assert [likeliest for _, likeliest in together] == [likeliest for _, likeliest in alone]

    def test_what_it_generates_is_the_likeliest(self, load: Load) -> None:
        """Greedy answers and likelihoods come from the same model."""
        engine = self._with_likelihoods(load)
        requests = sample_requests(engine)
        likelihoods = [
            LikelihoodRequest(
                request.name, (*request.prompt, *tokens[:-1]), (tokens, [*tokens[:-1], 0])
            )
            for request, tokens in zip(requests, generate(engine, requests), strict=True)
        ]
        for (best, likeliest), (other, _) in score(engine, likelihoods):
            assert likeliest
            assert best >= other

    def _with_likelihoods(self, load: Load) -> Engine:
        engine, _ = load()
        if not engine.abilities.likelihoods:
            pytest.skip("the engine does not say that it measures likelihoods")
        return engine

    # ------------------------------------------------------------------ a run
    def test_all_is_counted(self, load: Load) -> None:
        """The meter has every prompt and every generated token, and each answer its share."""
        engine, meter = load()
        requests = sample_requests(engine)
        costs: list[Mapping[str, float]] = []
        generated = 0

        def answered(batch: Mapping[int, Generated], cost: Mapping[str, float]) -> None:
            nonlocal generated
            costs.append(cost)
            generated += sum(map(len, batch.values()))

        engine.generate(requests, answered)
        cost = meter.cost()
        assert cost.prompt_tokens == sum(len(request.prompt) for request in requests)
        assert cost.generated_tokens == generated
        for name in ("prompt_tokens", "padded_tokens", "generated_tokens", "batches"):
            assert sum(each[name] for each in costs) == getattr(cost, name)
        assert cost.prefill_seconds + cost.undivided_seconds > 0

    @pytest.mark.parametrize("kept", [1, 2, 4])
    def test_killed_and_continued(self, load: Load, tmp_path: Path, kept: int) -> None:
        """What was on disk is not answered again, and the rest is as it would have been."""

        def run(engine: Engine, meter: Meter, file: str, killed_after: int | None) -> Any:
            session = Session(engine, meter, self.name)
            session.keep_answers(Journal(tmp_path / file, "a" * 64))
            engine.limit = replace(engine.limit, rows=2)
            requests = sample_requests(engine)
            keys = request_keys([[*request.prompt]] for request in requests)
            generated: list[int] = []

            def read(place: int, tokens: Generated) -> str:
                if len(generated) == killed_after:
                    raise _Killed
                generated.append(place)
                return " ".join(map(str, tokens))

            return session.generate(requests, keys, read, lambda *_: None), generated

        whole, _ = run(*load(), "whole", None)
        with pytest.raises(_Killed):
            run(*load(), "killed", kept)
        before = len(Journal(tmp_path / "killed", "a" * 64))
        assert before <= kept
        answers, generated = run(*load(), "killed", None)
        assert answers == whole
        assert len(generated) == len(whole) - before

    def test_memory_runs_out(self, load: Load, short_of_memory: Memory) -> None:
        """A batch that is too large is split, nothing of it is lost, and the run says so."""
        engine, _ = load()
        requests = sample_requests(engine)
        whole = generate(engine, requests)
        engine, meter = load()
        longest = max(len(request.prompt) for request in requests)
        with short_of_memory(engine, 2 * longest):
            assert generate(engine, requests) == whole
        assert meter.cost().out_of_memory > 0

    def test_memory_runs_out_with_a_single_request(
        self, load: Load, short_of_memory: Memory
    ) -> None:
        """It cannot be split: an error that names it."""
        engine, _ = load()
        requests = sample_requests(engine)
        longest = max(requests, key=lambda request: len(request.prompt))
        with (
            short_of_memory(engine, len(longest.prompt) - 1),
            pytest.raises(ModelError, match=longest.name),
        ):
            generate(engine, requests)
