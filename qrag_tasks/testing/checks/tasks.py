"""What a task is held to; see :class:`~qrag_tasks.tasks.base.Task`."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Any

from qrag_tasks.errors import DataError, QragError, SettingsError
from qrag_tasks.locations import RAG
from qrag_tasks.plugins import build_retriever
from qrag_tasks.prompting.pipeline import make_prompts
from qrag_tasks.prompting.queries import make_queries
from qrag_tasks.tasks.base import Item, Sample, Task
from qrag_tasks.tasks.metric import RUNAWAY_RATE, UNFINISHED_THOUGHT_RATE, Metric, Value
from qrag_tasks.testing.check import CheckFailed, CheckSkipped, check
from qrag_tasks.testing.processes import import_path, imports_of, listing
from qrag_tasks.testing.task_subject import TaskSubject

_OF_RUNS = {RUNAWAY_RATE.name, UNFINISHED_THOUGHT_RATE.name}
"""Scores that need more than a text: they are added for every kind of answer alike."""
_ODD_TEXTS = (
    *("", " \n\t", "nan", "inf", "-1", "1e9", "٣", "4,5", "{{ x }} {0} %s", "<think>4", "\ufffd"),
    *("Sure! Here you are:", "🙂" * 50, "word " * 10_000, '"' * 3, "<|im_end|>", "None of them."),
)
_IN_TEXTS = "{{ braces }} {0} %s <b> \\n 'quoted' \"twice\""
"""Stands in a document to see that texts go into prompts to the letter."""


@check
def cheap_import(subject: TaskSubject) -> None:
    """That the plugin is installed imports neither torch nor anything else that takes long."""
    if costly := imports_of(subject.origin, listing(import_path())):
        raise CheckFailed(f"listing the plugins imports {', '.join(costly)}")


@check
def row_says_all(subject: TaskSubject) -> None:
    """The row says family, version, licence, setting and summary, and where it was published."""
    row = subject.row
    for name in ("family", "license", "official_name", "setting", "summary"):
        value = getattr(row, name)
        if not value or value != value.strip():
            raise CheckFailed(f"{name} is {value!r}: expected a text")
    if not re.fullmatch(r"\d+\.\d+", row.version):
        raise CheckFailed(f"version is {row.version!r}: expected such as '1.0'")
    if not re.fullmatch(r"(\d{4}\.\d{4,5})?", row.reference):
        raise CheckFailed(f"reference is {row.reference!r}: expected an arXiv id, or nothing")
    if row.answer_tokens < 1:
        raise CheckFailed(f"answer_tokens is {row.answer_tokens}: expected 1 or more")
    unknown = set(row.metrics or ()) - {metric.name for metric in row.answer.metrics}
    if unknown:
        raise CheckFailed(f"metrics names {sorted(unknown)}, which its kind of answer has not")


@check
def names_are_its_own(subject: TaskSubject) -> None:
    """Its groups, with their k, are no names of tasks: lm_eval takes each name once."""
    if clash := [group for group in subject.row.groups if group == f"{subject.row.name}{RAG}"]:
        raise CheckFailed(f"the group {clash[0]!r} has the name of the task")


@check
def missing_data_are_told(subject: TaskSubject) -> None:
    """A folder that is not there is a ``DataError`` which names it, and loads nothing."""
    place = "no-such-folder-anywhere"
    try:
        subject.row.source.find(place, "dev")
    except DataError as error:
        if place not in str(error):
            raise CheckFailed(f"the message does not name the folder: {error}") from error
    else:
        raise CheckFailed(f"find({place!r}, 'dev') raises nothing")


@check
def unknown_splits_are_told(subject: TaskSubject) -> None:
    """A split that there is not is an error of ours, not a traceback."""
    try:
        subject.row.source.find(subject.place, "no-such-split")
    except (SettingsError, DataError):
        return
    raise CheckFailed("find(..., 'no-such-split') raises nothing")


@check
def samples_are_whole(subject: TaskSubject) -> None:
    """Each sample has an id of its own, an input, a user, and documents with all fields as text."""
    if not subject.samples:
        raise CheckFailed("there is no sample")
    data, fields = subject.data, subject.row.item_fields
    if len(set(data.ids)) != len(data.ids):
        raise CheckFailed("two samples have one id")
    for sample, sample_id in zip(subject.samples, data.ids, strict=False):
        where = f"sample {sample.id!r}"
        if sample.id != sample_id:
            raise CheckFailed(f"{where} stands at the place of {sample_id!r} in ids")
        if not sample.user:
            raise CheckFailed(f"{where} has no user: by users answers are taken together")
        _check_items(sample, fields, where)


def _check_items(sample: Sample, fields: tuple[str, ...], where: str) -> None:
    ids = [item.get("id") for item in sample.profile]
    if len(set(ids)) != len(ids):
        raise CheckFailed(f"{where}: two documents have one id")
    for item in sample.profile:
        for name in ("id", *fields):
            if not isinstance(item.get(name), str):
                raise CheckFailed(
                    f"{where}, document {item.get('id')!r}: {name} is {item.get(name)!r}: expected "
                    f"a text"
                )


@check
def attributes_are_known(subject: TaskSubject) -> None:
    """Samples have the attributes that the row names, and no others: texts or finite numbers."""
    named = subject.row.attributes
    kinds: dict[str, bool] = {}
    for sample in subject.samples:
        for name, value in sample.attributes.items():
            where = f"sample {sample.id!r}, attribute {name!r}"
            if name not in named:
                raise CheckFailed(f"{where}: the row does not name it")
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (isinstance(value, str) or (number and math.isfinite(value))):
                raise CheckFailed(f"{where} is {value!r}: expected a text or a finite number")
            if kinds.setdefault(name, number) != number:
                raise CheckFailed(f"{where} is {value!r}: of others it is no such thing")
    if missing := [name for name in named if name not in kinds]:
        raise CheckFailed(f"no sample has the attribute {missing[0]!r}, which the row names")


@check
def data_are_read_alike(subject: TaskSubject) -> None:
    """Read again, the data are the same, and so is their fingerprint."""
    again = subject.read()
    if again.fingerprint != subject.data.fingerprint or again.ids != subject.data.ids:
        raise CheckFailed("fingerprint or ids are others when the data are read again")
    for number, sample in enumerate(subject.samples):
        if again.samples[number] != sample:
            raise CheckFailed(f"sample {sample.id!r} is another when the data are read again")


@check
def queries_are_texts(subject: TaskSubject) -> None:
    """Every input gives a query, and every document a text to be searched in."""
    empty = 0
    for sample in subject.samples:
        query = subject.row.query(sample.input)
        if not isinstance(query, str):
            raise CheckFailed(f"sample {sample.id!r}: the query is {query!r}")
        empty += not query.strip()
        for item in sample.profile:
            if not isinstance(text := subject.row.document_text(item), str):
                raise CheckFailed(f"document {item['id']!r}: its text is {text!r}")
    if empty == len(subject.samples):
        raise CheckFailed("all queries are empty")


@check
def prompts_ask_the_question(subject: TaskSubject) -> None:
    """Without documents, which is k = 0, two questions still have different prompts."""
    prompts = {
        sample.input: _prompt(subject.row, sample.input, ()) for sample in subject.samples[:20]
    }
    if len(set(prompts.values())) < len(prompts):
        raise CheckFailed("two different questions have one prompt at k = 0")


@check
def prompts_show_documents(subject: TaskSubject) -> None:
    """A document more makes the prompt longer, and the same documents give the same prompt."""
    sample = _with_documents(subject)
    items = sample.profile[:5]
    lengths = [len(_prompt(subject.row, sample.input, items[:n])) for n in range(len(items) + 1)]
    if any(later <= earlier for earlier, later in pairwise(lengths)):
        raise CheckFailed(f"prompts of 0, 1, ... documents have {lengths} characters: not longer")
    if _prompt(subject.row, sample.input, items) != _prompt(subject.row, sample.input, items):
        raise CheckFailed("the prompt is another when it is written again")


@check
def texts_go_in_to_the_letter(subject: TaskSubject) -> None:
    """Braces, quotes and format strings in a document are in the prompt as they are in it."""
    sample = _with_documents(subject)
    item = {**sample.profile[0], subject.row.prompt.long_field: _IN_TEXTS}
    if _IN_TEXTS not in _prompt(subject.row, sample.input, (item,)):
        raise CheckFailed(f"the text {_IN_TEXTS} is not in the prompt as it is")


@check
def prompts_are_made(subject: TaskSubject) -> None:
    """With the default retriever, samples get prompts at k = 0, 1 and 3, documents best first."""
    retriever = build_retriever("bm25")
    samples = subject.samples[:8]
    ranked = retriever.rank(make_queries(subject.row, samples, retriever))
    for k in (0, 1, 3):
        best = [ranking.best(k) for ranking in ranked]
        for record in make_prompts(subject.row, samples, k, best):
            expected = min(k, len(record.sample.profile))
            if len(record.kept) != expected:
                raise CheckFailed(f"sample {record.sample.id!r}, k = {k}: {len(record.kept)} kept")


@check
def golds_are_answers(subject: TaskSubject) -> None:
    """A gold is a value of the kind of answer, is read as itself, and scores no worse than none."""
    kind = subject.row.answer
    if not subject.golds:
        raise CheckSkipped("no gold is known of the first samples")
    for gold in subject.golds:
        if kind.values is not None and gold not in kind.values:
            raise CheckFailed(f"the gold {gold!r} is none of {', '.join(kind.values)}")
        if kind.values is not None and kind.read(gold) != gold:
            raise CheckFailed(f"the gold {gold!r} is read as {kind.read(gold)!r}")
        right, nothing = kind.score(gold, gold), kind.score("", gold)
        for metric in kind.metrics:
            if metric.name in _OF_RUNS or metric.aggregation == "macro_f1":
                continue
            rise = _number(right, metric) - _number(nothing, metric)
            if (rise if metric.higher_is_better else -rise) < 0:
                raise CheckFailed(f"{metric.name}: the gold {gold!r} scores worse than no answer")


@check
def any_text_is_scored(subject: TaskSubject) -> None:
    """Whatever a model says is read and scored by finite numbers, under every score's name."""
    kind = subject.row.answer
    expected = {metric.name for metric in kind.metrics} - _OF_RUNS
    for gold in dict.fromkeys(subject.golds[:10]):
        for text in (*_ODD_TEXTS, gold, f"I think it is {gold}."):
            for unfinished in (False, True):
                if not isinstance(read := kind.read(text), str):
                    raise CheckFailed(f"{text[:40]!r} is read as {read!r}: expected a text")
                scores = kind.score(text, gold, unfinished)
                if set(scores) != expected:
                    odd = ", ".join(sorted(set(scores) ^ expected))
                    raise CheckFailed(f"{text[:40]!r}: scores and metrics differ in {odd}")
                for metric in kind.metrics:
                    if metric.name not in _OF_RUNS:
                        _number(scores, metric)


