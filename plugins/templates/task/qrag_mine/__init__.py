"""The task ``mine``: which bird did a watcher see?"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qrag_tasks import Sample, Task, hookimpl
from qrag_tasks.errors import DataError
from qrag_tasks.tasks.base import DataSet
from qrag_tasks.tasks.prompt import TaskPrompt
from qrag_tasks.tasks.scoring.kinds import Labels

BIRDS = ("lark", "owl", "wren")
QUESTION = "Which bird is it? "


# Nothing is read before a run asks for it, because listing the plugins imports this module. Data
# that may not be passed on are not part of the package: `find` then says how to get them.
@dataclass(frozen=True)
class JsonLines:
    """One line a question: id, watcher, note, the watcher's earlier notes, and the bird."""

    public: bool = True

    def find(self, data: str | None, split: str) -> tuple[Path, Path]:
        """Return the file of the questions and that of the golds, which is the same."""
        path = Path(data or Path(__file__).parent) / f"{split}.jsonl"
        if not path.is_file():
            raise DataError(f"{path}: there is no such file")
        return path, path

    def load(self, task: Task, data: str | None, split: str) -> DataSet:
        """Read the samples."""
        path, _ = self.find(data, split)
        content = path.read_bytes()
        samples = [
            Sample(
                id=line["id"],
                input=QUESTION + line["note"],
                profile=tuple(line["notes"]),
                target=line["bird"],
                user=line["watcher"],
            )
            for line in map(json.loads, content.decode().splitlines())
        ]
        ids = tuple(sample.id for sample in samples)
        digest = hashlib.sha256(content).hexdigest()
        return DataSet(task, path, path, samples, ids, digest, split=split)


def read(text: str) -> str:
    """Return the first bird that a model's text names; empty where it names none."""
    return next((bird for bird in BIRDS if bird in text.lower()), "")


ROW = Task(
    family="Mine",
    version="1.0",  # raise it when prompts or scores of equal data become others
    license="CC0",  # of the data
    reference="",  # the publication's arXiv id
    name="mine",
    official_name="mine",
    setting="all watchers",
    groups=("mine_rag_all",),
    summary="name the bird that a watcher saw",
    item_fields=("note", "bird"),
    item_target="bird",
    query=lambda text: text.removeprefix(QUESTION),
    document_text=lambda item: item["note"],
    prompt=TaskPrompt(
        example=lambda item: f"{item['note']} It was: {item['bird']}.",
        merge=lambda text, examples: f"{examples} {text}",
        long_field="note",
        frame=lambda item: f" It was: {item['bird']}.",
    ),
    answer=Labels("bird", BIRDS, read),
    answer_tokens=8,
    source=JsonLines(),
)


@hookimpl
def qrag_register_tasks(register: Callable[[str, Task], None]) -> None:
    """Register ``mine``."""
    register(ROW.name, ROW)
