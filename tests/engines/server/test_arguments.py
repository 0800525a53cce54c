"""The arguments of the engine, before a server is asked."""

from __future__ import annotations

from typing import Any

import pytest

from qrag_tasks.arms.engine_choice import model_mistakes
from qrag_tasks.engines.server.arguments import read_arguments
from qrag_tasks.errors import SettingsError

WHOLE = {
    "base_url": "http://localhost:8000/v1",
    "tokenizer": "somewhere",
    "precision": "int4-awq",
    "max_length": 4096,
}


def test_what_is_left_out_has_a_default() -> None:
    read = read_arguments({**WHOLE, "engine": "server", "batch_size": "auto", "dtype": "auto"})
    assert (read.base_url, read.root) == ("http://localhost:8000/v1", "http://localhost:8000")
    assert (read.model, read.precision.name, read.window) == (None, "int4-awq", 4096)
    assert (read.concurrency, read.interval, read.timeout, read.retries) == (16, 0, 600, 6)
    # As the command line hands them on, or a plan.
    read = read_arguments(
        {
            **WHOLE,
            "base_url": "https://host/some/v1/",
            "model": 7,
            "concurrency": "2",
            "requests_per_second": 0.5,
            "timeout": "1.5",
            "retries": 0,
            "enable_thinking": False,
        }
    )
    assert read.base_url == "https://host/some/v1"
    assert (read.model, read.concurrency, read.interval) == ("7", 2, 2)
    assert (read.timeout, read.retries) == (1.5, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base_url": None}, r"needs base_url= \(the server's address: http://localhost:8000/v1"),
        ({"tokenizer": None, "precision": None}, r"needs tokenizer= .*\n.*needs precision= "),
        ({"max_length": None}, "needs max_length= .*--max-model-len"),
        ({"base_url": "localhost:8000"}, "base_url=localhost:8000: give the address of a server"),
        ({"base_url": "http://a:b/v1"}, "base_url=http://a:b/v1: give the address of a server"),
        ({"base_url": "http://a:1"}, "is needed: base_url=http://a:1/v1"),
        ({"base_url": "http://a/v1/completions"}, "asked of the server: base_url=http://a/v1$"),
        (
            {"base_url": "http://a/v1/chat/completions"},
            "asked of the server: base_url=http://a/v1$",
        ),
        ({"base_url": "http://me:secret@a/v1"}, "base_url=http://a/v1: it was given with a name"),
        ({"base_url": "http://a/v1?key=secret"}, "base_url=http://a/v1: it was given with"),
        ({"precision": "int4"}, "unknown precision 'int4'"),
        ({"max_length": 0}, "max_length=0: give a whole number above 0"),
        ({"max_length": 4.5}, "max_length=4.5: give a whole number above 0"),
        ({"concurrency": 0}, "concurrency=0: give a whole number above 0"),
        ({"requests_per_second": 0}, "requests_per_second=0: give a number above 0"),
        ({"requests_per_second": "inf"}, "requests_per_second=inf: give a number above 0"),
        ({"timeout": "nan"}, "timeout=nan: give a number above 0"),
        ({"retries": -1}, "retries=-1: give a whole number of 0 or more"),
        ({"batch_size": 8}, "batch_size=8: .* give concurrency=8, requests at once"),
        ({"max_batch_size": 8}, "max_batch_size=8: .*concurrency="),
        ({"deterministic": True}, "deterministic=True: .*qrag noise.*engine=vllm"),
        ({"deterministic": "yes"}, "deterministic=yes: give True or False"),
        ({"pretrained": "x"}, "pretrained=x: .* give its name there as model="),
        ({"dtype": "float16"}, "dtype=float16: .* precision="),
        ({"device": "cuda"}, "device=cuda: .* leave device out"),
        ({"truncation": True}, "truncation=True: unknown to engine=server"),
        ({"concurency": 4}, "concurency=4: unknown to engine=server .*Did you mean 'concurrency'"),
        ({"group_size": 128}, "group_size=128: unknown to engine=server"),
    ],
)
def test_arguments_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    arguments = {"engine": "server", **WHOLE, **changes}
    with pytest.raises(SettingsError, match=message) as caught:
        read_arguments(arguments)
    assert "secret" not in str(caught.value)
    ((_, text),) = model_mistakes("qrag", arguments)
    assert text == str(caught.value)


def test_a_key_is_never_repeated() -> None:
    with pytest.raises(SettingsError, match=r"^api_key: .*variable OPENAI_API_KEY$") as caught:
        read_arguments({**WHOLE, "api_key": "sk-secret"})
    assert "secret" not in str(caught.value)
