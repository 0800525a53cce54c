"""From ``corpus.toml`` to the row of a task."""

from __future__ import annotations

from dataclasses import dataclass

from qrag_tasks.tasks.base import Item, Source, Task
from qrag_tasks.tasks.own.corpus_file import Corpus
from qrag_tasks.tasks.own.kinds import answer_tokens, kind_of, metrics_of
from qrag_tasks.tasks.own.naming import FAMILY, NAME
from qrag_tasks.tasks.own.prompts import long_field, prompt_writer
from qrag_tasks.tasks.own.question import fields_of
from qrag_tasks.tasks.own.templates import TextTemplate


@dataclass(frozen=True)
class QueryText:
    """What is searched for: a template over the fields of a question."""

    template: TextTemplate
    names: tuple[str, ...]

    def __call__(self, text: str) -> str:
        """Return the query of a sample's input."""
        return self.template.render(fields_of(text, self.names))


@dataclass(frozen=True)
class DocumentText:
    """What is searched in: a template over the fields of a document."""

    template: TextTemplate

    def __call__(self, item: Item) -> str:
        """Return the text of a document."""
        return self.template.render(item)


def query_template(corpus: Corpus) -> TextTemplate:
    """Return the template of queries; by default, the first field of a question."""
    first = next(iter(corpus.questions.fields))
    return TextTemplate(corpus.questions.query or f"{{{{ {first} }}}}")


def document_template(corpus: Corpus) -> TextTemplate:
    """Return the template of what is searched in; by default, the long field of a document."""
    return TextTemplate(corpus.documents.text or f"{{{{ {long_field(corpus)} }}}}")


def row_of(corpus: Corpus, source: Source) -> Task:
    """Return the row of a corpus whose file has no mistakes."""
    questions, documents = corpus.questions, corpus.documents
    return Task(
        family=FAMILY,
        version=corpus.version,
        license=corpus.license,
        reference="",
        name=f"{NAME}-{corpus.name}",
        official_name=corpus.name,
        setting=FAMILY,
        groups=(),
        summary=corpus.summary,
        item_fields=tuple(documents.fields),
        item_target=documents.answer,
        query=QueryText(query_template(corpus), tuple(questions.fields)),
        document_text=DocumentText(document_template(corpus)),
        prompt=prompt_writer(corpus),
        answer=kind_of(corpus.answer),
        answer_tokens=answer_tokens(corpus.answer),
        source=source,
        metrics=metrics_of(corpus.answer),
        attributes=questions.attributes,
    )
