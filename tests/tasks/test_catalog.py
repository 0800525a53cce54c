"""Task names, groups and files: one table, and everything agrees with it."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path
from typing import Any

import pytest

from qrag_tasks.errors import SettingsError
from qrag_tasks.locations import task_yamls
from qrag_tasks.tasks import catalog, task_files
from qrag_tasks.tasks.lamp.table import LAMP_TASKS

K = ("0", "1", "3", "5", "10", "max4k", "max8k")


def test_names_follow_the_design() -> None:
    tasks = ["own", *(f"lamp{n}{split}" for n in range(1, 8) for split in "ut")]
    assert set(catalog.CATALOG) == {f"{task}_rag_k{k}" for task in tasks for k in K}
    assert set(catalog.GROUPS) == {
        f"{group}_k{k}" for group in ("lamp_rag", "lamp_rag_all", "lamp_rag_time") for k in K
    }
    assert catalog.GROUPS["lamp_rag_k5"] == ("lamp3u_rag_k5", "lamp5u_rag_k5")
    assert catalog.GROUPS["lamp_rag_time_kmax4k"] == tuple(
        f"lamp{n}t_rag_kmax4k" for n in (1, 2, 3, 4, 5, 7)
    )


def test_task_files_are_those_of_the_catalog() -> None:
    on_disk = {
        path.relative_to(task_yamls()).as_posix(): path.read_text(encoding="utf-8")
        for path in task_yamls().rglob("*yaml")
    }
    assert on_disk == task_files.render()


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["lamp3u_rag_k5"], ["lamp3u_rag_k5"]),
        (["lamp_rag_k1"], ["lamp3u_rag_k1", "lamp5u_rag_k1"]),
        (["hellaswag", "lamp5u_rag_k0"], ["lamp5u_rag_k0"]),
        (["lamp3u_rag_k1*"], ["lamp3u_rag_k1", "lamp3u_rag_k10"]),
        ([str(task_yamls() / "lamp3u" / "lamp3u_rag_k3.yaml")], ["lamp3u_rag_k3"]),
        ([str(task_yamls() / "*" / "lamp6t_rag_k[05].yaml")], ["lamp6t_rag_k0", "lamp6t_rag_k5"]),
        ([str(task_yamls() / "groups" / "lamp_rag_k1.yaml")], ["lamp3u_rag_k1", "lamp5u_rag_k1"]),
        (["lamp_rag"], [name for name in catalog.CATALOG if re.match("lamp[^6]", name)]),
        (["lamp6?_rag_k0"], ["lamp6u_rag_k0", "lamp6t_rag_k0"]),
        (["hellaswag"], []),
    ],
)
def test_requested(patterns: list[str], expected: list[str]) -> None:
    assert [entry.name for entry in catalog.requested(patterns)] == expected


def test_files_of_others_are_not_ours_whatever_they_are_called(tmp_path: Path) -> None:
    for name in ("lamp3u_rag_k1", "lamp_rag", "mine"):
        (tmp_path / f"{name}.yaml").write_text("task: mine\n", encoding="utf-8")
    assert catalog.requested([str(tmp_path / "*.yaml")]) == []
    assert catalog.requested([str(tmp_path / "lamp3u_rag_k1.yaml")]) == []


def test_groups_lie_within_one_another_or_apart() -> None:
    """without_overlap relies on it."""
    sets = [catalog.members(name) for name in [*catalog.GROUPS, *catalog.TAGS]]
    for one in sets:
        assert all(one <= other or other <= one or not one & other for other in sets)


@pytest.mark.parametrize(
    ("names", "left", "held"),
    [
        (["lamp_rag_k1", "lamp3u_rag_k1"], ["lamp_rag_k1"], {"lamp3u_rag_k1": "lamp_rag_k1"}),
        (["lamp_rag_k1", "lamp_rag_all_k1"], ["lamp_rag_all_k1"], None),
        (["lamp5u_rag_k1", "lamp_rag", "lamp_rag_k0"], ["lamp_rag"], None),
        (["lamp3u_rag_k1", "x", {"task": "y"}], ["lamp3u_rag_k1", "x", {"task": "y"}], {}),
        (["lamp_rag_k1", "lamp_rag_k3"], ["lamp_rag_k1", "lamp_rag_k3"], {}),
    ],
)
def test_no_task_stands_in_two_names(
    names: list[Any], left: list[Any], held: dict[str, str] | None
) -> None:
    tasks = catalog.without_overlap(names)
    assert tasks[0] == left
    assert held is None or tasks[1] == held


def test_a_pattern_holds_all_its_tasks_once() -> None:
    matched = fnmatch.filter([*catalog.CATALOG, *catalog.GROUPS, *catalog.TAGS], "lamp*_rag_k1")
    left, _ = catalog.without_overlap(sorted([*matched, "lamp_rag_k1", "lamp_rag_all_k1"]))
    tasks = [task for name in left for task in catalog.members(name)]
    assert len(tasks) == len(set(tasks)) == 14


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("lamp3_rag_k5", "lamp3u_rag_k5 (user-based split) or lamp3t_rag_k5 (time-based split)?"),
        ("lamp3u_rag_k5,lamp5u_rag_k5", "Name one task."),
        ("LaMP_3", "Write for example lamp3u_rag_k5 (user-based split) or lamp3t_rag_k5"),
        ("lamp-5t", "Write for example lamp5t_rag_k5 (time-based split)."),
        (" Lamp3u_rag_k5", "Did you mean 'lamp3u_rag_k5'?"),
        ("lamp_rga_k10", "Did you mean 'lamp_rag_k10'?"),
        ("lamp5u_rag_k4", "'lamp5u_rag' has no k of '4': it is one of 0, 1, 3, 5, 10, max4k, "),
        ("lamp8u_rag_k1", "max8k})."),
    ],
)
def test_an_unknown_task_says_what_is_known_and_never_advises_another_k(
    name: str, hint: str
) -> None:
    with pytest.raises(SettingsError, match=r"unknown task .* \(known: lamp1u_rag, ") as caught:
        catalog.entry(name)
    assert hint in str(caught.value)
    if name == "lamp8u_rag_k1":
        assert str(caught.value).endswith(hint)


def test_a_group_is_not_a_task() -> None:
    with pytest.raises(SettingsError, match="is a group; name one task"):
        catalog.entry("lamp_rag_k5")


def test_all_names_that_lm_eval_does_not_find_are_told_at_once() -> None:
    names = ["lamp3u_rag_k1", "lamp_rag_k7", "LaMP_3", "hellaswagg"]
    with pytest.raises(
        SettingsError,
        match=r"unknown tasks 'lamp_rag_k7', 'LaMP_3'; lm_eval does not know 'hellaswagg' either "
        r"\(known: .*groups lamp_rag, .*each with _k.0,1,3,5,10,.*'lamp_rag' has no k of '7'.*"
        r"Write for example lamp3u_rag_k5",
    ):
        catalog.explain_unknown(names, "Tasks not found: lamp_rag_k7, LaMP_3, hellaswagg")
    catalog.explain_unknown(["hellaswagg"], "Tasks not found: hellaswagg")


def test_a_task_of_a_package_of_ours_that_is_not_installed_names_the_package() -> None:
    said = r"qrag-longlamp, which is not installed: pip install \./plugins/qrag-longlamp"
    with pytest.raises(SettingsError, match=said):
        catalog.task_named("longlamp-topic-user")
    for name in ("longlamp_rag_user_k5", "longlamp-topic-user_rag_k1"):
        with pytest.raises(SettingsError, match=said):
            catalog.explain_unknown([name], f"Tasks not found: {name}")


@pytest.mark.parametrize("package", catalog._PACKAGES.values())
def test_the_packages_of_ours_are_there(package: str) -> None:
    assert (Path(__file__).parents[2] / "plugins" / package / "pyproject.toml").is_file()


def test_rewriting_removes_only_our_own_stale_files(tmp_path) -> None:
    task_files.write(tmp_path)
    foreign = tmp_path / "mine.yaml"
    foreign.write_text("task: mine\n", encoding="utf-8")
    stale = tmp_path / "lamp3u" / "lamp3u_rag_k4.yaml"
    stale.write_text(
        (tmp_path / "lamp3u" / "lamp3u_rag_k5.yaml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    task_files.write(tmp_path)
    assert foreign.exists()
    assert not stale.exists()


@pytest.mark.parametrize("name", catalog.TASKS)
def test_every_row_says_all_of_its_task(name: str) -> None:
    task = catalog.TASKS[name]
    assert task.name == name == str(task)
    for field in ("family", "license", "official_name", "setting", "summary"):
        assert getattr(task, field).strip() == getattr(task, field) != "", field
    assert re.fullmatch(r"\d+\.\d+", task.version)
    assert re.fullmatch(r"\d{4}\.\d{5}|", task.reference)
    assert task.name.startswith(task.family.lower().split()[0])
    assert all(group.startswith(f"{task.family.lower()}_rag") for group in task.groups)
    # Of what nearly nobody has, nothing stands in a group or under a tag.
    assert bool(task.groups) == (task.tag is not None) == task.source.public
    assert task.answer_tokens > 0


def test_the_kinds_of_answers() -> None:
    kinds = {name: task.answer.name for name, task in LAMP_TASKS.items()}
    of_number = {1: "labels", 2: "labels", 3: "ratings"}
    assert kinds == {
        f"lamp{number}{split}": of_number.get(number, "text")
        for number in range(1, 8)
        for split in "ut"
    }
    assert catalog.TASKS["lamp3u"].answer.spans == {"mae": 4.0, "rmse": 16.0}
