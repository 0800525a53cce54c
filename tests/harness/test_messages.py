"""Chat servers are given messages, which are counted as their model's template writes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from completion_server import completion_server
from lamp_files import reviews, write_flat
from server_runs import Server, docs_asked

from qrag_tasks.errors import SettingsError

pytest.importorskip("torch", reason="the hf extra is not installed")
pytest.importorskip("aiohttp", reason="lm_eval[api] is not installed")
from transformers import AutoTokenizer

TASK = "lamp3u_rag_k5"


@pytest.fixture
def server() -> Iterator[Server]:
    with completion_server() as (address, received):
        yield address.replace("completions", "chat/completions"), received


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_flat(tmp_path / "data", "lamp3u", *reviews(2, profile=5))


def evaluate(
    server: Server, data: Path, metadata: Any = None, chat: bool = True, **arguments: Any
) -> list[dict[str, Any]]:
    """Run ``--model local-chat-completions`` and return the docs."""
    return docs_asked(
        "local-chat-completions",
        server,
        {"model": "x", **arguments},
        data,
        TASK,
        metadata,
        apply_chat_template=chat,
        system_instruction="Answer in one word.",
    )


def test_without_a_tokenizer_messages_are_sent_uncounted(server: Server, data: Path) -> None:
    docs = evaluate(server, data)
    sent = [[part["content"] for part in request["messages"]] for request in server[1]]
    assert sorted(sent) == sorted([["Answer in one word.", doc["prompt"]] for doc in docs])
    assert [doc["prompt_tokens"] for doc in docs] == [None, None]


def test_messages_are_counted_as_the_tokenizers_template_writes_them(
    server: Server, data: Path, tiny_model: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    given = {"tokenizer": str(tiny_model)}
    roomy = evaluate(server, data, **given)
    assert [doc["dropped"] for doc in roomy] == [[], []]
    narrow = max(doc["prompt_tokens"] for doc in roomy) + 15
    server[1].clear()
    docs = evaluate(server, data, {"context_tokens": narrow}, **given)
    assert any(doc["dropped"] for doc in docs)
    by_prompt = {doc["prompt"]: doc["prompt_tokens"] for doc in docs}
    for request in server[1]:
        seen = tokenizer.apply_chat_template(
            request["messages"], tokenize=False, add_generation_prompt=True
        )
        assert by_prompt[request["messages"][-1]["content"]] == len(tokenizer(seen)["input_ids"])


def test_a_tokenizer_without_a_template_counts_no_messages(
    server: Server, data: Path, tiny_model: Path, tmp_path: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path / "plain")
    with pytest.raises(SettingsError, match=r"the tokenizer of .*plain has no such template"):
        evaluate(server, data, tokenizer=str(tmp_path / "plain"))
    assert server[1] == []


def test_a_chat_server_is_given_messages(server: Server, data: Path) -> None:
    with pytest.raises(SettingsError, match=r"lamp3u_rag_k5: .* --apply_chat_template: give it"):
        evaluate(server, data, chat=False)
    assert server[1] == []


@pytest.mark.parametrize("tokenizer", [True, False])
def test_a_chat_server_gives_no_likelihoods(
    server: Server, data: Path, tiny_model: Path, tokenizer: bool
) -> None:
    given = {"tokenizer": str(tiny_model)} if tokenizer else {}
    with pytest.raises(SettingsError, match=r"lamp3u_rag_k5: answer 'likelihood' cannot be had"):
        evaluate(server, data, {"answer": "likelihood"}, **given)
    assert server[1] == []
