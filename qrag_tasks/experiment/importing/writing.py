"""Leaves imported answers as lm_eval would have left them, scored, for whatever reads results."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from qrag_tasks.errors import StoreError
from qrag_tasks.experiment.importing.form import Form
from qrag_tasks.experiment.importing.lines import CellKey, ImportedArm, Line
from qrag_tasks.logs.schema import BLOCK, LoggedArm, LoggedPrompts
from qrag_tasks.tasks.metric import RUNAWAY_RATE, UNFINISHED_THOUGHT_RATE, Metric
from qrag_tasks.tasks.scoring.answer_scores import AnswerScores
from qrag_tasks.tasks.scoring.metrics import AGGREGATIONS
from qrag_tasks.tasks.scoring.thoughts import begun_thought, without_thoughts


def check_free(folder: Path) -> None:
    """Check that nothing lies where results are to be written.

    :raises StoreError: when something does.
    """
    if folder.exists() and any(folder.iterdir()):
        raise StoreError(f"{folder} holds something: name another folder, or remove it")


def write_arm(arm: ImportedArm, form: Form, folder: Path) -> None:
    """Write the results of an arm: a folder for each of its cells.

    :param folder: for all arms; the arm's lies in it.
    :raises StoreError: when it cannot be written.
    """
    time = datetime.now().isoformat().replace(":", "-")
    for cell, lines in arm.cells.items():
        place = folder / arm.name / "-".join(_safe(part) for part in cell if part is not None)
        task = cell.task if cell.k is None else f"{cell.task}_rag_k{cell.k}"
        scores = _Scores(form, list(lines.values()))
        body = _results(arm, form, cell, task, scores)
        try:
            place.mkdir(parents=True, exist_ok=True)
            with (place / f"samples_{task}_{time}.jsonl").open("w", encoding="utf-8") as log:
                for sample in scores.samples():
                    log.write(json.dumps(sample, ensure_ascii=False) + "\n")
            text = json.dumps(body, indent=2, ensure_ascii=False)
            (place / f"results_{time}.json").write_text(text, encoding="utf-8")
        except OSError as error:
            raise StoreError(f"{place}: cannot be written: {error.strerror}") from error


def _safe(text: str) -> str:
    return "".join(c if c.isalnum() or c in "._" else "-" for c in text)[:60] or "-"


class _Scores:
    """The scores of a cell's answers."""

    def __init__(self, form: Form, lines: Sequence[Line]) -> None:
        scores = AnswerScores(form.kind, names=form.metrics)
        self._lines = lines
        self._values = [_score(scores, line) for line in lines]
        names = self._values[0].keys()
        # How long an answer could have been is not known.
        rates = [UNFINISHED_THOUGHT_RATE] if UNFINISHED_THOUGHT_RATE.name in names else []
        every = [*scores.metrics, *rates]
        self.metrics: dict[str, Metric] = {
            metric.name: metric
            for metric in every
            if metric.name in names and metric.name != RUNAWAY_RATE.name
        }

    def reported(self, metric: Metric) -> float:
        """Return a score over all samples."""
        values = [of_line[metric.name] for of_line in self._values]
        if metric.aggregation in AGGREGATIONS:
            return float(AGGREGATIONS[metric.aggregation](values))
        return math.fsum(values) / len(values)

    def samples(self) -> Iterator[dict[str, Any]]:
        """Yield the samples as lm_eval logs them."""
        for number, (line, values) in enumerate(zip(self._lines, self._values, strict=True)):
            yield {
                "doc_id": number,
                "doc": _doc(line),
                "target": line.gold,
                "arguments": {"gen_args_0": {"arg_0": _prompt(line), "arg_1": {}}},
                "resps": [[line.answer]],
                "filtered_resps": [line.answer],
                "filter": "none",
                "metrics": list(self.metrics),
                **{name: values[name] for name in self.metrics},
            }


def _score(scores: AnswerScores, line: Line) -> Mapping[str, Any]:
    begun = line.prompt is not None and begun_thought(line.prompt) is not None
    unfinished = without_thoughts(line.answer, begun) is None
    return scores.of_text(line.answer, line.gold, unfinished, None, 0)


def _prompt(line: Line) -> str:
    return f"sha256:{line.prompt_sha256}" if line.prompt is None else line.prompt


def _doc(line: Line) -> dict[str, Any]:
    documents = line.documents
    return {
        "id": line.key,
        "user": line.user,
        "target": line.gold,
        "prompt": _prompt(line),
        "prompt_hash": line.prompt_sha256,
        "imported": True,
        "ranked": documents if isinstance(documents, list) else [],
        **({"kept": documents} if isinstance(documents, list) else {"documents": documents}),
        "dropped": [],
        **({"attributes": dict(line.attributes)} if line.attributes else {}),
    }


def _results(
    arm: ImportedArm, form: Form, cell: CellKey, task: str, scores: _Scores
) -> dict[str, Any]:
    hashed = any(line.prompt is None for lines in arm.cells.values() for line in lines.values())
    logged = LoggedArm(
        precision=arm.precision,
        imported={"files": dict(arm.files), "prompts": "sha256" if hashed else "text"},
    )
    prompts = LoggedPrompts(
        version=version("qrag-tasks"),
        retriever=cell.retriever,
        order=cell.order,
        answer="generate",
        answer_kind=form.record,
    )
    count = len(arm.cells[cell])
    return {
        "results": {
            task: {
                "alias": task,
                **{f"{name},none": scores.reported(m) for name, m in scores.metrics.items()},
            }
        },
        "configs": {
            task: {
                "task": task,
                "dataset_kwargs": {"task": cell.task, "k": cell.k},
                "metadata": {BLOCK: prompts.as_dict()},
            }
        },
        "higher_is_better": {
            task: {name: metric.higher_is_better for name, metric in scores.metrics.items()}
        },
        "n-samples": {task: {"original": count, "effective": count}},
        "config": {
            "model": "imported",
            "model_args": {"pretrained": arm.model},
            BLOCK: logged.as_dict(),
        },
    }
