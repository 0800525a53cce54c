"""Keys and values in fewer bits: read off the live cache, and every fault of it found by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the hf extra is not installed")
from random_models import save_random_model  # noqa: E402
from transformers.cache_utils import DynamicCache, DynamicLayer  # noqa: E402

from qrag_tasks.arms.engine_choice import chosen_engine  # noqa: E402
from qrag_tasks.arms.kv_caches import KvCache, asked_cache  # noqa: E402
from qrag_tasks.engines.base import GenerationRequest, LikelihoodRequest  # noqa: E402
from qrag_tasks.engines.transformers import cache_layers, kv_cache  # noqa: E402
from qrag_tasks.engines.transformers.abilities import KV_CACHES  # noqa: E402
from qrag_tasks.engines.transformers.engine import TransformersEngine  # noqa: E402
from qrag_tasks.errors import ModelError, SettingsError  # noqa: E402
from qrag_tasks.metering.meter import Meter  # noqa: E402
from qrag_tasks.registry import ENGINES  # noqa: E402
from qrag_tasks.testing.engine_requests import generate, sample_requests, score  # noqa: E402

Load = Callable[..., TransformersEngine]
LAYERS, HEADS, SIZE = 2, 2, 16
"""Of the small model: layers, heads of keys and values, and numbers of a head."""
NUMBERS = 2 * LAYERS * HEADS * SIZE


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": LAYERS}
    heads = {"num_attention_heads": 4, "num_key_value_heads": HEADS}
    folder = tmp_path_factory.mktemp("kv") / "model"
    return save_random_model("Qwen2", tiny_model, folder, seed=0, **sizes, **heads)


@pytest.fixture
def load(model: Path) -> Load:
    def load(kv: str | None, precision: str = "fp32", **more: Any) -> TransformersEngine:
        given = {"pretrained": str(model), "precision": precision, "device": "cpu", **more}
        factory = ENGINES.get("transformers").value
        arguments = given if kv is None else {**given, "kv_cache": kv}
        return factory.load(arguments, Meter(torch.device("cpu")))  # type: ignore[return-value]

    return load


def rows() -> Iterator[Any]:
    for row in KV_CACHES:
        module = {"optimum-quanto": "optimum.quanto"}.get(row.distribution, row.distribution)
        missing = bool(module) and not (find_spec(module.partition(".")[0]) and find_spec(module))
        skip = pytest.mark.skipif(missing, reason=f"{row.distribution} is not installed")
        yield pytest.param(row, id=row.name, marks=skip)


each_row = pytest.mark.parametrize("row", list(rows()))


@each_row
def test_bytes_and_class_are_read_off_the_live_cache(load: Load, row: KvCache) -> None:
    engine = load(row.name, precision="bf16")
    smoke = engine.smoke()
    facts = engine.kv_cache
    assert facts is not None
    assert smoke is not None
    assert facts.name == row.name
    # A group is a whole head here; each has two numbers of 16 bits beside its codes.
    expected = 8.0 if row.name == "fp8" else row.bits + 32 / SIZE
    assert facts.bits_per_number == expected
    assert facts.bytes_per_token == expected * NUMBERS / 8
    (kind,) = facts.kinds
    assert kind.startswith("qrag_tasks.engines.transformers.cache_layers.")
    assert facts.kinds[kind] == LAYERS
    assert facts.newest_in_full == (127 if "-" in row.name else 0)
    assert 0 < smoke["kv_cache"]["error"] <= 1


@pytest.mark.parametrize("name", ["int4-quanto", "int2-quanto"])
def test_nothing_of_quanto_is_compiled(
    load: Load, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Its own C++ would take a compiler, and the first user of an install a minute."""
    pytest.importorskip("optimum.quanto", reason="the quanto extra is not installed")
    from optimum.quanto.library.extensions import extension

    def compiles(*_: Any, **__: Any) -> None:
        raise AssertionError("quanto compiles an extension")

    monkeypatch.setattr(extension, "load", compiles)
    for each in extension._extensions.values():
        monkeypatch.setattr(each, "_lib", None)
    assert load(name).smoke() is not None


