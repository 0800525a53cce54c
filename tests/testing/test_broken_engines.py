"""Engines that break their contract, each in one way: the kit finds every one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")
import ngram_engine
from ngram_engine import ABILITIES, NgramEngine
from plugin_files import InstallPlugin

from qrag_tasks.arms.devices import checked_device
from qrag_tasks.engines.base import EngineFactory
from qrag_tasks.errors import ModelError
from qrag_tasks.metering.meter import Meter
from qrag_tasks.registry import ENGINES
from qrag_tasks.testing.engines import EngineConformance


class IgnoresStops(NgramEngine):
    def generate(self, requests: Any, answered: Any) -> None:
        super().generate([replace(request, stops=()) for request in requests], answered)


class AnswersInAnotherOrder(NgramEngine):
    def generate(self, requests: Any, answered: Any) -> None:
        last = len(requests) - 1
        super().generate(
            requests, lambda batch, cost: answered({last - i: t for i, t in batch.items()}, cost)
        )


class DropsTheFirstToken(NgramEngine):
    def generate(self, requests: Any, answered: Any) -> None:
        changed = [replace(each, prompt=each.prompt[1:]) for each in requests]
        super().generate(changed, answered)


class DropsTheLastToken(NgramEngine):
    def generate(self, requests: Any, answered: Any) -> None:
        changed = [replace(each, prompt=each.prompt[:-1]) for each in requests]
        super().generate(changed, answered)


class EncodesAgain(NgramEngine):
    def generate(self, requests: Any, answered: Any) -> None:
        tokenizer = self.tokenizer
        changed = [
            replace(each, prompt=tokenizer(tokenizer.decode(each.prompt))["input_ids"])
            for each in requests
        ]
        super().generate(changed, answered)


class TalksOn(NgramEngine):
    def generate(self, requests: Any, answered: Any) -> None:
        changed = [replace(each, max_new_tokens=each.max_new_tokens + 1) for each in requests]
        super().generate(changed, answered)


class FallsShort(NgramEngine):
    def generate(self, requests: Any, answered: Any) -> None:
        super().generate(
            requests, lambda batch, cost: answered({i: t[:4] for i, t in batch.items()}, cost)
        )


class HasEndsOfItsOwn(NgramEngine):
    def generate(self, requests: Any, answered: Any) -> None:
        own, self.decoding = self.decoding, replace(self.decoding, end_tokens=())
        super().generate(requests, answered)
        self.decoding = own


class LosesARequest(NgramEngine):
    def generate(self, requests: Any, answered: Any) -> None:
        super().generate(requests[:4], answered)


class AnswersTwice(NgramEngine):
    def generate(self, requests: Any, answered: Any) -> None:
        super().generate(requests, answered)
        super().generate(requests[:1], answered)


class TakesAnySetting(NgramEngine):
    def generate(self, requests: Any, answered: Any) -> None:
        super().generate([replace(each, settings={}) for each in requests], answered)


class CountsNothing(NgramEngine):
    def generate(self, requests: Any, answered: Any) -> None:
        super().generate(requests, lambda batch, cost: answered(batch, dict.fromkeys(cost, 0)))


class ForgetsTheContext(NgramEngine):
    def score(self, requests: Any, answered: Any) -> None:
        super().score([replace(each, tokens=each.tokens[-4:]) for each in requests], answered)


class CallsAllLikeliest(NgramEngine):
    def likelihood(self, fed: Sequence[int], continuation: Sequence[int]) -> Any:
        return super().likelihood(fed, continuation)[0], True


class MeasuresTheLastTokenAlone(NgramEngine):
    def likelihood(self, fed: Sequence[int], continuation: Sequence[int]) -> Any:
        return super().likelihood(fed, continuation[-1:])


class ReadsAPlaceEarlier(NgramEngine):
    def distributions(self, request: Any) -> list[list[float]]:
        return super().distributions(replace(request, prompt=request.prompt[:-1]))


class SharpensWhatItReads(NgramEngine):
    def distribution(self, tokens: Sequence[int]) -> list[float]:
        return [value / 0.7 for value in super().distribution(tokens)]


class ReadsWhatIsLikeliest(NgramEngine):
    def read(self, requests: Any, answered: Any) -> None:
        super().read([replace(each, wanted=None) for each in requests], answered)


class Learns(NgramEngine):
    def generate(self, requests: Any, answered: Any) -> None:
        super().generate(requests, answered)
        self.prior += 1


class IsNeverTheSame(NgramEngine):
    runs = 0

    def generate(self, requests: Any, answered: Any) -> None:
        IsNeverTheSame.runs += 1
        first = IsNeverTheSame.runs % len(requests[0].prompt) if requests else 0
        super().generate([replace(r, prompt=r.prompt[first:]) for r in requests], answered)


BROKEN: Mapping[type[NgramEngine], tuple[str, ...]] = {
    IgnoresStops: ("test_stops_are_obeyed",),
    AnswersInAnotherOrder: ("test_answers_do_not_depend_on_the_company",),
    DropsTheFirstToken: ("test_all_is_counted",),
    DropsTheLastToken: ("test_all_is_counted", "test_the_tokens_go_in_as_they_are"),
    EncodesAgain: ("test_all_is_counted",),
    TalksOn: ("test_an_answer_keeps_to_its_length",),
    FallsShort: ("test_an_answer_keeps_to_its_length",),
    HasEndsOfItsOwn: ("test_an_answer_ends_with_its_end_token",),
    LosesARequest: ("test_answers_do_not_depend_on_the_company", "test_killed_and_continued"),
    AnswersTwice: ("test_answers_do_not_depend_on_the_company", "test_killed_and_continued"),
    TakesAnySetting: ("test_an_unknown_setting_is_refused",),
    CountsNothing: ("test_all_is_counted",),
    ForgetsTheContext: ("test_likelihoods_are_the_references",),
    CallsAllLikeliest: ("test_likelihoods_are_the_references",),
    MeasuresTheLastTokenAlone: ("test_likelihoods_are_the_references",),
    ReadsAPlaceEarlier: ("test_readings_are_the_references",),
    SharpensWhatItReads: ("test_readings_are_the_references",),
    ReadsWhatIsLikeliest: ("test_tokens_of_another_arm_are_read",),
    Learns: ("test_its_identity_stays",),
    IsNeverTheSame: ("test_it_answers_again_alike",),
}


class Kit(EngineConformance):
    name = "broken"


@pytest.mark.parametrize(
    ("kind", "check"), [(kind, check) for kind, checks in BROKEN.items() for check in checks]
)
def test_a_broken_engine_is_found(
    kind: type[NgramEngine],
    check: str,
    tiny_model: Path,
    tmp_path: Path,
    install: InstallPlugin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The check fails with the broken engine, and passes with the sound one."""
    arguments = {"tokenizer": str(tiny_model), "device": "cpu"}

    def loading(made: type[NgramEngine]) -> Callable[[], Any]:
        def load() -> Any:
            meter = Meter(checked_device("cpu"))
            return made(arguments, meter), meter

        return load

    def reference(tokens: Sequence[int]) -> list[float]:
        sound, _ = loading(NgramEngine)()
        return sound.distribution(tokens)

    fixtures = {"reference": reference, "tmp_path": tmp_path / "sound", "kept": 2}
    for folder in ("sound", "broken"):
        (tmp_path / folder).mkdir()
    method = getattr(Kit(), check)
    names = method.__code__.co_varnames[: method.__code__.co_argcount]
    given = {name: value for name, value in fixtures.items() if name in names}
    method(load=loading(NgramEngine), **given)
    if "tmp_path" in given:
        given["tmp_path"] = tmp_path / "broken"
    with pytest.raises((AssertionError, ModelError, pytest.fail.Exception)):
        method(load=loading(kind), **given)


def test_a_factory_that_is_none_is_told(install: InstallPlugin) -> None:
    install(
        "qrag_half",
        "from qrag_tasks import hookimpl\n\n"
        "@hookimpl\ndef qrag_register_engines(register):\n    register('half', print)\n",
    )
    with (
        pytest.warns(RuntimeWarning, match=r"'half' is not an EngineFactory, as it has no abil"),
        pytest.raises(ValueError, match="unknown engine 'half'"),
    ):
        ENGINES.get("half")
    assert EngineFactory(ABILITIES, ngram_engine.load, ngram_engine.check).abilities is ABILITIES
