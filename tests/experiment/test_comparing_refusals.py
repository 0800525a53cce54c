"""Arms compared: what does not pair is refused, or noted, with its cause."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rated_arms import PROMPTS, answers, compared, samples
from run_files import QUANTIZED, write_run

from qrag_tasks.errors import ComparisonError
from qrag_tasks.experiment.comparison.tables.records import flat, nested
from qrag_tasks.logs.schema import LoggedArm

TEMPLATE = "{% for turn in turns %}" + "{{ turn }}" * 5 + "user"


def refused(one: Path, two: Path, **options: Any) -> str:
    with pytest.raises(ComparisonError) as error:
        compared(one, two, **options)
    return str(error.value)


def test_other_prompts(base: Path, tmp_path: Path) -> None:
    rows = samples(answers(6))
    rows[7]["arguments"]["gen_args_0"]["arg_0"] = PROMPTS[7].replace("näher", "naher")
    two = write_run(tmp_path / "two", rows, model_args=QUANTIZED)
    message = refused(base, two)
    place = PROMPTS[7].index("ä")
    assert f"sample 90007: its prompts differ from character {place} on:" in message
    assert "näher" in message
    assert "naher" in message
    assert str(base) in message
    assert str(two) in message


def test_a_prompt_that_only_goes_on(base: Path, tmp_path: Path) -> None:
    rows = samples(answers(6))
    rows[0]["arguments"]["gen_args_0"]["arg_0"] += "!"
    two = write_run(tmp_path / "two", rows, model_args=QUANTIZED)
    assert f"differ from character {len(PROMPTS[0])} on" in refused(base, two)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"chat_template_sha": None}, "they differ in chat template: '{% for turn in turns %}{{ t"),
        ({"system_instruction_sha": "e"}, "they differ in system instruction: None and 'e'"),
        ({"fewshot_as_multiturn": True}, "they differ in few-shot examples as turns"),
        ({"config": {"gen_kwargs": {"temperature": 1}}}, "they differ in generation arguments: {}"),
        ({"facts": {"data_sha256": "e"}}, "they differ in data: 'ddd"),
        ({"facts": {"answer": "likelihood"}}, "they differ in answer mode: 'generate' and 'like"),
        ({"facts": {"protocol": "lamp"}}, "they differ in protocol: 'qrag' and 'lamp'"),
        (
            {"chat_template_sha": "e", "chat_template": TEMPLATE.replace("user", "human")},
            "they differ in chat template: from character 73 on: '{{ turn }}",
        ),
        (
            {"system_instruction_sha": "e", "system_instruction": "Be brief."},
            "they differ in system instruction: None and 'Be brief.'",
        ),
        ({"facts": {"retriever": "random"}}, "they differ in retriever: 'bm25' and 'random'"),
    ],
)
def test_other_settings_are_named_as_the_cause(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    base = write_run(tmp_path / "base", samples(answers(6)), chat_template=TEMPLATE)
    rows = samples(answers(6))
    for row in rows:
        # What such settings do to prompts must not hide them.
        row["arguments"]["gen_args_0"]["arg_0"] += "<|end|>"
    two = write_run(tmp_path / "two", rows, model_args=QUANTIZED, **changes)
    assert told in refused(base, two)


def test_a_retriever_of_another_version_matters_where_prompts_differ(
    base: Path, tmp_path: Path
) -> None:
    changed = {"facts": {"retriever_sha256": "e"}, "model_args": QUANTIZED}
    same = write_run(tmp_path / "same", samples(answers(6)), **changed)
    assert compared(base, same).cells[0].agreement.same_text == 1
    rows = samples(answers(6))
    rows[0]["arguments"]["gen_args_0"]["arg_0"] += "!"
    other = write_run(tmp_path / "other", rows, **changed)
    message = refused(base, other)
    assert "sample 90000: its prompts differ from character" in message
    assert "Their retrievers differ in options, version or code: rank both by the" in message


def test_without_documents_the_retriever_is_no_matter(tmp_path: Path) -> None:
    one, two = (
        write_run(
            tmp_path / name,
            samples(answers(6)),
            task="lamp3u_rag_k0",
            facts={"retriever": name, "order": name},
            model_args=arguments,
        )
        for name, arguments in (("bm25", {}), ("random", QUANTIZED))
    )
    comparison = compared(one, two)
    assert comparison.cells[0].agreement.same_text == 1
    for record in (flat(comparison)[0], nested(comparison)["cells"][0]["facts"]):
        assert (record["k"], record["retriever"], record["order"]) == ("0", "none", None)


def test_one_document_has_no_order(tmp_path: Path) -> None:
    one, two = (
        write_run(
            tmp_path / name,
            samples(answers(6)),
            facts={"order": name},
            model_args=arguments,
        )
        for name, arguments in (("best-first", {}), ("reversed", QUANTIZED))
    )
    assert {record["order"] for record in flat(compared(one, two))} == {None}


def test_other_golds(base: Path, tmp_path: Path) -> None:
    rows = samples(answers(6))
    rows[5]["target"] = "3"
    two = write_run(tmp_path / "two", rows, model_args=QUANTIZED)
    assert "sample 90005: its golds differ: '1' and '3'" in refused(base, two)


def test_other_stop_strings(base: Path, tmp_path: Path) -> None:
    rows = samples(answers(6))
    for row in rows:
        row["arguments"]["gen_args_0"]["arg_1"]["until"] = ["\n"]
    two = write_run(tmp_path / "two", rows, model_args=QUANTIZED)
    assert "sample 90000: its stop strings differ: [] and ['\\n']" in refused(base, two)


def test_other_orders(tmp_path: Path) -> None:
    one, two = (
        write_run(
            tmp_path / order, samples(answers(6)), task="lamp3u_rag_k3", facts={"order": order}
        )
        for order in ("best-first", "reversed")
    )
    assert "they differ in order: 'best-first' and 'reversed'" in refused(one, two)


def test_samples_that_only_one_has(base: Path, tmp_path: Path) -> None:
    fewer = write_run(tmp_path / "two", samples(answers(6))[10:50], model_args=QUANTIZED)
    message = refused(base, fewer)
    assert "the first alone has 20 (90000, 90001, 90002, ...), the second alone 0. Run" in message
    assert "--common" in message
    (cell,) = compared(base, fewer, common=True).cells
    assert cell.samples == 40
    none = write_run(tmp_path / "three", samples(answers(6))[:10], model_args=QUANTIZED)
    assert "they have no sample in common" in refused(fewer, none, common=True)


def test_arms_that_computed_in_another_dtype(base: Path, tmp_path: Path) -> None:
    """Their difference is not that of the weights alone; it is compared, and told."""
    wide = {"config": {"model_dtype": "torch.bfloat16"}}
    one = write_run(tmp_path / "bf16", samples(answers(6)), **wide)
    half = {"config": {"model_dtype": "torch.float16"}}
    two = write_run(tmp_path / "half", samples(answers(7)), model_args=QUANTIZED, **half)
    same = write_run(tmp_path / "same", samples(answers(7)), model_args=QUANTIZED, **wide)
    (note,) = compared(one, two).notes
    assert "bf16 computed in bfloat16 and model-1b int4-nf4 in float16" in note
    assert not compared(one, same).notes
    assert not compared(base, two).notes  # what is not logged is not known


UNKNOWN_NOISE = (
    "how much of a difference the batches alone make is not known: measure it by `qrag noise "
    "--out`, and name that file by --noise"
)


def test_arms_that_another_engine_ran(base: Path, tmp_path: Path) -> None:
    """Their difference is the engine's, too; it is compared, and told."""

    def ran(folder: str, precision: str, **engine: str) -> Path:
        arm = LoggedArm(precision=precision, engine=engine or None).as_dict()
        return write_run(tmp_path / folder, samples(answers(6)), config={"qrag": arm})

    ours, quantized = ran("one", "fp16"), ran("two", "int8")
    served = ran("three", "int4-awq", name="served", evidence="stated")
    assert compared(ours, served).notes == [
        "model-1b fp16 was run by transformers and model-1b int4-awq by served, so the difference "
        "has two causes; to part them, run model-1b fp16 by served, too: compared with that run, "
        "model-1b int4-awq shows what the precision does, and model-1b fp16 what the engine does",
        "the precision of model-1b fp16 is read off every loaded layer, that of model-1b int4-awq "
        "a server's word",
        UNKNOWN_NOISE,
    ]
    assert compared(ours, quantized).notes == [UNKNOWN_NOISE]
    assert compared(base, served).notes == [UNKNOWN_NOISE]  # what is not logged is not known


