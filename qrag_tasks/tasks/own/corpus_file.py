"""``corpus.toml``: what somebody's data are, typed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from qrag_tasks.errors import did_you_mean

FILE = "corpus.toml"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
RESERVED = ("documents", "options", "range", "namespace", "loop")
"""Names that templates have from us."""


def _fields(value: object) -> object:
    """Return fields as name -> column: a list names columns that are called as the fields."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        if twice := [name for name in value if value.count(name) > 1]:
            raise ValueError(f"{twice[0]!r} is there twice")
        value = {name: name for name in value}
    if not isinstance(value, dict) or not value:
        raise ValueError(
            'expected a list of fields, such as ["title", "text"], or a table of them with the '
            'columns of the data, such as { text = "Review Text" }'
        )
    for name in value:
        if not _FIELD.fullmatch(name) or name in RESERVED:
            raise ValueError(
                f"{name!r} cannot be the name of a field in a template: use letters, digits and "
                f"'_', and none of {', '.join(RESERVED)}; a column of another name goes to the "
                f'right: {{ my_field = "{name}" }}'
            )
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Column = Annotated[str, Field(min_length=1)]
Fields = dict[str, Column]


class Questions(_Strict):
    """What a question is.

    :ivar fields: name in templates -> column of the data.
    :ivar query: template of the text that is searched for.
    :ivar user: column of who asks; by default ``user``, where the data have it.
    :ivar options: column of the options, of the kind of answer ``choice``.
    :ivar attributes: columns of what else is known of a question, such as its topic; prompts hold
        nothing of it, comparisons go by it.
    """

    id: Column = "id"
    fields: Fields = Field(default={"question": "question"}, validate_default=True)
    query: str | None = None
    answer: Column = "answer"
    user: Column | None = None
    options: Column = "options"
    attributes: tuple[Column, ...] = Field(default=(), strict=False)

    _named = field_validator("fields", mode="before")(_fields)


class Documents(_Strict):
    """What a document is, and where documents are.

    :ivar file: of documents; without one, each question brings its own in :attr:`column`.
    :ivar user: column of :attr:`file`: each user has their own; without one, all questions share
        all documents.
    :ivar fields: name in templates -> column of the data.
    :ivar text: template of the text that is searched in.
    :ivar answer: the field that is the user's own answer to the document.
    :ivar date: column of the date.
    :ivar long: the field that is cut where a document is too long.
    """

    file: str | None = None
    user: Column | None = None
    column: Column = "documents"
    id: Column = "id"
    fields: Fields = Field(default={"text": "text"}, validate_default=True)
    text: str | None = None
    answer: str | None = None
    date: Column | None = None
    long: str | None = None

    _named = field_validator("fields", mode="before")(_fields)


class Prompt(_Strict):
    """How documents and question become a prompt: one of the two is given.

    :ivar template: Jinja.
    :ivar style: name of a built-in one.
    """

    template: str | None = None
    style: str | None = None


class _Answer(_Strict):
    metrics: tuple[str, ...] | None = Field(default=None, min_length=1, strict=False)
    tokens: int | None = Field(default=None, ge=1, le=100_000)


class RatingsAnswer(_Answer):
    """A whole number on a scale: its lowest and its highest."""

    kind: Literal["ratings"]
    scale: tuple[int, int] = Field(strict=False)

    @field_validator("scale", mode="after")
    @classmethod
    def _rises(cls, scale: tuple[int, int]) -> tuple[int, int]:
        if not 0 <= scale[0] < scale[1] <= 1000:
            raise ValueError(
                f"{list(scale)}: expected the lowest and the highest rating, whole numbers from 0 "
                f"to 1000, such as [1, 5]"
            )
        return scale


