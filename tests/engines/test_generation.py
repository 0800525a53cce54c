"""Requests for answers: what is generated alike, and what an answer's tokens say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")

from qrag_tasks.engines.generation import groups_of, read_answer, up_to_end
from qrag_tasks.errors import SettingsError


def request(**arguments: Any) -> SimpleNamespace:
    return SimpleNamespace(args=("prompt", arguments))


def test_requests_are_grouped_by_their_arguments() -> None:
    short = {"until": [], "max_gen_toks": 16, "do_sample": False}
    requests = [request(**short), request(until=["\n"]), request(**short)]
    one, other = groups_of(requests, default_length=256)
    assert (list(one.indices), list(other.indices)) == ([0, 2], [1])
    assert (one.max_new_tokens, other.max_new_tokens) == (16, 256)
    assert (one.stops, other.stops) == ([], ["\n"])
    assert one.settings == {"do_sample": False, "temperature": 0.0}


def test_a_length_that_counts_the_prompt_is_refused() -> None:
    with pytest.raises(SettingsError, match="max_length=99: it counts the prompt, too"):
        groups_of([request(max_length=99)], 256)


class Words:
    """A model whose token 7 is the word "seven"; 0 ends an answer, 9 ends its thinking."""

    think_end_token: int | str | None = None

    def tok_decode(self, tokens: list[int]) -> str:
        names = {1: "one", 2: "two", 3: "\n", 7: "seven", 9: "</think>"}
        return " ".join(names[token] for token in tokens if token in names)


def test_an_answer_ends_at_its_first_end_token() -> None:
    assert up_to_end([1, 7, 0, 2, 2], [0, 5]) == [1, 7, 0]
    assert up_to_end([1, 7, 5, 0], [0, 5]) == [1, 7, 5]
    assert up_to_end([1, 7, 2], [0]) == [1, 7, 2]
    assert up_to_end([0, 0, 0], [0]) == [0]
    assert up_to_end([1, 2], []) == [1, 2]
    assert read_answer([1, 7, 0], [], Words()) == "one seven"


def test_an_answer_ends_before_a_stop_text() -> None:
    assert read_answer([1, 3, 2, 0], ["\n"], Words()) == "one "


def test_thinking_is_left_out() -> None:
    model = Words()
    model.think_end_token = 9
    assert read_answer([1, 9, 2, 9, 7, 0], [], model) == "seven"
    model.think_end_token = "</think>"
    assert read_answer([1, 9, 2, 0], [], model) == "two"
