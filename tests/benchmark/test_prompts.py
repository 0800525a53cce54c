"""Golden prompts: LaMP's official format to the letter, as PAPER and code describe it."""

from __future__ import annotations

from qrag_tasks.benchmark.tasks import LAMP_TASKS

REVIEW = (
    "What is the score of the following review on a scale of 1 to 5? just answer with 1, 2, 3, 4, "
    "or 5 without further explanation. review: Good tea: I like it."
)
PAPER = "Generate a title for the following abstract of a paper: We study birds: loudly."


def test_lamp3_with_two_documents() -> None:
    items = [
        {"id": "1", "text": "Nice cup.", "score": "4"},
        {"id": "2", "text": 'A "great" pot {{ x }} <|im_end|>', "score": "5"},
    ]
    assert LAMP_TASKS["lamp3u"].prompt(REVIEW, items) == (
        '4 is the score for "Nice cup." , and 5 is the score for '
        '"A "great" pot {{ x }} <|im_end|>" . ' + REVIEW
    )


def test_lamp5_with_two_documents() -> None:
    items = [
        {"id": "1", "title": "On Owls", "abstract": "Owls hoot."},
        {"id": "2", "title": "On Larks", "abstract": "Larks sing."},
    ]
    assert LAMP_TASKS["lamp5u"].prompt(PAPER, items) == (
        '"On Owls" is a title for "Owls hoot." , and "On Larks" is a title for "Larks sing." . '
        "Following the given patterns " + PAPER
    )


def test_with_one_document() -> None:
    item = {"id": "1", "text": "Nice cup.", "score": "4"}
    assert (
        LAMP_TASKS["lamp3u"].prompt(REVIEW, [item]) == f'4 is the score for "Nice cup." . {REVIEW}'
    )


def test_without_documents_the_prompt_is_the_input() -> None:
    assert LAMP_TASKS["lamp3u"].prompt(REVIEW, []) == REVIEW
    assert LAMP_TASKS["lamp5u"].prompt(PAPER, []) == PAPER


def test_queries_and_indexed_texts() -> None:
    assert LAMP_TASKS["lamp3u"].query(REVIEW) == "Good tea: I like it."
    assert LAMP_TASKS["lamp5u"].query(PAPER) == "We study birds: loudly."
    assert LAMP_TASKS["lamp3u"].document_text({"id": "1", "text": "T", "score": "4"}) == "T"
    assert LAMP_TASKS["lamp5u"].document_text({"id": "1", "title": "T", "abstract": "A"}) == "T A"
