"""A plan: its arms and cells, and what is said where it is wrong."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from qrag_tasks.errors import PlanError
from qrag_tasks.experiment.plan import Plan, check_plan, read_plan
from qrag_tasks.experiment.running.cell_folder import cell_settings
from qrag_tasks.prompting.settings import Settings
from qrag_tasks.tasks.base import DEPTHS
from qrag_tasks.tasks.catalog import CATALOG, task_named
from qrag_tasks.tasks.lamp.data import load

EXAMPLES = Path(__file__).parents[2] / "examples"

SMALL = """\
name: small
models:
  - name: demo
precisions: [bf16, int8]
retrievers: [bm25, "bm25:k1=0.9,b=0.4"]
tasks: [lamp3u, lamp5u]
k: [0, 1, 5]
orders: [best-first, reversed]
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def complaints(tmp_path: Path, text: str) -> list[str]:
    """Return what is said of a plan, without the name of its file."""
    path = written(tmp_path, text)
    with pytest.raises(PlanError) as caught:
        read_plan(path)
    return [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()]


def built(**changes: Any) -> Plan:
    return Plan.model_validate(
        {
            "name": "p",
            "models": [{"name": "m"}],
            "precisions": ["bf16"],
            "tasks": ["lamp3u"],
            "k": [5],
            **changes,
        }
    )


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


