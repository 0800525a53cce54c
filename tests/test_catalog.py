"""Task names, groups and files: one table, and everything agrees with it."""

from __future__ import annotations

import pytest

from qrag_tasks import catalog
from qrag_tasks.errors import SettingsError
from qrag_tasks.harness import task_files
from qrag_tasks.locations import task_yamls

K = ("0", "1", "3", "5", "10", "max4k", "max8k")


def test_names_follow_the_design() -> None:
    tasks = [f"lamp{n}{split}" for n in range(1, 8) for split in "ut"]
    assert set(catalog.CATALOG) == {f"{task}_rag_k{k}" for task in tasks for k in K}
    assert set(catalog.GROUPS) == {
        f"{group}_k{k}" for group in ("lamp_rag", "lamp_rag_all", "lamp_rag_time") for k in K
    }
    assert catalog.GROUPS["lamp_rag_k5"] == ("lamp3u_rag_k5", "lamp5u_rag_k5")
    assert catalog.GROUPS["lamp_rag_time_kmax4k"] == tuple(
        f"lamp{n}t_rag_kmax4k" for n in (1, 2, 3, 4, 5, 7)
    )


def test_what_k_asks_for() -> None:
    five, window = catalog.entry("lamp3u_rag_k5"), catalog.entry("lamp3u_rag_kmax4k")
    assert (five.documents, five.window, five.asks_for) == (5, None, "5")
    assert (window.documents, window.window) == (None, 4096)
    assert window.asks_for == "as many as fit 4,096 tokens"


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
        (["some/where/lamp3u_rag_k3.yaml"], ["lamp3u_rag_k3"]),
        (["lamp_rag"], [name for name in catalog.CATALOG if not name.startswith("lamp6")]),
        (["lamp6?_rag_k0"], ["lamp6u_rag_k0", "lamp6t_rag_k0"]),
        (["hellaswag"], []),
    ],
)
def test_requested(patterns: list[str], expected: list[str]) -> None:
    assert [entry.name for entry in catalog.requested(patterns)] == expected


def test_unknown_task_says_what_is_known() -> None:
    with pytest.raises(SettingsError, match="Did you mean 'lamp3u_rag_k5'"):
        catalog.entry("lamp3_rag_k5")
    with pytest.raises(SettingsError, match="is a group; name one task"):
        catalog.entry("lamp_rag_k5")


def test_a_name_like_ours_that_lm_eval_does_not_find_is_explained() -> None:
    reason = "Tasks not found: lamp_rag_k7"
    with pytest.raises(
        SettingsError,
        match=r"unknown task 'lamp_rag_k7'.*groups lamp_rag, .*each with _k.0,1,3,5,10,",
    ):
        catalog.explain_unknown(["lamp_rag_k7"], reason)
    catalog.explain_unknown(["hellaswagg"], "Tasks not found: hellaswagg")


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
