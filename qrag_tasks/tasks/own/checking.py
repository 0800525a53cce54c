"""Everything that is wrong with somebody's data: with ``corpus.toml``, its files, its templates."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qrag_tasks.errors import did_you_mean
from qrag_tasks.tasks.base import Item, Sample
from qrag_tasks.tasks.own.corpus_file import FILE, Corpus, typed
from qrag_tasks.tasks.own.kinds import kind_of
from qrag_tasks.tasks.own.mistakes import Mistake, Mistakes
from qrag_tasks.tasks.own.prompts import (
    LAMP_STYLES,
    STYLES,
    TemplatePrompt,
    fields_needed,
    prompt_writer,
)
from qrag_tasks.tasks.own.question import fields_of, joined
from qrag_tasks.tasks.own.reading import Reader, of_nobody
from qrag_tasks.tasks.own.row import document_template, query_template
from qrag_tasks.tasks.own.templates import BrokenTemplateError, TextTemplate
from qrag_tasks.tasks.own.toml_file import NotTomlError, Place, read_toml

SHOWN = 10
"""How many documents of each question are tried in its prompt."""
_QUESTION, _TEXT = "WHAT-IS-ASKED-{}", "WHAT-IS-WRITTEN-{}"
"""Values of the fields of a made-up question, and of made-up documents."""

_Found = tuple[Place, int | None, str]
"""A field, the line of its text, and what is wrong with it."""


@dataclass
class SplitFacts:
    """What one split holds.

    :ivar documents: of each question: the fewest and the most.
    :ivar empty: questions whose fields hold nothing.
    :ivar without_answer: questions that are not scored, in a test split.
    """

    questions: int = 0
    documents: tuple[int, int] = (0, 0)
    users: set[str] = field(default_factory=set)
    without_documents: int = 0
    empty: int = 0
    without_answer: int = 0


@dataclass
class CheckedCorpus:
    """What was found of a corpus.

    :ivar corpus: ``None`` where its file is wrong.
    :ivar splits: those that were read.
    """

    folder: Path
    mistakes: Mistakes
    corpus: Corpus | None = None
    splits: dict[str, SplitFacts] = field(default_factory=dict)


def read_corpus(folder: Path, mistakes: Mistakes) -> Corpus | None:
    """Return what ``corpus.toml`` says; ``None`` where it is wrong.

    :param mistakes: takes what is wrong with it, its templates included.
    """
    path = folder / FILE
    try:
        toml = read_toml(path)
    except NotTomlError as fault:
        mistakes.add(Mistake(path, fault.line, "", fault.text), fault.text)
        return None
    corpus, wrong = typed(toml.body)
    found: list[_Found] = [(place, None, text) for place, text in wrong]
    if corpus is not None:
        found = list(_unfit(corpus))
    for place, line, text in found:
        where = toml.line_within(place, line)
        mistakes.add(Mistake(path, where, _dotted(place), text), f"{_dotted(place)}: {text}")
    return None if found else corpus


def check(folder: Path) -> CheckedCorpus:
    """Look at a folder's ``corpus.toml`` and at every question and document that it names."""
    checked = CheckedCorpus(folder, Mistakes())
    checked.corpus = read_corpus(folder, checked.mistakes)
    if checked.corpus is None:
        return checked
    for split in checked.corpus.splits:
        facts = SplitFacts()
        reader = Reader(checked.corpus, folder, checked.mistakes, hashlib.sha256())
        trial = _Trial(checked.corpus, folder / FILE, checked.mistakes)
        for sample in reader.samples(split):
            trial.of(split, sample)
            _count(facts, sample, tuple(checked.corpus.questions.fields))
        checked.splits[split] = facts
    return checked


def _count(facts: SplitFacts, sample: Sample, names: Sequence[str]) -> None:
    size = len(sample.profile)
    fewest, most = facts.documents
    facts.documents = (min(fewest, size) if facts.questions else size, max(most, size))
    facts.questions += 1
    facts.without_documents += not size
    asked = fields_of(sample.input, names)
    facts.empty += not any(str(asked[name]).strip() for name in names)
    facts.without_answer += sample.target is None
    if sample.user and sample.user != of_nobody(sample.id):
        facts.users.add(sample.user)