# ---------------------------------------------------------------------- mistakes
def test_all_mistakes_are_told_at_once_by_line(tmp_path: Path) -> None:
    mistakes = complaints(
        tmp_path,
        """\
name: a/b
models:
  - name: one
    pretraind: x
  - name: two
    args: {precision: int8}
    k: [7]
precisions: [bf16, int4]
precision: no
tasks: [lamp3]
k: [0, max4]
limit: 0
""",
    )
    assert [line.partition(": ")[0] for line in mistakes] == [
        *("1", "4", "6", "7", "8", "9", "10", "11", "12")
    ]
    messages = [line.partition(": ")[2] for line in mistakes]
    assert messages[0].startswith("name: 'a/b' cannot name a folder: use letters, digits")
    assert messages[1].startswith("models[0].pretraind: unknown field (known: name, pretrained,")
    assert messages[1].endswith("Did you mean 'pretrained'?")
    assert messages[2] == "models[1].args: 'precision' has a field of its own; leave it out of args"
    assert messages[3].startswith("models[1].k[0]: unknown k 7 (known: 0, 1, 3,")
    assert messages[4].startswith("precisions[1]: unknown precision 'int4' (known: fp32, fp16,")
    assert "Did you mean 'precisions'?" in messages[5]
    assert "tasks[0]: unknown task 'lamp3' (known: lamp1u" in messages[6]
    assert messages[7].endswith("Did you mean 'max4k'?")
    assert messages[8] == "limit: expected a whole number of 1 or more, not 0"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("precisions: [no]", "8: precisions[0]: expected a text, such as bf16, not false ("),
        ("precisions: [no]", "('no' as YAML reads it; quoted it is a text)"),
        ("k: [010]", "8: k[0]: unknown k 8 ("),
        ("k: [010]", "('010' as YAML reads it; quoted it is a text)"),
        (
            "split: devv",
            "8: split: unknown split 'devv' (known: train, dev,",
        ),
        ("k: -1", "8: k: expected a list, such as [0, 5], not -1"),
        ("tasks: lamp3u,lamp5u", "8: tasks: expected a list, such as [lamp3u, lamp5u], not"),
        ("precisions: bf16 int8", "8: precisions: expected a list, such as [bf16, int8], not"),
        ("precisions: [null]", "8: precisions[0]: expected a text, such as bf16, not nothing"),
        ("precisions: [8]", "8: precisions[0]: expected a text, such as bf16, not 8"),
        ("fidelity: 5", "8: fidelity: expected a mapping, such as true, not 5"),
        (
            "fidelity: {top: 500}",
            "8: fidelity.top: expected a whole number of 127 or less, not 500",
        ),
        ("fidelity: {answers: own}", "8: fidelity.answers: expected a list, such as [own], not"),
        (
            "fidelity: {answers: [golds]}",
            "8: fidelity.answers[0]: unknown answers 'golds' (known: own, gold). Did you mean",
        ),
        (
            "fidelity: {most: 9}",
            "8: fidelity.most: unknown field (known: top, answers).",
        ),
        ("models: [5]", "8: models[0]: expected a mapping, such as {name: qwen, pretrained:"),
        ("models: 5", "8: models: expected a list, such as [{name: qwen, pretrained:"),
        (
            "models: [{pretrained: x}]",
            "models[0].name: this field is missing; write for example qwen",
        ),
        (
            "retrievers: [bm25:k1=0.9,b=0.4]",
            'quote both: "bm25:k1=0.9,b=0.4"',
        ),
        (
            "data: ~",
            "data: expected a text, not nothing ('~' as YAML reads it; quoted it is a text)",
        ),
        ("k: [-1]", "8: k[0]: unknown k -1 (known: 0, 1, 3, 5, 10, max4k, max8k)."),
        (
            "precisions: [int4]",
            "For 4 bits take int4-nf4 or int4-hqq or int4-quanto, made on loading, or",
        ),
        ("k: 5", "8: k: expected a list, such as [5], not 5"),
        ("tasks: lamp3u", "8: tasks: expected a list, such as [lamp3u], not 'lamp3u'"),
        ("k: []", "8: k: the list is empty: name one at least"),
        ("models: []", "8: models: the list is empty: name one at least"),
        ("name: 12", "8: name: expected a text, not 12"),
        ("name:", "8: name: expected a text, not nothing"),
        ("name: {}", "8: name: expected a text, such as my-grid, not a mapping"),
        ("seed: yes", "8: seed: expected a whole number, not true ('yes' as YAML"),
        ("limit: 2.5", "8: limit: expected a whole number, not 2.5"),
        ("chat_template: 1", "8: chat_template: expected true or false, not 1"),
        ("margins: {mea: 0.1}", "8: margins.mea: unknown metric 'mea' (known: accuracy,"),
        ("margins: {mae: 0}", "8: margins.mae: expected a number above 0, not 0"),
        ("retrievers: [bm52]", "8: retrievers[0]: unknown retriever 'bm52' (known: bm25,"),
        ("retrievers: [bm25, bm25]", "8: retrievers[1]: 'bm25' is there twice"),
        ('retrievers: ["bm25:k2=1"]', "8: retrievers[0]: retriever 'bm25' has no option 'k2'"),
        ("prompt: lampp", "8: prompt: unknown prompt style 'lampp' (known: lamp,"),
        ("protocol: yazan", "8: protocol: unknown protocol 'yazan' (known: qrag,"),
        ("fill: papr", "8: fill: unknown value 'papr' (known: exact,"),
        ("orders: [worst]", "8: orders[0]: unknown value 'worst'"),
        ("base: int8", "8: base: 'int8' is no precision of model 'm'"),
        ("precisions: [bf16, bf16]", "8: precisions[1]: 'bf16' is there twice"),
        ("models: [{name: m}, {name: m}]", "8: models[1]: 'm' is there twice"),
        ("models: [{name: m, k: [1, 1]}]", "8: models[0].k[1]: '1' is there twice"),
        ("models: [{name: m, args: {a: [1]}}]", "8: models[0].args.a: expected a text, a number"),
        (
            "models:\n- name: m\n- pretrained: x",
            "10: models[1].name: this field is missing; write for example qwen",
        ),
        (
            "models: [Qwen/Qwen2.5-0.5B]",
            "8: models[0]: expected a mapping, such as {name: Qwen2.5-0.5B, pretrained: "
            "Qwen/Qwen2.5-0.5B}, not 'Qwen/Qwen2.5-0.5B'",
        ),
        ("models: a/b", "8: models: expected a list, such as [{name: b, pretrained: a/b}], not"),
        ("models: {name: m}", "8: models: expected a list, such as [{name: qwen, pretrained: ./"),
        ("models: [{name: m, args: 4}]", "8: models[0].args: expected a mapping, such as {max_"),
        (
            "models: [{name: m, checkpoints: [a]}]",
            "8: models[0].checkpoints: expected a mapping, such as {int4-gptq: ./models/",
        ),
        ("retrievers: [{bm25: {k1: 0.9}}]", 'expected a text, such as "bm25:k1=0.9,b=0.4", not a'),
        ("precisions: {bf16: 1}", "8: precisions: expected a list, such as [bf16, int4-nf4], not"),
        ("precisions: [[bf16]]", "8: precisions[0]: expected a text, such as bf16, not a list"),
        ("margins: [mae]", "8: margins: expected a mapping, such as {mae: 0.05}, not a list"),
        ("margins: {mae: .inf}", "8: margins.mae: expected a finite number, not inf"),
        (
            "precisions: [bf16, int4-gptq]",
            "4: models[0].checkpoints.int4-gptq: model 'm' has no checkpoint for int4-gptq: name",
        ),
        (
            "models: [{name: m, checkpoints: {int8: x}}]",
            "8: models[0].pretrained: model 'm' has nothing to make bf16 of",
        ),
        (
            "models: [{name: m, checkpoints: {int9: x}}]",
            "8: models[0].checkpoints.int9: unknown precision 'int9'",
        ),
    ],
)
def test_a_mistake(tmp_path: Path, line: str, told: str) -> None:
    field = line.partition(":")[0]
    lines = [
        *("# a plan", "name: p", "data: mini", "models: [{name: m}]", "precisions: [bf16]"),
        *("tasks: [lamp3u]", "k: [5]"),
    ]
    body = ["#" if kept.startswith(f"{field}:") else kept for kept in lines]
    mistakes = complaints(tmp_path, "\n".join([*body, line]))
    assert len(mistakes) == 1, mistakes
    assert told in mistakes[0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("protocol: yazan2024\ntasks: [lamp3u, lamp1u]", "tasks[1]: protocol 'yazan2024' is for"),
        (
            "answer: likelihood\ntasks: [lamp3u]\nanswer_tokens: 9",
            "answer_tokens: answer 'likelihood' generates nothing",
        ),
        (
            "answer: likelihood\ntasks: [lamp3u]\nfidelity: true",
            "fidelity: answer 'likelihood' generates nothing that could be read",
        ),
        ("answer: likelihood\ntasks: [lamp5u]", "tasks[0]: answer 'likelihood' is for the tasks"),
        (
            "tasks: [lamp3u]\ncontext_tokens: 2048\nk: [1, max4k]",
            "k[1]: 'max4k' fixes the window to 4096 tokens, but context_tokens is 2048",
        ),
        ("tasks: [lamp3u]\nfill: trimmed", "fill: fill 'trimmed' needs context_tokens"),
    ],
)
def test_choices_that_exclude_each_other(tmp_path: Path, text: str, told: str) -> None:
    head = "name: p\nmodels: [{name: m}]\nprecisions: [bf16]\n"
    mistakes = complaints(tmp_path, head + ("" if "\nk:" in text else "k: [5]\n") + text)
    assert len(mistakes) == 1, mistakes
    assert told in mistakes[0]


