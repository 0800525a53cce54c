"""Tasks that plugins bring: names that cannot collide, and what a broken plugin costs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from plugin_files import InstallPlugin

from qrag_tasks import plugins, registry
from qrag_tasks.cli import main
from qrag_tasks.errors import PluginError, SettingsError
from qrag_tasks.experiment.plan import Plan
from qrag_tasks.tasks import catalog, task_files

PLUGIN = """
from dataclasses import replace
from qrag_tasks import hookimpl
from qrag_tasks.tasks.lamp.table import LAMP_TASKS

@hookimpl
def qrag_register_tasks(register):
    row = replace(LAMP_TASKS["lamp3u"], name="{row}", family="{family}", groups={groups})
    register("{name}", row)
"""


def plugin(
    name: str = "stars",
    row: str | None = None,
    family: str = "Stars",
    groups: tuple[str, ...] = ("stars_rag_all",),
) -> str:
    return PLUGIN.format(name=name, row=row or name, family=family, groups=groups)


def test_a_task_of_a_plugin_is_one_like_all_others(install: InstallPlugin) -> None:
    before = {*catalog.CATALOG}
    install("qrag_stars", plugin())
    assert {*catalog.CATALOG} - before == {
        f"stars_rag_k{k}" for k in ("0", "1", "3", "5", "10", "max4k", "max8k")
    }
    assert catalog.GROUPS["stars_rag_all_k5"] == ("stars_rag_k5",)
    assert set(catalog.TAGS) == {"lamp_rag", "stars_rag"}
    assert catalog.members("stars_rag") == {*catalog.CATALOG} - before
    (entry,) = catalog.requested(["stars_rag_k3"])
    assert entry.task.name == "stars"
    said = CliRunner().invoke(main, ["tasks"]).output
    assert "from qrag_stars 0.3" in said
    # Our own files stay as they are; those of plugins are written elsewhere.
    assert not any("stars" in name for name in task_files.render())
    folder = task_files.written_for_plugins()
    assert folder is not None
    assert (folder / "stars" / "stars_rag_k5.yaml").is_file()
    assert task_files.written_for_plugins() == folder


def test_a_task_without_documents_has_one_depth(install: InstallPlugin) -> None:
    install(
        "qrag_stars",
        plugin().replace('family="Stars"', 'family="Stars", takes_documents=False'),
    )
    assert [name for name in catalog.CATALOG if name.startswith("stars")] == ["stars_rag_k0"]
    assert [name for name in catalog.GROUPS if name.startswith("stars")] == ["stars_rag_all_k0"]
    with pytest.raises(SettingsError, match="'stars_rag' has no k of '5': it is 0"):
        catalog.explain_unknown(["stars_rag_k5"], "not found: stars_rag_k5")
    cells = Plan.model_validate(
        {
            "name": "sky",
            "models": [{"name": "m"}],
            "precisions": ["bf16"],
            "tasks": ["stars", "lamp3u"],
            "retrievers": ["bm25", "first"],
            "k": [1, 3],
        }
    ).cells()
    assert [cell.folder for cell in cells if cell.task == "stars"] == ["m/bf16/stars_rag_k0"]
    assert len(cells) == 1 + 4


def test_without_plugins_nothing_is_written() -> None:
    assert task_files.written_for_plugins() is None


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (plugin("lamp3u"), "two plugins register the task 'lamp3u': 'lamp_tasks' from qrag-tasks"),
        (plugin(groups=("lamp_rag_all",)), "the name in lm_eval 'lamp_rag_all'"),
        # lm_eval could not tell lamp_rag_k5, the task, from lamp_rag_k5, the group.
        (plugin("lamp"), "the name in lm_eval 'lamp_rag'"),
        (plugin(family="LaMP"), "the tag in lm_eval 'lamp_rag'"),
        (plugin("bm25x", family="Own data") + plugin(), None),
    ],
)
def test_names_cannot_collide_silently(
    code: str, message: str | None, install: InstallPlugin
) -> None:
    install("qrag_stars", code)
    if message is None:
        assert "stars" in catalog.TASKS
        return
    with pytest.raises(PluginError, match=message):
        len(catalog.TASKS)
    result = CliRunner().invoke(main, ["plugins"])
    assert result.exit_code == 1
    assert message[:30] in result.output


def test_two_plugins_with_one_task(install: InstallPlugin) -> None:
    install("qrag_stars", plugin())
    install("qrag_other", plugin(family="Other", groups=()))
    with pytest.raises(PluginError, match="two plugins register the task 'stars': 'qrag_"):
        catalog.task_named("stars")


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (plugin(row="moons"), "what is registered as 'stars' calls itself 'moons'"),
        (plugin("own-stars"), "begins with 'own-', as the rows of own data do"),
        (plugin(groups=("stars_all",)), "is in the group 'stars_all': expected a name with '_rag'"),
        (plugin(groups=("stars_rag",)), "is in the group 'stars_rag': expected .* not stars_rag"),
        (
            plugin().replace("replace(LAMP", "(LAMP").replace('], name="stars"', ', "stars"'),
            "SyntaxE",
        ),
        ("from qrag_tasks import hookimpl\nraise OSError('gone')", "OSError: gone"),
        (
            "from qrag_tasks import hookimpl, Task\n@hookimpl\n"
            "def qrag_register_tasks(register):\n    register('stars', Task)\n",
            "is a class: register a row",
        ),
        (
            "from qrag_tasks import hookimpl\n@hookimpl\n"
            "def qrag_register_tasks(register):\n    register('stars', 'lamp3u')\n",
            r"is not a row of a task \(qrag_tasks.Task\), as it has no prompt",
        ),
    ],
)
def test_a_broken_plugin_takes_only_its_own_tasks_down(
    code: str, cause: str, install: InstallPlugin
) -> None:
    install("qrag_stars", code)
    with pytest.warns(RuntimeWarning, match=cause):
        assert "lamp3u" in catalog.TASKS
    assert "stars" not in catalog.TASKS
    with pytest.raises(SettingsError, match=f"(?s)unknown task 'stars'.*Not loaded.*{cause}"):
        registry.TASKS.get("stars")
    plugins.forget()


def test_plain_lm_eval_runs_a_plugins_task(
    install: InstallPlugin,
    tmp_path: Path,
    small_data: Path,
    lm_eval_command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    install("qrag_stars", plugin())
    site = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")]))
    arguments = ("--model", "dummy", "--metadata", f'{{"data": "{small_data}"}}')
    done = lm_eval_command("--tasks", "stars_rag_all_k1", *arguments, PYTHONPATH=site)
    assert done.returncode == 0, done.stderr
    assert "stars_rag_k1" in done.stdout
