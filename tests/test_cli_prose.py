"""Lines for people: folded at the terminal's width, with commands in one piece."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from click.testing import CliRunner
from rated_arms import answers, samples
from run_files import QUANTIZED, write_run

from qrag_tasks.cli import main
from qrag_tasks.cli.group import print_prose

COMMAND = "`qrag run plan.yaml --out a-folder-with-a-long-name --shard 1/2`"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What rich takes for a terminal of 80 columns."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("before", range(0, 90, 7))
def test_a_command_is_in_one_line(before: int, capsys: pytest.CaptureFixture[str]) -> None:
    words = "x" * before + " is what " + COMMAND + " has to make before anything else is compared"
    print_prose(words, stderr=True)
    said = capsys.readouterr().err
    assert [line for line in said.splitlines() if COMMAND in line]
    assert " ".join(said.split()) == " ".join(words.split())
    assert all(len(line) <= 80 for line in said.splitlines() if "xxxx" not in line)


@pytest.mark.usefixtures("terminal")
def test_lines_of_a_text_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_prose("one\n  two " + 30 * "word " + "\n`" + "long " * 30 + "end`")
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert (first, second[:6]) == ("one", "  two ")
    assert rest[-1] == "`" + "long " * 30 + "end`"


def test_in_a_pipe_nothing_is_folded(capsys: pytest.CaptureFixture[str]) -> None:
    print_prose("word " * 100)
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.usefixtures("terminal")
def test_notes_of_compare_are_folded(tmp_path: Path) -> None:
    base = write_run(tmp_path / "base", samples(answers(6)))
    other = write_run(tmp_path / "other", samples(answers(15, 3)), model_args=QUANTIZED)
    (results,) = other.glob("results_*")
    body = json.loads(results.read_bytes())
    body["results"]["lamp3u_rag_k1"]["mae,none"] = math.nan
    results.write_text(json.dumps(body), encoding="utf-8")
    command = ["compare", str(base), str(other)]
    done = CliRunner().invoke(main, command, env={"COLUMNS": "60"})
    assert done.exit_code == 0, done.output
    # Behind what clears the bar of progress away.
    assert done.stderr.rpartition("\x1b[2K")[2].splitlines() == [
        "note: lamp3u_rag_k1: mae is left out: it is not a finite",
        "number in both arms",
    ]
