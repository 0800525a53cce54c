"""What the other commands make of own data: doctor, leaks, ranking with workers, export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from sample_log_files import TIME, record, write_log

from qrag_tasks.cli import main
from qrag_tasks.tasks.own.example import write_example


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_example(tmp_path / "mydata")
    return tmp_path / "mydata"


def run(*arguments: object) -> str:
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_doctor_looks_at_own_data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QRAG_DATA", str(folder))
    said = CliRunner().invoke(main, ["doctor"]).output
    assert "data own" in said
    assert "data lamp3u" not in said
    (folder / "dev.jsonl").unlink()
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    assert f"Run next:\nqrag check {folder}" in result.output


def test_workers_rank_what_one_process_ranks(folder: Path, tmp_path: Path) -> None:
    run("rank", "own", "--data", folder, "--retriever", "bm25-word", "--out", tmp_path / "1.trec")
    alone = (tmp_path / "1.trec").read_text(encoding="utf-8")
    text = (folder / "corpus.toml").read_text(encoding="utf-8")
    (folder / "corpus.toml").write_text(text.replace('"mydata"', '"other"'), encoding="utf-8")
    arguments = ("--retriever", "bm25-word", "--workers", 2, "--out", tmp_path / "2.trec")
    said = run("rank", "own", "--data", folder, *arguments)
    assert "own-other, bm25-word: 32 profiles, 32 ranked now" in said
    assert (tmp_path / "2.trec").read_text(encoding="utf-8") == alone


def test_leaks_are_looked_for(folder: Path) -> None:
    path = folder / "dev.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    first = json.loads(lines[0])
    first["documents"][0]["recipe"] = first["recipe"]
    path.write_text("\n".join([json.dumps(first), *lines[1:]]), encoding="utf-8")
    said = run("leaks", "own", "--data", folder)
    assert "own-mydata, dev: 1 of 32 (3.12%) questions are an item of the user's own" in said


def test_answers_are_read_by_the_kind_that_the_results_say(tmp_path: Path) -> None:
    results = {
        "configs": {
            "own_rag_k1": {
                "dataset_kwargs": {"task": "own-quiz", "k": 1},
                "metadata": {"qrag": {"answer_kind": {"kind": "choice", "most": 4}}},
            }
        },
        "results": {"own_rag_k1": {}},
    }
    line = record("q1", "I think (b) is right")
    log = write_log(tmp_path / "out", line, task="own_rag_k1")
    log.with_name(f"results_{TIME}.json").write_text(json.dumps(results), encoding="utf-8")
    run("export", "predictions", tmp_path / "out", "--out", tmp_path / "to", "--cleaned")
    (file,) = (tmp_path / "to").iterdir()
    assert json.loads(file.read_bytes()) == {
        "task": "quiz",
        "golds": [{"id": "q1", "output": "B"}],
    }
