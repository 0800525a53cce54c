"""In which order prompts are run where an engine keeps what it has computed of a prefix."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest


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


def in_rounds(prompts: Sequence[Sequence[int]], page: int) -> list[int]:
    """Return the places of prompts in an order in which a prefix is done before it is wanted again.

    For engines that begin many prompts at once and reuse whole pages of what is finished. Prompts
    that share a page are a family, mostly those of one user. The longest of every family come
    first, then the second longest, and so on: when a prompt's turn comes, the longer one that
    begins alike is most likely done.

    :param prompts: token ids.
    :param page: tokens that are reused together.
    """
    families: list[list[int]] = []
    for place in by_shared_prefix(prompts):
        before = families[-1][-1] if families else place
        if families and shared_prefix(prompts[before], prompts[place]) >= page:
            families[-1].append(place)
        else:
            families.append([place])
    for family in families:
        family.sort(key=lambda place: -len(prompts[place]))
    rounds = zip_longest(*families)
    return [place for members in rounds for place in members if place is not None]


def shared_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two prompts have in common at their beginning."""
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return place
    return min(len(one), len(other))
