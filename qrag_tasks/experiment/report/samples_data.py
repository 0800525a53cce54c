"""Packs every sample of a comparison into a page: texts once, compressed, opened when looked at."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qrag_tasks.experiment.comparison.agreement import text_of
from qrag_tasks.experiment.comparison.paired import PairedCells
from qrag_tasks.experiment.comparison.rows import CellRow
from qrag_tasks.experiment.comparison.sample_arrays import Values
from qrag_tasks.experiment.report.answer import headline_row
from qrag_tasks.experiment.report.questions import TOGETHER, Questions

_WORST = 100
"""Losses of each cell that the page knows before it opens a cell's samples."""


@dataclass(frozen=True)
class PackedSamples:
    """All samples as a page holds them.

    :ivar records: what the page knows of each cell's samples without opening them.
    :ivar questions: task -> where its prompts lie: ``first`` of the chunks that hold them, the
        ``keys`` of its questions in their order, and how many are ``together`` in a chunk.
    :ivar chunks: compressed texts.
    """

    records: Sequence[dict[str, Any]]
    questions: Mapping[str, Mapping[str, Any]]
    chunks: Sequence[str]


def packed_samples(
    paired: PairedCells, cells: Sequence[CellRow], with_texts: bool = True
) -> PackedSamples:
    """Pack the samples of every cell: answers by cell, prompts by question.

    :param with_texts: whether they are wanted at all.
    """
    if not with_texts:
        return PackedSamples([{} for _ in cells], {}, [])
    chunks = _Chunks()
    records = []
    asked = Questions(paired.values)
    both = list(zip(paired.values, cells, strict=True))
    for values, cell in paired.track(both, "packing samples"):
        places = asked.places(values)
        answers = _answers(values, cell, places)
        records.append(
            {
                "asked": chunks.add(_asked(values, cell, places)),
                "answers": chunks.add(answers),
                "counts": _counts(values, answers),
                "worst": _worst(answers),
            }
        )
    questions: dict[str, dict[str, Any]] = {}
    keys = asked.keys()
    for task, prompts in asked.packs():
        if task not in questions:
            questions[task] = {"first": chunks.count, "keys": keys[task], "together": TOGETHER}
        chunks.append(prompts)
    return PackedSamples(records, questions, chunks.texts)


def for_script(value: Any) -> str:
    """Return JSON that may stand in a script element: what ends one is written otherwise."""
    return _json(value).replace("<", "\\u003c")


def _json(value: Any) -> str:
    """Return JSON as a browser reads it: what is not a finite number, in a log, is null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(json.loads(json.dumps(value), parse_constant=lambda _: None))


class _Chunks:
    """Values as JSON, compressed: a grid's texts are many megabytes, and much alike."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._places: dict[bytes, int] = {}

    @property
    def count(self) -> int:
        return len(self.texts)

    def add(self, value: Any) -> int:
        """Add a value, unless it is there, and return its place."""
        data = _json(value).encode("ascii")
        digest = hashlib.sha256(data).digest()
        if digest not in self._places:
            self._places[digest] = self.count
            self._append(data)
        return self._places[digest]

    def append(self, value: Any) -> None:
        """Add a value whose place follows from those before it."""
        self._append(_json(value).encode("ascii"))

    def _append(self, data: bytes) -> None:
        # Below 7 it looks too few characters back for what prompts have in common, which takes a
        # third more of the page; 9 takes twice as long, and saves a hundredth.
        self.texts.append(base64.b64encode(gzip.compress(data, 7, mtime=0)).decode("ascii"))


def _asked(
    values: Values, cell: CellRow, places: Sequence[tuple[int, int]]
) -> list[tuple[Any, ...]]:
    """Return what a cell shares with those of other arms, for each sample.

    Key, gold, the base's answer and score, which of the question's prompts it was given.
    """
    row = headline_row(cell)
    return [
        (
            *(one.key, one.target or None, text_of(one)),
            *(_rounded(one.scores.get(row.metric)) if row else None, place),
        )
        for (one, _), (place, _) in zip(values.pairs, places, strict=True)
    ]


def _answers(
    values: Values, cell: CellRow, places: Sequence[tuple[int, int]]
) -> list[tuple[Any, ...]]:
    """Return what is the other arm's own, for each sample.

    Answer, ``None`` where it is the base's; score, loss, invalid, which of the question's prompts
    it was given. The loss is the share of the metric's range by which it scores worse, so that
    samples of different tasks can be sorted: in the metric's unit where its range is not known, 0
    where both score alike, ``None`` where a sample has no score of its own.
    """
    row = headline_row(cell)
    name = row.metric if row else None
    span = (values.span(name) if name else None) or 1.0
    rows = []
    for (one, two), (_, place) in zip(values.pairs, places, strict=True):
        first, second = (sample.scores.get(name) if name else None for sample in (one, two))
        loss = None
        if row is not None and row.flips is not None and first is not None and second is not None:
            # Sums of floats: what differs in the sixteenth digit is scored alike.
            loss = round((first - second if row.higher_is_better else second - first) / span, 6)
        invalid = any(sample.scores.get("valid_rate") == 0 for sample in (one, two))
        text = None if text_of(two) == text_of(one) else text_of(two)
        rows.append((text, _rounded(second), loss, int(invalid), place))
    return rows


def _rounded(score: Any) -> Any:
    """Return a score in the digits that the page may show of it."""
    return round(score, 6) if isinstance(score, float) else score


def _counts(values: Values, answers: Sequence[Sequence[Any]]) -> dict[str, int]:
    return {
        "all": len(answers),
        "worse": sum((row[2] or 0) > 0 for row in answers),
        "better": sum((row[2] or 0) < 0 for row in answers),
        "other": sum(text_of(one) != text_of(two) for one, two in values.pairs),
        "invalid": sum(row[3] for row in answers),
    }


def _worst(answers: Sequence[Sequence[Any]]) -> list[list[float]]:
    """Return number and loss of the samples that lose most."""
    losses = [(row[2], number) for number, row in enumerate(answers) if (row[2] or 0) > 0]
    losses.sort(key=lambda one: (-one[0], one[1]))
    return [[number, loss] for loss, number in losses[:_WORST]]
