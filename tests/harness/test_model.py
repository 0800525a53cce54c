"""``--model qrag``: HFLM's answers, whatever the batches and however often memory runs out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from quantized_files import awq_config, gptq_config, quantized_folder
from transformers import AutoModelForCausalLM, GenerationConfig

from qrag_tasks.engines.transformers.not_a_number import Watch
from qrag_tasks.errors import BudgetError, ModelError, SettingsError
from qrag_tasks.harness.model import QragLM

SENTENCE = "a review of the kettle that I bought for my small kitchen and then gave away"
WORDS = SENTENCE.split()
TEXTS = [" ".join(WORDS[: 1 + i % len(WORDS)] * (1 + i % 5)) for i in range(12)]
GREEDY = {"until": [], "do_sample": False, "max_gen_toks": 6}


def asking(kind: str, *arguments: Any, name: str = "a_task") -> list[Instance]:
    return [
        Instance(request_type=kind, doc={}, arguments=args, idx=0, metadata=(name, i, 1))
        for i, args in enumerate(arguments)
    ]


def questions(**settings: Any) -> list[Instance]:
    return asking("generate_until", *[(text, {**GREEDY, **settings}) for text in TEXTS])


def load(model: Path, precision: str | None = "fp32", **arguments: Any) -> QragLM:
    return QragLM(str(model), precision=precision, device="cpu", **arguments)


@pytest.fixture(scope="module")
def plain(tiny_model: Path) -> Any:
    return HFLM(pretrained=str(tiny_model), dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def qrag(tiny_model: Path) -> QragLM:
    return load(tiny_model)


# ---------------------------------------------------------------------- answers
def test_it_answers_as_hflm_does(plain: Any, qrag: QragLM) -> None:
    assert qrag.generate_until(questions()) == plain.generate_until(questions())
    stops = questions(until=["e"], max_gen_toks=12)
    assert qrag.generate_until(stops) == plain.generate_until(stops)


@pytest.mark.parametrize(
    "batches", [{"batch_size": 1}, {"batch_size": "5"}, {"max_batch_tokens": 100}]
)
def test_the_answers_do_not_depend_on_the_batches(
    tiny_model: Path, qrag: QragLM, batches: dict[str, Any]
) -> None:
    other = load(tiny_model, **batches)
    assert other.generate_until(questions()) == qrag.generate_until(questions())
    rows = {"5": 5, 1: 1}.get(batches.get("batch_size", 0))
    assert rows is None or other.cost.largest_batch == rows
    if "max_batch_tokens" in batches:
        assert 1 < other.cost.largest_batch < len(TEXTS)


def test_deterministic_answers_are_each_alone_in_their_batch(tiny_model: Path) -> None:
    alone = load(tiny_model, "bf16", deterministic=True)
    at_once = load(tiny_model, "bf16")
    assert {"deterministic": True, **at_once.identity.parts} == alone.identity.parts
    answers = alone.generate_until(questions())
    assert alone.cost.largest_batch == 1
    # Whoever asks for other batches later, as a journal or `qrag noise` does.
    alone.batch_otherwise(12)
    assert alone.generate_until(questions()) == answers
    assert alone.cost.largest_batch == 1
    assert alone.get_model_info()["qrag"]["deterministic"] is True
    assert "deterministic" not in at_once.get_model_info()["qrag"]


def test_requests_with_different_arguments_are_answered_apart(qrag: QragLM) -> None:
    mixed = asking(
        "generate_until",
        *[(text, {**GREEDY, "max_gen_toks": 2 + 4 * (i % 2)}) for i, text in enumerate(TEXTS)],
    )
    long = qrag.generate_until(questions())
    short = qrag.generate_until(questions(max_gen_toks=2))
    assert qrag.generate_until(mixed) == [(long if i % 2 else short)[i] for i in range(len(TEXTS))]


def limited(model: QragLM, monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Let the model's device run out of memory at more than ``most`` prompt tokens a batch."""
    sizes: list[int] = []
    generate, forward = model.engine.model.generate, model.engine.model.forward

    def checked(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            size = kwargs["input_ids"].numel()
            if size > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            sizes.append(size)
            return call(*args, **kwargs)

        return run

    monkeypatch.setattr(model.engine.model, "generate", checked(generate))
    limited_forward = checked(forward)
    limited_forward.__wrapped__ = forward  # type: ignore[attr-defined]
    monkeypatch.setattr(model.engine.model, "forward", limited_forward)
    return sizes


@pytest.mark.parametrize("batches", [{}, {"batch_size": 12}])
def test_out_of_memory_in_the_middle_of_a_run(
    tiny_model: Path,
    qrag: QragLM,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    batches: dict[str, Any],
) -> None:
    model = load(tiny_model, **batches)
    limited(model, monkeypatch, most=150)
    assert model.generate_until(questions()) == qrag.generate_until(questions())
    cost = model.cost
    assert cost.out_of_memory > 0
    assert cost.prompt_tokens == sum(len(qrag.tok_encode(text)) for text in TEXTS)
    assert "going on in smaller batches, nothing is lost" in caplog.text
    # The next call begins with what was learned.
    before = model.cost.out_of_memory
    model.generate_until(questions())
    assert model.cost.out_of_memory == before


def test_out_of_memory_with_one_prompt_names_it(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(tiny_model)
    limited(model, monkeypatch, most=40)
    with pytest.raises(ModelError, match=r"a_task, doc \d+: \d+ tokens.*even alone"):
        model.generate_until(questions())


def test_a_prompt_that_would_be_cut_is_an_error(tiny_model: Path, qrag: QragLM) -> None:
    long = asking("generate_until", ("kettle " * 1200, GREEDY), name="other")
    with pytest.raises(BudgetError, match=r"other, doc 0: the prompt is \d+ tokens.*cut"):
        qrag.generate_until(long)


def test_settings_of_the_checkpoint_do_not_change_the_answers(
    tiny_model: Path, qrag: QragLM, tmp_path: Path
) -> None:
    folder = tmp_path / "penalized"
    shutil.copytree(tiny_model, folder)
    GenerationConfig(repetition_penalty=5.0, do_sample=True, min_new_tokens=6).save_pretrained(
        folder
    )
    other = load(folder)
    assert other.generate_until(questions()) == qrag.generate_until(questions())
    assert other.identity == qrag.identity


# ---------------------------------------------------------------------- likelihoods
def continuations() -> list[Instance]:
    pairs = [(text, f" {word}") for text in TEXTS[:6] for word in ("kettle", "the", "a small one")]
    return asking("loglikelihood", *pairs, ("", "kettle"), ("the kettle", " of a small one"))


def test_it_measures_as_hflm_does(plain: Any, qrag: QragLM) -> None:
    expected = plain.loglikelihood(continuations())
    likelihoods = qrag.loglikelihood(continuations())
    for (value, greedy), (other, other_greedy) in zip(likelihoods, expected, strict=True):
        assert value == pytest.approx(other, abs=1e-4)
        assert greedy == other_greedy
    rolling = asking("loglikelihood_rolling", *[(text,) for text in TEXTS[:4]])
    assert qrag.loglikelihood_rolling(rolling) == pytest.approx(
        plain.loglikelihood_rolling(rolling), abs=1e-4
    )


def test_continuations_of_one_context_share_a_pass(tiny_model: Path) -> None:
    model = load(tiny_model)
    pairs = [("a review of", f" {word}") for word in ("the", "a", "my", "it")]
    single = [pair for pair in pairs if len(model.tok_encode(pair[1])) == 1]
    assert len(single) > 1
    model.loglikelihood(asking("loglikelihood", *single))
    assert model.cost.largest_batch == 1


def test_continuations_of_unlike_length_that_share_a_pass(qrag: QragLM) -> None:
    # The tokens that are read are the same; what is measured of them is not.
    pairs = [("a review", " of the kettle that I"), ("a review of the kettle that", " the")]
    together = qrag.loglikelihood(asking("loglikelihood", *pairs))
    alone = [qrag.loglikelihood(asking("loglikelihood", pair))[0] for pair in pairs]
    assert [value for value, _ in together] == pytest.approx([value for value, _ in alone])


def test_out_of_memory_while_measuring(
    tiny_model: Path, qrag: QragLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(tiny_model)
    expected = [value for value, _ in qrag.loglikelihood(continuations())]
    limited(model, monkeypatch, most=60)
    found = [value for value, _ in model.loglikelihood(continuations())]
    assert found == pytest.approx(expected, abs=1e-4)
    assert model.cost.out_of_memory > 0


# ---------------------------------------------------------------------- no numbers
def broken_for(model: QragLM, token: int) -> None:
    """Have the model compute no numbers behind a token, as where 16 bits overflow."""

    def overflow(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        return torch.where((inputs[0] == token)[..., None], torch.nan, output)

    model.engine.model.get_input_embeddings().register_forward_hook(overflow)


@pytest.mark.parametrize("settings", [{}, {"do_sample": True}, {"num_beams": 2}])
def test_logits_that_are_not_numbers_are_no_answer(
    tiny_model: Path, settings: dict[str, Any]
) -> None:
    model = load(tiny_model, "fp16")
    fine = model.generate_until(questions())
    broken_for(model, model.tok_encode("Q")[0])
    texts = [*TEXTS[:5], "Q", *TEXTS[5:]]
    asked = asking("generate_until", *[(text, {**GREEDY, **settings}) for text in texts])
    message = r"a_task, doc 5: .* not numbers \(NaN\) in precision=fp16, .*float16.*precision=bf16"
    with pytest.raises(ModelError, match=message):
        model.generate_until(asked)
    assert model.generate_until(questions()) == fine


def test_what_stands_behind_an_answer_that_ended_does_not_matter(qrag: QragLM) -> None:
    watch = Watch(["doc 0", "doc 1", "doc 2"], qrag.engine, drawn=False)
    numbers, none = torch.zeros(1, 4), torch.full((1, 4), torch.nan)
    (end, *_), pad = qrag.decoding.end_tokens, qrag.decoding.pad_token
    prompts = torch.tensor([[5, 6], [5, end], [5, 6]])
    for tokens, scores in (
        (prompts, [numbers, numbers, numbers]),
        (torch.tensor([[7], [end], [7]]), [numbers, none, numbers]),
        (torch.tensor([[7], [pad], [7]]), [numbers, none, numbers]),
    ):
        watch(tokens, torch.cat(scores))
        watch.check()
    watch(torch.tensor([[7], [pad], [7]]), torch.cat([numbers, none, none]))
    with pytest.raises(ModelError, match="doc 2: "):
        watch.check()
    # A prompt may end with an end token, and is to be answered all the same.
    watch = Watch(["doc 0", "doc 1", "doc 2"], qrag.engine, drawn=False)
    watch(prompts, torch.cat([numbers, none, numbers]))
    with pytest.raises(ModelError, match="doc 1: "):
        watch.check()


def test_likelihoods_that_are_not_numbers_are_none(tiny_model: Path) -> None:
    model = load(tiny_model)
    broken_for(model, model.tok_encode("Q")[0])
    asked = asking("loglikelihood", ("the kettle", " small"), ("Q", " small"))
    message = r"begins with 'Q': .* in precision=fp32, .*weights may be damaged"
    with pytest.raises(ModelError, match=message):
        model.loglikelihood(asked)
    assert model.loglikelihood(asked[:1])[0][0] < 0


# ---------------------------------------------------------------------- arms
@pytest.mark.parametrize(
    ("precision", "dtype"),
    [
        ("fp32", torch.float32),
        ("fp16", torch.float16),
        ("bf16", torch.bfloat16),
        ("int8", torch.bfloat16),
        ("int4-nf4", torch.bfloat16),
        ("int4-fp4", torch.bfloat16),
        (None, torch.bfloat16),
    ],
)
def test_precisions(tiny_model: Path, precision: str | None, dtype: Any) -> None:
    model = load(tiny_model, precision)
    assert model.engine.precision.name == (precision or "bf16")
    assert model.engine.model.dtype == dtype
    asked = questions()[:3]
    # What transformers itself makes of the same model, a prompt at a time.
    with torch.inference_mode():
        ids = [model.tokenizer(text, return_tensors="pt")["input_ids"] for text in TEXTS[:3]]
        alone = [
            model.engine.model.generate(
                row, attention_mask=torch.ones_like(row), max_new_tokens=6, do_sample=False
            )[0, row.shape[1] :]
            for row in ids
        ]
    answers = [model.generate_until([request])[0] for request in asked]
    assert answers == [model.tokenizer.decode(row, skip_special_tokens=True) for row in alone]
    assert len(set(answers)) > 1
    block = model.get_model_info()["qrag"]
    assert block["precision"] == model.engine.precision.name
    assert block["cost"]["generated_tokens"] > 0
    assert (block["smoke_check"] is not None) == model.engine.precision.quantized


def test_a_dtype_beside_a_precision_that_has_its_own(tiny_model: Path) -> None:
    assert load(tiny_model, "int4-nf4", dtype="float32").engine.model.dtype == torch.float32
    with pytest.raises(SettingsError, match="fp16 is float16, but dtype=float32 was given"):
        load(tiny_model, "fp16", dtype="float32")
    with pytest.raises(SettingsError, match="dtype=float17: torch has no such dtype"):
        load(tiny_model, "int4-nf4", dtype="float17")


def test_a_loaded_model_is_refused(tiny_model: Path) -> None:
    loaded = AutoModelForCausalLM.from_pretrained(tiny_model)
    with pytest.raises(SettingsError, match="pretrained is a LlamaForCausalLM"):
        QragLM(loaded)


def test_an_encoder_decoder_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=1024,
        d_model=16,
        d_kv=8,
        d_ff=16,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
    )
    T5ForConditionalGeneration(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="is an encoder-decoder"):
        load(tmp_path, "fp32")


def test_autogptq_is_explained_to_users_of_hflm(tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="GPT-QModel"):
        HFLM(pretrained=str(tiny_model), device="cpu", autogptq=True)


@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")
@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_arms_that_were_made_beforehand(tiny_model: Path, tmp_path: Path, method: str) -> None:
    pytest.importorskip("gptqmodel", reason="the gptq extra is not installed")
    config = gptq_config(32) if method == "gptq" else awq_config(32)
    folder = quantized_folder(tiny_model, tmp_path / "packed", config)
    model = load(folder, f"int4-{method}", group_size=32)
    assert all(model.generate_until(questions()[:3]))
    (packed, head) = model.engine.arm["layers"]
    assert (packed["method"], packed["bits"], packed["group_size"]) == (method, 4, 32)
    assert packed["count"] == 14
    assert head["kernel"] == "Linear"
    assert load(folder, None).identity == model.identity
    with pytest.raises(SettingsError, match="kernel=nonsense: unknown for int4-"):
        load(folder, f"int4-{method}", kernel="nonsense")


def test_a_kernel_is_for_those_alone(tiny_model: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"only int8-gptq, int4-gptq, .* and int4-awq have kernels"
    ):
        load(tiny_model, "int4-nf4", kernel="marlin")


def test_a_saved_arm_computes_in_the_dtype_of_this_run(tiny_model: Path, tmp_path: Path) -> None:
    saved = HFLM(pretrained=str(tiny_model), device="cpu", load_in_4bit=True)
    saved.model.save_pretrained(tmp_path)
    saved.tokenizer.save_pretrained(tmp_path)
    model = load(tmp_path, None, dtype="float32")
    assert model.engine.precision.name == "int4-nf4"
    dtypes = {kind["dtype"] for kind in model.engine.arm["layers"]}
    assert dtypes == {"float32"}
