"""``engine=server`` against the server of llama-cpp-python, which takes text and gives text."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")
pytest.importorskip("llama_cpp", reason="the llama-cpp extra is not installed")
if importlib.util.find_spec("sse_starlette") is None:
    pytest.skip("llama-cpp-python[server] is not installed", allow_module_level=True)
from gguf_models import write_gguf
from served_models import TEXTS, served, texts_of

from qrag_tasks.arms.devices import checked_device
from qrag_tasks.engines.base import Engine, GenerationRequest
from qrag_tasks.engines.server.engine import ServerEngine
from qrag_tasks.errors import ModelError
from qrag_tasks.metering.meter import Meter
from qrag_tasks.registry import ENGINES


@pytest.fixture(scope="module")
def file(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tiny_model, tmp_path_factory.mktemp("served") / "tiny.gguf")


@pytest.fixture(scope="module")
def url(file: Path) -> Iterator[str]:
    with served(lambda port: _command(file, port), file.parent, {}) as address:
        yield address


def _command(file: Path, port: int, window: int = 1024) -> list[str]:
    return [
        *("-m", "llama_cpp.server", "--model", str(file), "--model_alias", "tiny"),
        *("--host", "127.0.0.1", "--port", str(port), "--n_ctx", str(window)),
        *("--n_threads", "1", "--n_threads_batch", "1", "--verbose", "false"),
    ]


def load(name: str, **arguments: Any) -> Engine:
    return ENGINES.get(name).value.load(arguments, Meter(checked_device("cpu")))


@pytest.fixture
def given(url: str, tiny_model: Path) -> Mapping[str, Any]:
    return {
        "base_url": url,
        "tokenizer": str(tiny_model),
        "precision": "gguf-f32",
        "max_length": 1024,
    }


def test_it_answers_as_llama_cpp_does_here(given: Mapping[str, Any], file: Path) -> None:
    engine = load("server", **given)
    assert isinstance(engine, ServerEngine)
    assert (engine.form.token_ids, engine.form.gives_ids) == (False, False)
    answers: dict[int, Any] = {}
    here = load("llama_cpp", pretrained=str(file))
    asked = [GenerationRequest(text, here.tokenizer(text)["input_ids"], 6) for text in TEXTS]
    here.generate(asked, lambda batch, _cost: answers.update(batch))
    ours = [
        here.tokenizer.decode(answers[place], skip_special_tokens=True)
        for place in range(len(TEXTS))
    ]
    assert texts_of(engine) == ours
    cost = engine._meter.cost()
    assert cost.prompt_tokens == sum(len(request.prompt) for request in asked)


def test_stops_and_special_tokens(given: Mapping[str, Any]) -> None:
    engine = load("server", **given)
    chat = engine.tokenizer("<|user|>the kettle<|end|><|assistant|>")["input_ids"]
    assert engine.tokenizer.convert_tokens_to_ids("<|user|>") == chat[0]
    answers: dict[int, Any] = {}
    engine.generate([GenerationRequest("chat", chat, 6)], lambda a, _cost: answers.update(a))
    whole = answers[0]
    stop = whole[2:4]
    stopped = GenerationRequest("stopped", chat, 6, (stop,))
    engine.generate([stopped], lambda a, _cost: answers.update(a))
    assert answers[0] == whole.partition(stop)[0]


def test_another_bos_is_found_out(tiny_model: Path, tmp_path: Path) -> None:
    tokenizer = json.loads((tiny_model / "tokenizer.json").read_text(encoding="utf-8"))
    bos = next(each["id"] for each in tokenizer["added_tokens"] if each["content"] == "<|system|>")
    file = write_gguf(
        tiny_model,
        tmp_path / "bos.gguf",
        metadata={"tokenizer.ggml.bos_token_id": bos, "tokenizer.ggml.add_bos_token": True},
    )
    with (
        served(lambda port: _command(file, port), tmp_path, {}) as url,
        pytest.raises(ModelError, match="has put a token before the prompt, such as another BOS"),
    ):
        load(
            "server",
            base_url=url,
            tokenizer=str(tiny_model),
            precision="gguf-f32",
            max_length=1024,
        )


def test_its_own_words_for_a_prompt_that_is_too_long(given: Mapping[str, Any]) -> None:
    engine = load("server", **{**given, "max_length": 4096, "retries": 0})
    long = engine.tokenizer("the kettle " * 600)["input_ids"]
    assert len(long) > 1024
    with pytest.raises(ModelError, match=r"too long: .*HTTP [45]\d\d: .*1024"):
        engine.generate([GenerationRequest("too long", long, 6)], lambda *_: None)
