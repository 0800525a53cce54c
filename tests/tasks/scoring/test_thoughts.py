"""Where a thought ends, and whether it does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrag_tasks.tasks.lamp.labels import citation, movie_tag
from qrag_tasks.tasks.lamp.table import LAMP_TASKS, RATING
from qrag_tasks.tasks.scoring.answers import title
from qrag_tasks.tasks.scoring.ratings import rating_value
from qrag_tasks.tasks.scoring.thoughts import MARKS, begun_thought, without_thoughts


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("4", "4"),
        ("", ""),
        ("<think>It has 2 flaws.</think>\n\n4", "\n\n4"),
        ("<think>\n\n</think>\n\n4", "\n\n4"),
        # The prompt opened it.
        ("Okay, the user gave 5 stars...\n</think>\n\n2", "\n\n2"),
        ("A 5?</think>Or a 4?</think>2", "2"),
        # Several, and one in another.
        ("<think>1</think>2<think>3</think>", "2"),
        ("<think>It says <think> here.</think>4", "4"),
        # No end.
        ("<think>Okay, the user gave 5 stars", None),
        ("3 <think> or is it 5", None),
        ("5</think>4<think>3", None),
        # gpt-oss, with its special tokens and without.
        (
            "<|channel|>analysis<|message|>A 5?<|end|>"
            "<|start|>assistant<|channel|>final<|message|>4",
            "4",
        ),
        ("analysisThe user asks for 1-5. A 5?assistantfinal4", "4"),
        ("analysisThe user asks for 1-5. A 5?", None),
        # Texts that only look like it.
        ("analysis of thoughts", "analysis of thoughts"),
        ("Thinking <fast> and [slow]", "Thinking <fast> and [slow]"),
    ],
)
def test_what_is_said_beside_thoughts(answer: str, said: str | None) -> None:
    assert without_thoughts(answer) == said


@pytest.mark.parametrize(("begin", "end"), MARKS)
def test_every_mark(begin: str, end: str) -> None:
    prompt = f"<|user|>Rate it.<|assistant|>{begin}\n"
    assert begun_thought(prompt) == begin
    assert not begun_thought(f"{prompt}\n{end}\n\n")
    for opened, answer in ((False, f"{begin}A 5?{end}2"), (True, f"A 5?{end}2")):
        assert without_thoughts(answer, opened) == "2"
        assert without_thoughts(answer[: -len(f"{end}2")], opened) is None
    cut = f"{begin}The tag comedy, [1], 5."
    assert rating_value(cut) is None
    assert citation(cut) == movie_tag(cut) == title(cut) == ""


def test_a_thought_that_the_prompt_opened_has_neither_mark() -> None:
    assert without_thoughts("Okay, the user gave 5 stars") == "Okay, the user gave 5 stars"
    assert without_thoughts("Okay, the user gave 5 stars", begun=True) is None


@pytest.mark.parametrize("prompt", ["", "Rate it: <think> is a tag", "It thinks", "</think>\n\n"])
def test_prompts_that_open_no_thought(prompt: str) -> None:
    assert not begun_thought(prompt)


@given(st.text(alphabet="ab <>/[]|").map(str.strip), st.sampled_from(MARKS), st.integers(1, 5))
def test_a_thought_changes_no_answer(thought: str, marks: tuple[str, str], rating: int) -> None:
    begin, end = marks
    plain = RATING.score(str(rating), "3")
    for answer in (f"{begin}{thought}{end}\n\n{rating}", f"{thought} 5{end}\n\n{rating}"):
        thinking = RATING.score(answer, "3")
        for name in ("mae", "rmse", "accuracy", "valid_rate"):
            assert thinking[name] == plain[name]


@pytest.mark.parametrize("name", ["lamp1u", "lamp2u", "lamp3u", "lamp5u"])
def test_an_unfinished_thought_scores_as_no_answer_but_for_the_official_scores(name: str) -> None:
    task = LAMP_TASKS[name]
    gold = task.answer.values[0] if task.answer.values else "The Songs of Birds"
    empty, right = task.answer.score("", gold, False), task.answer.score(gold, gold, False)
    unfinished = task.answer.score(gold, gold, True)
    for metric, value in unfinished.items():
        assert value == (right if metric.endswith("_lamp") else empty)[metric]


def test_the_answer_that_a_thought_leads_to_may_be_marked() -> None:
    answer = "<reasoning>\nIt is on birds.\n</reasoning>\n<answer>\nThe Songs of Birds\n</answer>"
    assert title(answer) == "The Songs of Birds"
    assert rating_value("<reasoning>A 5?</reasoning><answer>4</answer>") == 4
