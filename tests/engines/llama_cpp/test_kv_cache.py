"""Keys and values in fewer bits in llama.cpp: read off the state that it writes, and lies found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the hf extra is not installed")
llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

from qrag_tasks.engines.base import Engine, LikelihoodRequest  # noqa: E402
from qrag_tasks.engines.llama_cpp import kv_cache  # noqa: E402
from qrag_tasks.engines.llama_cpp.abilities import KV_CACHES  # noqa: E402
from qrag_tasks.engines.llama_cpp.native import Native  # noqa: E402
from qrag_tasks.errors import ModelError, SettingsError  # noqa: E402
from qrag_tasks.metering.meter import Meter  # noqa: E402
from qrag_tasks.registry import ENGINES  # noqa: E402
from qrag_tasks.testing.engine_requests import generate, sample_requests, score  # noqa: E402

LAYERS = 4
NUMBERS = 2 * LAYERS * 2 * 64
"""Of a token of ``wide_model``: keys and values, four layers, two heads of 64."""
BITS = {"f32": 32, "f16": 16, "bf16": 16, "q8_0": 8.5, "q4_0": 4.5}
Load = Callable[..., Engine]


@pytest.fixture
def load(wide_gguf: Path) -> Load:
    def load(**more: Any) -> Engine:
        given = {"pretrained": str(wide_gguf), "flash_attn": True, **more}
        return ENGINES.get("llama_cpp").value.load(given, Meter(torch.device("cpu")))

    return load


@pytest.mark.parametrize("name", BITS)
def test_kinds_and_bytes_are_read_off_the_state(load: Load, name: str) -> None:
    engine = load(kv_cache=name)
    engine.smoke()
    facts = engine.kv_cache
    assert facts is not None
    assert facts.name == name
    assert facts.kinds == {name: 2 * LAYERS}
    assert facts.bits_per_number == BITS[name]
    assert facts.bytes_per_token == BITS[name] * NUMBERS / 8
    assert generate(engine, sample_requests(engine))


@pytest.mark.parametrize("flash", [True, False])
def test_without_one_it_is_read_as_well(load: Load, flash: bool) -> None:
    engine = load(flash_attn=flash)
    engine.smoke()
    facts = engine.kv_cache
    assert facts is not None
    assert (facts.name, facts.kinds) == ("auto", {"f32": 2 * LAYERS})
    assert facts.bytes_per_token == 4 * NUMBERS


def test_the_common_name_is_the_same_arm(load: Load) -> None:
    own = load(type_k="q8_0", type_v="q8_0").identity
    assert load(kv_cache="q8_0").identity == load(kv_cache="int8").identity == own
    assert load(kv_cache="q4_0").identity != own


def test_fewer_bits_are_farther(load: Load) -> None:
    def first(**more: Any) -> list[float]:
        engine = load(**more)
        asked = [LikelihoodRequest(r.name, r.prompt, ([7],)) for r in sample_requests(engine)]
        return [likelihoods[0][0] for likelihoods in score(engine, asked)]

    plain = first()
    distances = [
        sum(abs(a - b) for a, b in zip(plain, first(kv_cache=name), strict=True))
        for name in ("f16", "q8_0", "q4_0")
    ]
    assert distances[0] < distances[1] < distances[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kv_cache": "int2"}, "kv_cache=int2: engine=llama_cpp does not keep keys and values so"),
        ({"kv_cache": "q8_0", "flash_attn": False}, "kv_cache=q8_0: .* with flash_attn=True only"),
        ({"kv_cache": "q8_0", "type_k": "f16"}, "kv_cache=q8_0 and type_k=f16: .* leave one of"),
    ],
)
def test_what_cannot_be_is_refused(load: Load, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load(**arguments)


# ---------------------------------------------------------------------- planted lies
def test_another_kind_than_was_asked_for_is_found(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {row.name: row for row in KV_CACHES}
    native = load(kv_cache="f16")._native  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match=r"kv_cache=q8_0 .* 8 of 8 layers .* not that: f16 \(8\)"):
        kv_cache.read_cache(native, rows["q8_0"], NUMBERS)


def test_other_bytes_than_its_kind_has_are_found(load: Load) -> None:
    rows = {row.name: row for row in KV_CACHES}
    native = load(kv_cache="f16")._native  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match=r"and 8\.00 bits for each number .* 16\.00 were expected"):
        kv_cache.read_cache(native, rows["f16"], 2 * NUMBERS)


def test_a_state_of_another_form_is_no_evidence(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {row.name: row for row in KV_CACHES}
    native = load(kv_cache="f16")._native  # type: ignore[attr-defined]
    state = native.state_after([1, 2, 3])
    monkeypatch.setattr(Native, "state_after", lambda *_: state[:-4])
    assert kv_cache.read_cache(native, None, NUMBERS) is None
    with pytest.raises(ModelError, match=r"kv_cache=f16: this llama\.cpp .* does not show what"):
        kv_cache.read_cache(native, rows["f16"], NUMBERS)
