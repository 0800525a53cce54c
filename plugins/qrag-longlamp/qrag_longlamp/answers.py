"""The kind of answer that LongLaMP asks for: a long text, scored against one right answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from qrag_tasks.tasks.base import AnswerKind
from qrag_tasks.tasks.metric import (
    RUNAWAY_RATE,
    UNFINISHED_THOUGHT_RATE,
    VALID_RATE,
    Metric,
    Value,
)
from qrag_tasks.tasks.scoring.readers import whole_text
from qrag_tasks.tasks.scoring.rouge import rouge

_ROUGE = (
    Metric("rouge1", True, "ROUGE-1 F1 of the whole answer"),
    Metric("rougeL", True, "ROUGE-L F1 of the whole answer"),
)
_METEOR = Metric("meteor", True, "METEOR of the whole answer, as NLTK computes it")
_RATES = (VALID_RATE, RUNAWAY_RATE, UNFINISHED_THOUGHT_RATE)


@dataclass(frozen=True)
class LongTextWithoutMeteor(AnswerKind):
    """A text of any length, scored by ROUGE-1 and ROUGE-L.

    The answer is all that the model says, without its thoughts and the white space around it: what
    LongLaMP's evaluation, which knows no thoughts, takes of a model that does not think aloud.

    ROUGE is that of the package rouge-score without stemming, which LongLaMP calls through
    ``evaluate``. A sample's value is the same to the last digit. The score of a task is the mean of
    these; ``evaluate`` draws bootstrap samples and reports the median of their means, which is a
    random number near the mean.
    """

    asks_for: str
    values: None = None

    name: ClassVar[str] = "long text"
    metrics: ClassVar[tuple[Metric, ...]] = (*_ROUGE, *_RATES)

    @property
    def spans(self) -> Mapping[str, float]:
        """All scores lie between 0 and 1."""
        return {"rouge1": 1.0, "rougeL": 1.0}

    def read(self, text: str) -> str:
        """Return all of an answer except its thoughts; empty where nothing is left."""
        return whole_text(text)

    def read_gold(self, gold: str) -> str:
        """Return a gold without the white space around it."""
        return gold.strip()

    def score(self, text: str, gold: str, unfinished: bool = False) -> dict[str, Value]:
        """Score one text; an unfinished thought is an empty answer."""
        answer = "" if unfinished else self.read(text)
        rouge1, rouge_l = rouge(answer, gold)
        return {"rouge1": rouge1, "rougeL": rouge_l, "valid_rate": float(bool(answer))}


@dataclass(frozen=True)
class LongText(LongTextWithoutMeteor):
    """A text of any length, scored by ROUGE-1, ROUGE-L and METEOR, as LongLaMP scores it."""

    metrics: ClassVar[tuple[Metric, ...]] = (*_ROUGE, _METEOR, *_RATES)

    @property
    def spans(self) -> Mapping[str, float]:
        """All scores lie between 0 and 1."""
        return {**super().spans, "meteor": 1.0}

    def check_scores(self) -> None:
        """Check that METEOR can be computed here.

        :raises DataError: naming what is missing, and the command that gets it.
        """
        from qrag_longlamp.meteor import check_data

        check_data()

    def score(self, text: str, gold: str, unfinished: bool = False) -> dict[str, Value]:
        """Score one text; an unfinished thought is an empty answer.

        :raises DataError: where METEOR cannot be computed.
        """
        # Imported late: it brings nltk with it, a second that listing tasks need not pay.
        from qrag_longlamp.meteor import meteor

        scores = super().score(text, gold, unfinished)
        return {**scores, "meteor": meteor("" if unfinished else self.read(text), gold)}
