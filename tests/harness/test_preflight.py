"""What is done before the model is loaded: everything is ranked, and the retriever let go."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from lamp_files import reviews, write_flat
from lm_eval.tasks import TaskManager

from qrag_tasks.cli import main
from qrag_tasks.errors import RetrieverError
from qrag_tasks.harness import preflight
from qrag_tasks.locations import task_yamls
from qrag_tasks.plugins import build_retriever
from qrag_tasks.prompting.rankings import Rankings
from qrag_tasks.tasks import catalog
from qrag_tasks.tasks.lamp import data

SIZE = 70


def check(task: str, root: Path, retriever: str, limit: int | None = None) -> None:
    metadata = {"data": str(root), "retriever": retriever}
    manager = TaskManager(include_path=str(task_yamls()), include_defaults=False, metadata=metadata)
    config = SimpleNamespace(
        gen_kwargs=None,
        apply_chat_template=False,
        limit=limit,
        samples=None,
        system_instruction=None,
        fewshot_as_multiturn=False,
        model_args={},
    )
    preflight.check(config, manager, [catalog.entry(task)])


@pytest.fixture
def many(tmp_path: Path) -> Path:
    return write_flat(tmp_path / "data", "lamp3u", *reviews(SIZE))


def missing(root: Path, retriever: str) -> list[int]:
    loaded = data.load(catalog.entry("lamp3u_rag_k1").task, str(root))
    return Rankings(loaded, build_retriever(retriever)).missing(range(SIZE))


def test_what_the_run_asks_for_is_ranked(many: Path) -> None:
    check("lamp3u_rag_k1", many, "random:seed=71", limit=40)
    assert missing(many, "random:seed=71") == [2]
    check("lamp3u_rag_k5", many, "random:seed=71")
    assert missing(many, "random:seed=71") == []


def test_without_documents_nothing_is_ranked(many: Path) -> None:
    check("lamp3u_rag_k0", many, "random:seed=72")
    assert missing(many, "random:seed=72") == [0, 1, 2]


def test_the_retriever_is_let_go(many: Path) -> None:
    built = weakref.ref(build_retriever("random:seed=73").retriever)  # type: ignore[type-var]
    assert built() is not None
    check("lamp3u_rag_k1", many, "random:seed=73")
    assert built() is None


def test_a_retriever_that_fails_late_is_found_before_the_model_loads(
    many: Path, tmp_path: Path
) -> None:
    run = tmp_path / "short.trec"
    run.write_text("".join(f"{100 + i} Q0 {100 + i}0 1 1 x\n" for i in range(SIZE - 1)))
    with pytest.raises(RetrieverError, match="has no query '169'"):
        check("lamp3u_rag_k1", many, f"run:{run}")


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed")
@pytest.mark.parametrize("model", ["hf", "qrag"])
def test_the_core_alone_says_what_a_model_needs(
    model: str, lm_eval_command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    given = {"--tasks": "lamp3u_rag_k1", "--model": model, "--metadata": '{"data": "mini"}'}
    done = lm_eval_command(*(word for pair in given.items() for word in pair))
    assert done.returncode == 1
    assert done.stderr.endswith(
        f"qrag-tasks: error: --model {model} needs torch and transformers: "
        f"pip install 'qrag-tasks[hf]'\n"
    )
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed")
def test_the_core_alone_runs_no_noise() -> None:
    done = CliRunner().invoke(main, ["noise", "lamp3u_rag_k1", "--data", "mini"])
    assert done.exit_code == 1
    assert done.output == (
        "Error: qrag noise needs torch and transformers: pip install 'qrag-tasks[hf]'\n"
    )


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders of task files that lm_eval reads; its own holds one group, ``of_another``."""
    from lm_eval.tasks.manager import TaskIndex

    (tmp_path / "another.yaml").write_text(
        "group: of_another\ntask: [lamp5u_rag_k0]\n", encoding="utf-8"
    )
    build, folders = TaskIndex.build, []

    def recorded(places: list[Path], **options: Any) -> Any:
        folders.extend(places)
        return build([tmp_path if "lm_eval" in place.parts else place for place in places])

    monkeypatch.setattr(TaskIndex, "build", staticmethod(recorded))
    return folders


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        ({"tasks": ["lamp_rag_k1", " lamp1u_rag_k0"]}, "ours"),
        ({"tasks": "lamp_rag_time_k0"}, "ours"),
        ({"tasks": ["lamp3u_rag_k1"], "include_path": "{folder}"}, "all"),
        ({"tasks": ["lamp3u_rag_k1"], "samples": {"lamp3u_rag_k1": [0]}}, "all"),
        ({"tasks": ["lamp3u_rag_k[15]"]}, "all"),
        ({"tasks": ["lamp3u_rag_k1,of_another"]}, "all"),
    ],
)
def test_a_run_of_ours_alone_reads_no_other_task_files(
    asked: dict[str, Any],
    chosen: str,
    read: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are thousands, and reading them takes longer than all else before the model."""
    from lm_eval.config.evaluate_config import EvaluatorConfig

    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    asked = {
        name: value.format(folder=tmp_path) if name == "include_path" else value
        for name, value in asked.items()
    }
    config = EvaluatorConfig(model="dummy", metadata={"data": "mini"}, model_args={}, **asked)
    manager = config.process_tasks()
    assert task_yamls() in read
    assert any("lm_eval" in folder.parts for folder in read) is (chosen == "all")
    assert ("of_another" in manager.all_tasks) is (chosen == "all")
    assert catalog.requested(config.tasks)
    # What is made next, by whomever, is whole.
    assert "of_another" in TaskManager().all_tasks


@pytest.mark.parametrize(
    ("tasks", "own_read"), [(["lamp_rag_k0"], False), (["lamp3u_rag_k0", "of_another"], True)]
)
def test_so_it_is_from_python(tasks: list[str], own_read: bool, read: list[Path]) -> None:
    from lm_eval import simple_evaluate

    results = simple_evaluate(
        "dummy", tasks=tasks, metadata={"data": "mini"}, limit=1, bootstrap_iters=0
    )
    assert set(results["samples"]) == {"lamp3u_rag_k0", "lamp5u_rag_k0"}
    assert task_yamls() in read
    assert any("lm_eval" in folder.parts for folder in read) is own_read
