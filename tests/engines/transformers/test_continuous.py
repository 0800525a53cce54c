"""Transformers' continuous batching: the answers of padded batches, and how it fails."""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the hf extra is not installed")
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM  # noqa: E402

from qrag_tasks.engines.base import GenerationRequest  # noqa: E402
from qrag_tasks.engines.transformers import continuous, packed_attention  # noqa: E402
from qrag_tasks.engines.transformers.continuous import PAGE  # noqa: E402
from qrag_tasks.engines.transformers.engine import TransformersEngine  # noqa: E402
from qrag_tasks.errors import ModelError  # noqa: E402
from qrag_tasks.metering.meter import Meter  # noqa: E402
from qrag_tasks.registry import ENGINES  # noqa: E402

Load = Callable[..., tuple[TransformersEngine, Meter]]


@pytest.fixture(autouse=True)
def little_garbage() -> Iterator[None]:
    """Transformers has all garbage collected twice a call: of all that torch has imported."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def load(tiny_model: Path) -> Load:
    def load(batching: str = "continuous", **more: Any) -> tuple[TransformersEngine, Meter]:
        arguments = {"pretrained": str(tiny_model), "precision": "fp32", "device": "cpu", **more}
        meter = Meter(torch.device("cpu"))
        factory = ENGINES.get("transformers").value
        return factory.load({**arguments, "batching": batching}, meter), meter

    return load


def request(name: str, prompt: list[int], **more: Any) -> GenerationRequest:
    return GenerationRequest(name, prompt, **{"max_new_tokens": 6, **more})


def one_user(user: int, documents: int) -> GenerationRequest:
    """Ask with documents that begin alike whatever their number, a page of tokens together."""
    draw = torch.Generator().manual_seed(user)
    tokens = torch.randint(5, 900, (3 * PAGE,), generator=draw).tolist()
    name = f"user {user}, k = {documents}"
    return request(name, [*tokens[: documents * PAGE // 2], *range(5, 25 + user)])


REQUESTS = [one_user(user, documents) for documents in (0, 1, 3, 4) for user in (1, 2, 3)]


def answers(engine: TransformersEngine, requests: list[GenerationRequest]) -> list[list[int]]:
    made: dict[int, list[int]] = {}

    def answered(answers: Any, cost: Any) -> None:
        assert not made.keys() & answers.keys()
        made.update({place: list(tokens) for place, tokens in answers.items()})

    engine.generate(requests, answered)
    return [made[place] for place in range(len(requests))]


def test_answers_are_those_of_padded_batches(load: Load) -> None:
    """Also where prompts share pages, and whoever is asked in between: attention is set back."""
    engine, meter = load()
    padded, _ = load("padded")
    before = engine.config._attn_implementation, torch.random.get_rng_state()
    expected = answers(padded, REQUESTS)
    assert answers(engine, REQUESTS) == expected
    assert engine.config._attn_implementation == before[0]
    assert torch.equal(torch.random.get_rng_state(), before[1])
    assert answers(engine, REQUESTS[:2]) == expected[:2]
    cost = meter.cost()
    assert cost.generated_tokens == sum(map(len, expected + expected[:2]))
    assert cost.prompt_tokens == sum(len(each.prompt) for each in REQUESTS + REQUESTS[:2])
    assert cost.padded_tokens == cost.prompt_tokens
    assert cost.undivided_seconds > 0


def test_grouped_heads_and_sliding_windows(load: Load, tiny_model: Path, tmp_path: Path) -> None:
    """In every other layer a token sees the last hundred alone, and two heads share their keys."""
    config = Qwen2Config(
        vocab_size=1024,
        hidden_size=64,
        intermediate_size=128,
        eos_token_id=0,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_hidden_layers=2,
        use_sliding_window=True,
        sliding_window=100,
        max_position_embeddings=1024,
        layer_types=["full_attention", "sliding_attention"],
    )
    torch.manual_seed(0)
    Qwen2ForCausalLM(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path)
    engine, padded = (load(way, pretrained=str(tmp_path))[0] for way in ("continuous", "padded"))
    assert answers(engine, REQUESTS) == answers(padded, REQUESTS)


def test_what_it_cannot_take_is_answered_in_padded_batches(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    engine, meter = load()
    beams = request("beams", list(range(5, 40)), settings={"num_beams": 2})
    mixed = [REQUESTS[0], beams, REQUESTS[1]]
    made = answers(engine, mixed)
    assert "1 of 3 requests are answered in padded batches" in caplog.text
    assert made == answers(load("padded")[0], mixed)
    assert meter.cost().prefill_seconds > 0


def failing(engine: TransformersEngine, error: BaseException, after: int = 0) -> Any:
    """Return a forward pass that fails after its first few calls."""
    forward, passes = engine.model.forward, []

    @functools.wraps(forward)
    def fails(*args: Any, **kwargs: Any) -> Any:
        passes.append(1)
        if len(passes) == after + 1:
            raise error
        return forward(*args, **kwargs)

    return fails


@pytest.mark.parametrize("after", [0, 3])
def test_what_is_left_when_memory_runs_out_is_answered_in_padded_batches(
    load: Load, caplog: pytest.LogCaptureFixture, after: int
) -> None:
    engine, _ = load()
    expected = answers(engine, REQUESTS)
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    engine.model.forward = failing(engine, error, after)
    assert answers(engine, REQUESTS) == expected
    assert "batching=continuous ran out of memory (CUDA out of memory." in caplog.text
    # And the next time it is tried again.
    assert answers(engine, REQUESTS) == expected


def test_a_failure_names_a_request_and_what_to_write(load: Load) -> None:
    engine, _ = load()
    engine.model.forward = failing(engine, RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(ModelError, match=r"^user \d, k = \d: .* failed: shapes cannot be .*padded"):
        answers(engine, REQUESTS)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_manager_that_ends_without_a_word_is_an_error(load: Load) -> None:
    engine, _ = load()
    engine.model.forward = failing(engine, SystemExit())
    with pytest.raises(ModelError, match="ended early, and 12 requests were not answered"):
        answers(engine, REQUESTS)


def test_logits_that_are_not_numbers_are_an_error(load: Load) -> None:
    engine, _ = load()
    engine.model.lm_head.weight.data[7] = float("nan")
    with pytest.raises(ModelError, match="logits are not numbers"):
        answers(engine, REQUESTS)


def test_its_identity_says_so(load: Load) -> None:
    ours, padded = load()[0].identity, load("padded")[0].identity
    attention = ours["batching"]["attention"]
    assert attention in (packed_attention.NAME, f"paged|{packed_attention.NAME}")
    assert ours == {**padded, "batching": {"kind": "continuous", "attention": attention}}


def test_a_transformers_without_it_is_an_error(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, continuous.__name__, None)  # as where an import in it fails
    with pytest.raises(ModelError, match=r"transformers \S+ does not have it as 5\.17 and later"):
        load()
    load("padded")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("window", [None, 5])
def test_torchs_kernel_computes_what_is_computed_prompt_by_prompt(window: int | None) -> None:
    """A prompt that begins, one that goes on behind what is in the cache, one of a single token."""
    draw = torch.Generator().manual_seed(0)
    new, all_of_them = [0, 7, 10, 11], [0, 7, 30, 50]
    query, key, value = (
        torch.randn(1, heads, tokens, 64, generator=draw).half()
        for heads, tokens in ((4, 11), (2, 50), (2, 50))
    )
    options = {"max_length_q": 7, "max_length_k": 23, "sliding_window": window}

    def attend(device: str) -> Any:
        begins = {
            "cu_seq_lens_q": torch.tensor(new, device=device, dtype=torch.int32),
            "cu_seq_lens_k": torch.tensor(all_of_them, device=device, dtype=torch.int32),
        }
        states = [each.to(device) for each in (query, key, value)]
        module = torch.nn.Identity()
        out, _ = packed_attention.forward(module, *states, None, 0.125, **begins, **options)
        return out.cpu().float()

    assert torch.allclose(attend("cuda"), attend("cpu"), atol=2e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_answers_are_nearly_those_of_padded_batches(load: Load) -> None:
    """In 16 bits nearly equal logits may trade places; a wrong attention would change them all."""
    on_gpu = {"precision": "bf16", "device": "cuda"}
    engine, padded = (load(way, **on_gpu)[0] for way in ("continuous", "padded"))
    ours, theirs = answers(engine, REQUESTS), answers(padded, REQUESTS)
    first = sum(one[0] == other[0] for one, other in zip(ours, theirs, strict=True))
    assert first >= len(REQUESTS) - 2
