"""--gen_kwargs: a user's win over a task's; what an answer could not be scored with is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lm_eval import simple_evaluate

from qrag_tasks.errors import SettingsError
from qrag_tasks.harness import gen_kwargs

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"num_return_sequences": 2}, "num_return_sequences=2: one answer a question is scored"),
    ({"n": 3}, "n=3: one answer"),
    ({"return_dict_in_generate": True}, "it returns more than the tokens of an answer"),
    ({"output_scores": True}, "output_scores=True: it returns more"),
    ({"echo": True}, "echo=True: it returns the prompt"),
    ({"stop_strings": "x"}, "lm_eval's name for it is until"),
    ({"max_length": 99}, "max_length=99: it counts the prompt, too; give max_gen_toks"),
    ({"max_new_tokens": 0}, "max_new_tokens=0: give a whole number above 0"),
    ({"max_new_tokens": 4, "max_tokens": 5}, "these are one; give max_gen_toks"),
    ({"temperature": 0.7}, "temperature=0.7 has no effect without do_sample=true"),
    ({"top_p": 0.9, "do_sample": False}, "top_p=0.9 has no effect"),
]


@pytest.mark.parametrize(("given", "told"), REFUSED)
def test_what_cannot_be_scored_is_refused_before_anything_is_loaded(
    tmp_path: Path, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        simple_evaluate(
            "hf",
            model_args={"pretrained": str(tmp_path / "not there")},
            tasks=["lamp3u_rag_k1"],
            metadata={"data": "mini"},
            gen_kwargs=given,
        )


@pytest.mark.parametrize(
    ("model", "given", "told"),
    [
        ("qrag", "temprature=0.5,do_sample=true", "temprature=0.5: unknown.*mean 'temperature'"),
        ("hf", {"max_new_token": 4}, "max_new_token=4: unknown to transformers. Did you mean"),
        ("qrag", {"use_cache": False}, "use_cache=False: --model qrag sets it itself"),
    ],
)
def test_what_transformers_does_not_know(model: str, given: Any, told: str) -> None:
    pytest.importorskip("torch", reason="the hf extra is not installed")
    with pytest.raises(SettingsError, match=told):
        gen_kwargs.check_for(model, given)


def test_what_is_fine() -> None:
    pytest.importorskip("torch", reason="the hf extra is not installed")
    sampled = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "until": ["\n"]}
    for model in ("hf", "qrag", "local-completions"):
        gen_kwargs.check_for(model, sampled)
        gen_kwargs.check_for(model, {"temperature": 0.0, "num_return_sequences": 1})
        gen_kwargs.check_for(model, None)
    gen_kwargs.check_for("local-completions", {"what_only_this_server_knows": 1})


@pytest.mark.parametrize("name", ["max_gen_toks", "max_new_tokens", "max_tokens"])
def test_the_users_length_wins(tiny_model: Path, name: str) -> None:
    results = simple_evaluate(
        "qrag",
        model_args={"pretrained": str(tiny_model), "precision": "fp32", "device": "cpu"},
        tasks=["lamp3u_rag_k1"],
        metadata={"data": "mini"},
        limit=2,
        gen_kwargs={name: 3},
        bootstrap_iters=0,
    )
    samples = results["samples"]["lamp3u_rag_k1"]
    assert [each["arguments"][0][1]["max_gen_toks"] for each in samples] == [3, 3]
    assert all(name == "max_gen_toks" or name not in each["arguments"][0][1] for each in samples)
    # Random weights never end an answer.
    assert results["results"]["lamp3u_rag_k1"]["runaway_rate,none"] == 1.0