class LabelsAnswer(_Answer):
    """One of a few labels."""

    kind: Literal["labels"]
    values: tuple[str, ...] = Field(min_length=2, strict=False)

    @field_validator("values", mode="after")
    @classmethod
    def _apart(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        folded = [" ".join(value.split()).casefold() for value in values]
        for place, value in enumerate(folded):
            if not value:
                raise ValueError("a label is empty")
            if value in folded[:place]:
                raise ValueError(f"{values[place]!r} is there twice; case and blanks do not count")
        return tuple(value.strip() for value in values)


class ChoiceAnswer(_Answer):
    """One of the options of the question, by its letter.

    :ivar most: options that a question has at most.
    """

    kind: Literal["choice"]
    most: int = Field(default=4, ge=2, le=len(LETTERS))


class TextAnswer(_Answer):
    """Any text, scored by ROUGE: its first line, or all of it."""

    kind: Literal["text"]
    lines: Literal["first", "all"] = "first"


class ExactAnswer(_Answer):
    """A short text that is right or wrong."""

    kind: Literal["exact"]


Answer = Annotated[
    RatingsAnswer | LabelsAnswer | ChoiceAnswer | TextAnswer | ExactAnswer,
    Field(discriminator="kind"),
]


class Corpus(_Strict):
    """All of ``corpus.toml``.

    :ivar splits: ``dev``, ``train`` or ``test`` -> its file of questions, or folder.
    """

    name: str
    license: str = Field(min_length=1)
    version: str = "1.0"
    summary: str = "answer as the user would"
    splits: dict[Literal["dev", "train", "test"], Column] = Field(min_length=1)
    questions: Questions = Questions()
    documents: Documents = Documents()
    prompt: Prompt = Prompt()
    answer: Answer

    @field_validator("name", mode="after")
    @classmethod
    def _in_names(cls, name: str) -> str:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", name):
            raise ValueError(f"{name!r}: expected a-z, 0-9 and '-' alone, at most 40 of them")
        return name

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    def decisive(self) -> dict[str, Any]:
        """Return what decides prompts, rankings and golds of the data, as JSON has it."""
        return self.model_dump(
            mode="json",
            include={"questions", "documents", "answer"},
            exclude={"questions": {"attributes"}},
        )


_FORMS: Mapping[tuple[str, ...], str] = {
    ("name",): 'name = "recipes"',
    ("license",): 'license = "CC0-1.0", or what may be done with the data, in words',
    ("splits",): 'the table [splits] with dev = "dev.jsonl"',
    ("answer",): 'the table [answer] with kind = "text"',
    ("answer", "kind"): 'kind = "ratings", "labels", "choice", "text" or "exact"',
    ("answer", "scale"): "scale = [1, 5]",
    ("answer", "values"): 'values = ["lark", "owl"]',
}
_KINDS: Mapping[str, type[BaseModel]] = {
    "ratings": RatingsAnswer,
    "labels": LabelsAnswer,
    "choice": ChoiceAnswer,
    "text": TextAnswer,
    "exact": ExactAnswer,
}

_TABLES: Mapping[str, type[BaseModel]] = {
    "questions": Questions,
    "documents": Documents,
    "prompt": Prompt,
}


def typed(body: Mapping[str, Any]) -> tuple[Corpus | None, list[tuple[tuple[str | int, ...], str]]]:
    """Return the corpus that a file's body says, or what is wrong with it, field by field."""
    try:
        return Corpus.model_validate(body), []
    except ValidationError as error:
        return None, [_in_words(dict(one)) for one in error.errors()]


def _in_words(error: Mapping[str, Any]) -> tuple[tuple[str | int, ...], str]:
    place, kind = tuple(part for part in error["loc"] if part != "[key]"), error["type"]
    model: type[BaseModel] = Corpus
    if len(place) > 1 and place[0] == "answer" and place[1] in _KINDS:
        model = _KINDS[str(place[1])]
        place = ("answer", *place[2:])
    elif len(place) > 1:
        model = _TABLES.get(str(place[0]), Corpus)
    form = _FORMS.get(tuple(map(str, place)))
    given = repr(error.get("input"))
    given = given if len(given) <= 80 else f"{given[:77]}..."
    if kind == "extra_forbidden":
        known = list(model.model_fields)
        hint = did_you_mean(str(place[-1]), known)
        return place, f"unknown field (known: {', '.join(known)}).{hint}"
    if kind == "missing":
        return place, f"this field is missing; write for example {form or place[-1]}"
    if kind == "union_tag_not_found":
        place = (*place, "kind")
        return place, f"this field is missing; write {_FORMS['answer', 'kind']}"
    if kind == "union_tag_invalid":
        tag = str(error["ctx"]["tag"])
        hint = did_you_mean(tag, _KINDS)
        return (*place, "kind"), f"unknown kind {tag!r} (known: {', '.join(_KINDS)}).{hint}"
    text = str(error["msg"]).removeprefix("Value error, ")
    if kind == "value_error":
        return place, text
    if kind == "literal_error" and place[0] == "splits":
        return place, "unknown split (known: dev, train, test)"
    expected = f"; write for example {form}" if form else ""
    return place, f"{text[:1].lower()}{text[1:]}, not {given}{expected}"
