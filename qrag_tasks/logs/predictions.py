"""LaMP's own answer files, made from lm_eval's sample logs.

They have the form of LaMP's outputs files, ``{"task": "LaMP_3", "golds": [{"id": ..., "output":
...}]}``; the official evaluator and the leaderboard take them.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from qrag_tasks.errors import DataError, StoreError
from qrag_tasks.logs.results import Results
from qrag_tasks.logs.sample_logs import SampleLog, find_logs
from qrag_tasks.logs.samples import Sample
from qrag_tasks.tasks.base import DescribingSource, Task
from qrag_tasks.tasks.catalog import CATALOG
from qrag_tasks.tasks.metric import UNFINISHED_THOUGHT_RATE
from qrag_tasks.tasks.own.kinds import kind_in_results


@dataclass(frozen=True)
class Predictions:
    """The answers of one run to the questions of one task.

    :ivar answers: question id -> answer, in the data's order.
    :ivar total: how many questions the run's data had; ``None`` where no results file says so.
    :ivar model: who answered, with its arguments; empty where no results file says so.
    :ivar warnings: what the official evaluator may refuse, and what was left out; a sentence each.
    """

    log: SampleLog
    task: Task
    answers: Mapping[str, str]
    total: int | None
    model: str
    warnings: tuple[str, ...]

    @property
    def file_name(self) -> str:
        """The name of its file: that of the log, so that no run takes the place of another."""
        return f"predictions_{self.log.task}_{self.log.time}.json"

    def write(self, path: Path) -> None:
        """Write LaMP's file, whole or not at all; its folder is made.

        :raises StoreError: when it cannot be written.
        """
        golds = [{"id": name, "output": answer} for name, answer in self.answers.items()]
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # In ASCII: the official evaluator reads files in the system's own encoding.
            temporary.write_text(
                json.dumps({"task": self.task.official_name, "golds": golds}), encoding="ascii"
            )
            temporary.replace(path)
        except OSError as error:
            raise StoreError(f"predictions {path}: {error.strerror}") from error
        finally:
            with suppress(OSError):
                temporary.unlink()


def lamp_logs(places: Iterable[Path]) -> tuple[list[SampleLog], list[SampleLog]]:
    """Return the logs of our tasks at ``places``, each once, and the others in the folders.

    :param places: logs, or folders as lm_eval's ``--output_path`` names them.
    :raises DataError: where there is no log of ours.
    """
    ours: dict[Path, SampleLog] = {}
    others: dict[Path, SampleLog] = {}
    for place in places:
        logs = find_logs(place)
        for log in logs:
            (ours if log.task in CATALOG else others)[log.path.resolve()] = log
        if not any(log.task in CATALOG for log in logs):
            tasks = ", ".join(dict.fromkeys(log.task for log in logs))
            raise DataError(
                f"{place}: it holds answers to {tasks}, and to no LaMP task of ours. `qrag tasks` "
                f"lists ours."
            )
    return list(ours.values()), list(others.values())


def read_predictions(log: SampleLog, cleaned: bool = False) -> Predictions:
    """Read the answers of a log of one of our tasks.

    Where a run measured likelihoods, the answer is the likeliest one. Where lm_eval logged a
    sample once for each of several filters, the first one counts.

    :param cleaned: the answers as the cleaned scores read them, empty where none is found, and
        not the model's texts as they are.
    :raises DataError: when the log is damaged, or answers one question in two ways.
    """
    results = log.results()
    task = _row(log, results)
    # Of a sample only this is held: its place, its line and its answer.
    first: dict[str, tuple[int, int, str]] = {}
    unfinished: set[str] = set()
    chosen, repeated = None, 0
    other_filters: dict[str, None] = {}
    for number, sample in enumerate(log, start=1):
        chosen = chosen or sample.filter
        if sample.filter != chosen:
            other_filters[sample.filter] = None
            continue
        answer = _answer(sample, f"{log.path}, line {number}")
        _, line, its_answer = first.setdefault(sample.key, (sample.doc_id, number, answer))
        if line == number:
            if sample.scores.get(UNFINISHED_THOUGHT_RATE.name):
                unfinished.add(sample.key)
            continue
        if its_answer != answer:
            raise DataError(
                f"{log.path}: question {sample.key!r} is answered twice: {its_answer!r:.60} on "
                f"line {line}, {answer!r:.60} on line {number}. Are two runs in one file?"
            )
        repeated += 1
    answers = {
        name: ("" if name in unfinished else task.answer.read(answer)) if cleaned else answer
        for name, (_, _, answer) in sorted(first.items(), key=lambda item: item[1])
    }
    total = results.questions(log.task) if results else None
    warnings = list(_about_the_set(log, len(answers), total, results))
    if other_filters:
        names = ", ".join(other_filters)
        warnings.append(f"answers by the filter {chosen} only, not by {names}")
    if repeated == 1:
        warnings.append("1 line repeats a question and its answer; it is left out")
    elif repeated:
        warnings.append(f"{repeated} lines repeat a question and its answer; they are left out")
    if empty := sum(not answer.strip() for answer in answers.values()):
        they, be = ("it holds", "is") if empty == 1 else ("they hold", "are")
        why = f": {they} no {task.answer.asks_for}" if cleaned else ""
        warnings.append(f"{empty} of {len(answers)} answers {be} empty{why}")
    model = _model(results) if results else ""
    return Predictions(log, task, answers, total, model, tuple(warnings))


def _row(log: SampleLog, results: Results | None) -> Task:
    """Return the row of a log; of own data, as far as the results describe it."""
    task = CATALOG[log.task].task
    if results is None or not isinstance(task.source, DescribingSource):
        return task
    prompts = results.prompts(log.task)
    kind = kind_in_results(prompts.answer_kind if prompts else None) or task.answer
    name = str((results.task_config(log.task).get("dataset_kwargs") or {}).get("task", task.name))
    corpus = name.removeprefix(f"{task.name}-")
    return replace(task, name=name, official_name=corpus, answer=kind)


def _answer(sample: Sample, where: str) -> str:
    if sample.kept is None:
        raise DataError(f"{where}: not a sample of a task of ours, as lm_eval logs it")
    if sample.distribution is None and len(sample.answers) != 1:
        raise DataError(
            f"{where}: {len(sample.answers)} answers to one question, and no likelihoods: "
            f"{sample.answers[0]!r:.60}, ..."
        )
    if sample.distribution and any(map(math.isnan, sample.distribution.values())):
        raise DataError(
            f"{where}: the likelihoods are nan, so no answer is the likeliest. The model's output "
            f"is broken, in this precision at least."
        )
    answer = sample.answer
    if answer is None:
        raise DataError(f"{where}: there is no answer: the log holds null")
    return answer


def _about_the_set(
    log: SampleLog, count: int, total: int | None, results: Results | None
) -> Iterator[str]:
    refused = "the official evaluator refuses a set that is not complete"
    if total is None:
        missing = "results file" if results is None else "count of the questions in the results"
        yield f"no {missing} beside the log: whether all questions are answered is not known"
    elif count < total:
        be = "is" if count == 1 else "are"
        yield f"{count} of {total} questions {be} answered (--limit?); {refused}"
    prompts = results.prompts(log.task) if results else None
    if prompts is None:
        return
    if prompts.filter not in (None, "none"):
        yield f"the run left questions out (filter {prompts.filter!r}); {refused}"
    if prompts.retriever_sees_gold:
        yield "the retriever ranked by the right answers: an upper bound, nothing to submit"


def _model(results: Results) -> str:
    """Return the model of a run, with its arguments, which tell precisions apart."""
    arguments = results.config.get("model_args") or {}
    if isinstance(arguments, dict):
        arguments = ",".join(f"{name}={value}" for name, value in arguments.items())
    return f"{results.config.get('model', '')} {arguments}".strip()