def test_what_is_missing_and_what_is_there_twice(tmp_path: Path) -> None:
    mistakes = complaints(
        tmp_path, "# x\nname: p\nk: [5]\nmodels:\n  - name: m\n    name: n\nk: [1]\n"
    )
    assert mistakes == [
        "2: precisions: this field is missing; write for example [bf16, int4-nf4]",
        "2: tasks: this field is missing; write for example [lamp3u, lamp5u]",
        "6: models[0].name: it is there twice",
        "7: k: it is there twice",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: p\n  k: [1\n", ":2: not valid YAML: mapping values are not allowed here"),
        ("k: [0, 1\n", ":2: not valid YAML: expected ',' or ']'"),
        ("", ": not a plan: expected fields such as name, models, precisions"),
        ("- a\n", ": not a plan: expected fields"),
        ("k: &k [*k]\n", ":1: not valid YAML: an alias stands within what it stands for"),
        ("k: !!python/name:os.system\n", ":1: not valid YAML: could not determine a constructor"),
        ("? [a]\n: 1\n", ":1: not valid YAML: found unhashable key"),
        ("name: 2024-13-45\n", ": not valid YAML: month must be in 1..12"),
        ("name: \x07\n", ": not valid YAML: special characters are not allowed"),
    ],
)
def test_what_is_no_plan_at_all(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(PlanError) as caught:
        read_plan(path)
    assert str(caught.value).startswith(f"{path}{told}")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"nowhere\.yaml: there is no such file"):
        read_plan(tmp_path / "nowhere.yaml")
    with pytest.raises(PlanError, match="is a folder: name the plan, a YAML file"):
        read_plan(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("name: é".encode("latin-1"))
    with pytest.raises(PlanError, match=r"latin\.yaml: not UTF-8 text at byte"):
        read_plan(tmp_path / "latin.yaml")


def test_a_byte_order_mark_is_no_part_of_a_plan(tmp_path: Path) -> None:
    marked = tmp_path / "marked.yaml"
    marked.write_text(SMALL, encoding="utf-8-sig")
    assert read_plan(marked) == read_plan(written(tmp_path, SMALL))
    marked.write_text(SMALL, encoding="utf-16")
    with pytest.raises(PlanError, match=r"marked\.yaml: not UTF-8 text but UTF-16"):
        read_plan(marked)


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
