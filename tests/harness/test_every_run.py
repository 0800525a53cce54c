"""What every run with tasks of ours is held to: through Python, with and without the hook."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import lm_eval
import pytest
from lm_eval import simple_evaluate
from lm_eval.models.dummy import DummyLM
from lm_eval.tasks import TaskManager
from warm_python import WarmPython

from qrag_tasks.errors import SettingsError
from qrag_tasks.locations import task_yamls

PAIR = ["lamp3u_rag_k1", "lamp5u_rag_k1"]


def manager(metadata: dict[str, Any] | None = None) -> TaskManager:
    known = {"data": "mini"} if metadata is None else metadata
    return TaskManager(include_path=str(task_yamls()), include_defaults=False, metadata=known)


def evaluate(tasks: Any = PAIR, metadata: dict[str, Any] | None = None, **given: Any) -> Any:
    chosen = {"model": "dummy", "bootstrap_iters": 0, **given}
    results = simple_evaluate(tasks=tasks, task_manager=manager(metadata), **chosen)
    assert results is not None
    return results


def asked(found: Any) -> dict[str, list[int]]:
    return {name: [s["doc_id"] for s in samples] for name, samples in found["samples"].items()}


# ---------------------------------------------------------------------- model arguments
def test_the_home_folder_is_found(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tiny_model.parent))
    place = f"~/{tiny_model.name}"
    for given in (f"pretrained={place}", {"pretrained": place}):
        results = evaluate(
            ["lamp3u_rag_k1"],
            {"data": "mini", "pretrained": place, "context_tokens": 900},
            model="hf",
            model_args=given,
            device="cpu",
            limit=1,
        )
        assert results["config"]["model_args"]["pretrained"] == str(tiny_model)


# ---------------------------------------------------------------------- --samples and --limit
def test_samples_of_a_group_are_those_of_its_tasks() -> None:
    for name in ("lamp_rag_k1", "lamp_rag_all_k1", "lamp_rag"):
        results = evaluate(["lamp_rag_k1"], samples={name: [3, 1]})
        assert asked(results) == {"lamp3u_rag_k1": [3, 1], "lamp5u_rag_k1": [3, 1]}


def test_a_task_without_samples_is_asked_whole_and_that_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    samples = asked(evaluate(samples={"lamp3u_rag_k1": [0]}))
    assert (samples["lamp3u_rag_k1"], len(samples["lamp5u_rag_k1"])) == ([0], 40)
    assert "--samples names none of lamp5u_rag_k1, so all of them are asked" in caplog.text


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ("nowhere.json", "'nowhere.json': neither a file that is there nor a JSON object"),
        ([0], r"\[0\]: neither a file that is there nor a JSON object, such as"),
        ({"lamp3u_rag_k1": ["0"]}, "lamp3u_rag_k1: '0' is not a whole number"),
        ({"lamp3u_rag_k1": [0.5]}, "0.5 is not a whole number"),
        ({"lamp3u_rag_k1": [True]}, "True is not a whole number"),
        ({"lamp3u_rag_k1": []}, r"lamp3u_rag_k1: \[\] is not a list of positions"),
        ({"lamp3u_rag_k1": 3}, "lamp3u_rag_k1: 3 is not a list of positions"),
        ({"lamp_rag_k1": ["0"]}, "lamp_rag_k1: '0' is not a whole number"),
        ({"lamp3u_rag_k1": [1, 0, 1]}, "lamp3u_rag_k1: 1 appears twice"),
        ({"lamp3u_rag_k1": [40]}, "lamp3u_rag_k1: --samples 40 is outside 0 to 39"),
        ({"lamp3u_rag_k1": [-1]}, "lamp3u_rag_k1: --samples -1 is outside 0 to 39"),
        ({"lamp3u_rag_k3": [0]}, "'lamp3u_rag_k3' is not in this run, which has lamp3u_rag_k1, "),
        ({"lamp_rag_k3": [0]}, "'lamp_rag_k3' is not in this run"),
        ({"lamp3u": [0]}, "'lamp3u' is not in this run"),
        (
            {"lamp3u_rag_k1": [0], "lamp_rag_k1": [1]},
            "lamp3u_rag_k1 is chosen twice, by 'lamp_rag_k1' too",
        ),
    ],
)
def test_impossible_samples(samples: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        evaluate(samples=samples)


@pytest.mark.parametrize("limit", [-1, 0, -0.5, float("nan"), float("inf")])
def test_impossible_limits(limit: float) -> None:
    with pytest.raises(SettingsError, match=f"--limit {limit}: give a number of samples, 1 or "):
        evaluate(limit=limit)


def test_a_share_is_a_limit() -> None:
    assert asked(evaluate(["lamp3u_rag_k1"], limit=0.05)) == {"lamp3u_rag_k1": [0, 1]}


# ---------------------------------------------------------------------- metadata
UNKNOWN = [{"dataset": "x"}, {"top_k": 3}, {"retriever_name": "first"}, {"retreiver": "first"}]


class Handmade(DummyLM):  # type: ignore[misc]
    def __init__(self, colour: str = "red", **others: Any) -> None:
        super().__init__()


@pytest.mark.parametrize("choice", UNKNOWN)
@pytest.mark.parametrize("given", ["manager", "metadata", "object"])
def test_unknown_metadata_is_refused_from_python_too(
    choice: dict[str, Any], given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QRAG_DATA", "mini")
    (key,) = choice
    with pytest.raises(SettingsError, match=f"unknown metadata key '{key}' .known: data, split"):
        if given == "metadata":
            simple_evaluate(model="dummy", tasks=PAIR, metadata=choice)
        elif given == "object":
            evaluate(model=Handmade(), metadata={"colour": "blue", **choice})
        else:
            evaluate(metadata=choice, model_args="seed=3")


def test_it_is_refused_where_lm_evals_parts_are_put_together_by_hand() -> None:
    loaded = manager({"data": "mini", "top_k": 3}).load(PAIR)
    with pytest.raises(SettingsError, match="unknown metadata key 'top_k'"):
        lm_eval.evaluate(lm=DummyLM(), task_dict=loaded)


def test_model_arguments_are_no_unknown_metadata() -> None:
    both = {"data": "mini", "top_k": 3, "colour": "red"}
    for model_args in ({"top_k": 3, "colour": "red"}, "top_k=3,colour=red"):
        evaluate(metadata=both, model_args=model_args, limit=1)
    evaluate(model=Handmade(), metadata={"data": "mini", "colour": "red"}, limit=1)
    evaluate(metadata={"data": "mini", "add_bos_token": True, "max_length": 1000}, limit=1)


# ---------------------------------------------------------------------- --tasks
def test_a_task_is_asked_once_where_several_names_hold_it() -> None:
    results = evaluate(["lamp_rag_k1", "lamp3u_rag_k1", "lamp_rag_k1"], limit=1)
    assert sorted(results["samples"]) == PAIR


# ---------------------------------------------------------------------- without the hook
WITHOUT_HOOK = """
import json, logging, sys
logging.basicConfig(level="INFO")
from lm_eval import simple_evaluate
from lm_eval.api.registry import register_model
from lm_eval.models.dummy import DummyLM
from lm_eval.tasks import TaskManager

