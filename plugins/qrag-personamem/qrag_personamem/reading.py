"""Reads questions and histories out of PersonaMem's two files, and finds all that is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from qrag_tasks.errors import DataError, did_you_mean
from qrag_tasks.tasks.base import Attribute
from qrag_tasks.tasks.corpus.json_files import kind
from qrag_tasks.tasks.own.mistakes import Mistake, Mistakes
from qrag_tasks.tasks.own.records import Record, as_number, records, why_no_text

from qrag_personamem.places import Files
from qrag_personamem.question import LETTERS, SEPARATOR, Message, options_of

ATTRIBUTES: Mapping[str, str] = {
    "question_type": "question_type",
    "topic": "topic",
    "distance_blocks": "distance_to_ref_in_blocks",
    "distance_tokens": "distance_to_ref_in_tokens",
    "context_tokens": "context_length_in_tokens",
}
"""Name of an attribute -> the column that holds it."""
TYPES: Mapping[str, str] = {
    "recalling_facts_mentioned_by_the_user": "recall_user_shared_facts",
    "identifying_new_things_not_mentioned_by_the_user": "suggest_new_ideas",
    "recalling_the_latest_user_preferences": "acknowledge_latest_user_preferences",
    "acknowledge_latest_preferences": "acknowledge_latest_user_preferences",
    "tracking_the_full_sequence_of_preference_updates": "track_full_preference_evolution",
    "track_full_preference_updates": "track_full_preference_evolution",
    "recalling_the_reasons_behind_previous_updates": "revisit_reasons_behind_preference_updates",
    "recommendation_aligned_with_users_latest_preferences": (
        "provide_preference_aligned_recommendations"
    ),
    "generalizing_past_reasons_in_memory_to_new_scenarios": "generalize_to_new_scenarios",
    "generalizing_to_new_scenarios": "generalize_to_new_scenarios",
}
"""What some files call a type of question -> what the paper's other files call it."""
_ROLES = ("system", "user", "assistant")
_CONTROL = re.compile(f"[\0{SEPARATOR}]")
_MOST_TOLD = 5


@dataclass(frozen=True)
class Question:
    """One row of the questions.

    :ivar options: as the data write them.
    :ivar end: how many messages of the history come before it.
    """

    id: str
    user: str
    text: str
    options: str
    gold: str
    context: str
    end: int
    attributes: Mapping[str, Attribute]


class Benchmark(NamedTuple):
    """What the two files hold.

    :ivar contexts: id of a history -> its messages.
    """

    questions: tuple[Question, ...]
    contexts: Mapping[str, tuple[Message, ...]]


def read(files: Files, digest: Any) -> Benchmark:
    """Read and check both files.

    :param digest: a :mod:`hashlib` object, fed with the bytes of both.
    :raises DataError: with the first mistakes, each with file, line and field.
    """
    reader = _Reader(files, digest)
    # Histories first: a question says up to where it sees one.
    contexts = reader.contexts()
    questions = reader.questions(contexts)
    if reader.mistakes:
        raise reader.error()
    return Benchmark(tuple(questions), contexts)