def test_whether_batches_may_have_changed_answers(base: Path, tmp_path: Path) -> None:
    def ran(folder: str, precision: str, deterministic: bool) -> Path:
        arm = LoggedArm(precision=precision, deterministic=deterministic).as_dict()
        return write_run(tmp_path / folder, samples(answers(6)), config={"qrag": arm})

    fixed, quantized = ran("one", "fp16", True), ran("two", "int8", True)
    free, other = ran("three", "int4-nf4", False), ran("four", "bf16", False)
    (note,) = compared(fixed, quantized).notes
    assert note.endswith("(deterministic=True), so the noise of batches is excluded")
    (note,) = compared(fixed, free).notes
    assert "the answers of 1 arm did not depend on their batch" in note
    assert "those of model-1b int4-nf4 may have: run every arm with it" in note
    assert compared(other, free).notes == [UNKNOWN_NOISE]


def test_deterministic_answers_that_were_not_shared_out_alike(base: Path, tmp_path: Path) -> None:
    def ran(folder: str, precision: str, models: int, engine: dict[str, str] | None) -> Path:
        arm = LoggedArm(
            precision=precision, deterministic=True, cost={"ranks": models}, engine=engine
        ).as_dict()
        return write_run(tmp_path / folder, samples(answers(6)), config={"qrag": arm})

    vllm = {"name": "vllm", "evidence": "layers"}
    one, two = ran("one", "fp16", 1, vllm), ran("two", "fp8", 2, vllm)
    comparison = compared(one, two)
    (note,) = comparison.notes
    assert "the answers of model-1b fp16 (1 replica), model-1b fp8 (2 replicas) did not" in note
    assert note.endswith("give every arm the same data_parallel_size")
    assert {cell.batch_noise for cell in comparison.cells} == {"unknown"}
    alike = compared(two, ran("three", "int8", 2, vllm))
    assert {cell.batch_noise for cell in alike.cells} == {"excluded"}
    # Of transformers, whose deterministic batches hold one prompt, ranks change nothing.
    ranks = compared(ran("four", "fp16", 1, None), ran("five", "int8", 2, None))
    assert {cell.batch_noise for cell in ranks.cells} == {"excluded"}


