"""The form of outputs that no lm_eval wrote: which fields a line has, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from qrag_tasks.errors import SettingsError, did_you_mean
from qrag_tasks.tasks.base import AnswerKind, DescribingSource
from qrag_tasks.tasks.catalog import TASKS
from qrag_tasks.tasks.own.corpus_file import Answer
from qrag_tasks.tasks.own.kinds import kind_of, metrics_of

FIELDS: Mapping[str, str] = {
    "id": "the question's id: a text or a number, once for each arm, task, k, retriever and order",
    "answer": "the model's text, as it came",
    "prompt": "all that the model was given, as text",
    "prompt_sha256": "or the sha256 of its UTF-8 bytes, in hexadecimal",
    "gold": "the right answer alone; on every line, or on none, and then nothing is scored",
    "user": "whose question it is: whole users are resampled; on every line, or on none",
    "task": "what the question is of, where a file holds several tasks",
    "k": "how many documents were asked for",
    "retriever": "who ranked them",
    "order": "in what order they stand",
    "documents": "how many documents are in the prompt, or their ids as a list",
    "arm": "the arm's name, where a file holds several arms",
    "model": "the model's name",
    "precision": "of the arm's weights, such as fp16",
}
"""Name of a field -> what it holds."""


@dataclass(frozen=True)
class Form:
    """What the lines of all files are.

    :ivar task: the name of the task, where lines do not say it.
    :ivar kind: of answer.
    :ivar metrics: names of the scores; ``None`` for all of the kind's.
    :ivar record: the kind as results hold it; ``None`` where the task's name tells it.
    :ivar columns: field -> what the files call it, where that is something else.
    :ivar model: the model's name, where lines do not say it.
    :ivar attributes: columns of what else is known of a question.
    """

    task: str
    kind: AnswerKind
    metrics: tuple[str, ...] | None
    record: Mapping[str, Any] | None
    columns: Mapping[str, str] = field(default_factory=dict)
    model: str = "imported"
    attributes: tuple[str, ...] = ()

    def column(self, name: str) -> str:
        """Return what the files call a field."""
        return self.columns.get(name, name)


_ANSWER: TypeAdapter[Any] = TypeAdapter(Answer)


def form_of(
    task: str | None,
    answer: Mapping[str, Any] | None,
    columns: Mapping[str, str],
    model: str | None = None,
) -> Form:
    """Return the form that a command's options come to.

    :param task: name of one of our tasks, which says the kind of answer, or any name.
    :param answer: the kind of answer, as ``[answer]`` of ``corpus.toml`` has it.
    :raises SettingsError: for options that cannot be, or that leave the kind of answer open.
    """
    for name in columns:
        if name not in FIELDS:
            raise SettingsError(
                f"--field {name}={columns[name]}: there is no field {name!r} (known: "
                f"{', '.join(FIELDS)}).{did_you_mean(name, FIELDS)}"
            )
    called = task or "answers"
    row = TASKS.get(called)
    if row is not None and isinstance(row.source, DescribingSource):
        raise SettingsError(
            f"--task {called}: corpus.toml says the kind of answer of own data, and an import does "
            f"not read it. Say the kind by --answer, and call the task as results and tables do, "
            f"which is --task own- and the corpus's name"
        )
    if row is not None and answer is None:
        return Form(called, row.answer, row.metrics, None, columns, model or "imported")
    if answer is None:
        hint = "" if task is None else did_you_mean(task, TASKS)
        raise SettingsError(
            "what kind of answer is it? Give --answer ratings --scale LOWEST HIGHEST, --answer "
            "labels --values A,B,..., --answer choice, --answer text or --answer exact; or --task "
            "with a name of `qrag tasks`, which says it" + (hint and f".{hint}")
        )
    if row is not None:
        raise SettingsError(f"--task {called} says the kind of answer: leave --answer out")
    try:
        typed = _ANSWER.validate_python(dict(answer))
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][-1]) if first["loc"] else "answer"
        text = str(first["msg"]).removeprefix("Value error, ")
        if first["type"] == "missing":
            text = f"--answer {answer['kind']} needs it"
        elif first["type"] == "extra_forbidden":
            text = f"--answer {answer['kind']} has no such option"
        raise SettingsError(f"--{name}: {text}") from None
    record = typed.model_dump(mode="json", exclude_none=True)
    return Form(called, kind_of(typed), metrics_of(typed), record, columns, model or "imported")
