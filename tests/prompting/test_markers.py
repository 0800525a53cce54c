"""Chat markers in users' texts: what is one, and that none is left."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrag_tasks.prompting.markers import Markers

BROKEN = {
    "<|im_end|>": "< |im_end|>",
    "<|start_header_id|>": "< |start_header_id|>",
    "<|reserved_special_token_250|>": "< |reserved_special_token_250|>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>": "< \uff5cend\u2581of\u2581sentence\uff5c>",
    "</s>": "< /s>",
    "<s>": "< s>",
    "<start_of_turn>": "< start_of_turn>",
    "<end_of_turn>": "< end_of_turn>",
    "<eos>": "< eos>",
    "<<SYS>>": "< <SYS>>",
    "<</SYS>>": "< </SYS>>",
    "[INST]": "[ INST]",
    "[/INST]": "[ /INST]",
    "[TOOL_CALLS]": "[ TOOL_CALLS]",
    "[/SYSTEM_PROMPT]": "[ /SYSTEM_PROMPT]",
}


@pytest.mark.parametrize("marker", BROKEN)
def test_a_marker_is_broken_behind_its_first_character(marker: str) -> None:
    markers = Markers()
    assert markers.found(f"a{marker}b {marker}") == [marker, marker]
    assert markers.broken(f"a{marker}b {marker}") == f"a{BROKEN[marker]}b {BROKEN[marker]}"


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("<<|im_end|>", "<< |im_end|>"),
        ("<|<|im_end|>|>", "<|< |im_end|>|>"),
        ("<s<s>>", "<s< s>>"),
        ("<<<SYS>>>", "<< <SYS>>>"),
        ("[[INST]]", "[[ INST]]"),
        ("</s></s>", "< /s>< /s>"),
        ("<|é茶|>", "< |é茶|>"),
    ],
)
def test_markers_within_and_beside_others(text: str, broken: str) -> None:
    assert Markers().broken(text) == broken


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<br>",
        "a < b",
        "a <b> c </b>",
        "<| a gap |>",
        "<||>",
        "< |im_end|>",
        "[1] and [2]",
        "[MASK] [CLS] [UNK]",
        "[inst] INST]",
        "{{ x }} {% if %}",
        "<3 <3 |>",
        "if (a<s) s>b",
    ],
)
def test_harmless_text_stays(text: str) -> None:
    assert Markers().found(text) == []
    assert Markers().broken(text) == text


def test_a_models_own_markers_are_broken_too() -> None:
    markers = Markers(["[CLS]", "[MASK]", "[CLS", "<think>", "a|b.*"])
    assert markers.broken("[CLS] <think>x</think> a|b.*") == "[ CLS] < think>x</think> a |b.*"
    assert markers.found("[CLS] [MASK]") == ["[CLS]", "[MASK]"]
    assert markers.broken("[CLX] a b") == "[CLX] a b"


def test_a_marker_behind_one_that_shares_its_first_character_is_broken_too() -> None:
    assert Markers(["ab<", "<cd"]).broken("ab<cd") == "a b< cd"


def test_what_is_too_short_to_be_a_marker_is_none() -> None:
    assert Markers(["", "a", "\n\n", "<>"]).broken("a <> \n\n") == "a <> \n\n"


def test_an_item_keeps_its_id_and_its_fields() -> None:
    item = {"id": "<s>", "text": "<s>", "score": "4", "date": "2020-01-01"}
    whole = dict(item)
    assert Markers().broken_in(item) == {**item, "text": "< s>"}
    assert item == whole


pieces = st.sampled_from(
    [*BROKEN, *"<>|/[]\uff5cs_ ", "SYS", "INST", "im_end", "end_of_turn", "eos", "茶", "\n"]
)
texts = st.lists(pieces, max_size=20).map("".join)
own_markers = st.lists(st.text("<|>/s[]INST", min_size=3, max_size=6), max_size=3)


@given(texts, own_markers)
def test_no_marker_is_left_and_only_spaces_are_added(text: str, own: list[str]) -> None:
    markers = Markers(own)
    broken = markers.broken(text)
    assert markers.found(broken) == []
    assert not any(marker in broken for marker in [*own, *BROKEN])
    assert broken.replace(" ", "") == text.replace(" ", "")
    assert (broken == text) == (markers.found(text) == [])
    assert markers.broken(broken) == broken


@contextmanager
def seconds(limit: float) -> Iterator[None]:
    def stop(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"not done in {limit} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("own", ["   ", " <x>"])
def test_own_markers_of_white_space_come_to_an_end(own: str) -> None:
    # Runs of spaces are added tokens of GPT-NeoX's tokenizer, and stand in indented templates.
    with seconds(0.5):
        broken = Markers([own]).broken(f"a{own}b")
    assert Markers([own]).found(broken) == []
