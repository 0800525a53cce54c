"""What an answer's last bit depends on, and what deterministic=True keeps it from."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llama_cpp", reason="the llama-cpp extra is not installed")
from gguf_models import load_gguf, quantize_gguf

from qrag_tasks.engines.base import Engine, LikelihoodRequest
from qrag_tasks.testing.engine_requests import score

KINDS = ("f32", "q8_0", "q4_0", "q4_k_m", "q6_k")


def users_prompts(users: int = 3, depths: int = 6) -> list[LikelihoodRequest]:
    """Return prompts that share beginnings of odd lengths, as a user's do for k documents."""
    draw = random.Random(0)  # noqa: S311
    requests = []
    for user in range(users):
        tokens: list[int] = []
        for depth in range(depths):
            tokens = [*tokens, *(draw.randrange(260, 1024) for _ in range(draw.randrange(5, 40)))]
            question = [draw.randrange(260, 1024) for _ in range(7)]
            ends = ((300,), (301,))
            requests.append(LikelihoodRequest(f"{user} {depth}", (*tokens, *question), ends))
    return requests


@pytest.fixture(scope="module", params=KINDS)
def file(
    request: pytest.FixtureRequest, wide_gguf: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    if request.param == "f32":
        return wide_gguf
    folder = tmp_path_factory.mktemp("kinds")
    return quantize_gguf(wide_gguf, folder / f"{request.param}.gguf", request.param)


def alone(engine: Engine, requests: list[LikelihoodRequest]) -> list[Any]:
    return [score(engine, [request])[0] for request in requests]


@pytest.mark.parametrize("flash_attn", [False, True])
def test_an_answer_is_its_prompts_alone(file: Path, flash_attn: bool) -> None:
    """To the last bit: in any order, in any company, and with nothing run before it."""
    requests = users_prompts()
    arguments = {"deterministic": True, "n_ubatch": 16, "flash_attn": flash_attn, "n_threads": 1}
    engine = load_gguf(file, **arguments)
    together = score(engine, requests)
    assert score(engine, requests[::-1])[::-1] == together
    assert alone(engine, requests) == together
    assert [alone(load_gguf(file, **arguments), [each])[0] for each in requests[:4]] == together[:4]


def test_the_same_requests_again(file: Path) -> None:
    """Also without it: nothing is left in the cache from one call to the next."""
    requests, engine = users_prompts(), load_gguf(file)
    assert score(engine, requests) == score(engine, requests)


def test_prefixes_are_still_used_again(wide_gguf: Path) -> None:
    engine = load_gguf(wide_gguf, deterministic=True, n_ubatch=16)
    costs: list[Any] = []
    engine.score(users_prompts(), lambda _answers, cost: costs.append(cost))
    cached = [cost["cached_prompt_tokens"] for cost in costs]
    assert sum(cached) > 0.4 * sum(cost["prompt_tokens"] for cost in costs)
    assert all(tokens % 16 == 0 for tokens in cached)
    assert engine.batch_invariant


def test_threads_change_nothing(file: Path) -> None:
    """So they are no part of an arm's identity; with flash attention they are."""
    requests = users_prompts(users=2)
    one, two = (load_gguf(file, n_threads=threads) for threads in (1, 2))
    assert score(one, requests) == score(two, requests)
    assert one.identity == two.identity
    flash = [load_gguf(file, n_threads=threads, flash_attn=True) for threads in (1, 2)]
    assert flash[0].identity != flash[1].identity


def test_the_length_of_the_cache_changes_nothing(file: Path) -> None:
    requests = users_prompts(users=1)
    longer = LikelihoodRequest("longer", tuple(range(260, 1000)), ((300,),))
    engine = load_gguf(file)
    before = alone(engine, requests)
    score(engine, [longer])
    assert alone(engine, requests) == before


def test_settings_that_change_answers_are_part_of_the_identity(wide_gguf: Path) -> None:
    plain = load_gguf(wide_gguf).identity
    for changed in (
        {"flash_attn": True},
        {"type_k": "f16"},
        {"type_v": "f16"},
        {"n_ubatch": 64},
    ):
        assert load_gguf(wide_gguf, **changed).identity != plain
    assert load_gguf(wide_gguf, max_length=128).identity == plain
