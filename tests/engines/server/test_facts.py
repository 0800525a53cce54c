"""What servers tell of themselves, in the words of each; and what is made of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")
from model_server import Fault, ModelServer
from transformers import AutoTokenizer, GenerationConfig

from qrag_tasks.arms.components import canonical, plain
from qrag_tasks.arms.precisions import precision, precisions
from qrag_tasks.engines.server.engine import ServerEngine
from qrag_tasks.engines.server.facts import ServerFacts, check_precision
from qrag_tasks.errors import ModelError, SettingsError

Load = Callable[..., ServerEngine]

VLLM: tuple[dict[str, Any], dict[str, Any]] = (
    {"owned_by": "vllm", "root": "/data/models/tiny", "max_model_len": 1024, "created": 1},
    {"/version": {"version": "0.24.0"}},
)
LLAMA_SERVER: tuple[dict[str, Any], dict[str, Any]] = (
    {
        "owned_by": "llamacpp",
        "meta": {"n_ctx_train": 2048, "n_params": 99, "size": 1234, "n_vocab": 1024},
    },
    {
        "/props": {
            "default_generation_settings": {"n_ctx": 1024, "temperature": 0.8},
            "total_slots": 4,
            "model_path": "C:\\models\\tiny-1b.Q8_0.gguf",
            "build_info": "b9222-abc",
            "chat_template": "{{ x }}",
        }
    },
)
OLLAMA: tuple[dict[str, Any], dict[str, Any]] = (
    {"owned_by": "library", "created": 5},
    {
        "/api/show": {"details": {"quantization_level": "F32", "parameter_size": "1B"}},
        "/api/ps": {"models": [{"name": "tiny", "context_length": 1024, "digest": "abc"}]},
        "/api/version": {"version": "0.13.1"},
    },
)
LM_STUDIO: tuple[dict[str, Any], dict[str, Any]] = (
    {"owned_by": "organization_owner"},
    {
        "/api/v0/models": {
            "data": [
                {"id": "other", "quantization": "Q2_K", "loaded_context_length": 1},
                {"id": "tiny", "quantization": "F32", "loaded_context_length": 1024},
            ]
        }
    },
)
TGI: tuple[dict[str, Any], dict[str, Any]] = (
    {"owned_by": "tiny"},
    {"/info": {"max_total_tokens": 1024, "model_dtype": "float32", "version": "3.2.1"}},
)


@pytest.mark.parametrize(
    ("told", "software", "expected"),
    [
        (VLLM, "vllm", {"version": "0.24.0", "checkpoint": "tiny", "window": 1024}),
        (
            LLAMA_SERVER,
            "llama-server",
            {
                "file": "tiny-1b.Q8_0.gguf",
                "build_info": "b9222-abc",
                "quantization": "Q8_0",
                "weight_bytes": 1234,
                "window": 1024,
            },
        ),
        (OLLAMA, "ollama", {"quantization": "F32", "version": "0.13.1", "digest": "abc"}),
        (LM_STUDIO, "lm-studio", {"quantization": "F32", "window": 1024}),
        (TGI, "tgi", {"quantization": "float32", "window": 1024, "version": "3.2.1"}),
        (({"owned_by": "me"}, {}), "unknown", {"owned_by": "me"}),
        (({"owned_by": "vllm"}, {}), "vllm", {}),
    ],
)
def test_what_each_tells_is_recorded(
    server: ModelServer,
    load: Load,
    told: tuple[dict[str, Any], dict[str, Any]],
    software: str,
    expected: dict[str, Any],
) -> None:
    server.entry, server.pages = told
    # Which rows there are for GGUF files is a format's to say.
    rows = [name for name in precisions() if name == "gguf-q8_0"]
    stated = rows[0] if rows and expected.get("quantization") == "Q8_0" else "fp32"
    engine = load(precision=stated)
    recorded = engine.arm["server"]
    assert recorded["software"] == software
    assert recorded["model"] == "tiny"
    assert expected.items() <= recorded.items()
    assert engine.arm["weights"]["bytes"] == expected.get("weight_bytes")
    # When it was started is not what it answers with.
    assert "created" not in canonical(plain(engine.identity))
    server.entry = {**server.entry, "created": 77}
    assert canonical(plain(load(precision=stated).identity)) == canonical(plain(engine.identity))


def test_what_is_told_once_the_model_has_answered(server: ModelServer, load: Load) -> None:
    server.entry, server.pages = OLLAMA[0], dict(OLLAMA[1])
    running = server.pages["/api/ps"]
    server.pages["/api/ps"] = lambda: running if server.asked else {"models": []}
    first = load().facts
    assert first.window == 1024
    assert load().facts == first


@pytest.mark.parametrize("told", [VLLM, LLAMA_SERVER, OLLAMA, LM_STUDIO, TGI])
def test_a_window_that_is_shorter_than_the_stated_one(
    server: ModelServer, load: Load, told: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    server.entry, server.pages = told
    with pytest.raises(ModelError, match=r"max_length=1025: .* 1024 tokens. Give max_length=1024"):
        load(max_length=1025)


@pytest.mark.parametrize("told", [OLLAMA, LM_STUDIO, TGI])
def test_a_precision_that_the_server_contradicts(
    server: ModelServer, load: Load, told: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    server.entry, server.pages = told
    with pytest.raises(
        ModelError, match=r"precision=int4-nf4: the server says that model tiny is in (F|float)32"
    ):
        load(precision="int4-nf4")


@pytest.mark.parametrize("word", ["awq", "int4-awq", "AWQ"])
def test_words_for_a_precision(word: str) -> None:
    facts = ServerFacts("any", "tiny", quantization=word)
    check_precision(precision("int4-awq"), facts)
    with pytest.raises(ModelError, match=r"Give precision=int4-awq, or the model that is meant"):
        check_precision(precision("bf16"), facts)


def test_words_that_say_nothing() -> None:
    for word in (None, "4bit", "something new"):
        check_precision(precision("bf16"), ServerFacts("any", "tiny", quantization=word))


# ---------------------------------------------------------------------- which model
def test_which_model_is_meant(server: ModelServer, load: Load) -> None:
    assert load().facts.model == load(model="tiny").facts.model == "tiny"
    with pytest.raises(SettingsError, match=r"model=tinny: .* \(it serves: tiny\).*mean 'tiny'"):
        load(model="tinny")
    server.entry = None
    assert load(model="tiny").facts.software == "unknown"
    with pytest.raises(SettingsError, match=r"it does not list its models, so .* needs model="):
        load()
    with pytest.raises(ModelError, match=r"HTTP 404: The model `other` does not exist.*model="):
        load(model="other")


def test_several_models(server: ModelServer, load: Load) -> None:
    server.entry = None
    server.pages = {"/v1/models": {"data": [{"id": "one"}, {"id": "tiny:latest"}]}}
    with pytest.raises(SettingsError, match=r"it serves one, tiny:latest, so .* needs model="):
        load()
    assert load(model="tiny").facts.model == "tiny"


def test_no_server(load: Load) -> None:
    with pytest.raises(
        ModelError, match=r"Connection refused\).* Is the server running.*base_url="
    ):
        load(base_url="http://127.0.0.1:9/v1")


def test_a_page_that_is_not_of_a_server_of_models(server: ModelServer, load: Load) -> None:
    server.entry = None
    server.pages = {"/v1/models": "<html>Welcome</html>"}
    with pytest.raises(ModelError, match=r"/v1/models: it answered with what is not JSON: '<html"):
        load(model="tiny")


# ---------------------------------------------------------------------- which tokenizer
def test_another_tokenizer(server: ModelServer, load: Load) -> None:
    server.read = lambda text: [*text.encode()]
    with pytest.raises(
        ModelError,
        match=r"of \d+ tokens by its count, and \d+ were sent.*with another tokenizer than tok",
    ):
        load()
    # As many tokens, but other ones: those that say which they read are held to it.
    server.read = lambda text: [5] * len(server.tokenizer(text)["input_ids"])
    with pytest.raises(ModelError, match="to other token ids than were sent, though as many"):
        load()


def test_end_tokens_of_what_lies_beside_the_tokenizer(
    server: ModelServer, load: Load, tiny_model: Path, tmp_path: Path
) -> None:
    assert load().decoding.sources.keys() >= {"tokenizer", "config", "generation_config"}
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path)
    assert not load(tokenizer=str(tmp_path)).decoding.sources.keys() & {"config"}
    GenerationConfig(eos_token_id=[0, 9]).save_pretrained(tmp_path)
    engine = load(tokenizer=str(tmp_path))
    assert engine.decoding.end_tokens == (0, 9)


# ---------------------------------------------------------------------- what passes at the start
def test_facts_that_are_not_told_on_a_bad_day(
    server: ModelServer, load: Load, tiny_model: Path
) -> None:
    server.pages = {}
    assert "version" not in load().facts.as_dict()
    server.pages = {"/version": "<html>a page</html>"}
    assert "version" not in load().facts.as_dict()
    server.pages = {"/version": Fault(status=503, body="{}")}
    with pytest.raises(
        ModelError, match=r"/version: HTTP 503: \{\}. Given up after 3 tries.*Start it"
    ):
        load()


def test_a_start_that_is_disturbed(server: ModelServer, load: Load) -> None:
    whole = load().form
    server.faults = [Fault(status=503, body="{}"), None, Fault(status=429, body="{}")]
    assert load().form == whole
    server.faults = [None, *[Fault(status=503, body="{}")] * 3]
    with pytest.raises(ModelError, match="HTTP 503"):
        load()
    # Some have no better word for token ids that they do not take.
    server.faults = [None, *[Fault(status=500, body="{}")] * 3]
    assert not load().form.token_ids
