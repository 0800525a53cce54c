"""PersonaMem's tasks as data, and the hooks that register them and a prompt style."""

from __future__ import annotations

from collections.abc import Mapping

from qrag_tasks.hookspecs import RegisterPromptStyle, RegisterTask, hookimpl
from qrag_tasks.tasks.base import Task

from qrag_personamem.answers import OptionLetter, letter
from qrag_personamem.prompts import BASELINE, HistoryPrompt, RetrievalBaseline
from qrag_personamem.question import LETTERS, question_of
from qrag_personamem.settings import Setting
from qrag_personamem.source import PersonaMemSource

SIZES = ("32k", "128k", "1M")
"""Of the benchmark: tokens of a history."""
_SETTINGS: Mapping[Setting, str] = {
    "turns": "documents are messages",
    "sessions": "documents are sessions",
    "full": "no documents: the prompt holds the whole history",
}


def _row(size: str, setting: Setting, said: str) -> Task:
    return Task(
        family="PersonaMem",
        version="1.0",
        license="MIT",
        reference="2504.14225",
        name=f"personamem-{setting}-{size.lower()}",
        official_name=f"PersonaMem {size}",
        setting=said,
        groups=() if setting == "full" else (f"personamem_rag_{size.lower()}",),
        summary="choose the reply that fits what the user said in earlier chats",
        item_fields=("role", "text"),
        item_target=None,
        query=question_of,
        document_text=lambda item: item["text"],
        prompt=HistoryPrompt(),
        answer=OptionLetter("letter", LETTERS, letter),
        # A model may say why before it says which.
        answer_tokens=512,
        source=PersonaMemSource(size, setting),
        takes_documents=setting != "full",
        attributes=(
            *("question_type", "topic", "distance_blocks", "distance_tokens", "context_tokens"),
        ),
    )


PERSONAMEM_TASKS: Mapping[str, Task] = {
    row.name: row
    for row in (_row(size, setting, said) for size in SIZES for setting, said in _SETTINGS.items())
}


@hookimpl
def qrag_register_tasks(register: RegisterTask) -> None:
    """Register PersonaMem's tasks."""
    for name, row in PERSONAMEM_TASKS.items():
        register(name, row)


@hookimpl
def qrag_register_prompt_styles(register: RegisterPromptStyle) -> None:
    """Register the prompt of PersonaMem's code for retrieval."""
    register(BASELINE, RetrievalBaseline())
