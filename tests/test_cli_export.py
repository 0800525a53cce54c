"""``qrag export predictions``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sample_log_files import TIME, record, write_log, write_results

from qrag_tasks.cli import main

LATER = "2026-11-23T08-00-00.000001"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(
        main, ["export", "predictions", *(str(argument) for argument in arguments)]
    )


def test_every_run_gets_a_file_of_its_own(tmp_path: Path) -> None:
    for time, answer in ((TIME, "4"), (LATER, "5")):
        path = write_log(tmp_path / "results" / "m", record("1", answer), time=time)
        write_results(path, 1)
    write_log(tmp_path / "results" / "m", record("1", "x"), task="lamp5u_rag_k1")
    write_log(tmp_path / "results" / "m", record("1", "x"), task="hellaswag")
    out = tmp_path / "answers"
    done = run(tmp_path / "results", "--out", out)
    assert done.exit_code == 0, done.output
    names = [
        f"predictions_lamp3u_rag_k5_{TIME}.json",
        f"predictions_lamp3u_rag_k5_{LATER}.json",
        f"predictions_lamp5u_rag_k1_{TIME}.json",
    ]
    assert sorted(path.name for path in out.iterdir()) == names
    answers = [json.loads((out / name).read_text())["golds"][0]["output"] for name in names]
    assert answers == ["4", "5", "x"]
    assert f"{out / names[0]}: 1 answer to lamp3u_rag_k5 by hf pretrained=m" in done.stdout
    assert f"samples_hellaswag_{TIME}.jsonl: not a LaMP task of ours; left out" in done.stderr
    assert "is not known" in done.stderr  # of lamp5u, which has no results file
    assert "is not known" not in done.stdout


def test_one_log_may_have_a_file_name(tmp_path: Path) -> None:
    path = write_log(tmp_path, record("1", "a 4"))
    out = tmp_path / "a" / "answers.json"
    assert run(path, "-o", out).exit_code == 0
    assert json.loads(out.read_text())["golds"] == [{"id": "1", "output": "a 4"}]
    assert run(path, "-o", out, "--cleaned").exit_code == 0
    assert json.loads(out.read_text())["golds"] == [{"id": "1", "output": "4"}]


def test_the_default_is_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_log(tmp_path / "results", record("1", "4"))
    monkeypatch.chdir(tmp_path)
    assert run(path).exit_code == 0
    assert (tmp_path / f"predictions_lamp3u_rag_k5_{TIME}.json").is_file()


def test_several_logs_need_a_folder(tmp_path: Path) -> None:
    write_log(tmp_path, record("1", "4"))
    write_log(tmp_path, record("1", "4"), time=LATER)
    done = run(tmp_path, "-o", tmp_path / "answers.json")
    assert done.exit_code == 1
    assert "is one file, for 2 logs" in done.output
    assert not (tmp_path / "answers.json").exists()


def test_no_run_takes_the_place_of_another(tmp_path: Path) -> None:
    for folder, answer in (("a", "4"), ("b", "5")):
        write_log(tmp_path / folder, record("1", answer))
    done = run(tmp_path, "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert "would both be written to" in done.output
    assert not (tmp_path / "out").exists()


def test_one_broken_log_and_nothing_is_written(tmp_path: Path) -> None:
    write_log(tmp_path / "logs", record("1", "4"))
    write_log(tmp_path / "logs", record("1", "4"), '{"doc_id"', time=LATER)
    done = run(tmp_path / "logs", "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert "line 2: cut after 9 bytes" in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "out").exists()


def test_what_is_no_log(tmp_path: Path) -> None:
    done = run(tmp_path / "gone")
    assert done.exit_code == 1
    assert "no such file or folder" in done.output
    assert run().exit_code == 2
