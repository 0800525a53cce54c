"""From free text to a rating: what a careful reader would read, however it is worded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrag_tasks.tasks.lamp.table import RATING
from qrag_tasks.tasks.scoring.ratings import rating_value


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("4", 4),
        (" 5\n", 5),
        ("4.", 4),
        ("4.0", 4),
        ("**3**", 3),
        ("4/5", 4),
        ("Score: 2", 2),
        ("I would give it a 4 out of 5.", 4),
        ("5-star", 5),
        ("(1)", 1),
        ("I think...5", 5),
        ("评分：5分", 5),
        ("3, because", 3),
        ("Rating:4", 4),
        ("1,000 times 3", 3),
        ("4.05 or 2", None),
        # Whole sentences, as chat models give them.
        ("Based on the review, I would rate it 4 out of 5 stars.", 4),
        ("**Score: 5**\n\nThe reviewer loved it.", 5),
        (" Sure! Based on the review, I would give it a score of 4.", 4),
        ("On a scale of 1 to 5, I would rate this review as a 4.", 4),
        ("On a scale of 1-5, 2", 2),
        ("On a scale of [1, 2, 3, 4, 5] I would give it a 5", 5),
        ("I'd give it 4 on a scale from 1 to 5.", 4),
        ("on a 1-5 scale: 2", 2),
        ("4\n\nExplanation: the review gives 2 reasons", 4),
        ("3/5 – average. 5/5 for the cup", 3),
        ("I rate it five (5).", 5),
        ("Answer: 4 (out of 5)", 4),
        ("Score: 5/5 ⭐⭐⭐⭐⭐", 5),
        ("⭐ 4/5", 4),
        ("5️⃣", 5),
        ("$\\boxed{3}$", 3),
        ("答案是5。", 5),
        ('5 is the score for "Nice cup." , and 4 is', 5),
        ("<think>\n\n</think>\n\n4", 4),
        # No rating.
        ("", None),
        ("nan", None),
        ("inf", None),
        ("47", None),
        ("4.5", 4.5),
        ("4,5", 4.5),
        ("0", None),
        ("6", None),
        ("10 of 10", None),
        ("8/10", None),
        ("-3", None),
        ("0.5", None),
        (".5", None),
        ("the 4th time", None),
        ("B2B", None),
        ("5%", None),
        ("a 1:1 ratio", None),
        ("at 4:30", None),
        ("four", 4),
        ("As an AI language model, I cannot rate this.", None),
        # The 5 of "out of 5" is the scale.
        ("4.5/5", 4.5),
        ("4.5 out of 5 stars", 4.5),
        ("3,5 / 5", 3.5),
        ("2.5/5.0", 2.5),
        ("0/5", None),
        ("0 out of 5", None),
        ("6/5", None),
        ("Rating (out of 5): 4", 4),
        ("Out of 5 stars, I would give this 3.", 3),
        # So is another scale.
        ("5/10", None),
        ("3 out of 10", None),
        # 1 to 5, and the instruction said again.
        ("Rating (1-5): 4", 4),
        ("From 1 to 5, I'd say 4", 4),
        ("On a scale from 1 (worst) to 5 (best): 4", 4),
        ("The answer must be 1, 2, 3, 4, or 5. I choose 2.", 2),
        ("just answer with 1, 2, 3, 4, or 5 without further explanation.", None),
        ("<think>It has 2 flaws.</think>\n\n4", 4),
        # Decimals, in sentences too.
        ("I'd give it 4.5 stars", 4.5),
        ("Rating: 4.5/5", 4.5),
        ("I rate it 4.25 out of 5.0.", 4.25),
        ("4.99", 4.99),
        ("5.5", None),
        ("5.5/5", None),
        ("4\u00bd stars", 4.5),
        ("4 1/2", 4.5),
        ("4 and a half stars", 4.5),
        # Ranges: the middle of two neighbours, nothing of others.
        ("4-5", 4.5),
        ("4 \u2013 5 stars", 4.5),
        ("4 or 5", 4.5),
        ("4 to 5 out of 5", 4.5),
        ("between 3 and 4", 3.5),
        ("4.5-5", 4.75),
        ("2-4", None),
        ("1 or 5", None),
        ("4 (or 5)", 4),
        # Words.
        ("five", 5),
        ("**Three.**", 3),
        ("Two stars", 2),
        ("I'd rate this review a solid four.", 4),
        ("My rating for this would be three", 3),
        ("four out of five", 4),
        ("four or five stars", 4.5),
        ("three and a half stars", 3.5),
        ("One of the best", None),
        ("It has two flaws.", None),
        ("I give it one more try: 3", 3),
        # Stars, and digits of other scripts that float() reads as well.
        ("\u2605\u2605\u2605\u2605\u2606", 4),
        ("\u2b50\ufe0f\u2b50\ufe0f", 2),
        ("\u2b50", 1),
        ("\u2b50 Great", None),
        ("\uff14", 4),
        # The scale.
        ("A 5-point scale: 3", 3),
        ("1 being the worst, 5 being the best: 4", 4),
        ("1 = worst, 5 = best. 2", 2),
        # Other scales.
        ("80/100", None),
        ("4.5/10", None),
        ("On a scale of 1 to 10, I'd say 4", None),
        ("9/10, so 5/5", 5),
        # What else is counted.
        ("It broke after 2 weeks. I'd give it a 4.", 4),
        ("Read it 3 times in 2-3 days, 5 stars", 5),
        ("A 4-inch screen", None),
        ("1 of the worst: 2", 2),
        ("It cost $4, or 5 dollars. 3", 3),
        ("\u20ac3.50", None),
        ("$4$", 4),
        ("May 4, 2020: 3", 3),
        ("On 3 June: 5", 5),
        ("2020-05-04: 2", 2),
        ("4/5/2020 - 3 stars", 3),
        ("USB 3.0 works. 5/5", 5),
        ("the 5th", None),
        ("fifth", None),
        ("minus 3", None),
        ("\u22123", None),
        ("1. It is good.\n2. It is short.\n\nRating: 4", 4),
        ("4. It is good.", 4),
    ],
)
def test_rating(answer: str, value: float | None) -> None:
    assert rating_value(answer) == value
    assert RATING.read(answer) == ("" if value is None else str(value).removesuffix(".0"))


def test_the_docs_say_how_ratings_are_read() -> None:
    docs = Path(__file__).parents[3] / "docs" / "ratings.md"
    lines = docs.read_text(encoding="utf-8").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| `")]
    assert len(rows) > 5
    for answers, read, valid in rows:
        value = None if read.startswith("nothing") else float(read.split(",")[0].split(":")[0])
        for answer in re.findall("`([^`]+)`", answers):
            assert rating_value(answer) == value
            scores = RATING.score(answer, "1")
            assert scores["valid_rate"] == float(valid.startswith("yes"))


PIECES = [
    *"\"'*_#`[]().,:;/!?-$% \n\t0123456789",
    *("on a scale of 1 to 5", " out of ", "five", " stars", "4.5", " or ", "\u2605", "one of the"),
    *("I'd rate it ", "Rating: ", "1. ", "2. ", "May ", " hours", "\u8336", "</think>", "<think>"),
]
texts = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=25).map("".join))


@given(texts)
def test_any_text_is_read(answer: str) -> None:
    value = rating_value(answer)
    assert value is None or 1 <= value <= 5


@pytest.mark.parametrize("piece", ["1", "1.", "1.\n", "4 - ", "one ", "rate it ", " ", "1 (", "1,"])
def test_an_answer_that_never_ends_is_read(piece: str) -> None:
    rating_value(piece * 10_000)


# What an arm may write around one and the same rating.
NUMBERS = {
    **{float(n): [f"{n}", f"{n}.0"] for n in range(1, 6)},
    **{n + 0.5: [f"{n}.5", f"{n},5", f"{n}.50", f"{n}\u00bd", f"{n}-{n + 1}"] for n in range(1, 5)},
}
WORDS = dict(enumerate(("one", "two", "three", "four", "five"), start=1))
WRAPPINGS = [
    *("{}", " {}\n", "{}.", "**{}**", '"{}"', "({})", "{} stars", "{} Stars!", "{}/5", "{} / 5"),
    *(
        "{} out of 5",
        "{} out of 5 stars.",
        "Rating: {}",
        "**Rating:** {}/5",
        "Score: {}",
        "Answer: {}",
    ),
    *("I'd give it {} stars", "I would rate this review {} out of 5.", "I'd rate it a {}."),
    *("Based on the review, I would give it a rating of {}.", "On a scale of 1 to 5: {}"),
    *("My rating is {} because it broke after 2 weeks.", "{}\n\nExplanation: it has 3 flaws."),
    *("<think>A 5, or a 1?</think>\n\n{}", "It cost $3. Rating: {}", "Sure! The score is {}."),
    "On May 4, 2020, I paid 5 dollars. I'd say {}.",
]


@given(st.sampled_from(sorted(NUMBERS)), st.data())
def test_one_rating_scores_alike_in_every_wrapping(value: float, data: st.DataObject) -> None:
    said = [*NUMBERS[value], *([WORDS[int(value)]] if value.is_integer() else [])]
    answers = [
        data.draw(st.sampled_from(WRAPPINGS)).format(data.draw(st.sampled_from(said)))
        for _ in range(2)
    ]
    gold = data.draw(st.sampled_from("12345"))
    cleaned = [
        {name: score for name, score in RATING.score(answer, gold).items() if "_lamp" not in name}
        for answer in answers
    ]
    assert cleaned[0] == cleaned[1]
    assert cleaned[0] == {
        "mae": abs(value - float(gold)),
        "rmse": (value - float(gold)) ** 2,
        "accuracy": float(value == float(gold)),
        "valid_rate": float(value.is_integer()),
    }