class _Reader:
    def __init__(self, files: Files, digest: Any) -> None:
        self.mistakes = Mistakes()
        self._files, self._digest = files, digest

    def error(self) -> DataError:
        lines = list(self.mistakes.lines())
        if more := lines[_MOST_TOLD:]:
            lines = [*lines[:_MOST_TOLD], f"... and {len(more)} more lines of this kind."]
        return DataError("\n".join(lines))

    # ------------------------------------------------------------------ histories
    def contexts(self) -> dict[str, tuple[Message, ...]]:
        known: dict[str, tuple[Message, ...]] = {}
        lines: dict[str, int] = {}
        for record in records(self._files.contexts, self.mistakes, self._digest):
            if len(record.fields) != 1:
                self._wrong(
                    record,
                    "",
                    f"expected an object of one history, its id and its messages, got "
                    f"{len(record.fields)} fields",
                    "histories",
                )
                continue
            ((name, given),) = record.fields.items()
            if name in known:
                text = f"two histories have this id, first on line {lines[name]}"
                self._wrong(record, name, text, "two histories have the same id")
            if not isinstance(given, list):
                self._wrong(record, name, f"expected a list of messages, got {kind(given)}", "list")
                continue
            lines[name] = record.line
            known[name] = tuple(
                self._message(record, f"{name}[{place}]", one) for place, one in enumerate(given)
            )
        if not known and not self.mistakes:
            text = "there is no history in it"
            self.mistakes.add(Mistake(self._files.contexts, None, "", text), "empty")
        return known

    def _message(self, record: Record, where: str, given: Any) -> Message:
        if not isinstance(given, dict):
            self._wrong(record, where, f"expected a message, got {kind(given)}", "message")
            return Message("", "")
        role = given.get("role")
        if role not in _ROLES:
            text = f"expected one of {', '.join(_ROLES)}, got {role!r:.40}"
            self._wrong(record, f"{where}.role", text, "role")
        content = self._checked(record, f"{where}.content", given.get("content"), "content")
        return Message(str(role), content or "")

    # ------------------------------------------------------------------ questions
    def questions(self, contexts: Mapping[str, tuple[Message, ...]]) -> list[Question]:
        read: list[Question] = []
        lines: dict[str, int] = {}
        empty = True
        for record in records(self._files.questions, self.mistakes, self._digest):
            empty = False
            question = self._question(record, contexts)
            if question is None:
                continue
            if question.id in lines:
                text = f"two questions have the id {question.id!r}, first on line "
                text += str(lines[question.id])
                self._wrong(record, "question_id", text, "two questions have the same id")
            lines[question.id] = record.line
            read.append(question)
        if empty and not self.mistakes:
            text = "there is no question in it"
            self.mistakes.add(Mistake(self._files.questions, None, "", text), "empty")
        return read

    def _question(
        self, record: Record, contexts: Mapping[str, tuple[Message, ...]]
    ) -> Question | None:
        before = len(self.mistakes)
        question_id, persona, text, options, answer, context, end = (
            self._text(record, column)
            for column in (
                *("question_id", "persona_id", "user_question_or_message", "all_options"),
                *("correct_answer", "shared_context_id", "end_index_in_shared_context"),
            )
        )
        gold = f"({(answer or '').strip().strip('()').lower()})"
        if answer and gold not in LETTERS:
            expected = ", ".join(LETTERS)
            self._wrong(
                record,
                "correct_answer",
                f"expected one of {expected}, got {answer!r:.40}",
                "correct_answer",
            )
        if options:
            try:
                options_of(options)
            except ValueError as error:
                self._wrong(record, "all_options", str(error), "all_options")
        if context and context not in contexts:
            self._wrong(
                record,
                "shared_context_id",
                f"{context[:70]!r} is not in {self._files.contexts.name}",
                "a history that is not there",
            )
        seen = as_number(end or "")
        length = len(contexts.get(context or "", ()))
        if end and not (isinstance(seen, int) and seen >= 0):
            text_of = f"expected a whole number of messages, got {end!r:.40}"
            self._wrong(record, "end_index_in_shared_context", text_of, "end index")
        elif end and context in contexts and int(seen) > length:
            self._wrong(
                record,
                "end_index_in_shared_context",
                f"{end} messages come before it, and its history has {length}",
                "an end index beyond the history",
            )
        attributes = self._attributes(record)
        if len(self.mistakes) > before:
            return None
        return Question(
            id=str(question_id),
            user=f"persona-{persona}",
            text=str(text),
            options=str(options),
            gold=gold,
            context=str(context),
            end=int(seen),
            attributes=attributes,
        )

    def _attributes(self, record: Record) -> dict[str, Attribute]:
        """Return what is known; of a cell that is empty, nothing is."""
        known: dict[str, Attribute] = {}
        for name, column in ATTRIBUTES.items():
            value = record.fields.get(column)
            if value is None:
                continue
            text = self._checked(record, column, value, column)
            if text is None:
                continue
            if name in ("question_type", "topic"):
                known[name] = TYPES.get(text, text)
            elif isinstance(number := as_number(text), int | float):
                known[name] = number
            else:
                self._wrong(record, column, f"expected a number, got {text!r:.40}", column)
        return known

    # ------------------------------------------------------------------ values
    def _text(self, record: Record, column: str) -> str | None:
        value = record.fields.get(column)
        if value is None:
            hint = did_you_mean(column, map(str, record.fields), 0.7)
            self._wrong(record, column, f"is missing or empty.{hint}", f"{column}: is missing")
            return None
        return self._checked(record, column, value, column)

    def _checked(self, record: Record, field: str, value: Any, alike: str) -> str | None:
        if isinstance(value, str) and (found := _CONTROL.search(value)):
            text = f"holds the control character U+{ord(found[0]):04X} at character "
            self._wrong(record, field, f"{text}{found.start() + 1}; remove it", alike)
        elif (wrong := why_no_text(value)) is not None:
            self._wrong(record, field, wrong, alike)
        else:
            return str(value)
        return None

    def _wrong(self, record: Record, field: str, text: str, alike: str) -> None:
        self.mistakes.add(Mistake(record.file, record.line, field, text), alike)
