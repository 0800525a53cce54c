"""docs/tasks.md and CONTRIBUTING's "Add a task": followed to the letter; every field is told."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plugin_walks import Run, Walk, shell_in, warm_shell_in
from warm_python import WarmPython

from qrag_tasks.errors import SettingsError
from qrag_tasks.tasks.base import Task
from qrag_tasks.tasks.catalog import as_row
from qrag_tasks.testing import TASK_CHECKS

WALK = Walk.of("Add a task")
PAGE = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
Command = Callable[..., "subprocess.CompletedProcess[str]"]


def block(language: str) -> str:
    (text,) = re.findall(rf"(?m)^```{language}\n(.*?)^```", PAGE, re.DOTALL)
    return str(text)


@pytest.fixture
def birds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "birds"
    folder.mkdir()
    for name, text in (
        ("birds.py", WALK.files["qrag_birds/__init__.py"]),
        ("birds_rag_k1.yaml", block("yaml")),
        ("dev.jsonl", WALK.files["qrag_birds/dev.jsonl"]),
    ):
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_new_task_runs_without_a_change_to_the_package(
    birds: Path, lm_eval_command: Command, few_tasks: str
) -> None:
    generated, measured = (shlex.split(line)[1:] for line in block("bash").splitlines())
    lm_eval_command(*generated, PYTHONPATH=few_tasks)
    (log,) = (birds.parent / "out").rglob("samples_birds_rag_k1_*.jsonl")
    first, second = map(json.loads, log.read_text(encoding="utf-8").splitlines())
    assert first["doc"]["prompt"] == (
        "High above, it sang. It was: lark. Which bird is it? It sang high above the field."
    )
    assert second["doc"]["prompt"] == (
        "Tiny, in the hedge. It was: wren. Which bird is it? Tiny, and loud."
    )
    assert (first["target"], first["accuracy"], first["f1"]) == ("lark", 0.0, [-1, 0, 3])
    (file,) = (birds.parent / "out").rglob("results_*.json")
    results = json.loads(file.read_bytes())
    config = results["configs"]["birds_rag_k1"]
    assert config["dataset_kwargs"] == {"task": "birds", "k": 1}
    assert config["metadata"]["qrag"]["retriever"] == "bm25"
    assert results["results"]["birds_rag_k1"]["valid_rate,none"] == 0.0
    assert "answer_mass" in lm_eval_command(*measured, PYTHONPATH=few_tasks).stdout


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("qrag-birds")
    WALK.install(folder)
    return folder


@pytest.fixture(scope="module")
def shell(plugin: Path, warm_python: WarmPython) -> Run:
    """Runs a line; the command that asks no more than what there is, from a cold start."""
    cold, warm = shell_in(plugin), warm_shell_in(plugin, warm_python, plugin)
    return lambda command: (cold if command == "qrag tasks" else warm)(command)


def test_a_plugin_brings_a_task_to_every_command(plugin: Path, shell: Run, cache: Path) -> None:
    assert "qrag tasks" in WALK.commands
    said: dict[str, str] = {}
    for command in WALK.commands:
        name = command.partition(" --")[0]
        said[name] = said.get(name, "") + shell(command)
    (passed,) = re.findall(r"(\d+) passed", said["python -m pytest"])
    assert int(passed) > len(TASK_CHECKS)
    assert not re.search(r"skipped|failed", said["python -m pytest"])
    assert f"birds: {len(TASK_CHECKS)} checks, 0 failed" in said["qrag plugins check birds"]
    (row,) = [line for line in said["qrag tasks"].splitlines() if line.startswith("birds_rag_k0")]
    assert "name the bird that a watcher saw" in row
    for part in ("CC0", "from qrag-birds 0.1.0", "birds_rag_all_k5", "birds_rag_kmax8k"):
        assert part in said["qrag tasks"], part
    assert "birds, bm25: 2 profiles" in said["qrag rank birds"]
    assert "It was: lark. Which bird is it?" in said["qrag show birds_rag_k1"]
    assert "birds_rag_k1" in said["lm_eval"]
    assert "answer_mass" in said["lm_eval"]
    (log,) = (plugin / "out").rglob("samples_birds_rag_k1_*.jsonl")
    first, _ = map(json.loads, log.read_text(encoding="utf-8").splitlines())
    assert first["doc"]["retriever"] == "bm25"
    assert "birds" in shell("qrag export predictions out --out answers")


def test_every_field_of_a_row_is_told() -> None:
    (table,) = re.findall(r"(?m)^\| field \|.*?\n\n", PAGE, re.DOTALL)
    cells = [line.split("|")[1] for line in table.strip().splitlines()]
    names = re.findall(r"`(\w+)`", " ".join(cells))
    assert sorted(names) == sorted({f.name for f in dataclasses.fields(Task)} - {"index"})


def row_of_the_page(**changes: Any) -> Task:
    names: dict[str, Any] = {"__name__": __name__}
    code = WALK.files["qrag_birds/__init__.py"]
    exec(compile(code, "CONTRIBUTING.md", "exec"), names)  # noqa: S102 - our own example
    return dataclasses.replace(names["ROW"], **changes)


def test_a_row_of_its_own_takes_no_name_of_ours() -> None:
    row = row_of_the_page()
    assert as_row(row) is row
    assert as_row("lamp3u").name == "lamp3u"
    with pytest.raises(SettingsError, match="task 'lamp3u': one of ours has that name"):
        as_row(row_of_the_page(name="lamp3u"))
    with pytest.raises(SettingsError, match="neither a task's name nor a row"):
        as_row(3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "Birds rag"}, "expected a name of a-z, 0-9 and -"),
        ({"item_target": "colour"}, "item_target 'colour' is no field"),
        ({"item_fields": ("bird",)}, "'note' is no field"),
    ],
)
def test_a_row_that_cannot_be(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        row_of_the_page(**wrong)
