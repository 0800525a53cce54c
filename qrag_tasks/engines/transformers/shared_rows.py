"""Answers to one prompt, read in one row: the prompt, which takes the time, is computed once.

A row is the prompt and the answers behind each other. A mask lets each answer see the prompt and
itself, and its positions begin where the prompt ends, so that each place computes what it would
compute in a row of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from qrag_tasks.engines.readings import ReadingRequest
from qrag_tasks.engines.transformers.likelihoods import left_padded

logger = logging.getLogger("lm_eval.qrag_tasks")

_ATTENTION = ("sdpa", "eager")
"""What takes a mask of every pair of tokens."""
TOLERANCE = 0.01
"""Mean KL, in nats, that the order of sums may make: bfloat16 keeps 8 bits of a logit."""


@dataclass(frozen=True)
class Row:
    """A prompt with the answers that are read behind it.

    :ivar places: of the requests that it serves, one an answer.
    """

    prompt: Sequence[int]
    answers: Sequence[Sequence[int]]
    places: Sequence[int]

    @property
    def tokens(self) -> list[int]:
        """The tokens that are fed: the last of each answer is not."""
        return [*self.prompt, *(token for answer in self.answers for token in answer[:-1])]

    @property
    def kept(self) -> int:
        """Of how many of the last tokens logits are needed."""
        return 1 + sum(len(answer) - 1 for answer in self.answers)


def rows_of(requests: Sequence[ReadingRequest], shared: bool) -> list[Row]:
    """Return the rows that serve requests.

    :param shared: whether those of one prompt share a row.
    """
    by_prompt: dict[Any, list[int]] = {}
    for place, request in enumerate(requests):
        by_prompt.setdefault(tuple(request.prompt) if shared else place, []).append(place)
    return [
        Row(requests[places[0]].prompt, [requests[place].answer for place in places], places)
        for places in by_prompt.values()
    ]


def takes_masks(config: Any) -> bool:
    """Tell whether a model looks at a mask of every pair of tokens, in all of its layers.

    Layers with a window of their own, or without attention, do not.
    """
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    kinds = getattr(text, "layer_types", None)
    plain = kinds is None or set(kinds) == {"full_attention"}
    window = getattr(text, "sliding_window", None) if kinds is None else None
    return getattr(text, "_attn_implementation", None) in _ATTENTION and plain and not window


def log_probabilities(model: Any, rows: Sequence[Row], pad: int) -> list[list[torch.Tensor]]:
    """Return the log-probabilities at each place of every answer, in 32 bits.

    :param model: of ``transformers``, decoder-only, that :func:`takes_masks`.
    :param pad: token id for the left of shorter rows.
    :returns: a row each, an answer each: shape (places, vocabulary).
    """
    ids, _ = left_padded([row.tokens for row in rows], pad, model.device)
    width = ids.shape[1]
    seen = torch.zeros((len(rows), 1, width, width), dtype=torch.bool, device=ids.device)
    positions = torch.zeros_like(ids)
    for number, row in enumerate(rows):
        length, start = len(row.prompt), width - len(row.tokens)
        pairs = seen[number, 0]
        # What pads sees itself: of nothing, no attention can be computed.
        pairs.diagonal()[:start] = True
        pairs[start:, start : start + length] = True
        positions[number, start : start + length] = torch.arange(length)
        begin = start + length
        for answer in row.answers:
            end = begin + len(answer) - 1
            pairs[begin:end, begin:end] = True
            positions[number, begin:end] = length + torch.arange(len(answer) - 1)
            begin = end
    seen &= torch.ones((width, width), dtype=torch.bool, device=ids.device).tril()
    mask = torch.zeros(seen.shape, dtype=model.dtype, device=ids.device)
    mask.masked_fill_(~seen, torch.finfo(model.dtype).min)
    kept = max(row.kept for row in rows)
    logits = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        logits_to_keep=kept,
        use_cache=False,
    ).logits
    return [_of_row(logits[number, -row.kept :], row) for number, row in enumerate(rows)]


def _of_row(logits: torch.Tensor, row: Row) -> list[torch.Tensor]:
    answers, at = [], 1
    for answer in row.answers:
        # The first token of each answer follows the prompt.
        own = torch.cat([logits[:1], logits[at : at + len(answer) - 1]])
        answers.append(torch.log_softmax(own, dim=-1, dtype=torch.float32))
        at += len(answer) - 1
    return answers


def tried(
    requests: Sequence[ReadingRequest],
    read: Callable[[Sequence[Row]], Sequence[Sequence[torch.Tensor]]],
) -> bool | None:
    """Tell whether a model computes the same of answers in a row, and of each in a row of its own.

    The longest of the rows is read both ways: a model that looks at no mask, or takes positions
    from elsewhere, computes something else.

    :param read: rows -> the log-probabilities at each place of every row's answers.
    :returns: ``None`` where no two answers have a prompt in common.
    """
    pairs = [row for row in rows_of(requests, True) if len(row.answers) > 1]
    if not pairs:
        return None
    longest = max(pairs, key=lambda row: len(row.tokens))
    alone = rows_of([requests[place] for place in longest.places], False)
    try:
        apart = [read([row])[0][0] for row in alone]
        (together,) = read([longest])
    except Exception as error:
        # Of whatever kind: the passes that are known to work say what is wrong, if it is there.
        logger.info("answers to one prompt are read one by one: %s", error)
        return False
    difference = apart_by(apart, together)
    logger.info(
        "answers to one prompt are read %s: read both ways, the first differ by a KL of %.2g",
        *("together" if difference <= TOLERANCE else "one by one", difference),
    )
    return difference <= TOLERANCE


def apart_by(one: Sequence[torch.Tensor], two: Sequence[torch.Tensor]) -> float:
    """Return the mean KL, in nats, of distributions that were computed in two ways."""
    terms = [(p.exp() * (p - q)).nan_to_num().sum(dim=-1) for p, q in zip(one, two, strict=True)]
    return float(torch.cat(terms).mean())
