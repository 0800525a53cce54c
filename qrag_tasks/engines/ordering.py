"""In which order prompts are run where an engine keeps what it has computed of a prefix."""

from __future__ import annotations

from collections.abc import Sequence


def by_shared_prefix(prompts: Sequence[Sequence[int]]) -> list[int]:
    """Return the places of prompts in an order in which shared prefixes meet.

    A user's prompts begin alike: the instruction, then the same documents, best first. In this
    order every prompt stands next to the one that shares the longest prefix with it, as in a walk
    through a trie, so that each distinct prefix is computed once where at least one of them is
    kept. Of two prompts, one of which begins with the other, the longer comes first: what does not
    fit into memory shows at once.

    :param prompts: token ids.
    """
    return sorted(range(len(prompts)), key=lambda place: list(prompts[place]), reverse=True)


def shared_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two prompts have in common at their beginning."""
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return place
    return min(len(one), len(other))
