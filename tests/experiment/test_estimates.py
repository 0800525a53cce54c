"""What a plan is said to come to, against what it comes to."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lamp_files import papers, reviews, write_flat
from quantized_files import awq_config, gptq_config, load_packed, quantized_folder

from qrag_tasks.errors import DataError, RetrieverError
from qrag_tasks.experiment.plan import Plan
from qrag_tasks.experiment.plan.estimates import Estimate, estimate
from qrag_tasks.experiment.plan.weights import weight_bytes
from qrag_tasks.locations import embedded_model
from qrag_tasks.plugins import build_retriever
from qrag_tasks.prompting import pipeline
from qrag_tasks.prompting.rankings import Rankings
from qrag_tasks.tasks.catalog import task_named
from qrag_tasks.tasks.lamp.data import load


def plan(**changes: Any) -> Plan:
    return Plan.model_validate(
        {
            "name": "p",
            "models": [{"name": "m", "pretrained": "owner/nowhere"}],
            "precisions": ["bf16"],
            "tasks": ["lamp3u", "lamp5u"],
            "k": [0, 1, 5],
            "data": "mini",
            **changes,
        }
    )


def of_model(folder: Path, **changes: Any) -> Plan:
    args = changes.pop("args", {})
    return plan(models=[{"name": "m", "pretrained": str(folder), "args": args}], **changes)


def tokens(found: Estimate) -> dict[str, int | None]:
    return {row.cell.folder: row.prompt_tokens for row in found.cells}


# ---------------------------------------------------------------------- prompts
def test_prompts_and_answers_are_counted(small_data: Path) -> None:
    assert len(estimate(plan(data=str(small_data), k=[0, 1, 5, "max4k"])).cells) == 8
    estimated = estimate(plan(data=str(small_data)))
    assert [row.prompts for row in estimated.cells] == [3] * 6
    # A rating has 16 tokens at most, a title 32.
    assert [row.answer_tokens for row in estimated.cells] == [48] * 3 + [96] * 3
    assert estimated.total("prompts") == 18
    limited = estimate(plan(data=str(small_data), limit=2))
    assert limited.total("prompts") == 12
    assert estimate(plan(limit=10**6)).total("prompts") == 3 * (40 + 40)
    assert estimate(plan(protocol="yazan2024")).total("answer_tokens") == 64 * sum(
        row.prompts or 0 for row in estimate(plan(protocol="yazan2024")).cells
    )
    longer = estimate(plan(data=str(small_data), answer_tokens=2048))
    assert [row.answer_tokens for row in longer.cells] == [3 * 2048] * 6
    likelihood = estimate(plan(answer="likelihood", tasks=["lamp3u"]))
    assert likelihood.total("answer_tokens") == 0


def test_without_a_tokenizer_characters_are_counted() -> None:
    estimated = estimate(plan(tasks=["lamp5u"], k=[5], retrievers=["bm25", "random"]))
    data = load(task_named("lamp5u"), "mini")
    for row, retriever in zip(estimated.cells, ("bm25", "random"), strict=True):
        rankings = Rankings(data, build_retriever(retriever)).of(range(len(data.ids)), 5)
        records = pipeline.make_prompts(data.task, data.samples, 5, rankings)
        characters = sum(len(record.prompt) for record in records)
        assert row.prompt_tokens == pytest.approx(characters / 4, abs=len(records))
    (source,) = estimated.token_sources
    assert source == "characters / 4 (owner/nowhere: not known before it is downloaded)"


@pytest.mark.parametrize(
    ("chat", "system"), [(False, None), (True, None), (True, "Be brief and kind. " * 40)]
)
def test_tokens_are_those_of_the_run(tiny_model: Path, chat: bool, system: str | None) -> None:
    from transformers import AutoTokenizer

    asked = of_model(
        tiny_model, chat_template=chat, system_instruction=system, args={"max_length": 100_000}
    )
    before = [{"role": "system", "content": system}] if system else []
    estimated = estimate(asked)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    for row in estimated.cells:
        data = load(task_named(row.cell.task), "mini")
        k = int(row.cell.k)
        rankings = Rankings(data, build_retriever("bm25")).of(range(len(data.ids)), k)
        prompts = [
            record.prompt for record in pipeline.make_prompts(data.task, data.samples, k, rankings)
        ]
        if chat:
            prompts = [
                tokenizer.apply_chat_template(
                    [*before, {"role": "user", "content": prompt}],
                    tokenize=False,
                    add_generation_prompt=True,
                )
                for prompt in prompts
            ]
        truth = sum(len(tokenizer(prompt)["input_ids"]) for prompt in prompts)
        assert row.prompt_tokens == pytest.approx(truth, rel=0.05), row.cell.folder
    assert estimated.token_sources == (f"the tokenizer of {tiny_model} on 20 prompts of each task",)
    assert estimated.notes == ()


def test_a_window_holds_tokens_back(tiny_model: Path) -> None:
    free = tokens(estimate(of_model(tiny_model, k=[5], args={"max_length": 8192})))
    own = tokens(estimate(of_model(tiny_model, k=[5])))  # 1,024
    tight = tokens(estimate(of_model(tiny_model, k=[5], context_tokens=400)))
    for folder, most in free.items():
        assert most is not None
        assert (own[folder] or 0) <= most
        assert 0 < (tight[folder] or 0) < most
        assert (tight[folder] or 0) <= 40 * 400
    full = estimate(of_model(tiny_model, k=["max4k"], args={"max_length": 8192}))
    for row in full.cells:
        assert row.prompts is not None
        assert (free[row.cell.folder.replace("max4k", "5")] or 0) < (row.prompt_tokens or 0)
        assert (row.prompt_tokens or 0) <= row.prompts * 4096


def test_a_question_that_does_not_fit(tiny_model: Path) -> None:
    estimated = estimate(of_model(tiny_model, tasks=["lamp3u"], k=[0], context_tokens=40))
    assert [row.prompt_tokens for row in estimated.cells] == [None]
    assert estimated.total("prompt_tokens") is None
    assert estimated.total("prompts") == 40
    (note,) = estimated.notes
    assert "m/bf16, lamp3u_rag_k0, by estimated tokens: lamp3u, sample" in note


def test_a_model_without_a_chat_template(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    shutil.copytree(tiny_model, folder)
    (folder / "chat_template.jinja").unlink()
    estimated = estimate(of_model(folder, chat_template=True))
    assert estimated.token_sources == (f"characters / 4 ({folder}: it has no chat template)",)


def test_the_same_numbers_every_time_and_others_for_another_seed(tmp_path: Path) -> None:
    questions, outputs = reviews(300, profile=2)
    for index, question in enumerate(questions):
        question["input"] += " Well." * index
    data = str(write_flat(tmp_path, "lamp3u", questions, outputs))
    asked = {"data": data, "tasks": ["lamp3u"], "k": [1]}
    first = estimate(plan(**asked)).total("prompt_tokens")
    assert first == estimate(plan(**asked)).total("prompt_tokens")
    assert first != estimate(plan(**asked, seed=1)).total("prompt_tokens")
    # 128 of 300 questions are looked at.
    truth = sum(len(question["input"]) for question in questions) / 4
    assert first == pytest.approx(truth, rel=0.2)


def test_data_that_are_not_there(small_data: Path) -> None:
    shutil.rmtree(small_data / "lamp5u")
    estimated = estimate(plan(data=str(small_data), k=[0]))
    assert [row.prompts for row in estimated.cells] == [3, None]
    assert estimated.total("prompts") is None
    (note,) = estimated.notes
    assert note.startswith(f"lamp5u: no data in {small_data}. Its prompts and tokens are not known")


def test_data_that_are_broken_are_an_error(small_data: Path) -> None:
    (small_data / "lamp5u" / "questions.json").write_text("[{}]")
    with pytest.raises(DataError, match="field 'id' is missing"):
        estimate(plan(data=str(small_data)))


def test_data_that_lack_what_a_retriever_needs(small_data: Path) -> None:
    with pytest.raises(RetrieverError, match="'recency' needs dates"):
        estimate(plan(data=str(small_data), retrievers=["recency"]))


def test_a_plugins_retriever_loads_nothing(install: Any) -> None:
    install(
        "heavy",
        "from qrag_tasks import hookimpl\n"
        "def heavy():\n"
        "    raise RuntimeError('it was built')\n"
        "@hookimpl\n"
        "def qrag_register_retrievers(register):\n"
        "    register('heavy', heavy)\n",
    )
    estimated = estimate(plan(retrievers=["heavy"], k=[5]))
    drawn = estimate(plan(retrievers=["random"], k=[5]))
    assert estimated.total("prompt_tokens") == pytest.approx(drawn.total("prompt_tokens"), rel=0.1)
    (note,) = estimated.notes
    assert note.startswith("heavy: tokens of documents drawn from the profiles")


def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from qrag_tasks.experiment.plan import read_plan\n"
        "from qrag_tasks.experiment.plan.estimates import estimate\n"
        "print(estimate(read_plan(Path(sys.argv[1]))).total('prompts'))\n"
        "print([n for n in ('torch', 'transformers', 'lm_eval') if n in sys.modules])"
    )
    example = Path(__file__).parents[2] / "examples" / "mini.yaml"
    done = subprocess.run(
        [sys.executable, "-c", code, str(example)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["480", "[]"]


def test_the_real_prompts_of_a_run(real_data: Path) -> None:
    """As many characters as were read and sent at k = 5, 100 of each task."""
    estimated = estimate(plan(data=str(real_data), k=[5], limit=100))
    truth = 0
    for task in ("lamp3u", "lamp5u"):
        data = load(task_named(task), str(real_data))
        rankings = Rankings(data, build_retriever("bm25"))
        ranked = [rankings.look(place, 5) for place in range(100)]
        records = pipeline.make_prompts(data.task, data.samples[:100], 5, ranked)
        truth += sum(len(record.prompt) for record in records)
    assert estimated.total("prompt_tokens") == pytest.approx(truth / 4, rel=0.001)
    whole = estimate(plan(data=str(real_data), k=[5]))
    assert whole.total("prompts") == 962


# ---------------------------------------------------------------------- weights
def held(model: Any) -> int:
    from qrag_tasks.arms.verification import weights

    return weights(model).total


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int8", "int4-nf4", "int4-fp4"])
def test_weights_are_what_the_loaded_model_holds(tiny_model: Path, precision: str) -> None:
    from qrag_tasks.harness.model import QragLM

    (arm,) = of_model(tiny_model, precisions=[precision]).arms()
    # As it was read before the first pass, at which bitsandbytes packs its weights again.
    lm = QragLM(pretrained=str(tiny_model), precision=precision, device="cpu")
    truth = lm.engine.arm["weights"]["bytes"]
    # What is left are the frequencies of rotary embeddings, which no file holds.
    assert weight_bytes(arm).total == pytest.approx(truth, abs=512)


@pytest.mark.parametrize("config", [gptq_config(32), awq_config(32)], ids=["gptq", "awq"])
def test_weights_of_a_checkpoint_made_beforehand(
    tiny_model: Path, tmp_path: Path, config: dict[str, Any]
) -> None:
    folder = quantized_folder(tiny_model, tmp_path / "packed", config)
    precision = f"int4-{config['quant_method']}"
    asked = plan(
        models=[
            {"name": "m", "pretrained": str(tiny_model), "checkpoints": {precision: str(folder)}}
        ],
        precisions=[precision],
    )
    (arm,) = asked.arms()
    size = weight_bytes(arm, str(tiny_model))
    assert size.source == f"tensors of {folder}"
    stored = (folder / "model.safetensors").stat().st_size
    assert size.total == pytest.approx(stored, rel=0.1)
    assert size.total is not None
    assert size.total < stored  # the file has a header, too
    # Where it is yet to be made, shapes tell of it.
    shutil.rmtree(folder)
    guessed = weight_bytes(arm, str(tiny_model))
    assert guessed.source == f"shapes of {tiny_model}, groups of 128"
    assert guessed.total == pytest.approx(size.total, rel=0.1)
    assert weight_bytes(arm).total is None
    assert weight_bytes(arm).source == f"{folder}: there is no such folder"


def test_a_packed_checkpoint_as_it_is_loaded(tiny_model: Path, tmp_path: Path) -> None:
    folder = quantized_folder(tiny_model, tmp_path / "packed", gptq_config(32))
    model = load_packed(folder)
    (arm,) = plan(
        models=[{"name": "m", "checkpoints": {"int4-gptq": str(folder)}}],
        precisions=["int4-gptq"],
    ).arms()
    assert weight_bytes(arm).total == pytest.approx(held(model), rel=0.15)


def test_a_tied_head_is_no_more_weights(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tied"
    shutil.copytree(tiny_model, folder)
    (free,) = of_model(folder).arms()
    apart = weight_bytes(free).total
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    assert apart is not None
    assert weight_bytes(free).total == apart - 2 * 64 * config["vocab_size"]


def test_weights_that_cannot_be_known(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(tiny_model, folder)
    (arm,) = of_model(folder).arms()
    (folder / "model.safetensors").write_bytes(b"short")
    damaged = weight_bytes(arm)
    assert damaged.total is None
    assert "is no whole safetensors file" in damaged.source
    (folder / "model.safetensors").unlink()
    assert weight_bytes(arm).source.startswith(f"{folder}: no safetensors here")
    (far,) = plan().arms()
    assert weight_bytes(far).source == "owner/nowhere: not known before it is downloaded"


def test_a_model_in_the_hubs_cache(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    commit = "0" * 40
    repository = tmp_path / "models--owner--tiny"
    shutil.copytree(tiny_model, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    (arm,) = plan(models=[{"name": "m", "pretrained": "owner/tiny"}]).arms()
    (local,) = of_model(tiny_model).arms()
    assert weight_bytes(arm).total == weight_bytes(local).total
    assert weight_bytes(arm).source == "shapes of owner/tiny"


def test_the_embedded_model() -> None:
    (arm,) = plan(models=[{"name": "m"}], precisions=["bf16"]).arms()
    weights = embedded_model() / "model.safetensors"
    assert 0 < weights.stat().st_size - weight_bytes(arm).total < 20_000  # the file's header


def test_both_data_sets_have_their_own_rate(tiny_model: Path, tmp_path: Path) -> None:
    """A text of other letters has more tokens for as many characters."""
    write_flat(tmp_path, "lamp3u", *reviews())
    questions, outputs = papers()
    for question in questions:
        question["input"] += " \u05d0\u05d1\u05d2" * 200
    data = write_flat(tmp_path, "lamp5u", questions, outputs)
    estimated = estimate(of_model(tiny_model, data=str(data), k=[0], args={"max_length": 9000}))
    plain = estimate(plan(data=str(data), k=[0]))
    ours, theirs = ([(row.prompt_tokens or 0) for row in each.cells] for each in (estimated, plain))
    assert ours[0] < 2.5 * theirs[0]
    assert ours[1] > 4 * theirs[1]
