"""``engine=server`` against vLLM's own server."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

pytest.importorskip("torch", reason="the hf extra is not installed")
if importlib.util.find_spec("vllm") is None:
    pytest.skip("vllm is not installed", allow_module_level=True)

from reference_model import next_log_probabilities
from served_models import served, texts_of
from server_kit import ServerConformance

from qrag_tasks.arms.devices import checked_device
from qrag_tasks.engines.server.engine import ServerEngine
from qrag_tasks.errors import ModelError
from qrag_tasks.metering.meter import Meter
from qrag_tasks.registry import ENGINES
from qrag_tasks.testing.engine_requests import generate, sample_requests


@pytest.fixture(scope="module")
def served_model(vllm_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model with settings of its own, by which vLLM answers where a request says nothing."""
    folder = tmp_path_factory.mktemp("served") / "with-settings"
    shutil.copytree(vllm_model, folder)
    file = folder / "generation_config.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**settings, "repetition_penalty": 5.0}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def url(served_model: Path) -> Iterator[str]:
    def command(port: int) -> list[str]:
        return [
            *("-m", "vllm.entrypoints.openai.api_server", "--model", str(served_model)),
            *("--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port)),
            *("--dtype", "float32", "--enforce-eager", "--max-model-len", "1024"),
            *("--max-num-seqs", "16", "--kv-cache-memory-bytes", str(32 << 20)),
            "--enable-prompt-tokens-details",
        ]

    # Of a checkout, without a compiled extension of its own.
    environment = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_LOGGING_LEVEL": "WARNING"}
    # Its default, where this process has set another: its core need not import vLLM again.
    environment["VLLM_WORKER_MULTIPROC_METHOD"] = "fork"
    with served(command, served_model.parent, {**environment, "HF_HUB_OFFLINE": "1"}) as address:
        yield address


@pytest.fixture
def given(url: str, vllm_model: Path) -> Mapping[str, Any]:
    return {
        "base_url": url,
        "tokenizer": str(vllm_model),
        "precision": "fp32",
        "max_length": 1024,
    }


def load(given: Mapping[str, Any], **changes: Any) -> ServerEngine:
    engine = ENGINES.get("server").value.load({**given, **changes}, Meter(checked_device("cpu")))
    assert isinstance(engine, ServerEngine)
    return engine


class TestServedByVllm(ServerConformance):
    @pytest.fixture
    def arguments(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        return given

    @pytest.fixture
    def reference(self, vllm_model: Path) -> Callable[[Sequence[int]], Sequence[float]]:
        return next_log_probabilities(vllm_model)


def test_what_it_tells(given: Mapping[str, Any], served_model: Path) -> None:
    engine = load(given)
    server = engine.arm["server"]
    assert (server["software"], server["model"], server["window"]) == ("vllm", "tiny", 1024)
    assert server["checkpoint"] == served_model.name
    assert server["version"]
    assert (server["prompts"], server["answers"]) == ("token ids", "token ids")
    with pytest.raises(ModelError, match=r"max_length=2048: .* has 1024 tokens"):
        load(given, max_length=2048)


def test_text_gives_the_same_answers(given: Mapping[str, Any]) -> None:
    engine = load(given)
    whole = texts_of(engine)
    engine.form = replace(engine.form, token_ids=False)
    assert texts_of(engine) == whole
    engine.form = replace(engine.form, extensions=False, gives_ids=False)
    assert texts_of(engine) != whole, "its own penalty is no longer at work"


def test_its_prefix_cache_is_counted(given: Mapping[str, Any]) -> None:
    engine = load(given, concurrency=1)
    prompt = sample_requests(engine)[-1].prompt
    long = [
        replace(request, prompt=(list(prompt) * 20)[: 200 + place])
        for place, request in enumerate(sample_requests(engine)[:4])
    ]
    generate(engine, long)
    cost = engine._meter.cost()
    assert cost.cached_prompt_tokens is not None
    # Whole blocks alone are kept, of up to 128 tokens.
    assert cost.cached_prompt_tokens > cost.prompt_tokens / 3


def test_its_own_words_for_a_request_that_it_refuses(given: Mapping[str, Any]) -> None:
    engine = load(given)
    (request, *_) = sample_requests(engine)
    with pytest.raises(ModelError, match=r"request 0: .*HTTP 400: .*1024"):
        generate(engine, [replace(request, max_new_tokens=4096)])


def test_settings_of_the_checkpoint_are_set_aside(given: Mapping[str, Any], url: str) -> None:
    """That the kit finds the likeliest tokens says that they are; here, that there are some."""
    engine = load(given)
    request = sample_requests(engine)[-1]
    (answer,) = generate(engine, [request])
    bare = {"model": "tiny", "prompt": request.prompt, "max_tokens": 8, "temperature": 0}
    said = requests.post(f"{url}/completions", json={**bare, "return_token_ids": True}, timeout=60)
    assert said.json()["choices"][0]["token_ids"] != answer
