"""Hooks and versions: what a plugin was built for, what it lacks, what nobody would call."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from click.testing import CliRunner, Result
from plugin_files import InstallPlugin

from qrag_tasks import hookspecs, plugins
from qrag_tasks.cli import main
from qrag_tasks.hookspecs import HOOKS
from qrag_tasks.registry import Plugin, core_origin

CODE = """
from qrag_tasks import hookimpl
from qrag_tasks.retrieval.baselines import First

@hookimpl
def qrag_register_retrievers(register):
    register("last", First)
"""
FROM_LATER = """
@hookimpl(optionalhook=True)
def qrag_register_metrics(register):
    raise RuntimeError("called")
"""


def named(name: str) -> Plugin:
    (plugin,) = (each for each in plugins.plugins() if each.name == name)
    return plugin


def listed(*arguments: str, columns: int = 80) -> Result:
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(main, ["plugins", *arguments])


@pytest.fixture
def later_hook(monkeypatch: pytest.MonkeyPatch) -> str:
    """A hook that a version after the first has added."""
    monkeypatch.setitem(HOOKS, "qrag_register_tasks", "0.4.0")
    return "qrag_register_tasks"


def test_every_hook_says_which_version_added_it() -> None:
    specified = {name for name, value in vars(hookspecs).items() if hasattr(value, "qrag_spec")}
    assert set(HOOKS) == specified
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in HOOKS.values())


@pytest.mark.parametrize(
    ("requires", "built_for", "lacks"),
    [
        ("qrag-tasks>=0.1,<0.5", ">=0.1,<0.5", True),
        ("qrag_tasks[hf]<0.5,>=0.1; python_version > '3'", ">=0.1,<0.5", True),
        ("qrag-tasks~=0.1", "~=0.1", True),
        ("qrag-tasks==0.3.*", "==0.3.*", True),
        ("qrag-tasks>=0.4", ">=0.4", False),
        ("qrag-tasks>=0.5", ">=0.5", False),
        ("qrag-tasks<0.4", "<0.4", True),
        ("qrag-tasks<0.5", "<0.5", False),
        ("qrag-tasks", "", False),
        ("qrag-tasks>=0.1; extra == 'testing'", None, False),
        ("numpy", None, False),
        ("qrag-tasks >> 1", None, False),
        ("", None, False),
    ],
)
def test_a_plugin_lacks_hooks_that_came_after_what_it_was_built_for(
    install: InstallPlugin, later_hook: str, requires: str, built_for: str | None, lacks: bool
) -> None:
    install("qrag_last", CODE, requires=requires)
    assert named("qrag_last").built_for == built_for
    (record,) = (
        each
        for each in json.loads(listed("--json").output)["plugins"]
        if each["name"] == "qrag_last"
    )
    assert record["built_for"] == built_for
    assert record["hooks"] == ["qrag_register_retrievers"]
    assert record["lacks"] == [later_hook] * lacks


def test_the_list_tells_hooks_at_80_columns(install: InstallPlugin, later_hook: str) -> None:
    install("qrag_last", CODE + FROM_LATER, requires="qrag-tasks>=0.1,<0.2")
    done = listed()
    assert done.exit_code == 0, done.output
    assert max(map(len, done.output.splitlines())) <= 80
    title = f"Hooks of plugins, under qrag-tasks {core_origin().version}\n"
    text = " ".join(done.output.partition(title)[2].split())
    assert "qrag_last >=0.1,<0.2 qrag_register_retrievers 0.1.0 implemented" in text
    assert re.search(r"qrag_register_tasks 0\.4\.0 lacking: newer than the plugin", text)
    assert re.search(r"qrag_register_metrics unknown here, and optional", text)


def test_without_other_plugins_there_is_no_table_of_hooks() -> None:
    if any(plugin.origin != core_origin() for plugin in plugins.plugins()):
        pytest.skip("plugins are installed here")
    assert "Hooks of plugins" not in listed().output


def test_a_plugin_for_another_version_is_told(install: InstallPlugin) -> None:
    install("qrag_last", CODE, requires="qrag-tasks>=7")
    assert named("qrag_last").state == "ok"
    assert ">=7, not this one" in listed(columns=200).output
    assert '"takes_this_version": false' in listed("--json").output


def broken(install: InstallPlugin, code: str, requires: str = "") -> str:
    install("qrag_hurt", code, requires=requires)
    plugin = named("qrag_hurt")
    assert plugin.state == "broken"
    assert "broken" in listed().output
    return plugin.cause


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "retrievers(",
            "retriever(",
            r"unknown hook 'qrag_register_retriever' .*Did you mean 'qra",
        ),
        ("retrievers(", "retreivers(", r"Did you mean 'qrag_register_retrievers'\?$"),
        ("retrievers(", "moods(", r"unknown hook 'qrag_register_moods' \(qrag-tasks .* has qrag_"),
        ("@hookimpl\n", "", r"'qrag_register_retrievers' is not marked .* put @hookimpl above it"),
        ("(register)", "(registry)", "PluginValidationError"),
    ],
)
def test_what_nobody_would_call_is_an_error(
    install: InstallPlugin, old: str, new: str, message: str
) -> None:
    assert re.search(message, broken(install, CODE.replace(old, new)))


def test_a_second_hook_without_its_mark_is_not_lost(install: InstallPlugin) -> None:
    code = f"{CODE}\ndef qrag_register_formats(register):\n    register('x', 1)\n"
    assert "'qrag_register_formats' is not marked as a hook" in broken(install, code)


def test_a_hook_of_a_later_version_says_which_to_install(install: InstallPlugin) -> None:
    code = CODE + FROM_LATER.replace("(optionalhook=True)", "")
    cause = broken(install, code, requires="qrag-tasks>=7")
    assert "unknown hook 'qrag_register_metrics'" in cause
    assert "The plugin was built for qrag-tasks >=7: install that." in cause


def test_what_the_list_is_made_of_can_be_imported(install: InstallPlugin) -> None:
    code = CODE.replace(
        "import hookimpl", "import hookimpl\nfrom qrag_tasks import hookspecs as hooks"
    )
    install("qrag_last", f"from qrag_tasks.hookspecs import qrag_register_formats\n{code}")
    assert named("qrag_last").state == "ok"


def test_json_is_of_the_list_alone() -> None:
    done = listed("--json", "check", "bm25")
    assert done.exit_code == 1
    assert "--json: leave it out of qrag plugins check" in done.output


def test_conflicts_are_in_the_json(install: InstallPlugin) -> None:
    install("qrag_rival", CODE.replace('"last"', '"bm25"'))
    done = listed("--json")
    assert done.exit_code == 1
    record: dict[str, Any] = json.loads(done.output)
    assert "two plugins register the retriever 'bm25'" in record["conflicts"][0]