folder, cache, wanted, model = sys.argv[1:]

@register_model("parrot")
class Parrot(DummyLM):
    def __init__(self, word="", **others):
        super().__init__()
        self.word, self.asked = word, 0
    def generate_until(self, requests, disable_tqdm=False):
        for request in requests:
            self.asked += 1
            self.cache_hook.add_partial("generate_until", request.args, self.word)
        return [self.word for _ in requests]

answers = []
for arm in ({"word": "yes"}, {"word": "no"}) if not model else ({"dtype": "float32"}, {}):
    arguments = {**arm, **({"pretrained": model, "dtype": "bfloat16", **arm} if model else {})}
    tasks = TaskManager(
        include_path=folder, include_defaults=False,
        metadata={**arguments, "data": "mini", "attn_implementation": "eager"},
    )
    for _ in range(2):
        found = simple_evaluate(
            model="hf" if model else "parrot", model_args=arguments, tasks=["lamp5u_rag_k1"],
            task_manager=tasks, limit=2, use_cache=cache, bootstrap_iters=0, device="cpu",
        )
        answers.append([s["resps"] for s in found["samples"]["lamp5u_rag_k1"]])
print(json.dumps(answers))
"""


def without_hook(warm: WarmPython, cache: Path, model: Path | None) -> tuple[list[Any], str]:
    done = warm.run(
        ["-c", WITHOUT_HOOK, str(task_yamls()), str(cache), "4", str(model or "")],
        {**os.environ, "QRAG_AUTOLOAD": "0"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_without_the_hook_no_arm_is_served_the_answers_of_another(
    warm_python: WarmPython, tmp_path: Path
) -> None:
    answers, told = without_hook(warm_python, tmp_path / "answers", None)
    words = [resps[0][0][0] for resps in answers]
    assert words == ["yes", "yes", "no", "no"]
    assert "Requests remaining: 0" not in told
    assert "so none is taken from" in told
    assert "leave QRAG_AUTOLOAD=0 out" in told


def test_without_the_hook_an_arm_of_transformers_is_served_its_own(
    warm_python: WarmPython, tmp_path: Path, tiny_model: Path
) -> None:
    answers, told = without_hook(warm_python, tmp_path / "answers", tiny_model)
    assert answers[0] == answers[1]
    assert answers[2] == answers[3]
    remaining = [line.split()[-1] for line in told.splitlines() if "Requests remaining:" in line]
    assert remaining == ["2", "0", "2", "0"]
