"""The ``qrag`` command."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from lamp_files import REVIEW_INPUT, reviews, write_flat
from run_files import rating, write_run

from qrag_tasks.cli import main
from qrag_tasks.locations import task_yamls
from qrag_tasks.tasks.catalog import CATALOG, GROUPS


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_tasks_lists_every_name() -> None:
    done = run("tasks")
    assert done.exit_code == 0
    for name in [*CATALOG, *GROUPS, "lamp_rag"]:
        assert name in done.output.split()


def test_path_is_the_folder_for_include_path() -> None:
    done = run("path")
    assert done.output.strip() == str(task_yamls())
    assert (task_yamls() / "groups" / "lamp_rag_k5.yaml").is_file()


def test_show_prints_the_prompt_to_the_letter(tmp_path: Path) -> None:
    nasty = "[bold]{{ x }}[/bold] a < b \u8336"
    questions, outputs = reviews(2, profile=3)
    questions[1]["input"] = f"{REVIEW_INPUT}{nasty}"
    questions[1]["profile"][0]["text"] = nasty
    done = run(
        "show",
        "lamp3u_rag_k5",
        "--index",
        1,
        "--data",
        write_flat(tmp_path, "lamp3u", questions, outputs),
    )
    assert done.exit_code == 0
    facts, _, prompt = done.output.partition("prompt \u2500")
    prompt = prompt.lstrip("\u2500").strip()
    assert prompt.endswith(questions[1]["input"])
    assert prompt.count(nasty) == 2
    assert hashlib.sha256(prompt.encode()).hexdigest() in facts
    assert "5 requested, 3 in the profile, 3 kept, 0 dropped (the profile holds 3 of 5)" in facts


def test_show_counts_tokens(small_data: Path, tiny_model: Path) -> None:
    shown = ["show", "lamp3u_rag_k3", "--data", small_data, "--tokenizer", tiny_model]
    assert "of 1008 (" in run(*shown).output
    tight = run(*shown, "--context-tokens", 130)
    assert tight.exit_code == 0
    assert "did not fit the token budget" in tight.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lamp3_rag_k5",), "unknown task 'lamp3_rag_k5'"),
        (("lamp_rag_k5",), "is a group; name one task: lamp3u_rag_k5 or lamp5u_rag_k5"),
        (("lamp3u_rag_k5", "--data", "/nowhere"), "no such folder"),
        (("lamp3u_rag_k5", "--data", "mini", "--index", "40"), "--index 40 is outside 0 to 39"),
        (("lamp3u_rag_k5", "--data", "mini", "--retriever", "bm52"), "unknown retriever 'bm52'"),
        (("lamp3u_rag_k5", "--data", "mini", "--context-tokens", "9"), "needs --tokenizer"),
    ],
)
def test_show_refuses(arguments: tuple[str, ...], message: str) -> None:
    done = run("show", *arguments)
    assert done.exit_code == 1
    assert message in done.output
    assert "Traceback" not in done.output


def test_doctor_is_content_where_the_main_job_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="the hf extra is not installed")
    monkeypatch.setenv("QRAG_DATA", "mini")
    done = run("doctor")
    assert done.exit_code == 0, done.output
    *_, before, command = done.output.splitlines()
    assert before == "Run next:"
    assert command.startswith("lm_eval --tasks lamp_rag_k5 --model hf --model_args ")
    assert command.endswith("load_in_4bit=True")


def test_doctor_ends_with_the_sample_where_no_data_were_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("QRAG_CACHE", str(tmp_path))
    done = run("doctor")
    last = done.output.splitlines()[-1]
    if importlib.util.find_spec("torch") is None:
        assert done.exit_code == 1
        assert last == "pip install 'qrag-tasks[hf]'"
    else:
        assert done.exit_code == 0, done.output
        assert last.endswith("""load_in_4bit=True --metadata '{"data": "mini"}'""")
        assert "qrag download lamp3u lamp5u" in done.output


@pytest.mark.parametrize("place", ["cache", "cache/rankings"])
def test_doctor_writes_into_the_cache(
    place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("torch", reason="the hf extra is not installed")
    monkeypatch.setenv("COLUMNS", "500")  # whatever else it has to say
    monkeypatch.setenv("QRAG_DATA", "mini")
    monkeypatch.setenv("QRAG_CACHE", str(tmp_path / "cache"))
    # A folder of the system's that nobody may write into, not even root.
    if not Path("/proc/self/fdinfo").is_dir():
        pytest.skip("this system has no /proc")
    blocked = tmp_path / place
    blocked.parent.mkdir(exist_ok=True)
    blocked.symlink_to("/proc/self/fdinfo", target_is_directory=True)
    done = run("doctor")
    assert done.exit_code == 1
    assert f"{tmp_path / 'cache'} cannot be written: " in done.output
    assert "The main job cannot run: cache." in done.output
    assert done.output.splitlines()[-1] == "qrag doctor"
    blocked.unlink()
    assert run("doctor").exit_code == 0


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize(
    "command", [("show", "lamp7u_rag_k1", "--index", "1", "--data", "mini"), ("tasks",)]
)
def test_a_terminal_that_lacks_a_character_shows_another(
    encoding: str, command: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "qrag_tasks.cli", *command],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if command[0] == "show" and encoding == "cp1252":
        printed = done.stdout.decode(encoding)
        assert "caf\u00e9: pink sky over the old factory this evening, no filter ?" in printed


def test_doctor_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QRAG_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setenv("QRAG_AUTOLOAD", "0")
    done = run("doctor")
    assert done.exit_code == 1
    assert "The main job cannot run" in done.output
    assert "data lamp3u, data lamp5u" in done.output
    assert "QRAG_AUTOLOAD=0" in done.output
    assert "LaMP_3/dev/dev_questions.json" in done.output
    if importlib.util.find_spec("torch") is not None:
        assert done.output.splitlines()[-1] == "unset QRAG_AUTOLOAD"
        monkeypatch.delenv("QRAG_AUTOLOAD")
        assert run("doctor").output.splitlines()[-1] == "qrag download lamp3u lamp5u"


def test_a_file_is_written_as_utf_8_whatever_the_terminal_knows(tmp_path: Path) -> None:
    runs = [tmp_path / "\u03b1", tmp_path / "other"]
    for run_folder, answer in zip(runs, "12", strict=True):
        rows = [rating(i, f"review {i}", answer, 1 + i % 5) for i in range(20)]
        write_run(run_folder, rows, model_args={"pretrained": f"m-\u03b2-{answer}"})
    out = tmp_path / "c.md"
    done = subprocess.run(
        [*(sys.executable, "-m", "qrag_tasks.cli", "compare", *runs), "--out", out],
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "m-\u03b2-2" in out.read_text(encoding="utf-8")


def test_rank_fills_the_store_and_writes_a_run(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QRAG_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out.trec"
    first = run("rank", "lamp3u", "--data", small_data, "--out", out)
    assert first.exit_code == 0, first.output
    assert "lamp3u, bm25: 3 profiles, 3 ranked now, 0 ranked before" in first.output
    assert f"{out}: 12 lines" in first.output
    assert len(out.read_text().splitlines()) == 12
    again = run("rank", "lamp3u_rag_k5", "--data", small_data)
    assert "3 profiles, 0 ranked now, 3 ranked before" in again.output
    read_back = run(
        "rank", "lamp3u", "--data", small_data, "--retriever", f"run:{out}", "--out", tmp_path / "2"
    )
    assert read_back.exit_code == 0, read_back.output
    strip_tag = [line.rpartition(" ")[0] for line in out.read_text().splitlines()]
    assert [
        line.rpartition(" ")[0] for line in (tmp_path / "2").read_text().splitlines()
    ] == strip_tag


def test_rank_ranks_for_the_choices_of_a_run(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QRAG_CACHE", str(tmp_path / "cache"))
    choices = json.dumps({"protocol": "yazan2024", "data": str(small_data)})
    done = run("rank", "lamp5u", "--metadata", choices)
    assert done.exit_code == 0, done.output
    assert "lamp5u, bm25-char: 3 profiles, 3 ranked now" in done.output
    again = run("rank", "lamp5u", "--retriever", "bm25-char", "--data", small_data)
    assert "3 ranked now" in again.output
    assert "--metadata '{' is not valid JSON" in run("rank", "lamp5u", "--metadata", "{").output
    assert "is not a JSON object" in run("rank", "lamp5u", "--metadata", "[]").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lamp9u"], "unknown task 'lamp9u'"),
        (["lamp3u", "--retriever", "bm52"], "unknown retriever 'bm52'"),
        (["lamp3u", "--retriever", "recency"], "'recency' needs dates"),
        (["lamp3u", "--workers", "0"], "0 is not in the range"),
    ],
)
def test_rank_refuses(small_data: Path, arguments: list[str], message: str) -> None:
    done = run("rank", *arguments, "--data", small_data)
    assert done.exit_code != 0
    assert message in done.output
    assert "Traceback" not in done.output


def test_show_marks_an_upper_bound(small_data: Path) -> None:
    done = run("show", "lamp3u_rag_k3", "--data", small_data, "--retriever", "oracle")
    assert "oracle (an upper bound: it sees the gold)" in done.output


def test_plugins_are_listed() -> None:
    done = run("plugins")
    assert done.exit_code == 0
    for text in (
        "bm25, bm25-word, bm25-char",
        "retriever",
        "prompt style",
        "lamp, yazan2024",
        "ok",
    ):
        assert text in done.output


def test_plugins_check() -> None:
    done = run("plugins", "check", "bm25")
    assert done.exit_code == 0, done.output
    assert "passed k_zero" in done.output
    assert "0 failed" in done.output
    constant = run("plugins", "check", "first")
    assert constant.exit_code == 1
    assert "FAILED differs_by_query" in constant.output
    expected = run("plugins", "check", "first", "--expect-failure", "differs_by_query")
    assert expected.exit_code == 0
    assert run("plugins", "check", "bm52").exit_code == 1
