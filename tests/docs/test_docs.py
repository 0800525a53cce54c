"""The documentation says what the code does: its tables, its commands, its examples."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sample_log_files import record, write_log

from qrag_tasks import Document, Query, plugins
from qrag_tasks.arms.precisions import format_of, precisions
from qrag_tasks.cli import main
from qrag_tasks.engines.server.arguments import KEY as OPENAI_API_KEY
from qrag_tasks.prompting.protocols import CHOICES, PROTOCOLS
from qrag_tasks.prompting.settings import KNOWN
from qrag_tasks.tasks import catalog
from qrag_tasks.tasks.base import DEPTHS
from qrag_tasks.tasks.lamp.table import LAMP_TASKS
from qrag_tasks.tasks.own.example import write_example
from qrag_tasks.upstream import inner_names

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str, program: str) -> list[list[str]]:
    lines = [line for block in blocks(text, "bash") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith(f"{program} ")]


def section(title: str) -> str:
    return README.partition(f"\n## {title}")[2].partition("\n## ")[0]


def cells_of(text: str, column: int) -> list[str]:
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [cell for row in rows for cell in re.findall(r"`(\w+)`", row.split("|")[column + 1])]


def first_cells(title: str, column: int = 0) -> list[str]:
    return cells_of(section(title), column)


def test_the_two_commands_stand_on_the_first_screen() -> None:
    screen = "\n".join(README.splitlines()[:25])
    assert "\npython -m pip install tox && tox run -e demo\n" in screen
    assert "\npython -m pip install tox && tox run\n" in screen
    assert "python -m pip install tox && tox run" in (ROOT / ".ci" / "run").read_text()


def test_the_demo_runs_the_main_job_verbatim_and_ends_with_an_answer() -> None:
    command = "lm_eval --tasks lamp_rag_k5 --model hf --model_args load_in_4bit=True"
    demo = (ROOT / "tox.ini").read_text(encoding="utf-8").partition("\n[testenv:demo]")[2]
    lines = demo.partition("commands =")[2].partition("\n\n")[0].split("\n    ")[1:]
    _, main_job, run, compare, report = (line.removesuffix(" {posargs}") for line in lines)
    assert main_job == command
    assert "examples{/}mini.yaml" in run
    grid = run.partition(" --out ")[2]
    assert compare == f"qrag compare {grid}"
    assert report.startswith(f"qrag report {grid} ")


def test_the_table_of_tasks() -> None:
    tasks = [name for column in (1, 2) for name in first_cells("Tasks", column) if "_" not in name]
    groups = [name for name in first_cells("Tasks") if name.endswith("_k5")]
    names = {f"{name}_rag_k{k}" for name in tasks for k in DEPTHS}
    names |= {f"own_rag_k{k}" for k in DEPTHS if "`own` is for [your own]" in section("Tasks")}
    assert names == set(catalog.CATALOG)
    assert {f"{name[:-1]}{k}" for name in groups for k in DEPTHS} == set(catalog.GROUPS)
    for task in LAMP_TASKS.values():
        assert f"`{task.name}`" in section("Tasks")
        assert task.summary in section("Tasks")
    for k in DEPTHS:
        assert f"`{k}`" in section("Tasks").partition("\n|")[0]


def test_the_table_of_metadata_keys() -> None:
    for key, summary in KNOWN.items():
        assert f"| `{key}` | {summary} |" in section("Choices")
    assert first_cells("Choices") == list(KNOWN)


def test_the_values_of_metadata_keys() -> None:
    for key, values in CHOICES.items():
        (row,) = [line for line in section("Choices").splitlines() if f"| `{key}` |" in line]
        assert set(values) <= set(re.findall(r"`([\w-]+)`", row)), key


def test_the_table_of_scores() -> None:
    always, _, asked_for = section("Scores").partition("Where they are asked for")
    assert set(cells_of(always, 1)) == {
        m.name for t in LAMP_TASKS.values() for m in t.answer.metrics
    }
    assert set(cells_of(asked_for, 1)) == {
        metric.name
        for task in LAMP_TASKS.values()
        for metrics in (
            task.answer.likelihood_metrics,
            *(published.metrics for published in task.evaluations),
        )
        for metric in metrics
    }
    for task in LAMP_TASKS.values():
        what = {"reference": "label", "tag": "label"}.get(
            task.answer.asks_for, task.answer.asks_for
        )
        assert re.search(rf"{task.answer_tokens}[a-z ]* for a [a-z, ]*{what}", always), task.name


def test_the_table_of_environment_variables() -> None:
    code = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "qrag_tasks").rglob("*.p*[yh]")
    )
    used = set(re.findall(r"environ(?:\.get\(|\[)['\"](QRAG_\w+)", code))
    assert {*used, OPENAI_API_KEY} == set(first_cells("Environment"))


def test_the_table_of_retrievers() -> None:
    rows = [line.split("|")[1:4] for line in section("Retrievers").splitlines() if "| `" in line]
    told = {re.findall(r"`([a-z0-9-]+)", row[0])[0]: re.findall(r"`(\w+)`", row[2]) for row in rows}
    known = {}
    for name, plugin in plugins.RETRIEVERS.all().items():
        if plugin.origin.distribution != "qrag-tasks":
            continue  # a plugin that happens to be installed here
        parameters = inspect.signature(plugin.value).parameters.values()
        known[name] = [p.name for p in parameters if p.kind is not p.POSITIONAL_ONLY]
    assert told == known


@pytest.mark.parametrize("command", commands(README, "qrag"), ids=" ".join)
def test_qrag_commands_run(
    command: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if command[1] == "doctor":
        pytest.importorskip("torch", reason="the hf extra is not installed")
    if command[1] == "plan":
        monkeypatch.chdir(ROOT)
        assert CliRunner().invoke(main, command[1:]).exit_code == 0
        return
    monkeypatch.chdir(tmp_path)
    if command[1] in ("download", "run", "compare", "report"):
        # From the network, or for minutes: here, that it is understood.
        named = main.commands[command[1]]
        assert named.make_context(command[1], command[2:]).params
        return
    monkeypatch.setenv("QRAG_DATA", "mini")
    write_log(tmp_path / "results", record("101", "4"))
    if command[1] == "check":
        write_example(tmp_path / command[2])
    done = CliRunner().invoke(main, command[1:])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("command", commands(README, "lm_eval"), ids=" ".join)
def test_lm_eval_commands_parse(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from lm_eval._cli.harness import HarnessCLI

    monkeypatch.setattr("sys.argv", command)
    parsed = HarnessCLI().parse_args()
    assert catalog.requested([parsed.tasks] if isinstance(parsed.tasks, str) else parsed.tasks)
    assert set(parsed.metadata or {}) <= set(KNOWN)


def test_the_example_retriever_works() -> None:
    code, *_ = blocks(CONTRIBUTING, "python")
    names: dict[str, object] = {}
    exec(compile(code, "CONTRIBUTING.md", "exec"), names)  # noqa: S102 - our own example
    found: dict[str, Any] = {}
    names["qrag_register_retrievers"](found.setdefault)  # type: ignore[operator]
    built = found["longest"](minimum=2)
    query = Query("1", "", (Document("a", "x"), Document("b", "x y"), Document("c", "x y z")))
    assert [ranking.ids for ranking in built.rank([query], 5)] == [("c", "b", "a")]


def test_the_table_of_protocols() -> None:
    text = (ROOT / "docs" / "protocols.md").read_text(encoding="utf-8")
    head, *rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")][:9]
    names = [re.findall(r"`([\w]+)`", cell)[0] for cell in head[1:]]
    assert names == list(PROTOCOLS)
    told = {re.findall(r"`(\w+)`", row[0])[0]: row[1:] for row in rows if "`" in row[0]}
    assert set(told) == {"retriever", "prompt", "filter", "index", "order", "fill"}
    for key, cells in told.items():
        for name, cell in zip(names, cells, strict=True):
            assert re.findall(r"`([\w-]+)`", cell)[0] == getattr(PROTOCOLS[name], key), (key, name)


PRECISION_DOCS = (ROOT / "docs" / "precisions.md").read_text(encoding="utf-8")


def test_the_engines_of_precisions() -> None:
    """What transformers does not load is said with its engine; a table of them all is at hand."""
    text = section("Precision arms")
    assert "(docs/precisions.md#precisions)" in text
    engines = {format_of(row).engine for row in precisions().values()} - {""}
    assert all(f"engine={engine}" in text for engine in engines)


def test_the_noise_floor_of_the_embedded_model() -> None:
    pytest.importorskip("torch", reason="the hf extra is not installed")
    (command,) = commands(PRECISION_DOCS, "qrag")
    done = CliRunner().invoke(main, command[1:])
    assert done.exit_code == 0, done.output
    assert "lamp5u_rag_k1" in done.output


def test_the_table_of_inner_names() -> None:
    text = (ROOT / "docs" / "upstream.md").read_text(encoding="utf-8")
    for guard, words in inner_names.GUARDS.items():
        assert f"\n- **{guard}**: {words}.\n" in text
    # Written by: python -c "from qrag_tasks.upstream.inner_names import *; print(as_markdown())"
    assert f"\n\n{inner_names.as_markdown()}\n" in text


def test_links_lead_somewhere() -> None:
    for text in (README, CONTRIBUTING):
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (ROOT / target).exists(), target
    for path in (ROOT / "docs").glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), (path.name, target)
