"""LongLaMP's prompts: the profile items that were kept, then the user's input.

The wording is the benchmark's protocol (arXiv 2407.11016, its public training code), uneven spacing
and commas included: scores are comparable with published ones only if it is kept to the letter.
Without documents every prompt is the input as the data give it.
"""

from __future__ import annotations

from collections.abc import Callable

from qrag_tasks.tasks.prompt import TaskPrompt

MOST_WORDS = 750
"""Of an abstract in a prompt; the others are left out."""


def first_words(text: str) -> str:
    """Return the first 750 words of a text, with one space between each two."""
    return " ".join(text.split()[:MOST_WORDS])


def _after(ending: str) -> Callable[[str, str], str]:
    """Return a merge function: the examples, the ending, the input."""

    def merge(text: str, examples: str) -> str:
        return f"{examples}{ending}{text}"

    return merge


ABSTRACT = TaskPrompt(
    example=lambda item: (
        f'"{first_words(item["abstract"])}" is the abstract for the title "{item["title"]}"'
    ),
    merge=_after(
        ". Use the above abstracts as context to understand the style and language of the user "
        "and, "
    ),
    long_field="abstract",
    frame=lambda item: f'" " is the abstract for the title "{item["title"]}"',
    frame_of_all=(
        "Use the above abstracts as context to understand the style and language of the user and,"
    ),
)
REVIEW = TaskPrompt(
    example=lambda item: (
        f'"{item["overall"]}" is a rating for the product with description '
        f'"{item["description"]}". "{item["summary"]}" is summary for "{item["reviewText"]}" '
    ),
    merge=_after(". Following the given patterns "),
    long_field="reviewText",
    frame=lambda item: (
        f'"{item["overall"]}" is a rating for the product with description '
        f'"{item["description"]}". "{item["summary"]}" is summary for " " '
    ),
    frame_of_all="Following the given patterns",
)
TOPIC = TaskPrompt(
    example=lambda item: f'"{item["summary"]}" is a summary for "{item["content"]}" ',
    # With a comma, unlike the prompt of reviews.
    merge=_after(". Following the given patterns, "),
    long_field="content",
    frame=lambda item: f'"{item["summary"]}" is a summary for " " ',
    frame_of_all="Following the given patterns,",
)
EMAIL = TaskPrompt(
    example=lambda item: f'"{item["title"]}" is the title for "{item["text"]}" ',
    merge=_after(". "),
    long_field="text",
    frame=lambda item: f'"{item["title"]}" is the title for " " ',
)
