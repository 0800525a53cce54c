"""The order in which prompts that begin alike are run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qrag_tasks.engines.ordering import (
    by_shared_prefix,
    in_parts,
    in_rounds,
    shared_prefix,
)

PROMPTS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), max_size=12)


def computed(prompts: list[list[int]], order: list[int]) -> int:
    """Return the tokens that are computed where the last prompt's prefix is kept."""
    total, last = 0, []
    for place in order:
        total += len(prompts[place]) - shared_prefix(last, prompts[place])
        last = prompts[place]
    return total


@given(PROMPTS)
def test_each_distinct_prefix_is_computed_once(prompts: list[list[int]]) -> None:
    order = by_shared_prefix(prompts)
    assert sorted(order) == list(range(len(prompts)))
    distinct = {tuple(prompt[:end]) for prompt in prompts for end in range(1, len(prompt) + 1)}
    assert computed(prompts, order) == len(distinct)


def test_the_longer_of_two_comes_first() -> None:
    assert by_shared_prefix([[1, 2], [3], [1, 2, 3, 4], [1, 2, 3]]) == [1, 2, 3, 0]


@given(PROMPTS, st.integers(0, 9))
def test_rounds_hold_every_prompt_once(prompts: list[list[int]], apart: int) -> None:
    assert sorted(in_rounds(prompts, 2, apart)) == list(range(len(prompts)))


def test_a_prefix_is_done_before_it_is_wanted_again() -> None:
    prompts = [[1, 1, 9], [1, 1, 2, 9], [2, 2, 9], [3, 9], [2, 2, 3, 4, 9], [1, 1, 2, 3, 9]]
    assert in_rounds(prompts, 2, 99) == [3, 4, 5, 2, 1, 0]
    # And before it is dropped: the user of the last three comes after all of the other two.
    assert in_rounds(prompts, 2, 7) == [3, 4, 2, 5, 1, 0]


@given(PROMPTS, st.integers(1, 4))
def test_parts_hold_every_prompt_once_in_order(prompts: list[list[int]], count: int) -> None:
    parts = in_parts(prompts, [1] * len(prompts), count)
    assert len(parts) == count
    assert [place for part in parts for place in part] == by_shared_prefix(prompts)


@given(PROMPTS, st.integers(1, 4), st.integers(0, 9))
def test_parts_are_even(prompts: list[list[int]], count: int, answer: int) -> None:
    parts = in_parts(prompts, [answer] * len(prompts), count)
    work = [computed(prompts, part) + answer * len(part) for part in parts]
    # No part is off by more than a prompt with its answer, as far as parts begin alike.
    assert max(work) <= sum(work) / count + 2 * (6 + answer)


def test_parts_are_cut_where_least_is_shared() -> None:
    users = [[user] * 40 for user in range(10, 51)]
    prompts = [[*user, *[9] * more] for user in users for more in (20, 10, 1)]
    one, other = in_parts(prompts, [1] * len(prompts), 2)
    assert {prompts[at][0] for at in one}.isdisjoint({prompts[at][0] for at in other})
    assert in_parts(prompts[:1], [1], 3) in ([[0], [], []], [[], [0], []], [[], [], [0]])
    assert in_parts([], [], 2) == [[], []]


def test_shared_prefix() -> None:
    assert shared_prefix([1, 2, 3], [1, 2, 4, 5]) == 2
    assert shared_prefix([1, 2], [1, 2, 4]) == 2
    assert shared_prefix([], [1]) == 0
