"""Answers that no lm_eval wrote: imported, compared, and every way to get them wrong."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from run_files import rating, write_run

from qrag_tasks.cli import main
from qrag_tasks.errors import ComparisonError
from qrag_tasks.experiment.comparison.compare import compare_runs
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.comparison.rows import Comparison
from qrag_tasks.logs.runs import read_runs

Lines = list[dict[str, Any]]
RATINGS = ("--answer", "ratings", "--scale", "1", "5")


def lines(style: Callable[[int], str] = str, wrong: int = 0) -> Lines:
    """Return sixty answers of twenty users, of which the first are one off."""
    return [
        {
            "id": f"q{i}",
            "prompt": f"Rate review {i}, näher.",
            "answer": style((1 + i % 5) - (1 if i % 5 > 0 and i < wrong else 0)),
            "gold": str(1 + i % 5),
            "user": f"u{i // 3}",
        }
        for i in range(60)
    ]


def written(path: Path, rows: Lines) -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
    return path


def imported(tmp_path: Path, *options: object) -> Result:
    return CliRunner().invoke(
        main, ["import", *map(str, options), "--out", str(tmp_path / "results")]
    )


def two(tmp_path: Path, one: Lines, other: Lines) -> tuple[Path, Path]:
    return written(tmp_path / "fp16.jsonl", one), written(tmp_path / "int4.jsonl", other)


def compared(tmp_path: Path, arms: Sequence[str] = ("fp16", "int4")) -> Comparison:
    base, *others = (read_runs(tmp_path / "results" / arm) for arm in arms)
    return compare_runs(base, others, Options(resamples=199))


def test_answers_are_read_and_scored_as_ours(tmp_path: Path) -> None:
    """As a run of lm_eval with the same answers; whether a text says more makes no difference."""
    files = two(tmp_path, lines(), lines(lambda n: f"The answer is {n}.", wrong=20))
    result = imported(tmp_path, *files, *RATINGS)
    assert result.exit_code == 0, result.output
    assert "fp16 (the base): 60 answers" in result.stdout
    assert "qrag compare" in result.stdout
    (cell,) = compared(tmp_path).cells
    runs = [
        write_run(
            tmp_path / name,
            [
                rating(i, row["prompt"], row["answer"], int(row["gold"]), row["user"])
                for i, row in enumerate(rows)
            ],
        )
        for name, rows in (("one", lines()), ("two", lines(wrong=20)))
    ]
    (theirs,) = compare_runs(read_runs(runs[0]), [read_runs(runs[1])], Options(resamples=199)).cells
    mine = {row.metric: row for row in cell.metrics}
    for row in theirs.metrics:
        assert mine[row.metric] == row
    assert cell.agreement.same_answer == theirs.agreement.same_answer
    assert cell.agreement.same_text == 0
    assert (cell.samples, cell.users) == (60, 20)


def test_it_is_marked_as_imported(tmp_path: Path) -> None:
    assert imported(tmp_path, *two(tmp_path, lines(), lines()), *RATINGS).exit_code == 0
    (note,) = (note for note in compared(tmp_path).notes if note.startswith("imported: "))
    assert "imported fp16 (from fp16.jsonl), imported int4 (from int4.jsonl)" in note
    assert "is what the files say" in note
    assert compared(tmp_path).cells[0].other.evidence == "stated"


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_tables(tmp_path: Path, suffix: str) -> None:
    rows = lines(wrong=9)
    if suffix == ".tsv":
        path = tmp_path / "int4.tsv"
        text = "\n".join("\t".join(row.values()) for row in rows)
        path.write_text("\t".join(rows[0]) + "\n" + text + "\n", encoding="utf-8")
    else:
        path = written(tmp_path / f"int4{suffix}", rows)
    base = written(tmp_path / "fp16.jsonl", lines())
    assert imported(tmp_path, base, path, *RATINGS).exit_code == 0
    (cell,) = compared(tmp_path).cells
    assert cell.metrics[0].difference == pytest.approx(7 / 60)


def test_columns_of_other_names_and_questions_of_their_own(tmp_path: Path) -> None:
    questions = written(tmp_path / "questions.jsonl", [{**row, "answer": None} for row in lines()])
    files = [
        written(path, [{"id": row["id"], "output": row["answer"]} for row in rows])
        for path, rows in (
            (tmp_path / "a.jsonl", lines()),
            (tmp_path / "b.jsonl", lines(wrong=9)),
        )
    ]
    result = imported(
        tmp_path,
        *(f"fp16={files[0]}", f"int4={files[1]}", *RATINGS),
        *("--questions", questions, "--field", "answer=output", "--model", "qwen"),
    )
    assert result.exit_code == 0, result.output
    (cell,) = compared(tmp_path).cells
    assert (cell.other.model, cell.other.arm) == ("qwen", "int4")
    assert cell.metrics[0].difference == pytest.approx(7 / 60)


def test_orders_stand_in_the_table(tmp_path: Path) -> None:
    """As do k and retrievers; arms come in the order of their files."""

    def rows(wrong: int) -> Lines:
        return [
            {**row, "k": k, "retriever": "bm25", "order": order, "documents": ["d1", "d2"][:k]}
            for k, order in ((1, None), (5, "best-first"), (5, "reversed"))
            for row in lines(wrong=wrong)
        ]

    files = two(tmp_path, rows(0), rows(9))
    assert imported(tmp_path, files[1], files[0], *RATINGS, "--task", "reviews").exit_code == 0
    arms = [str(tmp_path / "results" / name) for name in ("int4", "fp16")]
    result = CliRunner().invoke(main, ["compare", *arms, "--wide", "--resamples", "199"])
    assert result.exit_code == 0, result.output
    (head, _, *table) = result.stdout.splitlines()
    assert "Order" in head
    assert [line.split()[1:4:2] for line in table[:3]] == [
        *(["1", "imported"], ["5", "best-first"], ["5", "reversed"]),
    ]
    assert all("int4" in line.split("imported")[1].split()[0] for line in table[:3])


def test_our_tasks_say_the_kind(tmp_path: Path) -> None:
    files = two(tmp_path, lines(), lines(wrong=9))
    assert imported(tmp_path, *files, "--task", "lamp3u").exit_code == 0
    (cell,) = compared(tmp_path).cells
    assert {"mae", "mae_lamp"} <= {row.metric for row in cell.metrics}
    assert cell.lamp_task == "lamp3u"


def test_prompts_by_their_hash(tmp_path: Path) -> None:
    hashed = [
        {**row, "prompt": None, "prompt_sha256": hashlib.sha256(row["prompt"].encode()).hexdigest()}
        for row in lines(wrong=9)
    ]
    assert imported(tmp_path, *two(tmp_path, lines(), hashed), *RATINGS).exit_code == 0
    assert compared(tmp_path).cells[0].samples == 60
    again = tmp_path / "again"
    again.mkdir()
    assert imported(again, *two(again, hashed, hashed), *RATINGS).exit_code == 0
    assert "by the digests that the files give" in compared(again).notes[0]


def test_without_golds_agreement_is_left(tmp_path: Path) -> None:
    bare = [{key: row[key] for key in ("id", "prompt", "answer")} for row in lines()]
    assert imported(tmp_path, *two(tmp_path, bare, bare), *RATINGS).exit_code == 0
    (cell,) = compared(tmp_path).cells
    assert not cell.metrics
    assert cell.agreement.same_answer == 1
    assert cell.other.valid_rate == 1


@pytest.mark.parametrize(
    ("options", "name", "gold", "answer", "score"),
    [
        (["--answer", "labels", "--values", "lark, owl"], "accuracy", "owl", "An owl.", 1.0),
        (["--answer", "choice"], "accuracy", "B", "(b) it is", 1.0),
        (["--answer", "exact"], "exact_match", "the Owl", "owl!\nmore", 1.0),
        (["--answer", "text"], "rougeL", "an owl", "Title: an owl", 1.0),
        (["--answer", "text", "--lines", "all"], "rougeL", "an owl", "an\nowl", 1.0),
    ],
)
def test_every_kind(
    tmp_path: Path, options: list[str], name: str, gold: str, answer: str, score: float
) -> None:
    rows = [{**row, "gold": gold, "answer": answer} for row in lines()]
    result = imported(tmp_path, *two(tmp_path, rows, rows), *options)
    assert result.exit_code == 0, result.output
    metrics = {row.metric: row for row in compared(tmp_path).cells[0].metrics}
    assert metrics[name].base == score


@pytest.mark.parametrize("hashed", [False, True])
def test_against_a_run_of_lm_eval(tmp_path: Path, hashed: bool) -> None:
    """Prompts and golds are compared; of anything else nothing is known."""
    rows = [
        {**row, "id": f"9{i:04}", "k": 1, "retriever": "bm25"}
        for i, row in enumerate(lines(wrong=9))
    ]
    logged = [
        rating(i, row["prompt"], row["gold"], int(row["gold"]), row["user"])
        for i, row in enumerate(rows)
    ]
    run = write_run(tmp_path / "run", logged)
    if hashed:
        for row in rows:
            row["prompt_sha256"] = hashlib.sha256(row.pop("prompt").encode()).hexdigest()
    path = written(tmp_path / "script.jsonl", rows)
    assert imported(tmp_path, path, "--task", "lamp3u").exit_code == 0

    def compare() -> Comparison:
        others = [read_runs(tmp_path / "results" / "script")]
        return compare_runs(read_runs(run), others, Options(resamples=199))

    (cell,) = compare().cells
    assert cell.metrics[0].difference == pytest.approx(7 / 60)
    logged[3]["arguments"]["gen_args_0"]["arg_0"] += "!"
    write_run(tmp_path / "run", logged)
    with pytest.raises(ComparisonError, match="its prompts differ from character"):
        compare()


# ---------------------------------------------------------------------- ways to get it wrong
def test_golds_that_are_missing_in_some_lines(tmp_path: Path) -> None:
    one = lines()
    for number in range(10, 60):
        del one[number]["gold"]
    result = imported(tmp_path, *two(tmp_path, one, lines()), *RATINGS)
    assert result.exit_code == 1
    assert result.stderr.count("gold: is missing on 50 of 120 lines") == 3
    assert f"{tmp_path / 'fp16.jsonl'}:11: gold: " in result.stderr
    assert "give every line its right answer, or none of them" in result.stderr
    assert "47 more like this one: no gold" in result.stderr
    assert not (tmp_path / "results").exists()


def test_arms_with_other_prompts(tmp_path: Path) -> None:
    other = [{**row, "prompt": row["prompt"].replace("Rate", "Please rate")} for row in lines()]
    result = imported(tmp_path, *two(tmp_path, lines(), other), *RATINGS)
    assert result.exit_code == 1
    assert (
        f"{tmp_path / 'int4.jsonl'}:1: prompt: another prompt for id 'q0' than in fp16.jsonl, line "
        f"1, from character 1 on: 'Rate review 0, näher.' there and 'Please rate review 0, näher.' "
        f"here"
    ) in result.stderr
    assert "57 more like this one: another prompt for the same id: arms are" in result.stderr


def test_raw_texts_where_answers_should_be_read(tmp_path: Path) -> None:
    files = two(tmp_path, lines(), lines(lambda n: f"The answer is {n}."))
    refused = imported(tmp_path, *files)
    assert refused.exit_code == 1
    assert "what kind of answer is it? Give --answer ratings --scale LOWEST" in refused.stderr
    result = imported(tmp_path, *files, "--answer", "exact")
    assert (
        "note: the golds are 5 texts ('1', '2', '3', '4', '5'), and 60 of 120 answers hold one of "
        "them within more words, such as 'The answer is 1.' (int4.jsonl, line 1): as exact they "
        "are compared whole. To have the answer read out of them, import with --answer ratings "
        "--scale 1 5"
    ) in result.stderr


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    rows = lines()
    rows[0] = {"id": "q0", "prompt": "p", "anwser": "5", "gold": "5"}
    rows[1]["gold"] = "The answer is 2."
    rows[2]["answer"] = ["3"]
    rows[3]["id"] = "q9"
    rows[4] = {"id": "q4", "answer": "5"}
    rows[5]["k"] = "some"
    rows[6]["prompt_sha256"] = "0" * 64
    rows[7]["model"] = "another"
    rows[8]["documents"] = -1
    path = written(tmp_path / "fp16.jsonl", rows)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"id": "q61"\n')
    result = imported(tmp_path, path, *RATINGS)
    assert result.exit_code == 1
    for line, told in (
        (1, "answer: is missing; expected the model's text, as it came. Did you mean 'anwser'?"),
        (2, "gold: 'The answer is 2.' is not an answer of this kind: expected one of 1, 2, 3, 4,"),
        (3, "answer: expected text or a number, got a list"),
        (5, "prompt: is missing; expected all that the model was given, or its sha256"),
        (6, "k: 'some': expected a number of documents, or one of max4k, max8k"),
        (7, "prompt_sha256: is not that of the prompt, which is "),
        (8, "model: 'another', and other lines of arm fp16 say 'imported'"),
        (9, "documents: expected a whole number or a list"),
        (10, "id: 'q9' is there twice for arm fp16, first in fp16.jsonl, line 4"),
        (61, "not valid JSON at column"),
    ):
        assert f"{path}:{line}: {told}" in result.stderr
    assert "It holds '2': give that alone." in result.stderr
    assert "docs/importing.md tells what a line has." in result.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--answer", "ratings"], "--scale: --answer ratings needs it"),
        (["--answer", "exact", "--scale", "1", "5"], "--scale: --answer exact has no such option"),
        (["--answer", "ratings", "--scale", "5", "1"], "--scale: [5, 1]: expected the lowest"),
        (["--answer", "labels", "--values", "a"], "--values: "),
        (["--scale", "1", "5"], "--scale is for --answer: give that, too"),
        (["--task", "lamp3u", "--answer", "exact"], "--task lamp3u says the kind of answer"),
        (["--task", "own"], "--task own: corpus.toml says the kind of answer of own data, and an"),
        (["--task", "own", *RATINGS], "which is --task own- and the corpus's name"),
        (["--task", "lamp3"], "which says it. Did you mean 'lamp3u' or"),
        ([*RATINGS, "--field", "anwser=x"], "there is no field 'anwser' (known: id, answer,"),
        ([*RATINGS, "--field", "answer"], "--field answer: give a field and its column"),
        ([*RATINGS, "--field", "answer=output"], "output: is missing"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, options: list[str], told: str) -> None:
    result = imported(tmp_path, *two(tmp_path, lines(), lines()), *options)
    assert result.exit_code == 1
    assert told in result.stderr


def test_a_table_without_answers(tmp_path: Path) -> None:
    rows = [{key: row[key] for key in ("id", "prompt", "gold")} for row in lines()]
    result = imported(tmp_path, written(tmp_path / "a.csv", rows), *RATINGS)
    assert result.exit_code == 1
    assert "answer: is empty on every line of arm a; a column of another name" in result.stderr


def test_ids_that_one_arm_lacks(tmp_path: Path) -> None:
    result = imported(tmp_path, *two(tmp_path, lines(), lines()[:50]), *RATINGS)
    assert result.exit_code == 0
    assert "answers: fp16 alone has 10 ids, and int4 alone 0; `qrag compare --common`" in (
        result.stderr
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"task": "other"}, "'q0' of task other here, and 'q0' of task answers there"),
        ({"k": 5}, "'q0' of task answers, k 5 here, and 'q0' of task answers there"),
        ({"id": "x"}, "'x' of task answers here, and 'q0' of task answers there"),
    ],
)
def test_arms_with_nothing_in_common(tmp_path: Path, change: dict[str, object], told: str) -> None:
    other = [{**row, **change} for row in lines()[: 1 if "id" in change else None]]
    result = imported(tmp_path, *two(tmp_path, lines(), other), *RATINGS)
    assert result.exit_code == 1
    assert f"{tmp_path / 'int4.jsonl'}:1: id: arm int4 answers none of the questions of the" in (
        result.stderr
    )
    assert told in result.stderr
    assert not (tmp_path / "results").exists()


def test_a_mistake_is_told_once(tmp_path: Path) -> None:
    other = lines()
    other[0]["prompt"], other[1]["prompt"] = "", "\ud800"
    result = imported(tmp_path, *two(tmp_path, lines(), other), *RATINGS)
    assert ":1: prompt: is empty" in result.stderr
    assert ":2: prompt: holds half a surrogate pair" in result.stderr
    assert "is missing" not in result.stderr
    other = lines()
    del other[0]["gold"]
    result = imported(tmp_path, *two(tmp_path, lines(), other), *RATINGS)
    assert ":1: gold: is missing on 1 of 120 lines" in result.stderr
    assert "another gold" not in result.stderr


def test_what_is_there_once_is_counted_in_the_singular(tmp_path: Path) -> None:
    other = [{**lines()[0], "answer": "none"}]
    result = imported(tmp_path, *two(tmp_path, lines(), other), *RATINGS)
    assert "note: 1 of 61 answers holds no rating of this kind" in result.stderr
    assert "): it is scored as wrong" in result.stderr
    assert "int4: 1 answer\n" in result.output


def test_nothing_is_written_over(tmp_path: Path) -> None:
    files = two(tmp_path, lines(), lines())
    assert imported(tmp_path, *files, *RATINGS).exit_code == 0
    again = imported(tmp_path, *files, *RATINGS)
    assert again.exit_code == 1
    assert "results holds something: name another folder, or remove it" in again.stderr


def test_answers_that_hold_nothing(tmp_path: Path) -> None:
    rows = lines()
    rows[3]["answer"] = None
    rows[4]["answer"] = "I cannot say"
    result = imported(tmp_path, *two(tmp_path, rows, lines()), *RATINGS)
    assert "note: 2 of 120 answers hold no rating of this kind, such as ''" in result.stderr


# ---------------------------------------------------------------------- attributes
@pytest.mark.parametrize("form", [".jsonl", ".csv"])
def test_attributes_are_imported(tmp_path: Path, form: str) -> None:
    arms = []
    for arm, wrong in (("base", 3), ("other", 40)):
        rows = lines(wrong=wrong)
        for number, row in enumerate(rows):
            row |= {"back": number, "topic": ("a", "b")[number % 2], "odd": None}
        arms.append(written(tmp_path / f"{arm}{form}", rows))
    names = ("--attribute", "back", "--attribute", "topic", "--attribute", "odd")
    done = imported(tmp_path, *arms, *RATINGS, *names)
    assert done.exit_code == 0, done.output
    results = tmp_path / "results"
    comparison = compare_runs(
        read_runs(results / "base"), [read_runs(results / "other")], Options(resamples=99)
    )
    by_name = {row.attribute: row for row in comparison.attributes}
    assert set(by_name) == {"back", "topic"}
    assert by_name["back"].reach == 59
    assert [one.label for one in by_name["topic"].bins] == ["a", "b"]


def test_an_attribute_that_cannot_be_imported(tmp_path: Path) -> None:
    rows = [{**row, "topic": ["a"]} for row in lines()]
    done = imported(tmp_path, written(tmp_path / "a.jsonl", rows), *RATINGS, "--attribute", "topic")
    assert done.exit_code == 1
    assert "a.jsonl:1: topic: expected text or a number, got a list" in done.output
