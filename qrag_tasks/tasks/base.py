"""What a task is: the question, the documents, the answer, and where all of them come from.

A family of tasks (:mod:`qrag_tasks.tasks.lamp`) is a table of :class:`Task` rows. A row says all
that tells one task from another; nothing else in the package asks for a task's name.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

from qrag_tasks.tasks.metric import Metric, Value
from qrag_tasks.tasks.prompt import Item as Item
from qrag_tasks.tasks.prompt import PromptWriter

Index = Literal["lamp", "yazan2024"]
"""Which text of a profile item a retriever reads: the task's own, or that of arXiv 2406.10251,
which took the long field alone."""
Attribute: TypeAlias = "str | int | float"
"""What an attribute of a sample is: a number, or the name of a class of samples."""


@dataclass(frozen=True)
class Sample:
    """One question of one user.

    :ivar id: the question's id in the data.
    :ivar input: the question as the data words it.
    :ivar profile: the user's own items, in the data's order; empty where the user has none. Each
        has ``id``, the task's fields, and ``date`` where the data give one.
    :ivar target: the gold answer; ``None`` where the data have none, as LaMP's test splits.
    :ivar user: who asks: ``user_id`` where the data give one; otherwise ``profile-`` and the start
        of the profile's hash, so that questions with equal profiles have the same user, in every
        file. An empty profile tells nothing of its user: such a question has a user of its own,
        ``question-`` and its id.
    :ivar attributes: what else is known of the question, by the names of :attr:`Task.attributes`:
        its topic, how far back its answer lies. No prompt holds it; comparisons go by it.
    """

    id: str
    input: str
    profile: tuple[Item, ...]
    target: str | None
    user: str = ""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True)
class Depth:
    """How deep prompts go into a ranking: the k of a task's name.

    :ivar documents: how many documents are asked for; ``None`` for as many as fit :attr:`window`.
    :ivar window: the tokens for prompt and answer together that are to be filled, a multiple of
        1,024; ``None`` where a number of documents is asked for.
    """

    documents: int | None
    window: int | None = None

    @classmethod
    def parse(cls, k: int | str) -> Depth:
        """Return the depth that a task's name or a plan writes as ``k``: ``5`` or ``"max4k"``.

        :raises ValueError: when it is neither a number of documents nor a window of
            :data:`DEPTHS`; the message says what was expected.
        """
        windows = {str(depth): depth for depth in DEPTHS if depth.window}
        if (known := windows.get(str(k))) is not None:
            return known
        if not str(k).isdecimal():
            raise ValueError(f"expected a number of documents, or one of {', '.join(windows)}")
        return cls(int(k))

    def __str__(self) -> str:
        """Return it as :meth:`parse` reads it."""
        return str(self.documents) if self.window is None else f"max{self.window // 1024}k"

    @property
    def in_words(self) -> str:
        """What is asked for: ``"5"``, or ``"as many as fit 4,096 tokens"``."""
        if self.window is None:
            return str(self.documents)
        return f"as many as fit {self.window:,} tokens"


DEPTHS = (*map(Depth, (0, 1, 3, 5, 10)), Depth(None, 4096), Depth(None, 8192))
"""The depths of the tasks that lm_eval knows from us, in the order of lists and tables."""


class AnswerKind(ABC):
    """What kind of answer a task asks for: how it is read out of a model's text, and scored.

    :ivar name: of the kind, for lists.
    :ivar metrics: the scores of a generated answer, in the order of tables.
    :ivar likelihood_metrics: those of the likelihoods of all values; empty where values are no
        closed set, so that their likelihoods cannot be measured.
    :ivar asks_for: what the model is asked for, in one word: ``"rating"``.
    :ivar values: the closed set that a gold is one of, or ``None`` where any text is one.
    """

    name: ClassVar[str]
    metrics: ClassVar[tuple[Metric, ...]]
    likelihood_metrics: ClassVar[tuple[Metric, ...]] = ()
    asks_for: str
    values: tuple[str, ...] | None

    @abstractmethod
    def read(self, text: str) -> str:
        """Return the answer in a model's text; empty where there is none."""

    def read_gold(self, gold: str) -> str:
        """Return a gold as the data have it in the form of :attr:`values`.

        What cannot be brought into that form is returned as it is: no gold of this kind.
        """
        return gold

    @property
    def spans(self) -> Mapping[str, float]:
        """How far apart two samples' values of a metric can be, where this kind limits it."""
        return {}

    def is_valid(self, answer: str) -> bool:
        """Tell whether what :meth:`read` returned is what was asked for."""
        return bool(answer) if self.values is None else answer in self.values

    def check_scores(self) -> None:  # noqa: B027 - most kinds need nothing
        """Check that what :meth:`score` needs is there; asked before a model is loaded.

        A kind whose scores need data or a program that may be missing overrides it.

        :raises QragError: naming what is missing, and how to get it.
        """

    @abstractmethod
    def score(self, text: str, gold: str, unfinished: bool = False) -> dict[str, Value]:
        """Score one generated text.

        :param gold: in the form of :attr:`values`.
        :param unfinished: whether the text is a thought without an end, which is an answer
            without what was asked for, whatever it says.
        :returns: metric -> the value of this sample, for all of :attr:`metrics` that are of the
            text and not of the run.
        """

    def score_likelihoods(self, logprobs: Sequence[float], gold: str | None) -> dict[str, Value]:
        """Score the likelihoods of all values.

        :param logprobs: log-probability of every one of :attr:`values`, in nats.
        :param gold: where it is not known, only what needs none is scored.
        :returns: metric -> the value of this sample, for all of :attr:`likelihood_metrics`.
        """
        raise NotImplementedError(f"{self.name}: no closed set of values")


