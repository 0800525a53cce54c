"""How prompts are worded: PersonaMem's own instruction, with the history or with documents.

The order of question, instruction and options, and the head above documents, are those of
PersonaMem's public code for inference and for retrieval (arXiv 2504.14225).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qrag_tasks.errors import SettingsError
from qrag_tasks.tasks.base import Item, Task

from qrag_personamem.question import Asked, Message, options_of, shown

INSTRUCTION = (
    "Find the most appropriate model response and give your final answer (a), (b), (c), or (d) "
    "after the special token <final_answer>."
)
BASELINE = "personamem-rag"
"""Name of the prompt style that words all as PersonaMem's code for retrieval does."""


@dataclass(frozen=True)
class HistoryPrompt:
    """History or documents, then question, instruction and options.

    :ivar long_field: the field of a document that is cut where tokens are short.
    """

    long_field: str = "text"

    def __call__(self, text: str, items: Sequence[Item]) -> str:
        """Return the prompt of an input and the kept documents, best first."""
        asked = Asked.of(text)
        history = f"{asked.history}\n\n" if asked.history else ""
        question = f"{asked.question}\n\n{INSTRUCTION}\n\n{asked.options}"
        return f"{history}{self.examples(items)}{question}"

    def examples(self, items: Sequence[Item]) -> str:
        """Return the documents' part of the prompt alone."""
        return _under_head([document(item) for item in items])


def document(item: Item) -> str:
    """Return a document as prompts show it."""
    if item["role"] == SESSION:
        return item["text"]
    return shown(Message(item["role"], item["text"]))


SESSION = "session"
"""The role of a document that is a whole session."""


class RetrievalBaseline:
    """The prompt of PersonaMem's code for retrieval, in which documents are mappings of Python's.

    :raises SettingsError: for documents that are no messages, which it was not made for.
    """

    def __call__(self, task: Task, question: str, items: Sequence[Item]) -> str:
        """Write the prompt; see :class:`~qrag_tasks.prompting.base.PromptStyle`."""
        asked = Asked.of(question)
        options = "\n".join(options_of(asked.options))
        end = f"# Question: {asked.question}\n\n# Choices: \n{options}"
        return f"{self.examples(task, items)}{end}"

    def examples(self, task: Task, items: Sequence[Item]) -> str:
        """Write the documents' part alone."""
        if "-turns-" not in task.name:
            raise SettingsError(
                f"prompt style {BASELINE!r} is for documents that are messages, as those of "
                f"personamem-turns-32k; {task.name} has none. Take another prompt."
            )
        return _under_head([str({"role": item["role"], "content": item["text"]}) for item in items])


def _under_head(documents: Sequence[str]) -> str:
    if not documents:
        return ""
    listed = "\n".join(documents)
    return f"# {len(documents)} most similar contexts to the question: \n{listed}\n\n"
