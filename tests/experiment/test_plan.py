"""A plan: its arms and cells, and what is said where it is wrong."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_files import SMALL, built, complaints, written
from pydantic import ValidationError

from qrag_tasks.errors import PlanError
from qrag_tasks.experiment.plan import Plan, check_plan, read_plan
from qrag_tasks.experiment.running.cell_folder import cell_settings
from qrag_tasks.prompting.settings import Settings
from qrag_tasks.tasks.base import DEPTHS
from qrag_tasks.tasks.catalog import CATALOG, task_named
from qrag_tasks.tasks.lamp.data import load

EXAMPLES = Path(__file__).parents[2] / "examples"


# ---------------------------------------------------------------------- the grid
def test_a_longer_answer_is_another_grid() -> None:
    one, two = built(), built(answer_tokens=2048)
    assert (one.generation(), two.generation()) == ({}, {"max_gen_toks": 2048})
    assert one.fingerprint() != two.fingerprint()
    (cell,) = one.cells()
    assert cell_settings(one, cell) != cell_settings(two, cell)


def test_the_cells_in_running_order(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, SMALL))
    odd = "bm25-k1-0.9-b-0.4-245035bf"
    of_arm = [
        *("lamp3u_rag_k0", "bm25/lamp3u_rag_k1", "bm25/lamp3u_rag_k5"),
        "bm25/reversed/lamp3u_rag_k5",
        *("lamp5u_rag_k0", "bm25/lamp5u_rag_k1", "bm25/lamp5u_rag_k5"),
        "bm25/reversed/lamp5u_rag_k5",
        *(f"{odd}/lamp3u_rag_k1", f"{odd}/lamp3u_rag_k5", f"{odd}/reversed/lamp3u_rag_k5"),
        *(f"{odd}/lamp5u_rag_k1", f"{odd}/lamp5u_rag_k5", f"{odd}/reversed/lamp5u_rag_k5"),
    ]
    assert [arm.name for arm in plan.arms()] == ["demo/bf16", "demo/int8"]
    assert [cell.folder for cell in plan.cells()] == [
        f"demo/{precision}/{folder}" for precision in ("bf16", "int8") for folder in of_arm
    ]


@given(
    retrievers=st.lists(
        st.text("abz019:=,./-_ ~", min_size=1, max_size=80), min_size=1, max_size=4, unique=True
    ),
    k=st.lists(st.sampled_from([*map(str, DEPTHS)]), min_size=1, max_size=7, unique=True),
    orders=st.lists(
        st.sampled_from(["best-first", "reversed", "shuffled"]), min_size=1, unique=True
    ),
)
def test_every_cell_is_there_once_in_a_folder_of_its_own(
    retrievers: list[str], k: list[str], orders: list[str]
) -> None:
    plan = built(retrievers=retrievers, k=k, orders=orders, tasks=["lamp3u", "lamp5u"])
    cells = plan.cells()
    asked = {
        (cell.task, cell.k, cell.retriever, cell.order)
        for cell in cells
        if cell.task_name in CATALOG
    }
    expected = {
        (
            task,
            each,
            None if each == "0" else retriever,
            None if each in ("0", "1") else order,
        )
        for task in ("lamp3u", "lamp5u")
        for each in k
        for retriever in retrievers
        for order in orders
    }
    assert asked == expected
    assert len(cells) == len(expected) == len({cell.folder for cell in cells})
    for cell in cells:
        parts = cell.folder.split("/")
        assert 3 <= len(parts) <= 5
        assert all(part and not part.startswith(".") and len(part) < 100 for part in parts)
        assert set("".join(parts)) <= set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
        )


def test_what_lm_eval_is_given() -> None:
    plan = built(
        models=[
            {
                "name": "m",
                "pretrained": "owner/m",
                "checkpoints": {"int4-awq": "owner/m-awq"},
                "args": {"max_length": 2048, "dtype": "float16"},
            }
        ],
        precisions=["bf16", "int4-awq"],
        retrievers=["random"],
        protocol="yazan2024",
        fill="exact",
        k=[0, 5],
    )
    args = {"max_length": 2048, "dtype": "float16"}
    assert [dict(arm.arguments) for arm in plan.arms()] == [
        {"pretrained": "owner/m", "precision": "bf16", **args},
        {"pretrained": "owner/m-awq", "precision": "int4-awq", **args},
    ]
    bare, full = plan.cells()[:2]
    common = {"data": "mini", "protocol": "yazan2024", "fill": "exact"}
    assert plan.metadata_of(bare) == common
    assert plan.metadata_of(full) == {**common, "retriever": "random", "order": "best-first"}
    settings = Settings.from_metadata(plan.metadata_of(full), ())
    assert settings.protocol.retriever == "random"


def test_a_model_may_have_precisions_and_k_of_its_own() -> None:
    plan = built(
        models=[{"name": "a"}, {"name": "b", "precisions": ["int8", "fp16"], "k": [0, "max8k"]}],
        precisions=["bf16"],
    )
    assert [cell.folder for cell in plan.cells()] == [
        "a/bf16/bm25/lamp3u_rag_k5",
        "b/int8/lamp3u_rag_k0",
        "b/int8/bm25/lamp3u_rag_kmax8k",
        "b/fp16/lamp3u_rag_k0",
        "b/fp16/bm25/lamp3u_rag_kmax8k",
    ]
    assert [plan.base_of(model) for model in plan.models] == ["bf16", "int8"]
    assert built(base="int8", precisions=["bf16", "int8"]).base_of(plan.models[0]) == "int8"


def test_the_fingerprint_changes_with_what_changes_answers() -> None:
    plan = built(precisions=["bf16", "int8"])
    same = built(precisions=["bf16", "int8"], base="int8", margins={"mae": 0.1}, fidelity=True)
    assert plan.fingerprint() == same.fingerprint()
    others = [
        built(precisions=["bf16", "int8"], **change)
        for change in (
            {"seed": 1},
            {"limit": 3},
            {"chat_template": True},
            {"system_instruction": "x"},
            {"protocol": "lamp"},
            {"retrievers": ["random"]},
            {"models": [{"name": "m", "args": {"max_length": 9}}]},
            {"models": [{"name": "m", "args_of": {"int8": {"max_length": 9}}}]},
            {"kv_caches": ["auto", "fp8"]},
            {"models": [{"name": "m", "kv_caches": ["fp8"]}]},
        )
    ]
    assert len({plan.fingerprint(), *(other.fingerprint() for other in others)}) == 11
    # A grid goes on that was begun before there were such arguments.
    newer = {"answer_tokens", "kv_caches", "fidelity"}
    body = plan.model_dump(mode="json", exclude={"base", "margins", *newer})
    del body["models"][0]["args_of"], body["models"][0]["kv_caches"]
    before = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    assert plan.fingerprint() == before


def test_every_precision_is_run_with_every_cache() -> None:
    model = {"name": "m", "pretrained": "p"}
    plan = built(models=[model], precisions=["bf16", "int8"], kv_caches=["auto", "fp8"])
    assert {arm.name: arm.arguments for arm in plan.arms()} == {
        "m/bf16": {"pretrained": "p", "precision": "bf16"},
        "m/bf16+kv-fp8": {"pretrained": "p", "precision": "bf16", "kv_cache": "fp8"},
        "m/int8": {"pretrained": "p", "precision": "int8"},
        "m/int8+kv-fp8": {"pretrained": "p", "precision": "int8", "kv_cache": "fp8"},
    }
    assert plan.base_arm(plan.models[0]).name == "m/bf16"
    assert {cell.folder.split("/")[1] for cell in plan.cells()} == {
        arm.called for arm in plan.arms()
    }


def test_a_model_may_have_caches_of_its_own() -> None:
    plan = built(
        models=[{"name": "m", "kv_caches": ["int8", "fp8"]}, {"name": "n"}], precisions=["bf16"]
    )
    assert [arm.name for arm in plan.arms()] == ["m/bf16+kv-int8", "m/bf16+kv-fp8", "n/bf16"]
    assert plan.base_arm(plan.models[0]).called == "bf16+kv-int8"


def test_the_cache_has_a_field_of_its_own() -> None:
    with pytest.raises(ValidationError, match="'kv_cache' has a field of its own, kv_caches"):
        built(models=[{"name": "m", "args": {"kv_cache": "fp8"}}])


def test_a_plan_survives_json() -> None:
    plan = built(margins={"mae": 0.05}, k=[0, "max4k"])
    assert Plan.model_validate(plan.model_dump(mode="json")) == plan


def test_a_plan_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        built().name = "other"  # type: ignore[misc]


# ---------------------------------------------------------------------- paths
def test_paths_are_taken_from_the_folder_of_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/of")
    run = tmp_path / "other.trec"
    run.write_text("101 Q0 1010 1 2.0 x\n")
    (tmp_path / "plans").mkdir()
    plan = check_plan(
        written(
            tmp_path / "plans",
            """\
