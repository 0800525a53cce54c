"""In which order prompts are run where an engine keeps what it has computed of a prefix."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise, zip_longest

_UNEVEN = 0.05


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


def in_rounds(prompts: Sequence[Sequence[int]], page: int, apart: int) -> list[int]:
    """Return the places of prompts in an order in which a prefix is done before it is wanted again.

    For engines that begin many prompts at once, and reuse whole pages of what is finished as long
    as they have room to keep it. Prompts that share a page are a family, mostly those of one user.
    The longest of several families come first, then their second longest, and so on; then the next
    families, so that what is to be used again is not dropped for want of room.

    :param prompts: token ids.
    :param page: tokens that are reused together.
    :param apart: tokens that the longest of the families have together at least, after which a
        prompt that begins like one of them is most likely to find it done.
    """
    families: list[list[int]] = []
    for place in by_shared_prefix(prompts):
        before = families[-1][-1] if families else place
        if families and shared_prefix(prompts[before], prompts[place]) >= page:
            families[-1].append(place)
        else:
            families.append([place])
    order: list[int] = []
    together: list[list[int]] = []
    for family in families:
        together.append(sorted(family, key=lambda place: -len(prompts[place])))
        if sum(len(prompts[longest]) for longest, *_ in together) >= apart:
            order += _by_turns(together)
            together = []
    return order + _by_turns(together)


def in_parts(
    prompts: Sequence[Sequence[int]], answers: Sequence[int], count: int
) -> list[list[int]]:
    """Share out prompts among engines that work side by side, each with a cache of its own.

    Every part has about as many tokens to compute, where what a prompt shares with the one before
    it is computed once. The parts are cut where the prompts before and after have least in common,
    as far as that leaves them even.

    :param prompts: token ids.
    :param answers: the most tokens of each one's answer.
    :param count: of the parts.
    :returns: places of each part's prompts, in the order of :func:`by_shared_prefix`; some parts
        are empty where there are fewer prompts than parts.
    """
    order = by_shared_prefix(prompts)
    shared = [0, *(shared_prefix(prompts[one], prompts[next_]) for one, next_ in pairwise(order))]
    work = [len(prompts[at]) - same + answers[at] for at, same in zip(order, shared, strict=False)]
    before = [0, *accumulate(work)]
    even = before[-1] / count
    cuts = [0]
    for number in range(1, count):
        off = [abs(done - number * even) for done in before]
        places = range(cuts[-1], len(order) + 1)
        near = [at for at in places if off[at] <= _UNEVEN * even and at < len(order)]
        closest = min(places, key=off.__getitem__)
        cuts.append(min(near, key=lambda at: (shared[at], off[at]), default=closest))
    return [order[begin:end] for begin, end in pairwise([*cuts, len(order)])]


def _by_turns(families: Sequence[Sequence[int]]) -> list[int]:
    """Return the first of all, then the second of all that have one, and so on."""
    turns = zip_longest(*families)
    return [place for members in turns for place in members if place is not None]


def shared_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two prompts have in common at their beginning."""
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return place
    return min(len(one), len(other))
