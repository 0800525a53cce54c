"""Finished runs of lm_eval: its results and the sample logs beside them, of any task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from qrag_tasks.errors import ComparisonError, DataError, QragError
from qrag_tasks.logs.damage import RUN_AGAIN
from qrag_tasks.logs.model_facts import (
    arguments_of,
    arm_called,
    dtype_of,
    kv_cache_of,
    name_of,
    precision_of,
)
from qrag_tasks.logs.reported_metrics import Metric, aggregations
from qrag_tasks.logs.results import Results, results_in
from qrag_tasks.logs.sample_logs import SampleLog
from qrag_tasks.logs.samples import Sample
from qrag_tasks.logs.schema import LoggedArm, LoggedPrompts
from qrag_tasks.tasks.base import AnswerKind
from qrag_tasks.tasks.catalog import TASKS
from qrag_tasks.tasks.own.kinds import kind_in_results


@dataclass(frozen=True)
class TaskRun:
    """One task of a run.

    :ivar lamp_task: of our tasks: the name of its row, such as ``lamp3u`` or ``own-recipes``.
    :ivar k: of our tasks: how many documents were asked for, as the task's name has it.
    :ivar prompts: of our tasks: what decided the prompts. Without documents its ``retriever`` is
        ``none``, and its ``order`` is ``None`` for one document or none.
    """

    task: str
    log: SampleLog
    lamp_task: str | None
    k: str | None
    prompts: LoggedPrompts | None
    reported: Mapping[str, Any]
    directions: Mapping[str, bool]

    @cached_property
    def samples(self) -> Sequence[Sample]:
        """All samples, in the order of the data set; a sample is there for each filter.

        :raises DataError: when the log cannot be read, or holds something else.
        """
        return sorted(self.log, key=lambda sample: (sample.doc_id, sample.filter))

    @property
    def facts(self) -> dict[str, Any]:
        """What decided the prompts, by name; empty where the task is not ours."""
        if self.prompts is None:
            return {}
        return {"lamp_task": self.lamp_task, "k": self.k, **self.prompts.facts()}

    @property
    def answer(self) -> AnswerKind | None:
        """The kind of answer that our tasks ask for; ``None`` where it is not known here."""
        row = TASKS.get(self.lamp_task or "")
        logged = None if self.prompts is None else self.prompts.answer_kind
        return kind_in_results(logged) if row is None else row.answer

    @property
    def metric_names(self) -> list[str]:
        """The names of its metrics, which need no sample to be read."""
        names = (key.partition(",") for key in self.reported)
        return list(dict.fromkeys(n for n, comma, _ in names if comma and "_stderr" not in n))

    @cached_property
    def metrics(self) -> Mapping[tuple[str, str], Metric]:
        """(metric, filter) -> what is known of it."""
        metrics = {}
        for key, value in self.reported.items():
            name, _, of = key.partition(",")
            if not of or name.endswith("_stderr") or not isinstance(value, int | float):
                continue
            values = [s.scores[name] for s in self.samples if s.filter == of and name in s.scores]
            metrics[name, of] = Metric(
                name,
                of,
                self.directions.get(name),
                aggregations(name, values, float(value)),
                float(value),
            )
        return metrics


@dataclass(frozen=True)
class Run:
    """One run of lm_eval.

    :ivar path: of its results file.
    :ivar name: of the model, short.
    :ivar precision: of the model; ``None`` where the results do not tell, as of most servers.
    :ivar dtype: in which it computed, such as ``"float16"``, as far as the results tell.
    :ivar logged: what ``--model qrag`` says of the arm; nothing where another model ran.
    :ivar settings: what the prompts and their answers depend on beside task and model: the chat
        template and the system instruction by their sha256, generation arguments, end tokens.
    :ivar texts: those settings that are a text of several lines, as it is.
    :ivar called: the arm's name in tables, where somebody gave it one.
    :ivar kv_cache: how keys and values were kept; ``None`` where nothing else was asked for than
        usual.
    """

    path: Path
    name: str
    precision: str | None
    dtype: str | None
    logged: LoggedArm
    settings: Mapping[str, Any]
    texts: Mapping[str, str | None]
    tasks: Mapping[str, TaskRun]
    called: str | None = None
    kv_cache: str | None = None

    @property
    def arm(self) -> str:
        """What the arm is called beside its model; empty where nothing is known."""
        return self.called or self.of_precisions

    @property
    def of_precisions(self) -> str:
        """What it is called by its precisions alone; empty where that of its weights is unknown."""
        return arm_called(self.precision, self.kv_cache) if self.precision else ""

    @property
    def label(self) -> str:
        """The model and its arm."""
        return f"{self.name} {self.arm}".strip()


def read_runs(place: Path) -> list[Run]:
    """Return the runs in a folder, at any depth, or that of one results file.

    :raises DataError: when a file cannot be read, or is not as lm_eval writes it.
    :raises ComparisonError: when there is no run, or one without its samples.
    """
    if place.is_file():
        return [_run(place)]
    if not place.is_dir():
        raise DataError(f"{place}: no such file or folder")
    paths = results_in(place)
    if not paths:
        raise ComparisonError(
            f"{place}: no results of lm_eval in this folder (results_TIME.json). lm_eval writes "
            f"them with --output_path {place} --log_samples"
        )
    return [_run(path) for path in paths]


def holds_runs(place: Path) -> bool:
    """Whether a folder holds results of lm_eval."""
    return bool(results_in(place))


def _run(path: Path) -> Run:
    results = Results.at(path)
    try:
        return _read(results)
    except QragError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: not as lm_eval writes its results ({type(error).__name__}: {error}). "
            f"{RUN_AGAIN}"
        ) from None


def _read(results: Results) -> Run:
    body, config, arm = results.body, results.config, results.arm
    arguments = arguments_of(config)
    return Run(
        path=results.path,
        name=name_of(config, arguments),
        precision=arm.precision or precision_of(arguments, config),
        dtype=dtype_of(config),
        logged=arm,
        settings={
            "chat template": body.get("chat_template_sha"),
            "system instruction": body.get("system_instruction_sha"),
            "few-shot examples as turns": body.get("fewshot_as_multiturn"),
            "generation arguments": config.get("gen_kwargs") or {},
            "end tokens": arm.end_tokens,
        },
        texts={
            "chat template": body.get("chat_template"),
            "system instruction": body.get("system_instruction"),
        },
        tasks={task: _task(results, task) for task in results.tasks},
        kv_cache=arm.kv_cache_name or kv_cache_of(arguments),
    )


def _task(results: Results, task: str) -> TaskRun:
    log = SampleLog.beside(results.path, task, results.time)
    if not log.path.exists():
        raise ComparisonError(
            f"{results.path}: the samples of {task} are not beside it ({log.path.name}). Run it "
            f"again with --log_samples"
        )
    prompts = results.prompts(task)
    arguments = results.task_config(task).get("dataset_kwargs") or {}
    lamp_task, k = (_text(arguments.get(name)) for name in ("task", "k"))
    directions = (results.body.get("higher_is_better") or {}).get(task) or {}
    return TaskRun(
        task=task,
        log=log,
        lamp_task=lamp_task if prompts else None,
        k=k if prompts else None,
        prompts=_that_decided(prompts, k) if prompts else None,
        reported=dict(results.body["results"][task]),
        directions={name: value for name, value in directions.items() if isinstance(value, bool)},
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _that_decided(prompts: LoggedPrompts, k: str | None) -> LoggedPrompts:
    """Leave out what was chosen and could decide nothing."""
    if k == "0":
        return replace(prompts, retriever="none", order=None)
    return replace(prompts, order=None) if k == "1" else prompts
