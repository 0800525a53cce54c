"""An engine of a third party behind ``--model qrag``: no other file is touched for it."""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")
from click.testing import CliRunner
from lm_eval.api.instance import Instance
from plugin_files import InstallPlugin, put_plugin

from qrag_tasks.arms.engine_choice import model_mistakes
from qrag_tasks.arms.identity import arm_identity
from qrag_tasks.cli import main
from qrag_tasks.engines.journal import Journal
from qrag_tasks.errors import BudgetError, ModelError, SettingsError, StoreError
from qrag_tasks.harness.model import QragLM

CODE = Path(__file__).parents[1].joinpath("ngram_engine.py").read_text(encoding="utf-8")
TEXTS = ["the kettle and the pot", "a review of the kettle", "a b a b a", "one", "a b a b a"]
GREEDY = {"until": [], "do_sample": False, "max_gen_toks": 5}


@pytest.fixture
def ngram(install: InstallPlugin, tiny_model: Path) -> Callable[..., QragLM]:
    install("qrag_ngram", CODE)

    def load(**arguments: Any) -> QragLM:
        return QragLM(engine="ngram", tokenizer=str(tiny_model), device="cpu", **arguments)

    return load


def asking(kind: str, *arguments: Any) -> list[Instance]:
    return [
        Instance(request_type=kind, doc={}, arguments=args, idx=0, metadata=("a_task", i, 1))
        for i, args in enumerate(arguments)
    ]


def test_it_answers_and_measures(ngram: Callable[..., QragLM]) -> None:
    lm = ngram()
    answers = lm.generate_until(asking("generate_until", *[(text, GREEDY) for text in TEXTS]))
    assert answers[2] == answers[4] == " b a b a b"
    (stopped,) = lm.generate_until(
        asking("generate_until", (TEXTS[2], {**GREEDY, "until": ["b a b"]}))
    )
    assert stopped == " "
    pairs = [(TEXTS[2], " b"), (TEXTS[2], " a"), (TEXTS[2], " b a")]
    likelihoods = lm.loglikelihood(asking("loglikelihood", *pairs))
    assert [greedy for _, greedy in likelihoods] == [True, False, True]
    assert likelihoods[0][0] > likelihoods[1][0] > likelihoods[2][0]
    (rolling,) = lm.loglikelihood_rolling(asking("loglikelihood_rolling", (TEXTS[0],)))
    assert rolling < 0
    assert lm.cost.generated_tokens == 5 * len(TEXTS) + 3
    assert lm.cost.batches >= len(TEXTS) + 3


def test_what_holds_for_all_engines_holds_for_it(
    ngram: Callable[..., QragLM], tmp_path: Path
) -> None:
    lm = ngram(max_length=20)
    with pytest.raises(BudgetError, match=r"a_task, doc 0: the prompt is .* it would be cut"):
        lm.generate_until(asking("generate_until", ("kettle " * 20, GREEDY)))
    sampled = asking("generate_until", ("a", {**GREEDY, "do_sample": True}))
    with pytest.raises(SettingsError, match="do_sample=True: engine=ngram takes the likeliest"):
        lm.generate_until(sampled)
    other, again = ngram(prior=2), ngram(max_length=20)
    assert other.identity != lm.identity == again.identity
    assert lm.identity.parts["engine"]["name"] == "ngram"
    assert lm.identity.parts["tokenizer"]["content"]
    path = tmp_path / "answers.jsonl"
    lm.keep_answers(Journal(path, lm.identity.digest))
    requests = asking("generate_until", *[(text, GREEDY) for text in TEXTS])
    answers = lm.generate_until(requests)
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 1 + len(TEXTS)
    # A kill in the middle of the fourth line; then the same run in another process.
    path.write_bytes(b"".join(lines[:3]) + lines[3][:20])
    again.keep_answers(Journal(path, again.identity.digest))
    assert again.generate_until(requests) == answers
    kept, whole = path.read_bytes().splitlines(), [line.rstrip() for line in lines]
    assert [json.loads(a)["answers"] for a in kept[1:]] == [
        json.loads(b)["answers"] for b in whole[1:]
    ]
    assert again.cost.generated_tokens == lm.cost.generated_tokens
    with pytest.raises(StoreError, match="was begun by arm"):
        Journal(path, other.identity.digest)
    assert arm_identity(lm) == lm.identity


