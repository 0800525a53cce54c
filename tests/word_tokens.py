"""A tokenizer that can be counted by hand: words, and a mark at the end."""

from __future__ import annotations

from qrag_tasks.prompting.filling import TokenBudget


class Words:
    """The mark counts, and is no part of the text."""

    def count(self, text: str) -> int:
        return len(text.split()) + 1

    def cut(self, text: str, limit: int) -> tuple[str, int]:
        if limit < 1:
            raise ValueError("no room for the mark")
        words = text.split()[: limit - 1]
        return " ".join(words), len(words) + 1


WORDS = Words()


def word_budget(context_tokens: int, answer_tokens: int = 0, around: int = 3) -> TokenBudget:
    """Return a budget in words, with a fixed cost as a chat template has it."""
    return TokenBudget(
        lambda prompt: WORDS.count(prompt) + around, context_tokens, answer_tokens, WORDS
    )