def test_runs_of_other_tasks(base: Path, tmp_path: Path) -> None:
    two = write_run(tmp_path / "two", samples(answers(6)), task="lamp3u_rag_k3")
    told = "model-1b bf16 (two): lamp3u_rag_k3, bm25, best-first is not in the base"
    assert f"the runs have no task in common: {told}" in refused(base, two)
    write_run(two, samples(answers(7)), time="2026-11-23T00-00-00.5")
    comparison = compared(base, two)
    assert comparison.notes == [told]


def test_what_has_no_counterpart_is_one_note(base: Path, other: Path) -> None:
    for k in ("0", "3", "5", "10"):
        write_run(other / k, samples(answers(7)), task=f"lamp3u_rag_k{k}", model_args=QUANTIZED)
    write_run(base / "0", samples(answers(7)), task="lamp5u_rag_k1")
    assert compared(base, other).notes == [
        "model-1b int4-nf4: 4 tasks are not in the base: lamp3u_rag_k0, none, "
        "lamp3u_rag_k10, bm25, best-first, lamp3u_rag_k3, bm25, best-first, ...",
        "model-1b bf16: lamp5u_rag_k1, bm25 is not in model-1b int4-nf4",
    ]


def test_a_base_of_two_runs(base: Path, other: Path) -> None:
    write_run(base, samples(answers(6)), time="2026-11-23T00-00-00.5")
    assert "both of the base: name the folder of one arm's one run" in refused(base, other)


def test_a_sample_twice(base: Path, tmp_path: Path) -> None:
    rows = samples(answers(6))
    two = write_run(tmp_path / "two", [*rows, rows[3]], model_args=QUANTIZED)
    assert "sample 90003 appears twice" in refused(base, two)
