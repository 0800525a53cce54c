"""The official LaMP prompts: the profile items that were kept, then the user's input.

The wording is the benchmark's protocol (LaMP, arXiv 2304.11406), uneven spacing included: scores
are comparable with published ones only if it is kept to the letter. Without documents every
prompt is the input as the data gives it.
"""

from __future__ import annotations

from qrag_tasks.tasks.prompt import TaskPrompt


def _before(text: str, examples: str) -> str:
    return f"{examples}. {text}"


def _with_patterns(text: str, examples: str) -> str:
    return f"{examples}. Following the given patterns {text}"


def _after_title(text: str, examples: str) -> str:
    before, title, after = text.partition("title")
    return f"{before}title, and {examples}{after}" if title else text


def _by_a_person(text: str, examples: str) -> str:
    return f"{examples} are written by a person. Following the given patterns {text}"


CITATION = TaskPrompt(
    example=lambda item: f'"{item["title"]}"',
    merge=_after_title,
    long_field="title",
    frame=lambda _: 2,
    spare=0,
)
MOVIE_TAG = TaskPrompt(
    example=lambda item: f'the tag for the movie: "{item["description"]}" is "{item["tag"]}" ',
    merge=_before,
    long_field="description",
    frame=lambda item: f'the tag for the movie: " " is "{item["tag"]}" ',
)
RATING = TaskPrompt(
    example=lambda item: f'{item["score"]} is the score for "{item["text"]}" ',
    merge=_before,
    long_field="text",
    frame=lambda item: f'{item["score"]} is the score for " " ',
)
HEADLINE = TaskPrompt(
    example=lambda item: f'"{item["title"]}" is the title for "{item["text"]}" ',
    merge=_before,
    long_field="text",
    frame=lambda item: f'"{item["title"]}" is the title for " " ',
)
PAPER_TITLE = TaskPrompt(
    example=lambda item: f'"{item["title"]}" is a title for "{item["abstract"]}" ',
    merge=_with_patterns,
    long_field="abstract",
    # Without "for", unlike the example: the official code charges it so.
    frame=lambda item: f'"{item["title"]}" is a title " " ',
    frame_of_all="Following the given patterns",
)
TWEET = TaskPrompt(
    example=lambda item: f'"{item["text"]}" ',
    merge=_by_a_person,
    long_field="text",
    frame=lambda _: '"" ',
    # "user", where the prompt says "a person": the official code charges it so.
    frame_of_all="are written by user. Following the given patterns",
)
