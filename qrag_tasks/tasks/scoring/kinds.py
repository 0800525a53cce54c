"""The kinds of answers: ratings, labels and texts, each with its scores.

The official LaMP evaluator's scores (names ending in ``_lamp``) are of the raw text; the cleaned
ones first take the rating, label or title out of it. Source of the official scores: LaMP (arXiv
2304.11406), its public evaluation code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from qrag_tasks.tasks.base import AnswerKind
from qrag_tasks.tasks.metric import (
    RUNAWAY_RATE,
    UNFINISHED_THOUGHT_RATE,
    VALID_RATE,
    LabelPair,
    Metric,
    Value,
)
from qrag_tasks.tasks.scoring import answers, ratings
from qrag_tasks.tasks.scoring.likelihood import distribution, nll
from qrag_tasks.tasks.scoring.rouge import rouge

_RATES = (VALID_RATE, RUNAWAY_RATE, UNFINISHED_THOUGHT_RATE)
_OF_LIKELIHOODS = (
    Metric("nll", False, "negative log-likelihood of the gold among the answers, in nats"),
    Metric("answer_mass", True, "probability that the model gives to the answers together"),
)


@dataclass(frozen=True)
class Labels(AnswerKind):
    """One of a few texts: a tag, a reference.

    :ivar reader: a model's text -> the label in it, or an empty text.
    """

    asks_for: str
    values: tuple[str, ...]
    reader: Callable[[str], str]

    name: ClassVar[str] = "labels"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("accuracy", True, "share of answers whose first label is the gold"),
        Metric("f1", True, "macro F1 of the same, over all labels", "macro_f1"),
        Metric("accuracy_lamp", True, "the official evaluator's accuracy, on the raw answer"),
        Metric("f1_lamp", True, "the official evaluator's macro F1, on the raw answer", "macro_f1"),
        *_RATES,
    )
    likelihood_metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("accuracy", True, "share of samples whose likeliest label is the gold"),
        Metric("f1", True, "macro F1 of the same, over all labels", "macro_f1"),
        *_OF_LIKELIHOODS,
    )

    def read(self, text: str) -> str:
        """Return the label in a model's text; empty where there is none."""
        return self.reader(text)

    def read_gold(self, gold: str) -> str:
        """Return a gold without the white space around it."""
        return gold.strip()

    def score(self, text: str, gold: str, unfinished: bool = False) -> dict[str, Value]:
        """Score one text.

        The official evaluator takes the stripped text for the label, to the letter.
        """
        cleaned, official = "" if unfinished else self.read(text), text.strip()
        return {
            "accuracy": float(cleaned == gold),
            "f1": self._pair(cleaned, gold),
            "accuracy_lamp": float(official == gold),
            "f1_lamp": self._pair(official, gold),
            "valid_rate": float(bool(cleaned)),
        }

    def _pair(self, answer: str, gold: str) -> LabelPair:
        answered = self.values.index(answer) if answer in self.values else -1
        return (answered, self.values.index(gold), len(self.values))

    def score_likelihoods(self, logprobs: Sequence[float], gold: str | None) -> dict[str, Value]:
        """Score the likelihoods of all labels: the likeliest one is the answer."""
        if gold is None:
            return _mass(logprobs)
        likeliest, right = _likeliest(logprobs), self.values.index(gold)
        return {
            **_mass(logprobs),
            "accuracy": float(likeliest == right),
            "nll": nll(logprobs, right),
            "f1": (likeliest, right, len(self.values)),
        }


