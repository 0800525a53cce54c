"""``mine``: the contract of a task, and what is its own."""

from __future__ import annotations

import pytest
from qrag_mine import ROW, read

from qrag_tasks.testing import TaskConformance


class TestConformance(TaskConformance):
    # After a colon stands the folder of the data, where the source has no default: mine:FOLDER
    spec = "mine"


def test_the_prompt_to_the_letter() -> None:
    sample = ROW.load().samples[0]
    prompt = ROW.prompt(sample.input, sample.profile[1:])
    assert prompt == (
        "High above, it sang. It was: lark. Which bird is it? It sang high above the field."
    )


@pytest.mark.parametrize(
    ("text", "bird"), [("An OWL, I think.", "owl"), ("It is a wren", "wren"), ("a gull", "")]
)
def test_answers_are_read(text: str, bird: str) -> None:
    assert read(text) == bird
