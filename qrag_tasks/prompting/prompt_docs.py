"""The docs that lm_eval is given: for each sample its finished prompt, and how it came about."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qrag_tasks.prompting.filling import TokenBudget
from qrag_tasks.prompting.pipeline import PromptRecord
from qrag_tasks.tasks.scoring.likelihood import distribution
from qrag_tasks.wording import counted

logger = logging.getLogger("lm_eval.qrag_tasks")

Doc = dict[str, Any]


class AnswerShare(dict[str, Any]):
    """One answer of a closed set: ``answer``, ``logprob`` in nats, ``p``, its share among all.

    lm_eval writes it into a sample log as text; this makes the text JSON.
    """

    def __str__(self) -> str:
        return json.dumps(self)


def put_shares(requests: Sequence[Any], answers: Sequence[str]) -> None:
    """Put each answer's share in place of what was measured of it, doc by doc.

    :param requests: lm_eval's, for the likelihoods of all answers to all docs, filtered.
    :param answers: the closed set, in the order in which a doc's requests are numbered.
    """
    by_doc: dict[Any, list[Any]] = {}
    for request in requests:
        by_doc.setdefault(request.doc_id, []).append(request)
    for of_doc in by_doc.values():
        of_doc.sort(key=lambda request: int(request.idx))
        for key in of_doc[0].filtered_resps:
            logprobs = [float(request.filtered_resps[key][0]) for request in of_doc]
            shares = distribution(logprobs)
            for request, answer, logprob, share in zip(
                of_doc, answers, logprobs, shares, strict=True
            ):
                request.filtered_resps[key] = AnswerShare(answer=answer, logprob=logprob, p=share)


class PromptDocs(Sequence[Doc]):
    """The docs of a task: one for each sample, its prompt made when it is first needed.

    :meth:`make` makes many at once, which is what a retriever wants; a doc that is asked for
    before that has its prompt made alone and without a budget.
    """

    features: Mapping[str, None]

    def __init__(
        self, samples: int, make: Callable[[Sequence[int], TokenBudget | None], list[Doc]]
    ):
        self._samples = samples
        self._make = make
        self._docs: dict[int, Doc] = {}
        self.features = dict.fromkeys(self[0])

    def make(self, indices: Sequence[int], budget: TokenBudget | None) -> list[Doc]:
        """Make the docs at ``indices`` again, replacing those made before."""
        docs = self._make(indices, budget)
        self._docs = dict(zip(indices, docs, strict=True))
        return docs

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._samples))]
        if not -self._samples <= index < self._samples:
            raise IndexError(index)
        index %= self._samples
        if index not in self._docs:
            self._docs[index] = self._make([index], None)[0]
        return self._docs[index]


def as_doc(record: PromptRecord, retriever: str, budget: TokenBudget | None) -> Doc:
    """Return a record as JSON has it: what ``--log_samples`` writes under ``doc``."""
    return {
        "id": record.sample.id,
        "user": record.sample.user,
        "target": record.sample.target,
        "retriever": retriever,
        "requested": record.requested,
        "profile_size": record.profile_size,
        "ranked": list(record.ranking.ids),
        "scores": list(record.ranking.scores),
        "kept": list(record.kept),
        "dropped": list(record.dropped),
        "oversized": list(record.oversized),
        "trimmed": list(record.trimmed),
        "shortfall": record.shortfall,
        "markers_broken": record.markers_broken,
        "question_tokens": record.question_tokens,
        "prompt_tokens": record.prompt_tokens,
        "context_tokens": budget.context_tokens if budget else None,
        "answer_tokens": budget.answer_tokens if budget else None,
        "prompt": record.prompt,
        "prompt_hash": record.prompt_hash,
        # Nothing is said of what a task does not have.
        **({"attributes": dict(its)} if (its := record.sample.attributes) else {}),
    }


def report(
    name: str, k: int | None, retriever: str, docs: Sequence[Doc], budget: TokenBudget | None
) -> None:
    """Log what went into the prompts of a task: nothing is left out silently."""
    kept = sum(len(doc["kept"]) for doc in docs)
    parts = [f"{counted(len(docs), 'prompt')}, {counted(kept, 'document')} by {retriever}"]
    empty = "empty (asked without documents)"
    for count, one, many in (
        (
            sum(doc["profile_size"] < (k or 0) for doc in docs),
            *(f"profile holds fewer than {k}", f"profiles hold fewer than {k}"),
        ),
        (
            sum(doc["profile_size"] == 0 for doc in docs),
            *(f"profile is {empty}", f"profiles are {empty}"),
        ),
        (
            sum(len(doc["oversized"]) for doc in docs),
            "document is longer than the budget alone",
            "documents are longer than the budget alone",
        ),
        (
            sum(len(doc["trimmed"]) for doc in docs),
            *("document was trimmed", "documents were trimmed"),
        ),
        (
            sum(doc["markers_broken"] for doc in docs),
            "chat marker in texts was broken up",
            "chat markers in texts were broken up",
        ),
    ):
        if count:
            parts.append(f"{count} {one if count == 1 else many}")
    cut = sum(bool(doc["dropped"]) for doc in docs)
    if budget is None:
        parts.append("nothing counted or fitted: no tokenizer= or pretrained= names the model's")
    else:
        lengths = [doc["prompt_tokens"] for doc in docs]
        parts.append(
            f"{min(lengths, default=0)} to {max(lengths, default=0)} tokens of "
            f"{budget.prompt_tokens}"
        )
        parts.append(f"{counted(cut, 'prompt')} lost documents to the budget")
    known = sum(doc["target"] is not None for doc in docs)
    some = 0 < known < len(docs)
    if some:
        parts.append(
            f"the right answer of {known:,} of the {len(docs):,} questions is known, and only "
            f"{'that one is' if known == 1 else 'these are'} scored against it"
        )
    # Where as many as fit were asked for, some do not fit as a rule.
    lost = (cut and k is not None) or any(doc["oversized"] for doc in docs)
    level = logging.WARNING if lost or some or budget is None else logging.INFO
    logger.log(level, "%s: %s", name, "; ".join(parts))
