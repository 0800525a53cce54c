"""How answers of own data are read: on any scale, by labels, by letters; and exact ones scored."""

from __future__ import annotations

import pickle

import pytest

from qrag_tasks.tasks.own.kinds import as_record, kind_in_results
from qrag_tasks.tasks.scoring.exact import Exact
from qrag_tasks.tasks.scoring.kinds import Labels, Ratings, Text
from qrag_tasks.tasks.scoring.readers import LabelReader, LetterReader, ScaleReader, whole_text


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ("7", 7),
        ("7.5", 7.5),
        ("7,5", 7.5),
        ("I'd say 8/10.", 8),
        ("8 out of 10", 8),
        ("On a scale from 0 to 10, a 3", 3),
        ("0-10: 9", 9),
        ("10", 10),
        ("0", 0),
        ("11", None),
        ("11, or rather 4", 4),
        ("8/20", None),
        ("70%", None),
        ("in 2019-05-06", None),
        ("v2.1.3", None),
        ("none", None),
        ("", None),
        ("<think>4</think>6", 6),
        ("<think>4", None),
    ],
)
def test_a_rating_on_a_scale_from_0_to_10(text: str, rating: float | None) -> None:
    assert ScaleReader(0, 10)(text) == rating


def test_a_scale_from_1_to_5_is_read_as_lamps() -> None:
    assert ScaleReader(1, 5)("four and a half stars") == 4.5
    assert ScaleReader(1, 4)("four and a half stars") is None


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Sea  eagle, I think", "sea eagle"),
        ("an EAGLE", "eagle"),
        ("beagle", ""),
        ("the owl, not the eagle", "Owl"),
        ("<think>owl</think> eagle", "eagle"),
        ("", ""),
    ],
)
def test_the_first_label_counts_and_of_two_the_longer(text: str, label: str) -> None:
    assert LabelReader(("eagle", "sea eagle", "Owl"))(text) == label


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(b)", "B"),
        ("**B**", "B"),
        ("B. a long walk", "B"),
        ("C) nothing", "C"),
        ("A walk in the park", ""),
        ("The answer is D", "D"),
        ("Answer: **c**", "C"),
        ("I would take option B, as it is a walk", "B"),
        ("It is B because of the sea", "B"),
        ("I am a bee", ""),
        ("E", ""),
        ("<think>A</think>\nB", "B"),
        ("", ""),
    ],
)
def test_the_letter_of_an_option(text: str, letter: str) -> None:
    assert LetterReader("ABCD")(text) == letter


@pytest.mark.parametrize(
    ("text", "gold", "exact", "f1"),
    [
        ("The Eiffel Tower.", "eiffel tower", 1.0, 1.0),
        ('Answer: "the tower"', "Tower", 1.0, 1.0),
        ("a tall tower in Paris", "tower", 0.0, 0.4),
        ("tower tower", "tower", 0.0, 2 / 3),
        ("nothing", "tower", 0.0, 0.0),
        ("", "tower", 0.0, 0.0),
        ("the", "a", 1.0, 1.0),  # as SQuAD's script has it: nothing is left of either
    ],
)
def test_exact_match_and_token_f1_are_squads(text: str, gold: str, exact: float, f1: float) -> None:
    scores = Exact().score(text, gold)
    assert scores["exact_match"] == exact
    assert scores["token_f1"] == pytest.approx(f1)
    assert Exact().score(text, gold, unfinished=True)["valid_rate"] == 0.0


@pytest.mark.parametrize(
    "kind",
    [
        Ratings("rating", ("0", "1", "2"), ScaleReader(0, 2)),
        Labels("label", ("a", "b"), LabelReader(("a", "b"))),
        Labels("letter", ("A", "B"), LetterReader("AB")),
        Text("text"),
        Text("text", reader=whole_text),
        Exact(),
    ],
)
def test_a_kind_is_the_same_out_of_results_and_in_another_process(kind: object) -> None:
    record = as_record(kind)  # type: ignore[arg-type]
    assert kind_in_results(record) == kind
    assert pickle.loads(pickle.dumps(kind)) == kind  # noqa: S301 - just made


def test_results_of_a_later_release_say_a_kind_that_is_not_known() -> None:
    assert kind_in_results({"kind": "colour"}) is None
    assert kind_in_results(None) is None
    assert as_record(Text("headline")) is None
