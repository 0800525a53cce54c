"""The scores that a run asks for of each answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qrag_tasks.tasks.base import AnswerKind, Evaluation
from qrag_tasks.tasks.metric import (
    RUNAWAY_RATE,
    UNFINISHED_THOUGHT_RATE,
    VALID_RATE,
    Metric,
    Value,
)


@dataclass(frozen=True)
class AnswerScores:
    """The scores of a kind of answer, with what a publication computed beside them.

    :ivar likelihoods: whether the likelihoods of all values are scored, in place of a text.
    :ivar names: of those of the kind's scores that are asked for; ``None`` for all.
    """

    kind: AnswerKind
    published: Evaluation | None = None
    likelihoods: bool = False
    names: tuple[str, ...] | None = None

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The scores, in the order of results."""
        if self.likelihoods:
            return self.kind.likelihood_metrics
        of_kind = [m for m in self.kind.metrics if self.names is None or m.name in self.names]
        return (*of_kind, *(self.published.metrics if self.published else ()))

    def of_text(
        self, text: str, gold: str | None, unfinished: bool, tokens: int | None, limit: int
    ) -> dict[str, Value]:
        """Score a generated text.

        :param gold: where it is not known, only what needs none is scored.
        :param unfinished: whether the text is a thought without an end.
        :param tokens: of the text; ``None`` where nobody can count them.
        :param limit: the most tokens that it could have.
        """
        read = "" if unfinished else self.kind.read(text)
        scores: dict[str, Value] = {
            VALID_RATE.name: float(self.kind.is_valid(read)),
            UNFINISHED_THOUGHT_RATE.name: float(unfinished),
        }
        if gold is not None:
            scores |= self.kind.score(text, gold, unfinished)
            if self.published:
                scores |= self.published.score(text, gold)
        if tokens is not None:
            scores[RUNAWAY_RATE.name] = float(tokens >= limit)
        return scores

    def of_likelihoods(self, logprobs: Sequence[float], gold: str | None) -> dict[str, Value]:
        """Score the likelihoods of all values; see :meth:`AnswerKind.score_likelihoods`."""
        return self.kind.score_likelihoods(logprobs, gold)
