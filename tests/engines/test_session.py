"""What every engine's answers go through: an engine that breaks its contract is an error."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")
import ngram_engine
from ngram_engine import NgramEngine

from qrag_tasks.arms.devices import checked_device
from qrag_tasks.engines.base import Abilities, GenerationRequest, LikelihoodRequest
from qrag_tasks.engines.journal import Journal
from qrag_tasks.engines.session import Session
from qrag_tasks.errors import ModelError, SettingsError
from qrag_tasks.metering.meter import Meter

GREEDY: Mapping[str, Any] = {"do_sample": False}
REQUESTS = [GenerationRequest(f"request {i}", [7, 8 + i, 7], 3, (), GREEDY) for i in range(3)]
KEYS = ["a", "b", "c"]
Answers = Callable[[Callable[..., None]], None]


@pytest.fixture
def session(tiny_model: Path) -> Callable[..., Session]:
    def make(answers: Answers | None = None, **abilities: bool) -> Session:
        meter = Meter(checked_device("cpu"))
        engine = NgramEngine({"tokenizer": str(tiny_model)}, meter)
        engine.abilities = Abilities(evidence="stated", **abilities)
        if answers is not None:
            engine.generate = engine.score = (  # type: ignore[assignment, method-assign]
                lambda requests, answered: answers(answered)
            )
        return Session(engine, meter, "ngram")

    return make


def generated(session: Session) -> list[str]:
    def read(place: int, tokens: Sequence[int]) -> str:
        return f"{place}: {list(tokens)}"

    return session.generate(REQUESTS, KEYS, read, lambda *_: None)


def test_answers_are_put_in_order_once(session: Callable[..., Session]) -> None:
    def backwards(answered: Any) -> None:
        answered({2: [5], 0: [3]}, {})
        answered({1: [4]}, {})

    assert generated(session(backwards)) == ["0: [3]", "1: [4]", "2: [5]"]
    assert generated(session()) == ["0: [8, 7, 8]", "1: [9, 7, 9]", "2: [10, 7, 10]"]


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([{0: [1], 2: [3]}], "engine=ngram gave no answer to request 1: this is a fault of the"),
        ([{0: [1]}, {0: [1]}], "engine=ngram answered request 0 twice"),
        ([{3: [1]}], "engine=ngram answered request 3 of 3"),
        ([{-1: [1]}], "engine=ngram answered request -1 of 3"),
    ],
)
def test_an_engine_that_breaks_its_contract(
    session: Callable[..., Session],
    tmp_path: Path,
    batches: list[dict[int, list[int]]],
    message: str,
) -> None:
    def broken(answered: Any) -> None:
        for batch in batches:
            answered(batch, {})

    path = tmp_path / "answers.jsonl"
    run = session(broken)
    run.keep_answers(Journal(path, "a" * 64))
    with pytest.raises(ModelError, match=message):
        generated(run)
    kept = len(Journal(path, "a" * 64))
    assert kept == (2 if "no answer" in message else "twice" in message)


def test_likelihoods_that_are_none(session: Callable[..., Session]) -> None:
    requests = [LikelihoodRequest("request 0", (7, 8), ((7,), (8,)))]

    def scored(*likelihoods: tuple[float, bool], **abilities: bool) -> Any:
        run = session(lambda answered: answered({0: likelihoods}, {}), **abilities)
        return run.score(requests, ["a"], lambda *_: None)

    assert scored((-1.0, True), (-2.0, False)) == [[(-1.0, True), (-2.0, False)]]
    with pytest.raises(ModelError, match="measured 1 of 2 continuations of request 0"):
        scored((-1.0, True))
    with pytest.raises(ModelError, match=r"request 0: .* not numbers \(NaN\) in precision=fp32"):
        scored((-1.0, True), (math.nan, False))
    with pytest.raises(ModelError, match="engine=ngram measures no likelihoods"):
        scored((-1.0, True), (-2.0, False), likelihoods=False)


def test_an_engine_that_draws_no_tokens(session: Callable[..., Session]) -> None:
    drawn = [GenerationRequest("request 0", [7], 3, (), {"do_sample": True})]
    with pytest.raises(SettingsError, match="do_sample=True: engine=ngram takes the likeliest"):
        session(sampling=False).generate(drawn, ["a"], lambda *_: "", lambda *_: None)
    assert ngram_engine.ABILITIES.sampling is False
