"""The prompts of own data: a template of the user's, or a built-in style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qrag_tasks.tasks.lamp.table import LAMP_TASKS
from qrag_tasks.tasks.own.corpus_file import Corpus
from qrag_tasks.tasks.own.question import fields_of
from qrag_tasks.tasks.own.templates import TextTemplate
from qrag_tasks.tasks.prompt import Item, PromptWriter

PLAIN = "plain"
LAMP_STYLES: Mapping[str, str] = {f"lamp{n}": f"lamp{n}u" for n in range(1, 8)}
"""Name of a style -> the task of LaMP whose wording it is."""
STYLES = (PLAIN, *LAMP_STYLES)


@dataclass(frozen=True)
class TemplatePrompt:
    """Prompts by a template, which is given the question's fields, ``documents`` and ``options``.

    :ivar names: of the question's fields.
    """

    template: TextTemplate
    names: tuple[str, ...]
    long_field: str

    def __call__(self, text: str, items: Sequence[Item]) -> str:
        """Return the prompt of a question and the kept documents, best first."""
        return self.template.render({**fields_of(text, self.names), "documents": tuple(items)})

    def examples(self, items: Sequence[Item]) -> str:
        """Return the prompt of the documents and a question whose fields are empty.

        What stands around the documents in a template cannot be told from what is of them.
        """
        return self.template.render(
            {**dict.fromkeys(self.names, ""), "options": [], "documents": tuple(items)}
        )


def prompt_writer(corpus: Corpus) -> PromptWriter:
    """Return what writes the prompts."""
    prompt = corpus.prompt
    if prompt.style is not None and prompt.style in LAMP_STYLES:
        return LAMP_TASKS[LAMP_STYLES[prompt.style]].prompt
    source = _plain(corpus) if prompt.template is None else prompt.template
    return TemplatePrompt(TextTemplate(source), tuple(corpus.questions.fields), long_field(corpus))


def long_field(corpus: Corpus) -> str:
    """Return the field of a document that is cut where it is too long."""
    style = corpus.prompt.style
    if style is not None and style in LAMP_STYLES:
        return LAMP_TASKS[LAMP_STYLES[style]].prompt.long_field
    return corpus.documents.long or next(iter(corpus.documents.fields))


def fields_needed(style: str) -> tuple[str, ...]:
    """Return the fields that documents must have for a built-in style."""
    return LAMP_TASKS[LAMP_STYLES[style]].item_fields if style in LAMP_STYLES else ()


def _plain(corpus: Corpus) -> str:
    """Return the template of style ``plain``: the documents, numbered, then the question."""
    documents = corpus.documents
    shown = "".join(f"{{{{ document.{name} }}}}\n" for name in documents.fields)
    options = "{% for o in options %}\n{{ o.letter }}. {{ o.text }}\n{% endfor %}\n"
    question = "".join(f"{{{{ {name} }}}}\n" for name in corpus.questions.fields)
    return (
        "{% for document in documents %}\n"
        f"Document {{{{ loop.index }}}}:\n{shown}\n"
        "{% endfor %}\n"
        f"{question}{options if corpus.answer.kind == 'choice' else ''}"
    ).rstrip("\n")
