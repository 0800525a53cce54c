"""Evaluating a model that is loaded already, as every arm of a grid does."""

from __future__ import annotations

import pytest
from lm_eval.models.dummy import DummyLM
from plugin_files import InstallPlugin

from qrag_tasks.errors import DataError
from qrag_tasks.harness.evaluation import evaluate

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
