"""From records to samples, and everything that is wrong with them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qrag_tasks.errors import did_you_mean
from qrag_tasks.tasks.base import AnswerKind, Attribute, Item, Sample
from qrag_tasks.tasks.corpus.json_files import kind
from qrag_tasks.tasks.own.corpus_file import FILE, LETTERS, Corpus
from qrag_tasks.tasks.own.kinds import kind_of
from qrag_tasks.tasks.own.mistakes import Mistake, Mistakes
from qrag_tasks.tasks.own.question import OPTION, SEPARATOR, joined
from qrag_tasks.tasks.own.records import Record, as_number, records, why_no_text

# NUL ends a text for many programs; the other two keep apart what a question is made of.
_CONTROL = re.compile(f"[\0{SEPARATOR}{OPTION}]")


def of_nobody(sample_id: str) -> str:
    """Return the user of a question that is of nobody in particular: one of its own."""
    return f"question-{sample_id}"


class Reader:
    """Reads the samples of one split.

    :param folder: of ``corpus.toml``, in which its files are.
    :param mistakes: takes all that is wrong; what is yielded then is what could be read.
    :param digest: a :mod:`hashlib` object, fed with the bytes of all files.
    """

    def __init__(self, corpus: Corpus, folder: Path, mistakes: Mistakes, digest: Any) -> None:
        self._corpus = corpus
        self._folder = folder
        self._mistakes = mistakes
        self._digest = digest
        self._kind: AnswerKind = kind_of(corpus.answer)
        # Attributes that no question has had yet, and the columns that questions have.
        self._unmet = dict.fromkeys(corpus.questions.attributes)
        self._columns: dict[str, None] = {}

    def samples(self, split: str) -> Iterator[Sample]:
        """Yield the samples of a split, in the order of its file."""
        path = self._folder / self._corpus.splits[split]  # type: ignore[index]  # that it has
        profiles = self._profiles()
        seen: dict[str, Record] = {}
        empty, met = True, False
        for record in records(path, self._mistakes, self._digest):
            empty = False
            sample = self._sample(record, split, seen, profiles)
            if sample is not None:
                met |= bool(sample.profile)
                yield sample
        if profiles and not met and not empty and not self._mistakes:
            column, documents = self._corpus.questions.user or "user", self._corpus.documents
            text = (
                f"none of its users has a document in {documents.file}: are {column!r} here and "
                f"{documents.user!r} there the same users?"
            )
            self._mistakes.add(Mistake(path, None, column, text), "users")
        if empty and not self._mistakes:
            self._mistakes.add(Mistake(path, None, "", "there is no question in it"), "empty")
        for column in [] if empty else self._unmet:
            hint = did_you_mean(column, self._columns, 0.7)
            text = f"no question has this attribute, which {FILE} names.{hint}"
            self._mistakes.add(Mistake(path, None, column, text), "attributes")

    # ------------------------------------------------------------------ documents of their own
    def _profiles(self) -> Mapping[str, tuple[Item, ...]] | None:
        """Return the documents of a file by user, or by ``""`` where all share them.

        ``None`` where the questions bring their own.
        """
        documents = self._corpus.documents
        if documents.file is None:
            return None
        path = self._folder / documents.file
        by_user: dict[str, dict[str, tuple[Item, Record]]] = {}
        empty = True
        for record in records(path, self._mistakes, self._digest):
            empty = False
            user = ""
            if documents.user is not None:
                user = self._name(record, record.fields, documents.user, "") or ""
            self._add_document(record, record.fields, "", by_user.setdefault(user, {}))
        if empty and not self._mistakes:
            self._mistakes.add(Mistake(path, None, "", "there is no document in it"), "empty")
        return {user: tuple(item for item, _ in items.values()) for user, items in by_user.items()}

    def _add_document(
        self,
        record: Record,
        fields: Mapping[str, Any],
        where: str,
        into: dict[str, tuple[Item, Record]],
    ) -> None:
        documents = self._corpus.documents
        before = len(self._mistakes)
        item_id = self._name(record, fields, documents.id, where)
        item = {"id": item_id or ""}
        for name, column in documents.fields.items():
            item[name] = self._text(record, fields, column, where) or ""
        if documents.date is not None:
            item["date"] = self._text(record, fields, documents.date, where) or ""
        if item_id in into:
            first = into[item_id][1]
            place = "" if first is record else f", first on line {first.line}"
            self._wrong(
                record,
                where + documents.id,
                f"two documents have the id {item_id!r}{place}",
                f"{documents.id}: two documents have the same id",
            )
        elif len(self._mistakes) == before and item_id is not None:
            into[item_id] = item, record

    # ------------------------------------------------------------------ questions
    def _sample(
        self,
        record: Record,
        split: str,
        seen: dict[str, Record],
        profiles: Mapping[str, tuple[Item, ...]] | None,
    ) -> Sample | None:
        corpus, questions = self._corpus, self._corpus.questions
        before = len(self._mistakes)
        sample_id = self._name(record, record.fields, questions.id, "")
        if sample_id in seen:
            first = seen[sample_id].line
            self._wrong(
                record,
                questions.id,
                f"two questions have the id {sample_id!r}, first on line {first}",
                f"{questions.id}: two questions have the same id",
            )
        elif sample_id is not None:
            seen[sample_id] = record
        values = [
            self._text(record, record.fields, column, "") or ""
            for column in questions.fields.values()
        ]
        options: list[str] = []
        if corpus.answer.kind == "choice":
            options = self._options(record)
        target = self._target(record, split, options)
        user = self._user(record)
        attributes = self._attributes(record)
        if profiles is None:
            profile = self._own_documents(record)
        else:
            profile = profiles.get(user if corpus.documents.user else "", ())
        if len(self._mistakes) > before or sample_id is None:
            return None
        # Questions about documents that all share are of nobody in particular.
        if not user and profiles is not None:
            user = of_nobody(sample_id)
        return Sample(sample_id, joined(values, options), profile, target, user, attributes)

    def _attributes(self, record: Record) -> dict[str, Attribute]:
        """Return the attributes that a question has; an empty field is one that is not known.

        What CSV has as digits is a number, as it is in files that tell numbers from texts.
        """
        columns = self._corpus.questions.attributes
        known: dict[str, Attribute] = {}
        if self._unmet:
            self._columns |= dict.fromkeys(map(str, record.fields))
        for column in columns:
            value = record.fields.get(column)
            if value is None or value == "":
                continue
            self._unmet.pop(column, None)
            if (text := self._text(record, record.fields, column, "")) is None:
                continue
            known[column] = value if isinstance(value, int | float) else as_number(text)
        return known

    def _user(self, record: Record) -> str:
        column = self._corpus.questions.user
        needed = column is not None or self._corpus.documents.user is not None
        column = column or "user"
        if not needed and record.fields.get(column) is None:
            return ""
        read = self._name if needed else self._text
        return read(record, record.fields, column, "") or ""

    def _own_documents(self, record: Record) -> tuple[Item, ...]:
        column = self._corpus.documents.column
        given = self._given(record, record.fields, column, "")
        if given is None:
            return ()
        given = self._from_cell(given)
        if not isinstance(given, list):
            self._wrong(record, column, f"expected a list of documents, got {kind(given)}")
            return ()
        items: dict[str, tuple[Item, Record]] = {}
        for place, document in enumerate(given):
            where = f"{column}[{place}]"
            if isinstance(document, dict):
                self._add_document(record, document, f"{where}.", items)
            else:
                self._wrong(record, where, f"expected an object, got {kind(document)}", column)
        return tuple(item for item, _ in items.values())

    def _options(self, record: Record) -> list[str]:
        column = self._corpus.questions.options
        given = self._given(record, record.fields, column, "")
        if given is None:
            return []
        given = self._from_cell(given)
        most = getattr(self._corpus.answer, "most", 0)
        if not isinstance(given, list) or not 2 <= len(given) <= most:
            got = f"a list of {len(given)}" if isinstance(given, list) else kind(given)
            self._wrong(record, column, f"expected a list of 2 to {most} options, got {got}")
            return []
        options = [
            self._text(record, {f"{column}[{n}]": option}, f"{column}[{n}]", "", column) or ""
            for n, option in enumerate(given)
        ]
        if len(set(options)) < len(options):
            self._wrong(record, column, "two options are the same text")
        return options

    def _target(self, record: Record, split: str, options: list[str]) -> str | None:
        column = self._corpus.questions.answer
        if split == "test" and record.fields.get(column) is None:
            return None
        given = self._text(record, record.fields, column, "")
        if given is None:
            return None
        if self._corpus.answer.kind == "choice":
            return self._option(record, column, given, options)
        target = self._kind.read_gold(given)
        values = self._kind.values
        if values is not None and target not in values:
            expected = ", ".join(values if len(values) <= 20 else [*values[:5], "...", values[-1]])
            self._wrong(
                record,
                column,
                f"{given[:80]!r} is not an answer of this task: expected one of {expected}."
                + did_you_mean(target, values),
                f"{column}: not an answer of this task",
            )
        elif not target:
            self._wrong(record, column, "the right answer is empty")
        return target

    def _option(self, record: Record, column: str, given: str, options: list[str]) -> str | None:
        """Return the letter of the right option, which the data give as a letter or as a text."""
        letters = LETTERS[: len(options)]
        if given in options:
            return letters[options.index(given)]
        if len(given) == 1 and given in letters:
            return given
        if options:
            self._wrong(
                record,
                column,
                f"{given[:80]!r} is neither the letter of an option ({', '.join(letters)}) nor the "
                f"text of one",
                f"{column}: not an option",
            )
        return None

    # ------------------------------------------------------------------ values
    def _from_cell(self, given: Any) -> Any:
        """Return what a cell of a table holds, which has lists as JSON."""
        if isinstance(given, str) and given.lstrip().startswith("["):
            try:
                return json.loads(given)
            except (ValueError, RecursionError):
                return given
        return given

    def _given(self, record: Record, fields: Mapping[str, Any], column: str, where: str) -> Any:
        value = fields.get(column)
        if value is None:
            hint = "" if column in fields else did_you_mean(column, map(str, fields), 0.7)
            what = "is missing" if column not in fields else "holds nothing"
            self._wrong(record, where + column, f"{what}; expected text or a number.{hint}", column)
        return value

    def _name(
        self, record: Record, fields: Mapping[str, Any], column: str, where: str
    ) -> str | None:
        """Return what tells one thing from others, such as an id, which is not empty."""
        name = self._text(record, fields, column, where)
        if name == "":
            self._wrong(record, where + column, "is empty", f"{column}: is empty")
            return None
        return name

    def _text(
        self,
        record: Record,
        fields: Mapping[str, Any],
        column: str,
        where: str,
        alike: str | None = None,
    ) -> str | None:
        """Return a field as text; data give ids, ratings and dates as texts or as numbers."""
        value = self._given(record, fields, column, where)
        if value is None:
            return None
        field, alike = where + column, alike or column
        if hasattr(value, "isoformat"):  # dates of Parquet
            return str(value.isoformat())
        if isinstance(value, str) and (found := _CONTROL.search(value)):
            self._wrong(
                record,
                field,
                f"holds the control character U+{ord(found[0]):04X} at character "
                f"{found.start() + 1}; remove it",
                alike,
            )
        elif (text := why_no_text(value)) is not None:
            self._wrong(record, field, text, alike)
        else:
            return str(value)
        return None

    def _wrong(self, record: Record, field: str, text: str, alike: str | None = None) -> None:
        mistake = Mistake(record.file, record.line, field, text, record.rows)
        self._mistakes.add(mistake, alike or f"{field}: {text.partition(',')[0]}")