@check
def likelihoods_are_scored(subject: TaskSubject) -> None:
    """Where values are a closed set, their likelihoods are scored under every score's name."""
    kind = subject.row.answer
    if not kind.likelihood_metrics:
        raise CheckSkipped("its answers are no closed set")
    if not kind.values:
        raise CheckFailed("it has likelihood_metrics, and no values")
    expected = {metric.name for metric in kind.likelihood_metrics}
    logprobs = [math.log(1 / (n + 2)) for n in range(len(kind.values))]
    for gold in dict.fromkeys(subject.golds[:10]):
        if set(kind.score_likelihoods(logprobs, gold)) != expected:
            raise CheckFailed(f"scores and likelihood_metrics differ for the gold {gold!r}")
    if not set(kind.score_likelihoods(logprobs, None)) <= expected:
        raise CheckFailed("scores without a gold are not among likelihood_metrics")


def _prompt(row: Task, text: str, items: tuple[Item, ...]) -> str:
    try:
        prompt: Any = row.prompt(text, items)
    except QragError:
        raise
    except Exception as error:
        raise CheckFailed(
            f"the prompt with {len(items)} documents raises {type(error).__name__}: {error}"
        ) from error
    if not isinstance(prompt, str) or not prompt.strip():
        raise CheckFailed(f"the prompt with {len(items)} documents is {prompt!r}")
    return prompt


def _with_documents(subject: TaskSubject) -> Sample:
    """Return the first sample that has documents."""
    for sample in subject.samples:
        if sample.profile:
            return sample
    raise CheckSkipped("the first samples have no documents")


def _number(scores: dict[str, Value], metric: Metric) -> float:
    """Return a value as a number, once it is known to be one that its aggregation takes."""
    value = scores[metric.name]
    if metric.aggregation == "macro_f1":
        if not isinstance(value, tuple) or not -1 <= value[0] < value[2] > value[1] >= 0:
            raise CheckFailed(
                f"{metric.name} is {value!r}: expected (answered, right, of how many)"
            )
        return float(value[0] == value[1])
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise CheckFailed(f"{metric.name} is {value!r}: expected a finite number")
    return float(value)
