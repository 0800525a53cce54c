"""``qrag check``: everything that can be wrong with own data is told with file, line and field."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from qrag_tasks.cli import main
from qrag_tasks.errors import DataError
from qrag_tasks.prompting.prompt_source import PromptSource
from qrag_tasks.prompting.settings import Settings
from qrag_tasks.tasks.base import Depth
from qrag_tasks.tasks.catalog import TASKS
from qrag_tasks.tasks.own.checking import check
from qrag_tasks.tasks.own.example import write_example

Change = Callable[[Path], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_example(tmp_path / "mydata")
    return tmp_path / "mydata"


def toml(old: str, new: str) -> Change:
    def change(folder: Path) -> None:
        path = folder / "corpus.toml"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def questions(**changes: object) -> Change:
    """Change the third question; ``None`` takes the field away."""

    def change(folder: Path) -> None:
        path = folder / "dev.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines()
        third = json.loads(lines[2])
        for name, value in changes.items():
            if value is None:
                del third[name]
            else:
                third[name] = value
        lines[2] = json.dumps(third)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    return change


def line(third: bytes | Callable[[bytes], bytes]) -> Change:
    def change(folder: Path) -> None:
        path = folder / "dev.jsonl"
        lines = path.read_bytes().split(b"\n")
        lines[2] = third(lines[2]) if callable(third) else third
        path.write_bytes(b"\n".join(lines))

    return change


def whole(content: bytes) -> Change:
    return lambda folder: (folder / "dev.jsonl").write_bytes(content) and None


def template(text: str) -> Change:
    return toml("is the score for", f"{text} is the score for")


DOCUMENT = {"id": "d1", "recipe": "Soup.", "stars": 3}
AT = "dev.jsonl:3: "
IN_TEMPLATE = r"corpus\.toml:@is the score for@: prompt\.template: "

BROKEN: dict[str, tuple[Change, str]] = {
    "a field is missing": (
        questions(answer=None, anwser=4),
        AT + r"answer: is missing; expected text or a number. Did you mean 'anwser'\?",
    ),
    "a field of a document is missing": (
        questions(documents=[DOCUMENT, {"id": "d2", "recipe": "Cake."}]),
        AT + r"documents\[1\]\.stars: is missing",
    ),
    "a field is null": (
        questions(recipe=json.loads("[null]")[0] or []),
        AT + "recipe: expected text",
    ),
    "a value of a wrong type": (
        questions(recipe=["Soup."]),
        AT + "recipe: expected text or a number, got a list",
    ),
    "true is no text": (questions(answer=True), AT + "answer: expected text or a number, got true"),
    "documents are no list": (
        questions(documents="none"),
        AT + "documents: expected a list of documents, got text",
    ),
    "a document is no object": (
        questions(documents=["Soup."]),
        AT + r"documents\[0\]: expected an object, got text",
    ),
    "an empty id": (questions(id=""), AT + "id: is empty"),
    "an empty user": (questions(user=""), AT + "user: is empty"),
    "a document without an id": (
        questions(documents=[{**DOCUMENT, "id": ""}]),
        AT + r"documents\[0\]\.id: is empty",
    ),
    "a number without end": (
        line(
            lambda third: third.replace(b'"id": "', b'"number": ' + b"9" * 5000 + b', "id": "', 1)
        ),
        AT + "not valid JSON: a whole number of 5,000 digits",
    ),
    "two questions of one id": (
        questions(id="ada-soup"),
        AT + "id: two questions have the id 'ada-soup', first on line 1",
    ),
    "two documents of one id": (
        questions(documents=[DOCUMENT, DOCUMENT]),
        AT + r"documents\[1\]\.id: two documents have the id 'd1'",
    ),
    "an answer outside of the scale": (
        questions(answer=6),
        AT + "answer: '6' is not an answer of this task: expected one of 1, 2, 3, 4, 5",
    ),
    "an answer between two of the scale": (questions(answer=4.5), AT + "answer: '4.5' is not"),
    "not a number": (
        line(b'{"id": "x", "answer": NaN}'),
        AT + "not valid JSON: NaN is not a finite",
    ),
    "a byte order mark within": (
        line(lambda third: b"\xef\xbb\xbf" + third),
        AT + "a byte order mark within the file, as where two files were joined",
    ),
    "NUL": (
        questions(recipe="So\0up"),
        AT + r"recipe: holds the control character U\+0000 at character 3",
    ),
    "a huge line": (
        line(b'{"id": "' + b"x" * (65 * 2**20) + b'"}'),
        AT + r"longer than 64 MB; is a line break missing\?",
    ),
    "a cut line": (
        line(lambda third: third[: len(third) // 2]),
        AT + 'not valid JSON at column .* it starts with \'{"id": ',
    ),
    "two objects on a line": (line(lambda third: third + third), AT + "not valid JSON at column"),
    "a list and no object": (
        line(b"[1, 2]"),
        AT + "expected a JSON object on each line, got a list",
    ),
    "a field twice": (line(b'{"id": "1", "id": "2"}'), AT + "the field 'id' is there twice"),
    "nested without end": (line(b"[" * 100_000), AT + "not valid JSON"),
    "Latin-1": (line('{"id": "caf\xe9"}'.encode("latin-1")), AT + "not UTF-8 text; at byte 11"),
    "half a surrogate": (
        questions(recipe="So\ud800up"),
        AT + "recipe: holds half a surrogate pair, which is not valid text",
    ),
    "UTF-16": (whole('{"id": "1"}'.encode("utf-16")), r"dev\.jsonl:1: not UTF-8 text but UTF-16"),
    "an empty file": (whole(b""), r"dev\.jsonl: there is no question in it"),
    "no such file": (
        toml('dev = "dev.jsonl"', 'dev = "deb.jsonl"'),
        r"deb\.jsonl: there is no such file or folder",
    ),
    "a file of another form": (
        lambda folder: toml('dev = "dev.jsonl"', 'dev = "corpus.toml"')(folder),
        r"corpus\.toml: its name ends in '\.toml': expected one of \.jsonl, \.csv",
    ),
    "no TOML": (toml("[answer]", "[answer"), r"corpus\.toml:@[answer@: not valid TOML: "),
    "no corpus.toml": (
        lambda folder: (folder / "corpus.toml").unlink(),
        r"corpus\.toml: cannot be read: No such file",
    ),
    "an unknown field": (
        toml("query =", "querry ="),
        r"corpus\.toml:@querry@: questions\.querry: unknown field .* Did you mean 'query'\?",
    ),
    "no kind of answer": (
        toml('kind = "ratings"', "most = 4"),
        r"corpus\.toml:@[answer]@: answer\.kind: this field is missing; write kind = ",
    ),
    "an unknown kind": (
        toml('kind = "ratings"', 'kind = "rating"'),
        r"corpus\.toml:@kind = @: answer\.kind: unknown kind 'rating' .* Did you mean 'ratings'\?",
    ),
    "a scale that falls": (
        toml("scale = [1, 5]", "scale = [5, 1]"),
        r"corpus\.toml:@scale = @: answer\.scale: \[5, 1\]: expected the lowest and the highest",
    ),
    "a scale of a wrong type": (
        toml("scale = [1, 5]", 'scale = "1-5"'),
        r"corpus\.toml:@scale = @: answer\.scale: .* not '1-5'; write for example scale = \[1, 5\]",
    ),
    "no licence": (
        toml('license = "CC0-1.0"', ""),
        r"corpus\.toml:1: license: this field is missing; write for example license = ",
    ),
    "a score of another kind": (
        toml('# metrics = ["mae", "accuracy"]', 'metrics = ["mae", "rouge1"]'),
        r"corpus\.toml:@metrics = @: answer\.metrics\[1\]: ratings have no score 'rouge1'",
    ),
    "a template that names an unknown field": (
        template("{{ recipes }}"),
        IN_TEMPLATE + r"unknown name 'recipes' .* Did you mean 'recipe'\?",
    ),
    "an unknown field of a document": (
        template("{{ document.star }}"),
        IN_TEMPLATE + r"there is no field 'star' .* Did you mean 'stars'\?",
    ),
    "a template that is none": (
        template("{% if %}"),
        IN_TEMPLATE + r"not a Jinja template: ",
    ),
    "a template that reads a file": (
        template('{% include "/etc/passwd" %}'),
        IN_TEMPLATE + r"{% include %} reads another file",
    ),
    "a template that imports": (
        template('{% from "os" import path %}'),
        IN_TEMPLATE + r"{% import %} reads another file",
    ),
    "a template that looks for Python": (
        template("{{ recipe.__class__.__mro__ }}"),
        IN_TEMPLATE + r"access to attribute '__class__' .* is unsafe",
    ),
    "a template that calls Python": (
        template("{{ __import__('os').system('true') }}"),
        IN_TEMPLATE + r"unknown name '__import__'",
    ),
    "a template that grows without end": (
        template("{{ recipe * 1000000000 }}"),
        IN_TEMPLATE + r"'\*' is for numbers",
    ),
    "a template that pads without end": (
        template('{{ "%999999999s" % recipe }}'),
        IN_TEMPLATE + "'%' is for numbers",
    ),
    "a template that centers without end": (
        template("{{ recipe | center(999999999) }}"),
        IN_TEMPLATE + "not a Jinja template: No filter named 'center'",
    ),
    "a template that formats without end": (
        template('{{ "{:999999999}".format(recipe) }}'),
        IN_TEMPLATE + "access to attribute 'format' of 'str' object is unsafe",
    ),
    "a template without the question": (
        toml("review: {{ recipe }}", "review:"),
        r"corpus\.toml:@template = @: prompt\.template: without documents, .* the question is not",
    ),
    "a template without the documents": (
        toml("{% for document in documents %}", "{% for document in documents[:1] %}"),
        r"prompt\.template: a document more does not make the prompt longer",
    ),
    "template and style": (
        toml("[prompt]", '[prompt]\nstyle = "plain"'),
        r"corpus\.toml:@style = @: prompt\.style: there is a template already",
    ),
}


def with_lines(expected: str, folder: Path) -> str:
    """Put the line of corpus.toml that holds TEXT in the place of ``@TEXT@``."""

    def number(match: re.Match[str]) -> str:
        lines = (folder / "corpus.toml").read_text(encoding="utf-8").splitlines()
        (place,) = [n for n, each in enumerate(lines, 1) if match[1] in each]
        return str(place)

    return re.sub("@(.+?)@", number, expected)


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_told_with_its_place(name: str, folder: Path) -> None:
    change, expected = BROKEN[name]
    change(folder)
    result = CliRunner().invoke(main, ["check", str(folder)])
    assert result.exit_code == 1, result.output
    assert not isinstance(result.exception, Exception), "a traceback"
    assert re.search(with_lines(expected, folder), result.output), result.output
    # One mistake, and nothing that only follows from it.
    assert len(result.output.splitlines()) == 1, result.output


def test_the_example_has_no_mistakes(folder: Path) -> None:
    result = CliRunner().invoke(main, ["check", str(folder)])
    assert result.exit_code == 0, result.output
    assert "mydata, dev: 32 questions, of 8 users, 12 documents each" in result.output


@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"\xef\xbb\xbf" + content,
        lambda content: content.replace(b"\n", b"\r\n"),
        lambda content: content.replace(b"\n", b"\n\n"),
        lambda content: content.rstrip(b"\n"),
    ],
    ids=["a byte order mark", "CRLF", "empty lines", "no last line break"],
)
def test_what_editors_do_to_files_is_no_mistake(
    change: Callable[[bytes], bytes], folder: Path
) -> None:
    for path in folder.iterdir():
        path.write_bytes(change(path.read_bytes()))
    checked = check(folder)
    assert not list(checked.mistakes.lines())
    assert checked.splits["dev"].questions == 32


def test_all_mistakes_are_told_at_once_and_those_alike_are_counted(folder: Path) -> None:
    path = folder / "dev.jsonl"
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for record in records[:8]:
        del record["answer"]
    records[9]["recipe"] = ""
    records[10]["user"] = ["ada"]
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    told = list(check(folder).mistakes.lines())
    assert [line.partition("dev.jsonl")[2] for line in told] == [
        ":1: answer: is missing; expected text or a number.",
        ":2: answer: is missing; expected text or a number.",
        ":3: answer: is missing; expected text or a number.",
        ":11: user: expected text or a number, got a list",
        ": 5 more like this one: answer",
    ]


def test_ids_that_appear_twice_are_counted(folder: Path) -> None:
    path = folder / "dev.jsonl"
    path.write_bytes(path.read_bytes() * 2)
    told = list(check(folder).mistakes.lines())
    assert len(told) == 4
    assert told[0].endswith(":33: id: two questions have the id 'ada-soup', first on line 1")
    assert told[-1].endswith("29 more like this one: id: two questions have the same id")


def test_what_lacks_something_is_counted_in_the_singular_for_one(folder: Path) -> None:
    toml('dev = "dev.jsonl"', 'test = "dev.jsonl"')(folder)
    path = folder / "dev.jsonl"
    record = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
    empty = {**record, "recipe": " ", "documents": []}
    del empty["answer"]
    path.write_text(json.dumps(empty), encoding="utf-8")
    result = CliRunner().invoke(main, ["check", str(folder)])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[:4] == [
        "mydata, test: 1 question, of 1 user, 0 documents each",
        "  1 question has no documents",
        "  1 question is empty",
        "  1 question has no answer, and no score",
    ]


def test_a_split_with_some_answers_says_how_many_are_scored(folder: Path) -> None:
    toml('dev = "dev.jsonl"', 'test = "dev.jsonl"')(folder)
    path = folder / "dev.jsonl"
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for record in records[:30]:
        del record["answer"]
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    result = CliRunner().invoke(main, ["check", str(folder)])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[1:3] == [
        "  30 questions have no answer, and no score",
        "  2 questions are scored",
    ]


def test_a_template_that_trips_over_a_value_is_told_with_the_question(folder: Path) -> None:
    toml("document.stars }}", "(document.stars | int) // (3 - (document.stars | int)) }}")(folder)
    line, *others = check(folder).mistakes.lines()
    assert len(others) == 3
    assert re.search(r"prompt\.template: integer division .* \(of the dev question '", line)
    with pytest.raises(DataError, match=r"line 2 of a template of corpus\.toml: integer division"):
        everything = PromptSource.of(TASKS["own"], Depth(10), Settings(data=str(folder)))
        everything.prompts(range(32), None, None)


def test_init_writes_over_nothing(folder: Path) -> None:
    result = CliRunner().invoke(main, ["init", str(folder)])
    assert result.exit_code == 1
    assert "it is not empty" in result.output