@pytest.mark.parametrize("given", [None, "auto"])
def test_without_one_the_models_own_cache_is_read(load: Load, given: str | None) -> None:
    engine = load(given)
    assert engine.smoke() is None
    facts = engine.kv_cache
    assert facts is not None
    assert facts.name == "auto"
    assert facts.kinds == {"transformers.cache_utils.DynamicLayer": LAYERS}
    assert facts.bytes_per_token == 4 * NUMBERS
    assert "kv_cache" not in engine.identity


@each_row
def test_answers_depend_neither_on_padding_nor_on_company(load: Load, row: KvCache) -> None:
    engine = load(row.name)
    requests = sample_requests(engine)
    together = generate(engine, requests)
    assert [generate(engine, [request])[0] for request in requests] == together
    likelihoods = [
        LikelihoodRequest(request.name, (*request.prompt, *tokens[:-1]), (tokens,))
        for request, tokens in zip(requests, together, strict=True)
    ]
    alone = [score(engine, [request])[0][0][0] for request in likelihoods]
    assert [each[0][0] for each in score(engine, likelihoods)] == pytest.approx(alone, abs=1e-3)


def test_the_first_token_reads_the_cache_too(load: Load) -> None:
    """In transformers' own, the pass of the prompt reads its keys and values in full."""
    prompts = [request.prompt for request in sample_requests(load(None))]
    plain, two = (first_logprobs(load(kv), prompts) for kv in (None, "int2"))
    assert max(abs(a - b) for a, b in zip(plain, two, strict=True)) > 1e-3


def first_logprobs(engine: TransformersEngine, prompts: Sequence[Sequence[int]]) -> list[float]:
    """Return the log-probability of one token after each prompt."""
    requests = [LikelihoodRequest("one", prompt, ([7],)) for prompt in prompts]
    return [likelihoods[0][0] for likelihoods in score(engine, requests)]


def test_more_bits_are_nearer(load: Load) -> None:
    prompts = [request.prompt for request in sample_requests(load(None))]
    plain = first_logprobs(load(None), prompts)
    distances = [
        sum(abs(a - b) for a, b in zip(plain, first_logprobs(load(kv), prompts), strict=True))
        for kv in ("int8", "int4", "int2")
    ]
    assert distances == sorted(distances)
    assert 10 * distances[0] < distances[2]


def test_beams_keep_their_own_caches(load: Load) -> None:
    """8 bits of so small numbers change no beam; caches that are not reordered would."""
    settings = {"do_sample": False, "num_beams": 3}
    prompts = [request.prompt for request in sample_requests(load(None))][:3]
    requests = [GenerationRequest(f"{n}", p, 6, (), settings) for n, p in enumerate(prompts)]
    assert generate(load("int8"), requests) == generate(load(None), requests)


@each_row
def test_identity_names_the_cache(load: Load, row: KvCache) -> None:
    named = load(row.name).identity["kv_cache"]
    assert named == {"name": row.name, "group": SIZE, "version": row.version}


def test_another_name_of_the_same_cache_is_the_same_arm(load: Load) -> None:
    assert load("fp8").identity == load("fp8_e4m3").identity


def test_results_and_cost_say_it(model: Path) -> None:
    from qrag_tasks.harness.model import QragLM

    lm = QragLM(pretrained=str(model), precision="bf16", device="cpu", kv_cache="int4")
    logged = lm.get_model_info()["qrag"]
    assert logged["kv_cache"]["name"] == "int4"
    assert logged["cost"]["cache_bytes_per_token"] == logged["kv_cache"]["bytes_per_token"]
    assert logged["identity_parts"]["kv_cache"]["name"] == "int4"
    assert logged["smoke_check"]["kv_cache"]["error"] <= 1


def test_more_sequences_fit_where_the_cache_is_smaller(load: Load) -> None:
    of_plain, of_four = (load(kv)._batches.footprint.token for kv in (None, "int4"))
    assert of_plain - of_four == NUMBERS * (4 - 4.5 / 8)


