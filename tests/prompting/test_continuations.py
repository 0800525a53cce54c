"""What follows a prompt where the likelihood of every answer is measured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrag_tasks.prompting.continuations import Continuations, without_shared_parts
from qrag_tasks.tasks.lamp.table import LAMP_TASKS


@pytest.mark.parametrize(
    ("answers", "shared", "each"),
    [
        (["[1]", "[2]"], "[", ("1", "2")),
        ([" [1]", " [2]"], " [", ("1", "2")),
        (["1", "2", "3"], "", ("1", "2", "3")),
        ([" 1", " 2"], "", (" 1", " 2")),
        (["dark comedy", "comedy"], "", ("dark c", "c")),
        (["[1]", "[11]"], "[1", ("]", "1]")),
    ],
)
def test_answers_without_what_they_share(
    answers: list[str], shared: str, each: tuple[str, ...]
) -> None:
    assert without_shared_parts(answers) == Continuations(shared, each)


@given(
    st.text("[ ab", max_size=3),
    st.lists(st.text("12", min_size=1, max_size=3), min_size=2, max_size=5, unique=True),
    st.text("] ab", max_size=3),
)
def test_what_is_left_tells_the_answers_apart(start: str, middles: list[str], end: str) -> None:
    answers = [start + middle + end for middle in middles]
    parts = without_shared_parts(answers)
    endings = {
        answer.removeprefix(parts.shared + each)
        for answer, each in zip(answers, parts.each, strict=True)
    }
    assert all(
        answer.startswith(parts.shared + each)
        for answer, each in zip(answers, parts.each, strict=True)
    )
    assert len(endings) == 1
    assert len(set(parts.each)) == len(answers)


def test_the_tags_are_whole() -> None:
    tags = LAMP_TASKS["lamp2u"].answer.values or ()
    assert without_shared_parts(tags) == Continuations("", tags)
