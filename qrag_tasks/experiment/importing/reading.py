"""Reads outputs that no lm_eval wrote, and finds all that is missing or wrong at once."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qrag_tasks.errors import DataError, did_you_mean
from qrag_tasks.experiment.importing.form import FIELDS, Form
from qrag_tasks.experiment.importing.lines import CellKey, ImportedArm, Line, place_of
from qrag_tasks.experiment.importing.together import (
    check_against_the_base,
    check_all_or_none,
    fill_from_the_base,
    not_read,
    only_in_some,
)
from qrag_tasks.tasks.base import Attribute, Depth
from qrag_tasks.tasks.corpus.json_files import kind
from qrag_tasks.tasks.own.mistakes import Mistake, Mistakes
from qrag_tasks.tasks.own.records import Record, as_number, records, why_no_text

_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Imported:
    """All arms, the base first, and what belongs beside them."""

    arms: Sequence[ImportedArm]
    notes: Sequence[str]


def read_outputs(
    files: Sequence[tuple[str | None, Path]], form: Form, questions: Path | None = None
) -> Imported:
    """Read the answers of arms.

    :param files: name of the arm, or ``None`` for the file's, and the file: one or more for each
        arm, the base's first.
    :param questions: a file whose lines, by their id, say what the answers' lines leave out.
    :raises DataError: when something is missing or wrong: all of it, a line each.
    """
    mistakes = Mistakes()
    reader = _Reader(form, mistakes)
    if questions is not None:
        reader.read_questions(questions)
    for name, file in files:
        reader.read_answers(file, name or file.name.split(".")[0])
    arms = list(reader.arms.values())
    if not mistakes:
        fill_from_the_base(arms)
        check_all_or_none(arms, form, mistakes)
        check_against_the_base(arms, form, mistakes)
    if mistakes:
        raise DataError("\n".join([*mistakes.lines(), "docs/importing.md tells what a line has."]))
    return Imported(arms, [*only_in_some(arms), *not_read(arms, form)])


class _Reader:
    def __init__(self, form: Form, mistakes: Mistakes) -> None:
        self._form, self._mistakes = form, mistakes
        self._questions: dict[str, Mapping[str, Any]] = {}
        self._has_questions = False
        self.arms: dict[str, ImportedArm] = {}

    def read_questions(self, path: Path) -> None:
        """Read what the lines of answers leave out."""
        self._has_questions = True
        for record in records(path, self._mistakes, hashlib.sha256()):
            key = self._text(record, record.fields, "id")
            if key is None:
                continue
            if key in self._questions:
                self._wrong(record, "id", f"the id {key!r} is there twice", "an id twice")
            self._questions[key] = record.fields

    def read_answers(self, path: Path, name: str) -> None:
        """Read one file of answers.

        :param name: of the arm, where lines do not say it.
        """
        digest, named, before = hashlib.sha256(), set(), len(self._mistakes)
        for record in records(path, self._mistakes, digest):
            arm = self._line(record, name)
            named.add(name if arm is None else arm.name)
        if not named and len(self._mistakes) == before:
            self._mistakes.add(Mistake(path, None, "", "there is no answer in it"), "empty")
        for each in named & self.arms.keys():
            self.arms[each].files[path.name] = digest.hexdigest()

    def _line(self, record: Record, name: str) -> ImportedArm | None:
        before = len(self._mistakes)
        key = self._text(record, record.fields, "id")
        fields = {**self._questions.get(key or "", {}), **record.fields}
        if key is not None and self._has_questions and key not in self._questions:
            self._wrong(record, "id", f"{key!r} is not in the file of questions", "not a question")
        # Before what it may leave out.
        answer = self._text(record, fields, "answer", empty=True)
        prompt, sha256 = self._prompt(record, fields)
        known = {
            each: self._text(record, fields, each, needed=False, empty=each == "gold")
            for each in ("gold", "user", "task", "retriever", "order", "arm", "model", "precision")
        }
        gold = self._gold(record, known["gold"])
        cell = CellKey(
            known["task"] or self._form.task,
            self._k(record, fields),
            known["retriever"],
            known["order"],
        )
        documents = self._documents(record, fields, cell.k)
        attributes = self._attributes(record, fields)
        if len(self._mistakes) > before or key is None or answer is None:
            return None
        arm = self._arm(record, known["arm"] or name, known["model"], known["precision"])
        lines = arm.cells.setdefault(cell, {})
        if key in lines:
            first = lines[key].place
            self._wrong(
                record,
                "id",
                f"{key!r} is there twice for arm {arm.name}, first in {place_of(first)}; where "
                f"that is another task, k, retriever or order, give each line its field",
                "an id twice",
            )
        user = known["user"]
        lines[key] = Line(
            *(record, key, answer, prompt, sha256, gold, user, documents), attributes=attributes
        )
        return arm

    def _arm(
        self, record: Record, name: str, model: str | None, precision: str | None
    ) -> ImportedArm:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}", name):
            self._wrong(
                record,
                "arm",
                f"{name!r} cannot name a folder: use letters, digits, '.', '_', '+' and '-' "
                f"alone, and begin with a letter or digit",
                "an arm's name",
            )
        fresh = ImportedArm(name, model or self._form.model, precision)
        arm = self.arms.setdefault(name, fresh)
        for what, one, two in (
            ("model", arm.model, fresh.model),
            ("precision", arm.precision, precision),
        ):
            if one != two:
                self._wrong(
                    record, what, f"{two!r}, and other lines of arm {name} say {one!r}", what
                )
        return arm

    def _prompt(self, record: Record, fields: Mapping[str, Any]) -> tuple[str | None, str]:
        prompt = self._text(record, fields, "prompt", needed=False)
        sha256 = self._text(record, fields, "prompt_sha256", needed=False)
        column = self._form.column("prompt_sha256")
        prompt_column = self._form.column("prompt")
        if fields.get(prompt_column) is None and fields.get(column) is None:
            hint = did_you_mean(prompt_column, map(str, fields), 0.7)
            self._wrong(
                record,
                "prompt",
                f"is missing; expected all that the model was given, or its sha256 as {column}: "
                f"arms are compared on the same prompts alone.{hint}",
                "no prompt",
            )
        if prompt is None and sha256 is None:
            return None, ""
        made = None if prompt is None else hashlib.sha256(prompt.encode()).hexdigest()
        if sha256 is not None and not _HASH.fullmatch(sha256.lower()):
            self._wrong(
                record, "prompt_sha256", f"{sha256[:80]!r} is not 64 hexadecimal digits", "hash"
            )
        elif made and sha256 and made != sha256.lower():
            self._wrong(
                record, "prompt_sha256", f"is not that of the prompt, which is {made}", "hash"
            )
        return prompt, made or str(sha256).lower()

    def _gold(self, record: Record, given: str | None) -> str | None:
        if given is None:
            return None
        kind_of_answer = self._form.kind
        gold = kind_of_answer.read_gold(given)
        values = kind_of_answer.values
        if values is not None and gold not in values:
            expected = ", ".join(values if len(values) <= 20 else [*values[:5], "...", values[-1]])
            read = kind_of_answer.read(given)
            hint = f" It holds {read!r}: give that alone." if read in values else ""
            self._wrong(
                record,
                "gold",
                f"{given[:80]!r} is not an answer of this kind: expected one of {expected}.{hint}"
                + (did_you_mean(gold, values) if not hint else ""),
                "a gold that is not an answer of this kind",
            )
        elif not gold:
            self._wrong(record, "gold", "is empty; leave it out where it is not known", "gold")
        return gold

    def _k(self, record: Record, fields: Mapping[str, Any]) -> str | None:
        given = self._text(record, fields, "k", needed=False)
        if given is None:
            return None
        try:
            return str(Depth.parse(given))
        except ValueError as error:
            self._wrong(record, "k", f"{given!r}: {error}", "k")
            return None

    def _documents(
        self, record: Record, fields: Mapping[str, Any], k: str | None
    ) -> int | list[str] | None:
        given = _from_cell(fields.get(self._form.column("documents")))
        if given is None:
            return int(k) if k is not None and k.isdecimal() else None
        if isinstance(given, list):
            return list(map(str, given))
        if isinstance(given, str) and given.isdecimal():
            given = int(given)
        if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
            return given
        text = f"expected a whole number or a list, got {kind(given)}"
        self._wrong(record, "documents", text, "documents")
        return None

    def _attributes(self, record: Record, fields: Mapping[str, Any]) -> dict[str, Attribute]:
        """Return the attributes that a question has; an empty field is one that is not known."""
        known: dict[str, Attribute] = {}
        for column in self._form.attributes:
            value = fields.get(column)
            if value is None or value == "":
                continue
            if (wrong := why_no_text(value)) is not None:
                mistake = Mistake(record.file, record.line, column, wrong, record.rows)
                self._mistakes.add(mistake, f"{column}: {wrong}")
                continue
            known[column] = as_number(value) if isinstance(value, str) else value
        return known

    def _text(
        self,
        record: Record,
        fields: Mapping[str, Any],
        name: str,
        *,
        needed: bool = True,
        empty: bool = False,
    ) -> str | None:
        """Return a field as text; ids and golds may be numbers.

        :param empty: whether it may be an empty text.
        """
        column = self._form.column(name)
        value = fields.get(column)
        if value is None and empty and column in fields and name == "answer":
            # As a server gives none; CSV leaves an empty cell out.
            return ""
        if value is None:
            if needed and not (empty and record.file.suffix.lower() in (".csv", ".tsv")):
                hint = did_you_mean(column, map(str, fields), 0.6)
                self._wrong(
                    record,
                    name,
                    f"is missing; expected {FIELDS[name].partition(':')[0]}.{hint}",
                    f"no {name}",
                )
            return "" if needed and empty else None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        text = "is empty" if value == "" and not empty else why_no_text(value)
        if text is None:
            return str(value)
        self._wrong(record, name, text, f"{name}: {text}")
        return None

    def _wrong(self, record: Record, name: str, text: str, alike: str) -> None:
        column = self._form.column(name)
        self._mistakes.add(Mistake(record.file, record.line, column, text, record.rows), alike)


def _from_cell(given: Any) -> Any:
    """Return what a cell of a table holds, which has lists as JSON."""
    if isinstance(given, str) and given.lstrip().startswith("["):
        try:
            return json.loads(given)
        except (ValueError, RecursionError):
            return given
    return given
