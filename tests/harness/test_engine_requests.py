"""Requests for answers: what an engine is asked, and what an answer's tokens say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")

from qrag_tasks.engines.base import GenerationRequest
from qrag_tasks.engines.decoding import Decoding
from qrag_tasks.engines.transformers.generation import groups_of
from qrag_tasks.errors import SettingsError
from qrag_tasks.harness.engine_requests import generation_request, read_answer


def request(**arguments: Any) -> GenerationRequest:
    lm_eval = SimpleNamespace(args=("prompt", arguments), task_name="a_task", doc_id=3)
    return generation_request(lm_eval, [1, 2], default_length=256)


def test_what_an_engine_is_asked() -> None:
    short = request(until=[], max_gen_toks=16, do_sample=False)
    assert (short.name, short.prompt, short.stops) == ("a_task, doc 3", [1, 2], ())
    assert (short.max_new_tokens, request(until=["\n"]).max_new_tokens) == (16, 256)
    assert request(until="\n").stops == request(until=["\n"]).stops == ("\n",)
    assert short.settings == {"do_sample": False, "temperature": 0.0}


def test_requests_are_grouped_by_their_arguments() -> None:
    short = {"until": [], "max_gen_toks": 16, "do_sample": False}
    settings: list[dict[str, Any]] = [short, {"until": ["\n"]}, short, {**short, "top_k": 1}]
    requests = [request(**each) for each in settings]
    assert groups_of(requests) == [[0, 2], [1], [3]]
    assert groups_of([]) == []


def test_a_length_that_counts_the_prompt_is_refused() -> None:
    with pytest.raises(SettingsError, match="max_length=99: it counts the prompt, too"):
        request(max_length=99)


class Words:
    """A model whose token 7 is the word "seven"; 0 ends an answer, 9 ends its thinking."""

    think_end_token: int | str | None = None
    tokenizer: Any = None

    def tok_decode(self, tokens: list[int]) -> str:
        names = {1: "one", 2: "two", 3: "\n", 7: "seven", 9: "</think>"}
        return " ".join(names[token] for token in tokens if token in names)


def test_an_answer_ends_at_its_first_end_token() -> None:
    def up_to_end(tokens: list[int], ends: tuple[int, ...]) -> Any:
        return Decoding(ends, {}, pad_token=0).up_to_end(tokens)

    assert up_to_end([1, 7, 0, 2, 2], (0, 5)) == [1, 7, 0]
    assert up_to_end([1, 7, 5, 0], (0, 5)) == [1, 7, 5]
    assert up_to_end([1, 7, 2], (0,)) == [1, 7, 2]
    assert up_to_end([0, 0, 0], (0,)) == [0]
    assert up_to_end([1, 2], ()) == [1, 2]
    assert read_answer([1, 7, 0], [], Words()) == "one seven"


def test_an_answer_ends_before_a_stop_text() -> None:
    assert read_answer([1, 3, 2, 0], ["\n"], Words()) == "one "


def test_thinking_is_left_out() -> None:
    model = Words()
    model.think_end_token = 9
    assert read_answer([1, 9, 2, 9, 7, 0], [], model) == "seven"
    model.think_end_token = "</think>"
    assert read_answer([1, 9, 2, 0], [], model) == "two"


def test_an_answer_that_comes_as_text_is_read_alike() -> None:
    model = Words()
    model.tokenizer = SimpleNamespace(decode=model.tok_decode)
    assert read_answer("one seven", [], model) == "one seven"
    assert read_answer("one \n two", ["\n"], model) == "one "
    for end in (9, "</think>"):
        model.think_end_token = end
        assert read_answer("one </think> two </think> seven", [], model) == "seven"
