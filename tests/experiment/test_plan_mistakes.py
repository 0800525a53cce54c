"""What is wrong with a plan: all of it at once, by line and field."""

from __future__ import annotations

from pathlib import Path

import pytest
from plan_files import SMALL, complaints, written

from qrag_tasks.errors import PlanError
from qrag_tasks.experiment.plan import read_plan


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
