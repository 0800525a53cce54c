"""Evaluating a model that is loaded already, as every arm of a grid does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lm_eval.models.dummy import DummyLM
from plugin_files import InstallPlugin

from qrag_tasks.errors import DataError
from qrag_tasks.harness.evaluation import evaluate, evaluate_into

PLUGIN = """
from dataclasses import dataclass, replace
from qrag_tasks import hookimpl
from qrag_tasks.errors import DataError
from qrag_tasks.tasks.lamp.table import LAMP_TASKS
from qrag_tasks.tasks.scoring.kinds import Ratings

@dataclass(frozen=True)
class Weighed(Ratings):
    def check_scores(self):
        raise DataError("the scales are not on this machine")

@hookimpl
def qrag_register_tasks(register):
    row = replace(LAMP_TASKS["lamp3u"], name="stars", family="Stars", groups=())
    register("stars", row)
    answer = Weighed("weight", row.answer.values)
    register("weights", replace(row, name="weights", answer=answer))
"""


@pytest.fixture
def plugin(install: InstallPlugin) -> None:
    install("qrag_stars", PLUGIN)


def test_a_task_of_a_plugin_is_known(plugin: None) -> None:
    results = evaluate(DummyLM(), ["stars_rag_k0"], {"data": "mini"}, limit=2)
    assert results["n-samples"]["stars_rag_k0"]["effective"] == 2


def test_what_scores_lack_is_told_before_anything_is_answered(plugin: None) -> None:
    with pytest.raises(DataError, match="the scales are not on this machine"):
        evaluate(DummyLM(), ["weights_rag_k0"], {"data": "mini"}, limit=2)


def test_the_machine_is_described_in_every_result_and_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect_env = pytest.importorskip(
        "torch.utils.collect_env", reason="the hf extra is not installed"
    )
    asked: list[str] = []

    def ask() -> str:
        asked.append("a machine")
        return "a machine"

    monkeypatch.setattr(collect_env, "get_pretty_env_info", ask)
    described = []
    for name in ("one", "two"):
        task, metadata = "lamp3u_rag_k0", {"data": "mini"}
        evaluate_into(tmp_path / name, DummyLM(), task, metadata, config={}, seed=0, limit=1)
        (results,) = (tmp_path / name).glob("results_*.json")
        described.append(json.loads(results.read_bytes())["pretty_env_info"])
    assert described == asked * 2
    assert collect_env.get_pretty_env_info is ask