@dataclass(frozen=True)
class Wording:
    """The words of a prompt that shows examples between tags; see prompt style ``yazan2024``.

    :ivar lead: what the examples are.
    :ivar instruction: what to do, in the light of the examples.
    :ivar instruction_alone: what to do where there are none.
    :ivar text: the name of the long field.
    :ivar answer: the name of what is asked for.
    """

    lead: str
    instruction: str
    instruction_alone: str
    text: str
    answer: str


@dataclass(frozen=True)
class Evaluation:
    """How a publication asked and scored a task, where that is not the task's own way.

    :ivar name: of the protocol that stands for the publication.
    :ivar metrics: its scores, beside the task's own.
    :ivar score: (the model's text, gold) -> {metric: value of this sample}.
    """

    name: str
    wording: Wording
    metrics: tuple[Metric, ...]
    score: Callable[[str, str], dict[str, Value]]


@dataclass(frozen=True)
class DataSet:
    """The samples of one task, and where they come from.

    :ivar questions: the file that holds them.
    :ivar outputs: the file of the golds; ``None`` where there is none, as for LaMP's test splits.
    :ivar samples: each is built when it is asked for.
    :ivar ids: theirs, in their order.
    :ivar fingerprint: sha256 over the bytes of both files, unpacked: equal data, equal fingerprint.
    :ivar notes: what was repaired while reading, one sentence each.
    """

    task: Task
    questions: Path
    outputs: Path | None
    samples: Sequence[Sample]
    ids: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()
    split: str = "dev"


class Source(Protocol):
    """Where the questions, documents and golds of a task come from.

    A source is hashable and cheap to make; it reads nothing before it is asked to. LaMP's is
    :class:`qrag_tasks.tasks.lamp.source.LampSource`.
    """

    @property
    def public(self) -> bool:
        """Whether anyone may have the data: only then is the task in the tag of its family."""
        ...

    def find(self, data: str | None, split: str) -> tuple[Path, Path | None]:
        """Return the file of the questions and that of the golds, without reading them.

        :param data: what the run's ``data`` says: a folder as a rule; ``None`` for the default.
        :param split: ``train``, ``dev`` or ``test``.
        :raises DataError: when they are not there; the message says how to get them.
        :raises SettingsError: when there is no such split or place.
        """
        ...

    def load(self, task: Task, data: str | None, split: str) -> DataSet:
        """Read and check the samples of a task that has this source.

        :raises QragError: as :meth:`find`, and when the files are damaged or not of this task.
        """
        ...


@runtime_checkable
class DescribingSource(Source, Protocol):
    """A source whose data say themselves what the task is, as own data do in ``corpus.toml``."""

    def described(self, task: Task, data: str | None) -> Task:
        """Return the row as the data describe it.

        What :meth:`load` returns has that row.

        :param task: the row that stands for any data.
        :raises QragError: as :meth:`find`.
        """
        ...