name: p
data: ../data
models:
  - name: m
    pretrained: ./m
    checkpoints: {int8: ~/m-int8, int4-nf4: owner/m.nf4}
  - {name: hub, pretrained: owner/hub}
precisions: [bf16, int8, int4-nf4]
retrievers: ["run:../other.trec"]
tasks: [lamp3u]
k: [5]
""",
        )
    ).plan
    assert plan is not None
    assert plan.data == str(tmp_path / "data")
    assert plan.models[0].pretrained == str(tmp_path / "plans" / "m")
    assert plan.models[0].checkpoints == {"int8": "/home/of/m-int8", "int4-nf4": "owner/m.nf4"}
    assert plan.models[1].pretrained == "owner/hub"
    assert plan.retrievers == (f"run:{run}",)


# ---------------------------------------------------------------------- plugins
def test_a_known_plugin_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qrag_tasks import plugins

    monkeypatch.setenv("QRAG_BLOCK_PLUGINS", "qrag-dense")
    plugins.forget()
    path = written(tmp_path, SMALL.replace("[bm25,", '["dense:model=x", contriever,'))
    told = (
        "retriever 'contriever' is not installed: pip install ./plugins/qrag-dense, in a clone of "
        "qrag-tasks"
    )
    with pytest.raises(PlanError) as caught:
        read_plan(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert f"{path}:5: retrievers[1]: {told}" in lines
    checked = check_plan(path)
    assert checked.plan is not None
    assert checked.plan.retrievers[:2] == ("dense:model=x", "contriever")
    assert (checked.mistakes, len(checked.missing)) == ((), 2)
    plugins.forget()


def test_a_plugins_retriever_is_checked_without_being_built(tmp_path: Path, install: Any) -> None:
    install(
        "heavy",
        "from qrag_tasks import hookimpl\n"
        "def heavy(size: int = 1):\n"
        "    raise RuntimeError('it was built')\n"
        "@hookimpl\n"
        "def qrag_register_retrievers(register):\n"
        "    register('heavy', heavy)\n",
    )
    plan = read_plan(written(tmp_path, SMALL.replace("[bm25,", '["heavy:size=2",')))
    assert plan.retrievers[0] == "heavy:size=2"
    (mistake,) = complaints(tmp_path, SMALL.replace("[bm25,", '["heavy:sice=2",'))
    assert "retriever 'heavy' has no option 'sice' (known: size). Did you mean 'size'?" in mistake


# ---------------------------------------------------------------------- examples
def test_the_examples_are_plans() -> None:
    checked = {path.stem: check_plan(path) for path in EXAMPLES.glob("*.yaml")}
    plans = {name: found.plan for name, found in checked.items() if found.plan is not None}
    assert {name: plan.name for name, plan in plans.items()} == {
        name: name
        for name in (
            *("bits", "bits-cpu", "embedded", "kv-cache", "mini", "reviews-and-papers"),
            "yazan2024",
        )
    }
    mini, paper, real = plans["mini"], plans["yazan2024"], plans["reviews-and-papers"]
    assert not checked["mini"].missing and not checked["embedded"].missing
    assert {arm.arguments.get("pretrained") for arm in mini.arms()} == {None}
    assert len(mini.cells()) == 12
    # Where none of the samples differs, the rule of three shows equivalence.
    assert mini.limit is None
    samples = len(load(task_named("lamp3u"), "mini").samples)
    rest = 1 - 0.05 ** (1 / samples)
    assert mini.margins["mae"] > 4 * rest
    assert mini.margins["rougeL"] > rest
    assert len(paper.models) == 6
    assert {cell.k for cell in paper.cells()} == {"0", "1", "3", "5", "max4k", "max8k"}
    assert {cell.k for cell in paper.cells() if cell.arm.model == "llama2-7b"} == {
        *("0", "1", "3", "5", "max4k")
    }
    assert {cell.order for cell in paper.cells()} == {
        *(None, "best-first", "reversed-before-filling", "shuffled-before-filling")
    }
    assert paper.protocol == "yazan2024"
    # 2 models, 4 precisions, 2 tasks, 4 retrievers at 4 k, and k = 0.
    assert len(real.cells()) == 2 * 4 * 2 * (4 * 4 + 1)
    assert real.data == str(Path("~/data/reviews-and-papers").expanduser())