@dataclass(frozen=True)
class Ratings(AnswerKind):
    """A number on a scale.

    :ivar values: the scale, from its lowest end to its highest: what a gold may be.
    :ivar number: a model's text -> the number that it rates with, which may lie between two of
        the scale; ``None`` where there is none.
    """

    asks_for: str
    values: tuple[str, ...]
    number: Callable[[str], float | None] = ratings.rating_value

    name: ClassVar[str] = "ratings"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("mae", False, "mean absolute error of the first standalone rating"),
        Metric("rmse", False, "root mean squared error of the same", "root_mean"),
        Metric("accuracy", True, "share of ratings that equal the gold"),
        Metric("mae_lamp", False, "the official evaluator's MAE, on the raw answer"),
        Metric("rmse_lamp", False, "the official evaluator's RMSE, on the raw answer", "root_mean"),
        *_RATES,
    )
    likelihood_metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("mae", False, "mean absolute error of the likeliest rating"),
        Metric("rmse", False, "root mean squared error of the same", "root_mean"),
        Metric("accuracy", True, "share of samples whose likeliest rating is the gold"),
        Metric("mae_expected", False, "mean absolute error of the expected rating"),
        Metric("rmse_expected", False, "root mean squared error of the same", "root_mean"),
        Metric("expected_rating", True, "mean of the expected rating, 1 to 5"),
        *_OF_LIKELIHOODS,
    )

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest rating."""
        return float(self.values[0]), float(self.values[-1])

    @property
    def spans(self) -> Mapping[str, float]:
        """The largest error, which is from one end of the scale to the other, and its square."""
        lowest, highest = self.ends
        return {"mae": highest - lowest, "rmse": (highest - lowest) ** 2}

    def read(self, text: str) -> str:
        """Return the rating in a model's text, "4" or "4.5"; empty where there is none."""
        value = self.number(text)
        return "" if value is None else f"{value:g}"

    def read_gold(self, gold: str) -> str:
        """Return a gold as the official evaluator takes it, ``float(gold)``: "5.0" is "5"."""
        try:
            return f"{float(gold):g}"
        except ValueError:
            return gold

    def score(self, text: str, gold: str, unfinished: bool = False) -> dict[str, Value]:
        """Score one text by its rating's error.

        ``rmse`` and ``rmse_lamp`` hold the squared error, for
        :func:`~qrag_tasks.tasks.scoring.metrics.root_mean`. A rating between two of the scale
        counts with its own error, and is not valid.
        """
        right = float(gold)
        value = None if unfinished else self.number(text)
        cleaned = self.penalty(right) if value is None else value
        official = self.official(text, right)
        return {
            "mae": abs(cleaned - right),
            "rmse": (cleaned - right) ** 2,
            "accuracy": float(value is not None and cleaned == right),
            "mae_lamp": abs(official - right),
            "rmse_lamp": (official - right) ** 2,
            "valid_rate": float(value is not None and value.is_integer()),
        }

    def penalty(self, gold: float) -> float:
        """Return the rating that the official evaluator puts where an answer holds none.

        It is the end of the scale that is farther from the gold: 1 if ``|1-y| > |5-y|``, else 5.
        """
        lowest, highest = self.ends
        return lowest if abs(lowest - gold) > abs(highest - gold) else highest

    def official(self, text: str, gold: float) -> float:
        """Return the number that the official evaluator reads in a text.

        ``float(text.strip())``, not clipped to the scale (an answer ``47`` counts as 47), or
        :meth:`penalty`. Unlike the official code, ``nan`` and ``inf`` count as no number: there
        they turn the score of the whole file into ``nan`` or ``inf``.
        """
        try:
            value = float(text.strip())
        except ValueError:
            return self.penalty(gold)
        return value if math.isfinite(value) else self.penalty(gold)

    def score_likelihoods(self, logprobs: Sequence[float], gold: str | None) -> dict[str, Value]:
        """Score the likelihoods of all ratings: the likeliest one, and the expected one."""
        shares = distribution(logprobs)
        expected = math.fsum(p * float(a) for p, a in zip(shares, self.values, strict=True))
        if gold is None:
            return {**_mass(logprobs), "expected_rating": expected}
        likeliest, right = _likeliest(logprobs), self.values.index(gold)
        error, of_expected = float(self.values[likeliest]) - float(gold), expected - float(gold)
        return {
            **_mass(logprobs),
            "accuracy": float(likeliest == right),
            "nll": nll(logprobs, right),
            "expected_rating": expected,
            "mae": abs(error),
            "rmse": error**2,
            "mae_expected": abs(of_expected),
            "rmse_expected": of_expected**2,
        }


@dataclass(frozen=True)
class Text(AnswerKind):
    """Any text: a title, a tweet.

    :ivar reader: a model's text -> the answer in it, or an empty text; by default one line.
    """

    asks_for: str
    values: None = None
    reader: Callable[[str], str] = answers.title

    name: ClassVar[str] = "text"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("rouge1", True, "ROUGE-1 F1 of the cleaned answer"),
        Metric("rougeL", True, "ROUGE-L F1 of the cleaned answer"),
        Metric("rouge1_lamp", True, "the official evaluator's ROUGE-1, on the raw answer"),
        Metric("rougeL_lamp", True, "the official evaluator's ROUGE-L, on the raw answer"),
        *_RATES,
    )

    def read(self, text: str) -> str:
        """Return the title, headline, subject or tweet in a model's text; empty where none is."""
        return self.reader(text)

    def score(self, text: str, gold: str, unfinished: bool = False) -> dict[str, Value]:
        """Score one text by ROUGE-1 and ROUGE-L F1, not stemmed."""
        cleaned = "" if unfinished else self.read(text)
        rouge1, rouge_l = rouge(cleaned, gold)
        rouge1_lamp, rouge_l_lamp = rouge(text, gold)
        return {
            "rouge1": rouge1,
            "rougeL": rouge_l,
            "rouge1_lamp": rouge1_lamp,
            "rougeL_lamp": rouge_l_lamp,
            "valid_rate": float(bool(cleaned)),
        }


KINDS: tuple[type[AnswerKind], ...] = (Ratings, Labels, Text)
ROOT_MEANS = frozenset(
    metric.name
    for kind in KINDS
    for metric in (*kind.metrics, *kind.likelihood_metrics)
    if metric.aggregation == "root_mean"
)
"""Metrics of which samples hold squares."""


def _mass(logprobs: Sequence[float]) -> dict[str, Value]:
    return {"answer_mass": math.fsum(math.exp(p) for p in logprobs)}


def _likeliest(logprobs: Sequence[float]) -> int:
    shares = distribution(logprobs)
    return max(range(len(shares)), key=shares.__getitem__)