def test_it_is_closed_once_nobody_holds_it(
    ngram: Callable[..., QragLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[float] = []
    kind = type(ngram().engine)
    monkeypatch.setattr(kind, "close", lambda engine: closed.append(engine.prior))
    one, other = ngram(prior=3), ngram(prior=4)
    del one
    gc.collect()
    assert closed == [3]
    assert other.generate_until(asking("generate_until", ("a b a", GREEDY)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"engine": "ngrma"}, r"unknown engine 'ngrma' .*ngram from qrag_ngram.*mean 'ngram'"),
        ({"engine": "ngram"}, r"engine=ngram needs tokenizer="),
        ({"engine": "ngram", "tokenizer": "x", "priro": 1}, r"priro=1: unknown to engine=ngram"),
        (
            {"engine": "ngram", "tokenizer": "x", "precision": "int4-nf4"},
            r"precision=int4-nf4: engine=ngram cannot load it \(it loads: fp32\)",
        ),
    ],
)
def test_arguments_that_cannot_be(
    install: InstallPlugin, arguments: dict[str, Any], message: str
) -> None:
    install("qrag_ngram", CODE)
    with pytest.raises((SettingsError, ModelError), match=message):
        QragLM(**arguments)
    ((_, told),) = model_mistakes("qrag", arguments)
    with pytest.raises(SettingsError, match=message):
        raise SettingsError(told)


def test_the_command_holds_it_to_its_contract(
    tiny_model: Path, install: InstallPlugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("qrag_ngram", CODE)
    paths = [str(tmp_path / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))  # of pytest's own process

    def check(name: str, *arguments: str) -> Any:
        return CliRunner().invoke(main, ["plugins", "check", name, *arguments])

    model = ("--model_args", f"tokenizer={tiny_model},device=cpu")
    done = check("ngram", *model, "--expect-failure", "all_is_counted")
    assert done.exit_code == 1
    assert "passed stops_are_obeyed\npassed an_unknown_setting_is_refused\n" in done.output
    assert "skipped memory_runs_out: memory cannot be made to run out" in done.output
    assert "FAILED all_is_counted: expected to fail, but it passes" in done.output
    assert re.search(r"ngram: \d+ checks, 1 failed", done.output)
    for arguments, message in (
        (("ngram", "--model_args", "priro=1"), "priro=1: unknown to engine=ngram"),
        (("ngram", *model, "--expect-failure", "is_fast"), "unknown check 'is_fast' (known: all"),
        (("bm25", *model), "bm25 is not an engine; leave it out"),
    ):
        refused = check(*arguments)
        assert refused.exit_code == 1
        assert message in refused.output


def test_the_command_runs_it_and_its_runs_are_compared(
    tiny_model: Path, tmp_path: Path, lm_eval_command: Callable[..., Any]
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    put_plugin(site, "qrag_ngram", CODE)

    def run(out: Path, **more: object) -> subprocess.CompletedProcess[str]:
        arguments = {"engine": "ngram", "tokenizer": tiny_model, **more}
        written = ",".join(f"{name}={value}" for name, value in arguments.items())
        done: subprocess.CompletedProcess[str] = lm_eval_command(
            *("--model", "qrag", "--model_args", written, "--tasks", "lamp_rag_k1"),
            *("--limit", 4, "--metadata", '{"data": "mini"}', "--log_samples"),
            *("--output_path", out, "--device", "cpu"),
            PYTHONPATH=os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])]),
        )
        return done

    outs = [tmp_path / "one", tmp_path / "other"]
    for out, prior in zip(outs, (0.5, 2), strict=True):
        done = run(out, prior=prior)
        assert done.returncode == 0, done.stderr
        assert "prefill" in done.stdout
    (file,) = outs[0].rglob("results_*.json")
    ours = json.loads(file.read_text(encoding="utf-8"))["config"]["qrag"]
    assert ours["engine"] == {
        "name": "ngram",
        "distribution": "qrag_ngram",
        "version": "0.3",
        "evidence": "stated",
    }
    assert ours["cost"]["prompt_tokens"] > 0
    compared = CliRunner().invoke(main, ["compare", *map(str, outs)])
    assert compared.exit_code == 0, compared.output
    assert "lamp3u, mae" in compared.output
