"""Keys and values in fewer bits in vLLM: read off what it has allocated, and lies found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from vllm_models import DEVICE, load, torch

from qrag_tasks.arms.kv_caches import AUTO
from qrag_tasks.engines.base import Engine, LikelihoodRequest
from qrag_tasks.engines.vllm import environment
from qrag_tasks.engines.vllm.abilities import KV_CACHES
from qrag_tasks.engines.vllm.kv_cache import LiveLayer, facts_of, pages_of
from qrag_tasks.errors import ModelError, SettingsError
from qrag_tasks.metering.meter import Meter
from qrag_tasks.registry import ENGINES
from qrag_tasks.testing.engine_requests import sample_requests, score

NUMBERS = 2 * 2 * 64
"""Of a token of ``vllm_model``: keys and values, two layers, one head of 64."""
ROWS = {row.name: row for row in KV_CACHES}


def first_logprobs(engine: Engine) -> list[float]:
    """Return the log-probability of one token after each prompt."""
    requests = [
        LikelihoodRequest(request.name, request.prompt, ([7],))
        for request in sample_requests(engine)
    ]
    return [likelihoods[0][0] for likelihoods in score(engine, requests)]


@pytest.fixture(scope="module")
def fp8(vllm_model: Path) -> Any:
    engine, _ = load(vllm_model, precision="bf16", kv_cache="fp8")
    engine.smoke()
    yield engine
    engine.close()


def test_class_and_bytes_are_read_off_what_was_allocated(fp8: Engine) -> None:
    facts = fp8.kv_cache
    assert facts is not None
    assert facts.name == "fp8"
    assert facts.kinds == {"fp8_e4m3": 2}
    assert facts.bits_per_number == 8
    assert facts.bytes_per_token == NUMBERS
    assert facts.scales.startswith("1")


def test_it_is_part_of_the_identity(fp8: Engine) -> None:
    assert fp8.identity["arguments"]["kv_cache_dtype"] == "fp8_e4m3"


def test_it_computes_what_transformers_does_with_such_a_cache(
    fp8: Engine, vllm_model: Path
) -> None:
    """As far from a plain cache as 8 bits take it, and not farther."""
    of_transformers = {}
    for kv in (AUTO, "fp8", "int2"):
        arguments = {"pretrained": str(vllm_model), "precision": "bf16", "kv_cache": kv}
        other = ENGINES.get("transformers").value.load(
            {**arguments, "device": "cpu"}, Meter(torch.device("cpu"))
        )
        of_transformers[kv] = first_logprobs(other)
    distances = [
        sum(abs(a - b) for a, b in zip(each, of_transformers[AUTO], strict=True))
        for each in (of_transformers["fp8"], first_logprobs(fp8), of_transformers["int2"])
    ]
    assert distances[0] / 3 < distances[1] < 3 * distances[0] < distances[2]


def test_without_one_the_cache_is_read_as_well(vllm_model: Path) -> None:
    engine, _ = load(vllm_model, precision="bf16")
    engine.smoke()
    facts = engine.kv_cache
    assert facts is not None
    assert (facts.name, facts.kinds, facts.scales) == (AUTO, {AUTO: 2}, "")
    assert facts.dtypes == ["bfloat16"]
    assert facts.bytes_per_token == 2 * NUMBERS
    assert "kv_cache_dtype" not in engine.identity["arguments"]
    engine.close()


# ---------------------------------------------------------------------- what cannot be
def check(folder: Path, **arguments: Any) -> None:
    given = {"pretrained": str(folder), "precision": "bf16", "device": DEVICE, **arguments}
    ENGINES.get("vllm").value.check(given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kv_cache": "fp9"}, "kv_cache=fp9: engine=vllm does not keep keys and values so"),
        ({"kv_cache_dtype": "fp8"}, "kv_cache_dtype=fp8: its name here is kv_cache"),
        ({"kv_cach": "fp8"}, "kv_cach=fp8: unknown to engine=vllm .* mean 'kv_cache'"),
    ],
)
def test_what_cannot_be_is_refused(
    vllm_model: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        check(vllm_model, **arguments)


def test_what_a_release_does_not_have_is_refused(
    vllm_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {row.engine_name for row in KV_CACHES if "4" not in row.name} <= (
        environment.cache_dtypes()
    )
    monkeypatch.setattr(environment, "cache_dtypes", lambda: frozenset({"auto", "fp8_e4m3"}))
    check(vllm_model, kv_cache="fp8")
    with pytest.raises(
        ModelError, match=r"kv_cache=int4: vllm\S* \S+ does not have it .*'int4_per"
    ):
        check(vllm_model, kv_cache="int4")


@pytest.mark.skipif(DEVICE != "cpu", reason="a GPU has them")
@pytest.mark.parametrize(
    ("kv", "message"),
    [
        ("int8", r"holds int8, and 8\.00 bits for each number .* 8\.50 were expected"),
        ("int4", r"holds uint8, and 8\.00 bits for each number .* 4\.50 were expected"),
        ("turboquant_4bit_nc", r"2 of 2 layers of the cache are not that: auto \(2\)"),
    ],
)
def test_what_vllm_takes_and_does_not_do_is_found(vllm_model: Path, kv: str, message: str) -> None:
    """Its build for CPUs takes these names, and keeps something else."""
    engine, _ = load(vllm_model, precision="bf16", kv_cache=kv)
    with pytest.raises(ModelError, match=rf"kv_cache={kv} was asked for, but .*{message}"):
        engine.smoke()
    engine.close()


# ---------------------------------------------------------------------- planted lies
BLOCKS, SIZE, HEAD = 10, 16, 64
NAMES = [f"model.layers.{n}.self_attn.attn" for n in range(6)]


def layer(name: str, kind: str, bits: float, **changes: Any) -> LiveLayer:
    """Return what a layer in memory of its own shows, with two heads of keys and values."""
    numbers = 2 * 2 * HEAD
    made = LiveLayer(
        name=name,
        kind=kind,
        dtype="uint8",
        storage=NAMES.index(name),
        storage_bytes=int(BLOCKS * SIZE * numbers * bits / 8),
        own_bytes=int(BLOCKS * SIZE * numbers * bits / 8),
        numbers=numbers,
        head_size=HEAD,
        scales=(1.0, 1.0),
        narrow_queries=False,
    )
    return replace(made, **changes)


def told(layers: list[LiveLayer], asked: str | None = "fp8") -> Any:
    sizes = dict.fromkeys(NAMES, SIZE)
    return facts_of([layers], BLOCKS, sizes, None if asked is None else ROWS[asked])


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (layer(NAMES[5], "auto", 16, dtype="float16"), r"1 of 6 layers .* not that: auto \(1\)"),
        (layer(NAMES[5], "fp8_e5m2", 8), r"1 of 6 layers .* not that: fp8_e5m2 \(1\)"),
        (layer(NAMES[5], "fp8_e4m3", 16, dtype="float16"), r"holds float16, and 16\.00 bits"),
        (layer(NAMES[5], "fp8_e4m3", 4), r"and 4\.00 bits for each number .* 8\.00 were expected"),
    ],
)
def test_a_layer_that_is_something_else_is_found(last: LiveLayer, message: str) -> None:
    whole = [layer(name, "fp8_e4m3", 8) for name in NAMES]
    assert told(whole).bits_per_number == 8
    with pytest.raises(ModelError, match=f"kv_cache=fp8 was asked for, but .*{message}"):
        told([*whole[:5], last])


def test_scales_of_heads_are_counted() -> None:
    bits = 8 + 32 / HEAD
    facts = told([layer(name, "int8_per_token_head", bits) for name in NAMES], "int8")
    assert facts.bits_per_number == bits
    with pytest.raises(ModelError, match=r"8\.00 bits for each number .* 8\.50 were expected"):
        told([layer(name, "int8_per_token_head", 8) for name in NAMES], "int8")


def test_layers_that_turboquant_keeps_wide_are_counted() -> None:
    slot = 8 * (32 + 2 + 32 + 4) / (2 * HEAD)
    kept = [layer(name, "auto", 16, dtype="bfloat16") for name in NAMES[:2]]
    packed = [layer(name, "turboquant_4bit_nc", slot) for name in NAMES[2:]]
    facts = told([*kept, *packed], "turboquant_4bit_nc")
    assert facts.kinds == {"auto": 2, "turboquant_4bit_nc": 4}
    assert facts.bits_per_number == pytest.approx((2 * 16 + 4 * slot) / 6)
    with pytest.raises(ModelError, match=r"6 of 6 layers of the cache are not that: auto \(6\)"):
        told([layer(name, "auto", 16) for name in NAMES], "turboquant_4bit_nc")


def test_one_memory_for_all_layers_is_counted_once() -> None:
    apart = told([layer(name, "fp8_e4m3", 8) for name in NAMES])
    each = int(BLOCKS * SIZE * 2 * 2 * HEAD)
    together = told(
        [layer(name, "fp8_e4m3", 8, storage=1, storage_bytes=6 * each) for name in NAMES]
    )
    assert together.bytes_per_token == apart.bytes_per_token


def test_what_a_release_does_not_show_is_no_evidence() -> None:
    whole = [layer(name, "fp8_e4m3", 8) for name in NAMES]
    blocks, sizes = pages_of(object())
    assert facts_of([whole], blocks, sizes, None) is None
    with pytest.raises(ModelError, match="kv_cache=fp8: this vLLM shows no keys and values"):
        facts_of([whole], blocks, sizes, ROWS["fp8"])


def test_a_checkpoint_that_says_it_by_itself_names_the_cache() -> None:
    facts = told([layer(name, "fp8", 8, scales=(0.5, 0.25)) for name in NAMES], None)
    assert facts.name == "fp8"
    assert facts.scales == "0.25 to 0.5, for each layer"