# ---------------------------------------------------------------------- what cannot be
@pytest.mark.parametrize("engine", ["server", "llama_cpp", "vllm"])
def test_an_engine_refuses_what_it_does_not_have(engine: str) -> None:
    with pytest.raises(SettingsError, match=f"kv_cache=int2: engine={engine} does not keep"):
        chosen_engine({"engine": engine, "kv_cache": "int2"})


def test_a_misspelt_name_is_refused() -> None:
    with pytest.raises(
        SettingsError, match=r"kv_cache=int4hqq: engine=transformers .* mean .int4-hqq"
    ):
        asked_cache({"kv_cache": "int4hqq"}, KV_CACHES, "transformers")


def test_with_continuous_batching_it_is_refused(load: Load) -> None:
    with pytest.raises(SettingsError, match="kv_cache=fp8 and batching=continuous"):
        load("fp8", batching="continuous")


def test_what_is_missing_is_named(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = KvCache("int4-hqq", 4, "", "hqq", (), "no-such-distribution", "hqq")
    with pytest.raises(ModelError, match=r"needs no-such-distribution: pip install 'qrag-tasks"):
        missing.check_installed()


def test_a_model_with_windows_is_refused(load: Load, tiny_model: Path, tmp_path: Path) -> None:
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": LAYERS}
    heads = {"num_attention_heads": 4, "num_key_value_heads": HEADS}
    folder = save_random_model(
        "Mistral", tiny_model, tmp_path / "m", seed=0, sliding_window=32, **sizes, **heads
    )
    with pytest.raises(ModelError, match=r"kv_cache=fp8: not all layers .*sliding_attention"):
        load("fp8", pretrained=str(folder))


# ---------------------------------------------------------------------- planted lies
class FullInDisguise(cache_layers.Fp8Layer):
    """Says that it holds floats of 8 bits, and holds what it got."""

    def encode(self, numbers: Any) -> tuple[Any, ...]:
        return (numbers,)


class OffByOne(cache_layers.GroupLayer):
    """Reads every number of a group one step too high."""

    def decode(self, parts: tuple[Any, ...]) -> Any:
        packed, step, low = parts
        return super().decode((packed, step, low + step))


class KeepsBoth(cache_layers.GroupLayer):
    """Keeps the numbers in full as well, and says nothing of it."""

    def encode(self, numbers: Any) -> tuple[Any, ...]:
        return (*super().encode(numbers), numbers)

    def decode(self, parts: tuple[Any, ...]) -> Any:
        return super().decode(parts[:3])


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("fp8", FullInDisguise, r"the cache holds float32, and 32\.00 bits .* 8\.00 were expected"),
        ("int4", OffByOne, r"the cache reads back something else than went into it"),
        ("int4", KeepsBoth, r"and 40\.00 bits for each number .* 8\.00 were expected"),
    ],
)
def test_a_lying_layer_is_found(
    load: Load, monkeypatch: pytest.MonkeyPatch, name: str, kind: type[Any], message: str
) -> None:
    monkeypatch.setattr(kv_cache, "_LAYERS", {**kv_cache._LAYERS, name: kind})
    with pytest.raises(ModelError, match=rf"(?s)kv_cache={name}.*{message}"):
        load(name).smoke()


def test_another_class_of_layers_is_found(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = load("int8")
    new = engine._caches.new

    def with_a_plain_layer() -> dict[str, Any]:
        given = new()
        (cache,) = given.values()
        cache.layers[1] = DynamicLayer()
        return given

    monkeypatch.setattr(engine._caches, "new", with_a_plain_layer)
    with pytest.raises(ModelError, match=r"1 of 2 layers .* not that: .*DynamicLayer \(1\)"):
        engine.smoke()


def test_a_model_that_fills_another_cache_is_found(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load("int8")
    forward = engine.model.forward
    name = engine._caches._parameter

    def swaps(*args: Any, **kwargs: Any) -> Any:
        return forward(*args, **{**kwargs, name: DynamicCache(config=engine.config)})

    monkeypatch.setattr(engine.model, "forward", swaps)
    with pytest.raises(ModelError, match=r"kv_cache=int8 .* another cache \(DynamicCache\)"):
        engine.smoke()
