"""Every task through plain lm_eval, and a grid of two arms with its comparison, on the sample."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner
from in_process_arms import InProcess
from planted_lm_eval import plant
from qrag_tasks.cli import main
from qrag_tasks.tasks.base import Task

from qrag_longlamp.table import LONGLAMP_TASKS, METEOR, qrag_register_tasks

EMAILS = ("longlamp-email-user_rag_k1", "longlamp-email-temporal_rag_k1")
GROUPS = ("longlamp_rag_user_k1", "longlamp_rag_temporal_k1")
PLAN = """
name: longlamp
data: mini
models: [{name: embedded}]
precisions: [bf16, int4-nf4]
tasks: [longlamp-topic-user, longlamp-review-temporal]
k: [1]
limit: 2
answer_tokens: 6
fidelity: true
"""


def qrag(*arguments: str) -> str:
    wide = {"COLUMNS": "200"}
    done = CliRunner().invoke(main, [*map(str, arguments)], env=wide, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def another_k(folder: Path) -> str:
    """Write the task file of the README, with a k of its own, and return the task's name."""
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    (text,) = re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)
    name = text.partition("\n")[0].removeprefix("task: ")
    (folder / f"{name}.yaml").write_text(text, "utf-8")
    return name


def test_plain_lm_eval_runs_every_task(tmp_path: Path) -> None:
    k4 = another_k(tmp_path)
    command = [
        *(sys.executable, "-m", "lm_eval", "--model", "hf", "--limit", "1"),
        *("--tasks", ",".join((*GROUPS, *EMAILS, k4)), "--include_path", str(tmp_path)),
        *("--metadata", '{"data": "mini"}', "--gen_kwargs", "max_gen_toks=4"),
        *("--output_path", str(tmp_path), "--log_samples"),
    ]
    # Where a folder is included, lm_eval reads all of its own tasks first: 14,000 files.
    paths = (str(plant(tmp_path / "planted")), os.environ.get("PYTHONPATH", ""))
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "its scores say nothing of real ones" in done.stderr
    (file,) = tmp_path.rglob("results_*.json")
    results = json.loads(file.read_text("utf-8"))
    tasks = {name.partition("_rag")[0] for name in results["configs"]}
    assert tasks == {*LONGLAMP_TASKS}
    for name in results["configs"]:
        scores = results["results"][name]
        assert {"rouge1,none", "rougeL,none", "meteor,none", "runaway_rate,none"} <= {*scores}
        (samples,) = tmp_path.rglob(f"samples_{name}_*.jsonl")
        docs = [json.loads(line)["doc"] for line in samples.read_text("utf-8").splitlines()]
        assert [len(doc["kept"]) for doc in docs] == ([4] if name == k4 else [1])


def test_meteor_can_be_left_out_of_all_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(METEOR, "0")
    registered: dict[str, Task] = {}
    qrag_register_tasks(registered.__setitem__)
    assert registered.keys() == LONGLAMP_TASKS.keys()
    texts = "The dogs ran.", "The dogs ran home."
    for name, row in registered.items():
        scores = row.answer.score(*texts)
        assert [*scores] == ["rouge1", "rougeL", "valid_rate"]
        assert scores.items() <= LONGLAMP_TASKS[name].answer.score(*texts).items()
        assert "meteor" not in {metric.name for metric in row.answer.metrics}
        row.answer.check_scores()


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory, nltk_data: Path, cache_of_all: Path) -> Path:
    folder = tmp_path_factory.mktemp("grid")
    plan = folder / "plan.yaml"
    plan.write_text(PLAN, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QRAG_CACHE", str(cache_of_all))
        patch.setattr("qrag_tasks.experiment.running.launchers.Here", InProcess)
        assert "longlamp-topic-user" in qrag("plan", plan)
        with warnings.catch_warnings():
            # Of what an arm imports, as in a process of its own.
            warnings.simplefilter("ignore")
            qrag("run", plan, "--out", folder / "out")
    return folder / "out"


def test_a_grid_of_two_arms_is_compared(grid: Path, tmp_path: Path) -> None:
    said = qrag("compare", grid, "--metric", "rougeL", "--metric", "meteor")
    for word in ("longlamp-topic-user", "longlamp-review-temporal", "meteor", "rougeL"):
        assert word in said
    page = tmp_path / "report.html"
    qrag("report", grid, "--out", page)
    assert "longlamp-topic-user" in page.read_text("utf-8")


def test_its_arms_read_the_base_arms_answers(grid: Path) -> None:
    said = qrag("fidelity", grid)
    assert "longlamp-topic-user" in said


def test_the_list_of_tasks_says_version_and_licence() -> None:
    said = " ".join(qrag("tasks").split())
    assert "longlamp-email-user_rag_k5" in said
    for word in ("LDC2015T03", "qrag-longlamp 0.1.0", "meteor"):
        assert word in said, word
