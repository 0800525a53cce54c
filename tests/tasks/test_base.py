"""What a task is made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrag_tasks.tasks import catalog
from qrag_tasks.tasks.base import DEPTHS, Depth


def test_what_k_asks_for() -> None:
    five = catalog.entry("lamp3u_rag_k5").depth
    window = catalog.entry("lamp3u_rag_kmax4k").depth
    assert (five.documents, five.window, five.in_words) == (5, None, "5")
    assert (window.documents, window.window) == (None, 4096)
    assert window.in_words == "as many as fit 4,096 tokens"


@given(st.one_of(st.sampled_from(DEPTHS), st.integers(0, 10**6).map(Depth)))
def test_a_depth_is_read_as_it_is_written(depth: Depth) -> None:
    assert Depth.parse(str(depth)) == depth
    if depth.documents is not None:
        assert Depth.parse(depth.documents) == depth


@pytest.mark.parametrize("k", ["", "-1", "max", "max16k", "5k", "1.5", -1, 1.5, None, True])
def test_anything_else_is_no_depth(k: object) -> None:
    with pytest.raises(ValueError, match="expected a number of documents, or one of max4k, max8k"):
        Depth.parse(k)  # type: ignore[arg-type]
