"""``qrag leaks``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from lamp_files import papers, reviews, write_flat

from qrag_tasks.cli import main


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["leaks", *(str(argument) for argument in arguments)])


def test_titles_that_are_given_away(tmp_path: Path) -> None:
    questions, outputs = papers(3)
    outputs["golds"][0]["output"] = "Birds"
    questions[1]["profile"][2]["title"] = "[b]the songs OF bird 1"
    questions[2]["profile"][0]["title"] = "The songs of bird 2"
    questions[2]["profile"][3]["abstract"] = "We study how birds number 2 sing: loudly."
    data = write_flat(tmp_path, "lamp5u", questions, outputs)
    done = run("lamp5u_rag_k5", "--data", data, "--json", tmp_path / "leaks.json")
    assert done.exit_code == 0, done.output
    written = json.loads((tmp_path / "leaks.json").read_text(encoding="utf-8"))
    assert [(leak["sample"], leak["index"], leak["item"], leak["kinds"]) for leak in written] == [
        ("201", 1, "2012", ["text"]),
        ("202", 2, "2020", ["answer"]),
        ("202", 2, "2023", ["question"]),
    ]
    for text in (
        "[b]>>the songs OF bird 1<<",
        "The songs of bird 2: Bird 0 of 2 sings.",
        "lamp5u, dev: 2 of 3 (66.67%) golds stand in the user's own profile: 1 as an item's "
        "answer, 1 in an item's texts\n",
        "lamp5u, dev: 1 of 3 (33.33%) questions are an item of the user's own profile\n",
        "as they have fewer than 3 words: 1 of 3 golds\n",
    ):
        assert text in done.output


def test_ratings_that_are_given_away(tmp_path: Path) -> None:
    questions, outputs = reviews(4)
    for question in questions[:2]:
        question["profile"][0] |= {"text": question["input"].partition("review:")[2], "score": 1}
    data = write_flat(tmp_path, "lamp3u", questions, outputs)
    done = run("lamp3u", "--data", data)
    assert (
        "lamp3u, dev: 2 of 4 (50.00%) questions are an item of the user's own profile, 1 with the "
        "gold as its answer\n"
    ) in done.output
    assert "question, answer" in done.output
    assert "golds stand" not in done.output


def test_nothing_is_given_away(small_data: Path, tmp_path: Path) -> None:
    done = run("lamp5u", "--data", small_data, "--json", tmp_path / "leaks.json")
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "lamp5u, dev: 0 of 3 (0.00%) golds stand in the user's own profile: 0 as an item's answer, "
        "0 in an item's texts",
        "lamp5u, dev: 0 of 3 (0.00%) questions are an item of the user's own profile",
    ]
    assert json.loads((tmp_path / "leaks.json").read_text()) == []


def test_a_split_without_golds(small_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "LaMP_5" / "test"
    folder.mkdir(parents=True)
    text = (small_data / "lamp5u" / "questions.json").read_text(encoding="utf-8")
    (folder / "test_questions.json").write_text(text, encoding="utf-8")
    done = run("lamp5u", "--data", tmp_path, "--split", "test")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == [
        "lamp5u, test: 0 of 3 (0.00%) questions are an item of the user's own profile",
        "lamp5u, test: the golds are not published and were not looked for",
    ]


@pytest.mark.parametrize("name", ["lamp1u", "lamp2t", "lamp4u", "lamp6t", "lamp7u"])
def test_the_sample_data_give_nothing_away(name: str) -> None:
    done = run(name, "--data", "mini")
    assert done.exit_code == 0, done.output
    assert "0 of 1" in done.output
    assert "passed over" not in done.output
    assert "\u2502" not in done.output


def test_real_titles(real_data: Path) -> None:
    done = run("lamp5u", "--data", real_data)
    assert ">>Word Vector Space Specialisation<<" in done.output
    assert "1 of 464 (0.22%) golds stand in the user's own profile" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lamp9u"], "unknown task 'lamp9u'"),
        (["lamp5u", "--data", "/nowhere"], "no such folder"),
        (["lamp5u", "--split", "tests"], "'tests' is not one of"),
        (["lamp5u", "--data", "mini", "--json", "/nowhere/x.json"], "No such file or directory"),
    ],
)
def test_leaks_refuses(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code != 0
    assert message in done.output
    assert "Traceback" not in done.output
