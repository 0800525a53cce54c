"""``qrag compare``: its tables, files, progress and messages."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from rated_arms import answers, compared, samples
from run_files import QUANTIZED, write_run

from qrag_tasks.cli import main
from qrag_tasks.errors import ComparisonError
from qrag_tasks.experiment.comparison.matching import match_runs
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.comparison.tables.latex import latex
from qrag_tasks.experiment.comparison.tables.markdown import markdown
from qrag_tasks.experiment.comparison.tables.records import csv_text, flat
from qrag_tasks.experiment.comparison.tables.sections import sections
from qrag_tasks.experiment.comparison.tables.texts import (
    cell_table,
    records,
)
from qrag_tasks.experiment.report.answer import sentences
from qrag_tasks.experiment.report.report import make_report
from qrag_tasks.logs.runs import read_runs


def test_arms_that_results_do_not_tell_apart(tmp_path: Path) -> None:
    """Of two servers, or of two checkpoints of one precision, no line may be made of both."""
    folders = []
    for name, wrong in (("base", 6), ("four", 9), ("five", 12)):
        for k in (1, 3):
            write_run(
                tmp_path / name / "org__m" / str(k),
                samples(answers(wrong), kept=["d"] * k),
                task=f"lamp3u_rag_k{k}",
                config={"model": "local-completions", "model_args": {"model": "m"}},
            )
        folders.append(tmp_path / name)
    comparison = compared(*folders)
    assert {row["Other"] for row in records(comparison)} == {"four", "five"}
    assert {row["Base"] for row in records(comparison)} == {"base"}
    trends = [(row.arm, row.k) for row in comparison.trends if row.metric == "mae"]
    assert trends == [("five", ["1", "3"]), ("four", ["1", "3"])]
    out = tmp_path / "out.csv"
    base, four, five = folders
    arms = [f"fp16={base}", f"int4={four}", five, "--resamples", 199, "--out", out]
    done = CliRunner().invoke(main, ["compare", *map(str, arms)])
    assert done.exit_code == 0, done.output
    assert "lamp3u, mae ↓: m against fp16" in done.stdout
    with out.open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert {(row["base_arm"], row["arm"], row["precision"]) for row in table} == {
        ("fp16", "int4", ""),
        ("fp16", "five", ""),
    }
    done = CliRunner().invoke(main, ["compare", f"a={base}", f"a={four}"])
    assert "two arms are called a: give each a name of its own" in done.output
    done = CliRunner().invoke(main, ["compare", str(base), "int4=nowhere"])
    assert "nowhere: no such file or folder" in done.output


def test_a_folder_with_an_equals_sign(tmp_path: Path) -> None:
    one = write_run(tmp_path / "lr=1", samples(answers(6)))
    two = write_run(tmp_path / "lr=2", samples(answers(9)), model_args=QUANTIZED)
    done = CliRunner().invoke(main, ["compare", str(one), str(two), "--resamples", "99"])
    assert done.exit_code == 0, done.output
    assert "model-1b int4-nf4 against bf16" in done.stdout


def test_what_takes_a_second_to_import_is_left(base: Path, other: Path, tmp_path: Path) -> None:
    heavy = {"lm_eval", "matplotlib", "nltk", "pandas", "scipy.stats", "sklearn", "statsmodels"}
    code = (
        "import sys; from qrag_tasks.cli import main; "
        "main(['compare', *sys.argv[1:]], standalone_mode=False); "
        f"print('imported', sorted({heavy!r} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(base), str(other)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "QRAG_CACHE": str(tmp_path / "cache")},
    )
    # Texts were compared, and a test of every kind was made.
    assert "worse" in done.stdout
    assert done.stdout.splitlines()[-1] == "imported []"


def test_progress_is_shown_on_a_terminal_alone(
    base: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = ["report", str(base), str(other), "-o", str(tmp_path / "page.html")]
    for forced, cache, shown in (
        ("", "one", []),
        ("1", "two", ["checking files", "reading", "comparing", "packing samples"]),
        # What the comparison found is kept.
        ("1", "two", ["checking files", "reading", "packing samples"]),
    ):
        # What rich takes for a terminal.
        monkeypatch.setenv("FORCE_COLOR", forced)
        monkeypatch.setenv("QRAG_CACHE", str(tmp_path / cache))
        done = CliRunner().invoke(main, report)
        assert done.exit_code == 0, done.output
        known = ("checking files", "reading", "comparing", "packing samples")
        bars = [said for said in known if said in done.stderr]
        assert bars == shown
        assert ("1/1" in done.stderr) == bool(shown)


def test_an_order_is_shown_where_it_varies(tmp_path: Path) -> None:
    arms = []
    for name, arguments in (("one", {}), ("two", QUANTIZED)):
        for order in ("best-first", "reversed"):
            for k in (0, 1, 3):
                # With one document or none, as in a grid, it is run once.
                if k == 3 or order == "best-first":
                    write_run(
                        tmp_path / name / f"{k}{order}",
                        samples(answers(6), kept=["d"] * k),
                        task=f"lamp3u_rag_k{k}",
                        facts={"order": order},
                        model_args=arguments,
                    )
        arms.append(tmp_path / name)
    comparison = compared(*arms)
    assert [(row["k"], row["Retriever"], row["Order"]) for row in records(comparison)] == [
        ("0", "none", ""),
        ("1", "bm25", ""),
        ("3", "bm25", "best-first"),
        ("3", "bm25", "reversed"),
    ]
    assert "Order" in cell_table(comparison).headings
    # What has no retriever or no order belongs to the lines of all.
    trends = [(row.order, row.k) for row in comparison.trends if row.metric == "mae"]
    assert trends == [("best-first", ["0", "1", "3"]), ("reversed", ["0", "1", "3"])]


def test_a_score_that_is_not_a_number(base: Path, other: Path, tmp_path: Path) -> None:
    (results,) = other.glob("results_*")
    body = json.loads(results.read_bytes())
    body["results"]["lamp3u_rag_k1"]["mae,none"] = math.nan
    results.write_text(json.dumps(body), encoding="utf-8")
    out = tmp_path / "table.json"
    done = CliRunner().invoke(main, ["compare", str(base), str(other), "--out", str(out)])
    assert done.exit_code == 0
    message = "note: lamp3u_rag_k1: mae is left out: it is not a finite number in both arms"
    assert message in done.stderr
    # Which JSON does not have.
    assert "NaN" not in out.read_text(encoding="utf-8")


def test_the_command(base: Path, other: Path, tmp_path: Path) -> None:
    outs = [tmp_path / f"table{suffix}" for suffix in (".json", ".csv", ".parquet", ".tex", ".md")]
    arguments = [str(base), str(other), "--resamples", "999"]
    for out in outs:
        arguments += ["--out", str(out)]
    done = CliRunner().invoke(main, ["compare", *arguments])
    assert done.exit_code == 0, done.output
    assert "0.1000" in done.stdout
    assert "worse" in done.stdout
    as_json = json.loads(outs[0].read_bytes())
    mae = as_json["cells"][0]["metrics"][0]
    assert mae["interval"]["low"] < 0.35 < mae["interval"]["high"]
    with outs[1].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["metric"] for row in rows] == ["mae", "rmse", "accuracy"]
    assert float(rows[0]["low"]) == mae["interval"]["low"]
    table = pyarrow.parquet.read_table(outs[2]).to_pylist()
    assert table[0]["difference"] == pytest.approx(0.35)
    assert table[0]["retriever"] == "bm25"
    assert outs[3].read_text(encoding="utf-8").count(" \\\\") == 3
    assert outs[4].read_text(encoding="utf-8").count("\n") == 3


def test_intervals_of_another_level_are_called_by_it(base: Path, other: Path) -> None:
    comparison = compared(base, other, level=0.9)
    assert comparison.cells[0].metrics[0].interval is not None
    assert comparison.cells[0].metrics[0].interval.level == 0.9
    assert "90 % interval" in cell_table(comparison).headings
    assert "90 % interval" in sections(comparison, (), lambda *_: True)[0].headings
    assert "with 90 \\% intervals" in latex(comparison)
    assert ", 90% interval" in sentences(comparison)[1]
    page = make_report(match_runs(read_runs(base), [read_runs(other)]), Options(level=0.999), "t")
    assert "symmetric bootstrap-t at 99.9 %, users" in page.html


def test_no_p_is_zero(base: Path, other: Path) -> None:
    comparison = compared(base, other)
    (cell,) = comparison.cells
    for p, shown in ((0.00049, "<0.001"), (0.0005, "0.001"), (0.0499, "0.050"), (None, "")):
        rows = [replace(row, p_holm=p) for row in cell.metrics]
        changed = replace(comparison, cells=[replace(cell, metrics=rows)])
        assert records(changed)[0]["p (Holm)"] == shown


def test_the_command_says_what_is_wrong(base: Path, other: Path, tmp_path: Path) -> None:
    def told(*arguments: object) -> str:
        done = CliRunner().invoke(main, ["compare", *map(str, arguments)])
        assert done.exit_code == 1
        assert not isinstance(done.exception, ComparisonError)
        return done.output

    assert "holds runs of lm_eval, and no plan.json" in told(base)
    (tmp_path / "empty").mkdir()
    assert "holds no grid: there is no plan.json" in told(tmp_path / "empty")
    (log,) = other.glob("samples_*")
    assert f"{log}: not named as a results file of lm_eval is" in told(base, log)
    known = "these runs have no such metric (they have mae, rmse, accuracy)."
    assert f"--metric foo: {known}\n" in told(base, other, "--metric", "foo")
    said = told(base, other, "--margin", "accuracyy=.1")
    assert f"--margin accuracyy: {known} Did you mean 'accuracy'?" in said
    assert "no such metric" in told(base, other, "--metric", "valid_rate")
    assert "give a metric and a size above 0" in told(base, other, "--margin", "mae")
    assert "give a metric and a size above 0" in told(base, other, "--margin", "mae=-1")
    # Before anything is read.
    for command, option, name, said in (
        ("compare", "--out", "x.xlsx", "name a file in .json, .csv, .parquet, .tex, .md"),
        ("compare", "--out", "no/x.csv", f"there is no folder {tmp_path / 'no'}. Make it first"),
        ("report", "-o", "x.pdf", "name a file in .html, .htm"),
        ("report", "-o", "no/x.html", f"there is no folder {tmp_path / 'no'}. Make it first"),
        ("report", "--figures", "file.csv/x", f"{tmp_path / 'file.csv'} is a file. Name a folder"),
    ):
        (tmp_path / "file.csv").write_text("", encoding="utf-8")
        arguments = [command, tmp_path / "nowhere", other, option, tmp_path / name]
        done = CliRunner().invoke(main, [*map(str, arguments)])
        assert (done.exit_code, said in done.output) == (1, True), done.output
    (tmp_path / "noise.json").write_text("[1]", encoding="utf-8")
    message = told(base, other, "--noise", tmp_path / "noise.json")
    assert "not as `qrag noise --out` writes it" in message


def test_tables_of_odd_names(base: Path, tmp_path: Path) -> None:
    odd = write_run(
        tmp_path / "odd", samples(answers(9)), model_args={"pretrained": "my_model|50%[x]"}
    )
    comparison = compared(base, odd)
    assert "my_model\\|50%[x]" in markdown(*cell_table(comparison))
    assert "my\\_model\\textbar{}50\\%[x]" in latex(comparison)
    assert (
        next(csv.DictReader(io.StringIO(csv_text(flat(comparison)))))["model"] == "my_model|50%[x]"
    )
    assert len(records(comparison, ["mae", "accuracy"])) == 2
    assert np.isfinite(comparison.cells[0].metrics[0].difference)