# ---------------------------------------------------------------------- corpus.toml as a whole
def _unfit(corpus: Corpus) -> Iterator[_Found]:
    """Find what does not fit together in a file whose fields are sound, one by one."""
    documents, prompt = corpus.documents, corpus.prompt
    fields = list(documents.fields)
    for name in ("id", "date"):
        if name in documents.fields:
            yield (
                ("documents", "fields"),
                None,
                f"templates have {name!r} already, from documents.{name}: leave it out",
            )
            return
    for name in ("answer", "long"):
        given = getattr(documents, name)
        if given is not None and given not in fields:
            hint = did_you_mean(given, fields)
            yield (
                ("documents", name),
                None,
                f"{given!r} is none of the fields ({', '.join(fields)}).{hint}",
            )
            return
    attributes = corpus.questions.attributes
    if twice := [name for name in attributes if attributes.count(name) > 1]:
        yield ("questions", "attributes"), None, f"{twice[0]!r} is there twice"
    if documents.user is not None and documents.file is None:
        yield ("documents", "user"), None, "is for documents of a file of their own: name the file"
    known = [metric.name for metric in kind_of(corpus.answer).metrics]
    for place, metric in enumerate(corpus.answer.metrics or ()):
        if metric not in known:
            hint = did_you_mean(metric, known)
            yield (
                ("answer", "metrics", place),
                None,
                f"{corpus.answer.kind} have no score {metric!r} (known: {', '.join(known)}).{hint}",
            )
    if prompt.template is not None and prompt.style is not None:
        yield ("prompt", "style"), None, "there is a template already: leave one of the two out"
        return
    if prompt.style is not None and prompt.style not in STYLES:
        hint = did_you_mean(prompt.style, STYLES)
        yield (
            ("prompt", "style"),
            None,
            f"unknown style {prompt.style!r} (known: {', '.join(STYLES)}).{hint}",
        )
        return
    if prompt.style in LAMP_STYLES:
        if len(corpus.questions.fields) > 1:
            yield ("prompt", "style"), None, "LaMP's styles are for questions of one field"
            return
        lacking = [name for name in fields_needed(str(prompt.style)) if name not in fields]
        if lacking:
            yield (
                ("prompt", "style"),
                None,
                f"style {prompt.style!r} shows the fields {', '.join(lacking)} of documents, which "
                f"have {', '.join(fields)}. In documents.fields, give the columns these names: "
                f'{lacking[0]} = "COLUMN"',
            )
            return
    yield from _template_faults(corpus)


def _template_faults(corpus: Corpus) -> Iterator[_Found]:
    asked = [*corpus.questions.fields, *(["options"] if corpus.answer.kind == "choice" else [])]
    item = _item(corpus, 1)
    templates: list[tuple[Place, TextTemplate, list[str], Mapping[str, object]]] = [
        (
            ("questions", "query"),
            query_template(corpus),
            asked,
            fields_of(_input(corpus), asked[: len(corpus.questions.fields)]),
        ),
        (("documents", "text"), document_template(corpus), list(item), item),
    ]
    for place, template, known, fields in templates:
        faults = list(template.faults(known)) or list(_rendering_faults(template, fields))
        yield from ((place, fault.line, fault.text) for fault in faults)
        if faults:
            return
    writer = prompt_writer(corpus)
    if isinstance(writer, TemplatePrompt):
        faults = list(writer.template.faults([*asked, "documents"])) or list(_prompt_faults(corpus))
        yield from ((("prompt", "template"), fault.line, fault.text) for fault in faults)


def _rendering_faults(
    template: TextTemplate, fields: Mapping[str, object]
) -> Iterator[BrokenTemplateError]:
    try:
        template.render(fields)
    except BrokenTemplateError as fault:
        yield fault


def _prompt_faults(corpus: Corpus) -> Iterator[BrokenTemplateError]:
    """Try a prompt on a made-up question, without documents, with one and with two."""
    write = prompt_writer(corpus)
    items = [_item(corpus, 1), _item(corpus, 2)]
    try:
        prompts = [write(_input(corpus), items[:count]) for count in range(3)]
    except BrokenTemplateError as fault:
        yield fault
        return
    asked = [_QUESTION.format(name) for name in corpus.questions.fields]
    if not any(value in prompts[0] for value in asked):
        yield BrokenTemplateError(
            "without documents, which is k = 0, the question is not in the prompt: write "
            f"{{{{ {next(iter(corpus.questions.fields))} }}}} outside of the loop"
        )
    if not len(prompts[0]) < len(prompts[1]) < len(prompts[2]):
        yield BrokenTemplateError(
            "a document more does not make the prompt longer: show all of them by "
            "{% for document in documents %} ... {% endfor %}"
        )
    elif not any(_TEXT.format(f"{name}-2") in prompts[2] for name in corpus.documents.fields):
        yield BrokenTemplateError(
            "no field of the documents is in the prompt, only words around them"
        )


def _input(corpus: Corpus) -> str:
    options = ["one", "two"] if corpus.answer.kind == "choice" else []
    return joined([_QUESTION.format(name) for name in corpus.questions.fields], options)


def _item(corpus: Corpus, number: int) -> Item:
    fields = {name: _TEXT.format(f"{name}-{number}") for name in corpus.documents.fields}
    dates = {} if corpus.documents.date is None else {"date": "2024-01-31"}
    return {"id": str(number), **fields, **dates}


class _Trial:
    """Makes queries, texts and prompts of real questions: templates may trip over real values."""

    def __init__(self, corpus: Corpus, file: Path, mistakes: Mistakes) -> None:
        self._query, self._text = query_template(corpus), document_template(corpus)
        self._write = prompt_writer(corpus)
        self._names = tuple(corpus.questions.fields)
        self._file, self._mistakes = file, mistakes
        self._profile: Sequence[Item] | None = None

    def of(self, split: str, sample: Sample) -> None:
        """Try one question, with some of its documents, and its documents, once where shared."""
        fields = fields_of(sample.input, self._names)
        tries: dict[str, Callable[[], object]] = {
            "questions.query": lambda: self._query.render(fields),
            "prompt.template": lambda: self._write(sample.input, sample.profile[:SHOWN]),
        }
        if sample.profile is not self._profile:
            self._profile = sample.profile
            tries["documents.text"] = lambda: [self._text.render(item) for item in sample.profile]
        for place, attempt in tries.items():
            try:
                attempt()
            except BrokenTemplateError as error:
                told = f"{error.text} (of the {split} question {sample.id!r})"
                self._mistakes.add(Mistake(self._file, None, place, told), place)


def _dotted(place: Place) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
