"""What was measured: when, of which model, on what data and hardware, under which choices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any

from qrag_tasks.experiment.comparison.notes import percent
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.comparison.rows import Comparison
from qrag_tasks.experiment.report.answer import headline_row
from qrag_tasks.experiment.report.spending import device_of
from qrag_tasks.locations import mini_root
from qrag_tasks.logs.model_facts import arguments_of
from qrag_tasks.logs.results import Results
from qrag_tasks.logs.runs import Run, TaskRun
from qrag_tasks.tasks.base import DEPTHS
from qrag_tasks.wording import counted

EVIDENCE = {
    "layers": "precision read off every loaded layer",
    "headers": "precision read off the checkpoint; for the rest, the engine's word",
    "stated": "precision as it was stated",
}
_NOISE = {
    "excluded": "excluded: no answer depended on its batch (deterministic=True)",
    "measured": "measured (`qrag noise`): a difference within it is no difference",
    "unknown": (
        "neither measured (`qrag noise`) nor excluded (deterministic=True): a part of the answers "
        "that differ may be due to batches alone"
    ),
}
_NAMED = 6
"""Things that are named one by one; of more, the number stands beside the first."""


@dataclass(frozen=True)
class Fact:
    """Something that was so, with one line for each way in which it was.

    :ivar brief: stands on the first screen.
    """

    label: str
    lines: Sequence[str]
    brief: str = ""


class Provenance:
    """What the results of a comparison say of how they came about.

    :param runs: with the task that is compared: base and other, of each cell.
    """

    def __init__(
        self,
        comparison: Comparison,
        options: Options,
        runs: Sequence[tuple[tuple[Run, TaskRun], tuple[Run, TaskRun]]],
    ) -> None:
        self._comparison, self._options = comparison, options
        self._sides = [side for both in runs for side in both]
        self._runs = list({str(run.path): run for run, _ in self._sides}.values())

    @cached_property
    def _results(self) -> list[Results]:
        return [Results.at(run.path) for run in self._runs]

    def facts(self) -> list[Fact]:
        """Return what is known; what is not is left out."""
        found = [
            Fact("Date", self._dates(), self._dates()[0]),
            Fact("Model", list(self._models())),
            Fact("Engine and evidence", list(self._engines())),
            Fact("Hardware", self._devices(), ", ".join(self._devices()[:2])),
            Fact("Versions", self._versions()),
            Fact("Data", list(self._data()), self._brief_data()),
            Fact("Prompts", list(self._prompts()), self._brief_prompts()),
            Fact("Generation", list(self._generation())),
            Fact("Margins", self._margins(), self._brief_margins()),
            Fact("Statistics", [self._statistics()]),
            Fact("Noise of batches", self.noise(), self._brief_noise()),
        ]
        return [fact for fact in found if fact.lines]

    def warnings(self) -> list[str]:
        """Return what must not be missed by whoever reads a verdict."""
        told = []
        if any(self._of_mini(task) for _, task in self._sides):
            told.append(
                "This is the embedded sample `mini`: made-up questions that show how a comparison "
                "works. Its scores say nothing of a model on real data."
            )
        evidence = {cell.other.evidence for cell in self._comparison.cells}
        if "stated" in evidence:
            told.append(
                "The precision of at least one arm is what a server or a file states: nobody "
                "checked it."
            )
        return told

    def noise(self) -> list[str]:
        """Say whether the differences may be due to batches."""
        kinds = Counter(cell.batch_noise for cell in self._comparison.cells)
        return [f"{_NOISE[kind]} ({counted(number, 'cell')})" for kind, number in kinds.items()]

    def _dates(self) -> list[str]:
        days = sorted(results.time[:10] for results in self._results)
        return [days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"]

    def _models(self) -> Iterator[str]:
        places: dict[str, list[str]] = {}
        for run, results in zip(self._runs, self._results, strict=True):
            arguments = arguments_of(results.config)
            place = arguments.get("pretrained") or arguments.get("model") or run.name
            revision = results.config.get("model_sha") or ""
            weights = str((run.logged.identity_parts or {}).get("weights") or "")
            parts = [str(place), str(revision)[:12], weights and f"weights sha256 {weights[:12]}"]
            places.setdefault(", ".join(part for part in parts if part), []).append(run.label)
        for place, labels in places.items():
            yield f"{_named(labels)}: {place}"

    def _engines(self) -> Iterator[str]:
        kinds: dict[str, list[str]] = {}
        for run in self._runs:
            if run.logged.engine_name:
                evidence = EVIDENCE.get(run.logged.evidence or "", "")
                told = ", ".join(part for part in (run.logged.engine_name, evidence) if part)
                kinds.setdefault(told, []).append(run.label)
        for told, labels in kinds.items():
            yield f"{_named(labels)}: {told}"

    def _devices(self) -> list[str]:
        return _different(device_of(run) for run in self._runs)

    def _versions(self) -> list[str]:
        found: dict[str, list[str]] = {}
        for run, results in zip(self._runs, self._results, strict=True):
            versions = {
                "lm_eval": results.body.get("lm_eval_version"),
                "transformers": results.body.get("transformers_version"),
                **((run.logged.identity_parts or {}).get("versions") or {}),
            }
            for name, version in versions.items():
                found.setdefault(name, []).append(str(version or ""))
        for _, task in self._sides:
            if task.prompts is not None and task.prompts.version:
                found.setdefault("qrag-tasks", []).append(task.prompts.version)
        lines = [f"{name} {' and '.join(_different(known))}" for name, known in found.items()]
        return [", ".join(line for line in lines if not line.endswith(" "))]

    def _data(self) -> Iterator[str]:
        told: dict[str, None] = {}
        users = {cell.task: cell.users for cell in self._comparison.cells}
        counts = {cell.task: cell.samples for cell in self._comparison.cells}
        totals = {
            task: results.questions(task) for results in self._results for task in results.tasks
        }
        for _, task in self._sides:
            prompts = task.prompts
            n, of, who = counts.get(task.task), totals.get(task.task), users.get(task.task)
            parts = [counted(n, "sample") if n else ""]
            if n and of and of != n:
                parts = [f"{n:,} of {counted(of, 'sample')}"]
            parts.append(counted(who, "user") if who else "")
            if prompts is not None:
                parts += [f"split {prompts.split}" if prompts.split else "", _file(prompts.data)]
                parts.append(f"sha256 {prompts.data_sha256[:12]}" if prompts.data_sha256 else "")
            line = f"{task.lamp_task or task.task}: {', '.join(part for part in parts if part)}"
            told.setdefault(line)
        yield from told

    def _brief_data(self) -> str:
        cells = self._comparison.cells
        tasks = _different(cell.lamp_task or cell.task for cell in cells)
        splits = _different(task.prompts.split for _, task in self._sides if task.prompts)
        low, high = min(cell.samples for cell in cells), max(cell.samples for cell in cells)
        n = f"n = {low:,}" if low == high else f"n = {low:,} to {high:,}"
        users = {cell.users for cell in cells}
        who = [counted(max(filter(None, users)), "user")] if None not in users else []
        told = [_named(tasks), *(f"split {name}" for name in splits), f"{n} a cell", *who]
        return ", ".join(told)

    def _prompts(self) -> Iterator[str]:
        every = [task.prompts for _, task in self._sides if task.prompts is not None]
        names = ("protocol", "prompt", "fill", "oversized", "index", "filter", "answer")
        for name in names:
            if values := _different(getattr(one, name) for one in every):
                yield f"{name}: {' and '.join(values)}"
        if order := _different(one.order for one in every):
            yield f"order of documents: {' and '.join(order)}"
        retrievers = {
            f"{one.retriever} ({one.retriever_from})" if one.retriever_from else one.retriever
            for one in every
            if one.retriever and one.retriever != "none"
        }
        if retrievers:
            yield f"retriever: {', '.join(sorted(map(str, retrievers)))}"
        if any(one.retriever_sees_gold for one in every):
            yield "a retriever ranks by the right answers: an upper bound, never a system"
        templates = _different(run.settings.get("chat template") for run in self._runs)
        yield "chat template: " + (
            ", ".join(f"sha256 {one[:12]}" for one in templates) if templates else "none"
        )
        if system := _different(run.texts.get("system instruction") for run in self._runs):
            yield f"system instruction: {' / '.join(system)}"

    def _brief_prompts(self) -> str:
        cells = self._comparison.cells
        k = [k for k in map(str, DEPTHS) if any(cell.k == k for cell in cells)]
        retrievers = [name for name in _different(c.retriever for c in cells) if name != "none"]
        parts = [f"k = {', '.join(k)}" if k else "", _named(retrievers)]
        return ", ".join(part for part in parts if part)

    def _generation(self) -> Iterator[str]:
        for name, value in (
            ("arguments", [run.settings.get("generation arguments") for run in self._runs]),
            ("computed in", [run.dtype for run in self._runs]),
        ):
            if values := _different(value):
                yield f"{name}: {' and '.join(values)}"

    def _margins(self) -> list[str]:
        rows = [row for cell in self._comparison.cells if (row := headline_row(cell)) is not None]
        margins = {row.metric: row.margin for row in rows}
        told = [
            f"{metric} {margin:g}" if margin is not None else f"{metric}: none was stated"
            for metric, margin in margins.items()
        ]
        return [", ".join(told)] if told else []

    def _brief_margins(self) -> str:
        return "".join(f"margins {line}" for line in self._margins()[:1])

    def _brief_noise(self) -> str:
        kinds = {cell.batch_noise for cell in self._comparison.cells}
        if kinds == {"unknown"}:
            return "noise of batches neither measured nor excluded"
        return f"noise of batches {' or '.join(sorted(kinds))}"

    def _statistics(self) -> str:
        options = self._options
        return (
            f"{percent(options.level)} intervals, {options.resamples:,} resamples, seed "
            f"{options.seed}, p corrected by Holm over the cells of a metric"
        )

    def _of_mini(self, task: TaskRun) -> bool:
        data = task.prompts.data if task.prompts is not None else None
        return bool(data) and PurePath(str(data)).parts[-6:-3] == mini_root().parts[-3:]


def _different(values: Iterable[Any]) -> list[str]:
    """Return different values as texts, without those that say nothing."""
    return [str(value) for value in dict.fromkeys(map(_hashable, values)) if value]


def _hashable(value: Any) -> Any:
    return str(value) if isinstance(value, dict | list) and value else value or None


def _named(names: Iterable[str]) -> str:
    known = list(dict.fromkeys(names))
    if len(known) <= _NAMED:
        return ", ".join(known)
    return f"{', '.join(known[: _NAMED - 1])} and {len(known) - _NAMED + 1} more"


def _file(path: str | None) -> str:
    """Return the end of a path, which says which file it is; its beginning is of a machine."""
    return "/".join(PurePath(path).parts[-3:]) if path else ""
