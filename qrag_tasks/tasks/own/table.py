"""The row that stands for any folder of own data; ``corpus.toml`` says what it is.

What reads the data is imported when it is asked to read: listing tasks needs none of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qrag_tasks.hookspecs import RegisterTask, hookimpl
from qrag_tasks.tasks.base import DataSet, Task
from qrag_tasks.tasks.own.naming import FAMILY, NAME
from qrag_tasks.tasks.prompt import TaskPrompt
from qrag_tasks.tasks.scoring.kinds import Text


@dataclass(frozen=True)
class OwnSource:
    """The folder that a run's ``data`` names; see :class:`~qrag_tasks.tasks.base.Source`.

    :ivar public: never: a group or tag of own data would be nobody's.
    """

    public: bool = False

    def described(self, task: Task, data: str | None) -> Task:
        """Return the row that ``corpus.toml`` describes; see :class:`DescribingSource`."""
        from qrag_tasks.tasks.own.data import described

        return described(task, data)

    def find(self, data: str | None, split: str) -> tuple[Path, Path | None]:
        """Return the file of the questions, which has the golds too; see :class:`Source`."""
        from qrag_tasks.tasks.own.data import find

        return find(data, split)

    def load(self, task: Task, data: str | None, split: str) -> DataSet:
        """Read and check the samples; see :class:`Source`."""
        from qrag_tasks.tasks.own.data import load

        return load(task, data, split)


def holds_corpus(data: str) -> bool:
    """Tell whether a folder holds own data."""
    return bool(data) and (Path(data).expanduser() / "corpus.toml").is_file()


OWN_TASKS: Mapping[str, Task] = {
    NAME: Task(
        family=FAMILY,
        version="1.0",
        license="said by corpus.toml",
        reference="",
        name=NAME,
        official_name="corpus.toml",
        setting="a folder of yours",
        groups=(),
        summary="what your corpus.toml says",
        # What follows is as corpus.toml has it where it says nothing else.
        item_fields=("text",),
        item_target=None,
        query=str.strip,
        document_text=lambda item: item["text"],
        prompt=TaskPrompt(
            example=lambda item: item["text"],
            merge=lambda text, examples: f"{examples}. {text}",
            long_field="text",
            frame=lambda _: "",
        ),
        answer=Text("text"),
        answer_tokens=64,
        source=OwnSource(),
    )
}


@hookimpl
def qrag_register_tasks(register: RegisterTask) -> None:
    """Register the row of own data."""
    for name, row in OWN_TASKS.items():
        register(name, row)
