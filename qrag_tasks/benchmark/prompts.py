"""The official LaMP prompts: the profile items that were kept, then the user's input.

The wording is the benchmark's protocol (LaMP, arXiv 2304.11406), uneven spacing included: scores
are comparable with published ones only if it is kept to the letter. Without documents every
prompt is the input as the data gives it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def rating_prompt(text: str, items: Sequence[Mapping[str, str]]) -> str:
    """LaMP-3: ``S is the score for "T" , and ... . INPUT``."""
    return _with_profile(text, [f'{i["score"]} is the score for "{i["text"]}" ' for i in items])


def paper_title_prompt(text: str, items: Sequence[Mapping[str, str]]) -> str:
    """LaMP-5: ``"T" is a title for "A" , and ... . Following the given patterns INPUT``."""
    return _with_profile(
        f"Following the given patterns {text}" if items else text,
        [f'"{i["title"]}" is a title for "{i["abstract"]}" ' for i in items],
    )


def _with_profile(text: str, parts: Sequence[str]) -> str:
    return f"{', and '.join(parts)}. {text}" if parts else text