@dataclass(frozen=True)
class Task:
    """One row of a task table.

    :ivar family: the benchmark that the task is of, as its publication writes it: ``LaMP``. In
        lower case it begins the names of the family's groups and tag.
    :ivar version: of this row: raised when prompts or scores of equal data become others.
    :ivar license: of the data.
    :ivar reference: the publication's arXiv id; empty where there is none.
    :ivar name: ours, which lm_eval's names begin with: ``lamp3u``.
    :ivar official_name: the publication's: ``LaMP_3``; the value of ``task`` in its outputs file.
    :ivar setting: which of the publication's splits of users or times, in words.
    :ivar groups: the groups that the task is in, each without its k.
    :ivar summary: what the model is asked to do, as a command.
    :ivar item_fields: the fields every profile item must have, beside ``id``.
    :ivar item_target: the one of them that is the user's own answer to the item, or ``None``
        where none is.
    :ivar query: input -> text to search the profile with; raises ``ValueError`` where the input
        is not in the task's format.
    :ivar document_text: profile item -> the text that a retriever indexes.
    :ivar prompt: the publication's own: (input, kept items, best first) -> the prompt.
    :ivar answer: the kind of answer.
    :ivar answer_tokens: the longest answer, in tokens, that the model may generate.
    :ivar evaluations: how other publications asked and scored it.
    :ivar metrics: names of the scores of generated answers that are reported, of the kind's;
        ``None`` for all.
    :ivar index: whose text of a profile item a retriever reads; see :meth:`indexed_text`.
    :ivar attributes: names of what samples have in :attr:`Sample.attributes`; a sample of which
        one is not known lacks it.
    :ivar takes_documents: whether prompts have room for documents; without, there is k = 0 alone.
    """

    family: str
    version: str
    license: str
    reference: str
    name: str
    official_name: str
    setting: str
    groups: tuple[str, ...]
    summary: str
    item_fields: tuple[str, ...]
    item_target: str | None
    query: Callable[[str], str]
    document_text: Callable[[Item], str]
    prompt: PromptWriter
    answer: AnswerKind
    answer_tokens: int
    source: Source
    evaluations: tuple[Evaluation, ...] = ()
    metrics: tuple[str, ...] | None = None
    index: Index = "lamp"
    attributes: tuple[str, ...] = ()
    takes_documents: bool = True

    def __post_init__(self) -> None:
        """Check what the other parts of the package take for granted of a row.

        :raises ValueError: where it does not hold.
        """
        if not re.fullmatch(r"[a-z][a-z0-9-]*", self.name):
            raise ValueError(f"task {self.name!r}: expected a name of a-z, 0-9 and -")
        if self.item_target not in (None, *self.item_fields):
            raise ValueError(f"task {self.name!r}: item_target {self.item_target!r} is no field")
        if self.prompt.long_field not in self.item_fields:
            raise ValueError(f"task {self.name!r}: {self.prompt.long_field!r} is no field")
        if self.evaluations and self.item_target is None:
            raise ValueError(f"task {self.name!r}: examples need answers of their own")

    def __str__(self) -> str:
        """Return the name."""
        return self.name

    @property
    def tag(self) -> str | None:
        """lm_eval's tag of the task: that of its family, where anyone may have the data.

        A tag with a task that nearly nobody has the data for could not be run.
        """
        return f"{self.family.lower()}_rag" if self.source.public else None

    @property
    def depths(self) -> tuple[Depth, ...]:
        """The depths at which lm_eval knows the task."""
        return DEPTHS if self.takes_documents else (Depth(0),)

    def indexed_text(self, item: Item) -> str:
        """Return the text of a profile item that a retriever reads."""
        if self.index == "lamp":
            return self.document_text(item)
        return item[self.prompt.long_field]

    def evaluation(self, name: str) -> Evaluation | None:
        """Return how the publication called ``name`` asked and scored the task, if it did."""
        return next((each for each in self.evaluations if each.name == name), None)

    def described(self, data: str | None) -> Task:
        """Return the row as the data describe it; itself, where they do not.

        :raises QragError: when the data that describe it cannot be had.
        """
        if isinstance(self.source, DescribingSource):
            return self.source.described(self, data)
        return self

    def load(self, data: str | None = None, split: str = "dev") -> DataSet:
        """Read and check the samples; see :meth:`Source.load`."""
        return self.source.load(self, data, split)
