"""What is done before the model is loaded: everything is ranked, and the retriever let go."""

from __future__ import annotations

import importlib.util
import subprocess
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from lamp_files import reviews, write_flat
from lm_eval.tasks import TaskManager

from qrag_tasks import catalog
from qrag_tasks.benchmark import data
from qrag_tasks.cli import main
from qrag_tasks.errors import RetrieverError
from qrag_tasks.harness import preflight
from qrag_tasks.locations import task_yamls
from qrag_tasks.plugins import build_retriever
from qrag_tasks.rankings import Rankings

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
