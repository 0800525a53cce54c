"""Which files, from where, into which folder; and the command."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
from bad_server import Answer, BadServer
from download_files import (
    CHANGED,
    HASTY,
    HTML,
    NAME,
    PATH,
    QUESTIONS,
    get,
    recorded,
    refused,
    run,
)

from qrag_tasks.errors import SettingsError
from qrag_tasks.tasks.lamp.download import lamp_files
from qrag_tasks.tasks.lamp.table import LAMP_TASKS


def test_all_is_every_public_task_of_both_splits() -> None:
    public = [task for task in LAMP_TASKS.values() if task.source.public]
    assert len(public) == 12
    files = lamp_files(["all", "lamp3u"])
    assert len(files) == 2 * len(public)
    names = {file.name for file in files}
    assert {
        NAME,
        "LaMP_2/new/dev/dev_outputs.json",
        "time/LaMP_5/dev/dev_questions.json",
    } <= names
    assert not any("LaMP_6" in name for name in names)


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", ["LaMP_7/train/train_questions.json", "LaMP_7/train/train_outputs.json"]),
        ("test", ["LaMP_7/test/test_questions.json"]),
    ],
)
def test_splits(split: str, names: list[str]) -> None:
    assert [file.name for file in lamp_files(["lamp7u", "lamp7u"], split)] == names


@pytest.mark.parametrize(
    ("name", "messages"),
    [
        ("lamp6u", ["lamp6u is not public", "Avocado", "LDC2015T03", "create_avocado_dataset.py"]),
        ("lamp6t", ["lamp6t is not public"]),
        ("lamp33u", ["unknown LaMP task 'lamp33u' (known: lamp1u,", "Did you mean 'lamp3u'?"]),
        ("al", ["; all). Did you mean 'all'?"]),
    ],
)
def test_tasks_that_cannot_be_downloaded(name: str, messages: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        lamp_files(["lamp3u", name])
    for message in messages:
        assert message in str(caught.value)


def test_tasks_with_commas_are_tasks_each(root: Path) -> None:
    done = run("lamp3u, lamp9x", "--into", str(root))
    assert done.exit_code == 1
    assert "unknown LaMP task 'lamp9x'" in done.output
    assert not list(root.rglob("*.json"))


@pytest.mark.parametrize("slash", ["", "/", "//"])
def test_a_mirror(
    server: BadServer, root: Path, monkeypatch: pytest.MonkeyPatch, slash: str
) -> None:
    monkeypatch.setenv("QRAG_LAMP_URL", f"{server.url}/a/mirror{slash}")
    server.on(f"/a/mirror{PATH}", Answer(QUESTIONS))
    get(root)
    assert recorded(root)[NAME]["url"] == f"{server.url}/a/mirror{PATH}"


def test_without_a_mirror_it_is_lamp_s_own_server(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QRAG_LAMP_URL", "")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.setenv("no_proxy", "")
    message = refused(root, patience=dataclasses.replace(HASTY, tries=1))
    assert message.startswith(
        "https://ciir.cs.umass.edu/downloads/LaMP/LaMP_3/dev/dev_questions.json: no answer"
    )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ciir.cs.umass.edu", "QRAG_LAMP_URL is 'ciir.cs.umass.edu', expected http(s)://HOST"),
        ("ftp://host/LaMP", "expected http(s)://HOST/FOLDER"),
        ("http://", "expected http(s)://HOST/FOLDER"),
        ("http://[::1", "expected http(s)://HOST/FOLDER"),
        ("http://host/LaMP?key=1", "expected http(s)://HOST/FOLDER"),
        ("http://me:secret@host/LaMP", "They belong into ~/.netrc"),
        ("http://127.0.0.1:port/LaMP", "cannot be asked for"),
    ],
)
def test_addresses_that_are_none(
    root: Path, monkeypatch: pytest.MonkeyPatch, url: str, message: str
) -> None:
    monkeypatch.setenv("QRAG_LAMP_URL", url)
    told = refused(root)
    assert message in told
    assert "secret" not in told


def test_a_folder_with_any_name(server: BadServer, tmp_path: Path) -> None:
    root = tmp_path / "données de José [茶] %20 'x'"
    get(root)
    assert (root / NAME).read_bytes() == QUESTIONS
    assert get(root).state == "there, as recorded"


@pytest.mark.parametrize(
    ("name", "message"), [("file/lamp", "Not a directory"), ("x" * 300, "File name too long")]
)
def test_a_folder_that_cannot_be_made(
    server: BadServer, tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "file").write_text("")
    done = run("lamp3u", "--into", tmp_path / name)
    assert done.exit_code == 1
    assert f"Error: {tmp_path}/" in done.output
    assert message in done.output
    assert "another folder by --into FOLDER" in done.output
    assert "Traceback" not in done.output


def test_the_command_tells_licence_files_and_folder(
    server: BadServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QRAG_CACHE", str(root))
    done = run("lamp3u")
    assert done.exit_code == 0, done.output
    licence, questions, golds, last = done.stdout.splitlines()
    assert "CC BY-NC-SA 4.0" in licence
    digest = hashlib.sha256(QUESTIONS).hexdigest()
    assert questions == (f"lamp3u  {NAME}: downloaded, {len(QUESTIONS):,} bytes, sha256 {digest}")
    assert "dev_outputs.json: downloaded, " in golds
    assert last == f"2 files in {root / 'lamp'}, where lm_eval looks for them."
    assert done.stderr == ""
    assert (root / "lamp" / NAME).is_file()
    again = run("lamp3u")
    assert again.exit_code == 0
    assert "CC BY" not in again.output
    assert again.stdout.splitlines()[0] == questions.replace("downloaded", "there, as recorded")


def test_the_command_downloads_elsewhere_and_by_force(server: BadServer, root: Path) -> None:
    assert run("lamp3u", "--into", root).exit_code == 0
    (root / NAME).write_bytes(CHANGED)
    changed = run("lamp3u", "--into", root)
    assert changed.exit_code == 1
    assert "--force gets all files again" in changed.output
    forced = run("lamp3u", "--into", root, "--force")
    assert forced.exit_code == 0
    assert f"2 files in {root}. For lm_eval, set QRAG_DATA to this folder." in forced.output


def test_the_command_stops_at_the_first_failure(server: BadServer, root: Path) -> None:
    server.on("/LaMP_5/dev/dev_questions.json", Answer(HTML))
    done = run("lamp3u", "lamp5u", "lamp4u", "--into", root)
    assert done.exit_code == 1
    assert len(done.stdout.splitlines()) == 3
    told, error = done.stderr.splitlines()[:2]
    assert told == "2 of 6 files are done."
    assert error.startswith(f"Error: {server.url}/LaMP_5/dev/dev_questions.json: what came is no")
    assert "Traceback" not in done.output
    assert not [asked for asked in server.asked if "LaMP_4" in asked.path and asked.method == "GET"]


def test_the_command_shows_how_far_it_is_on_a_terminal(
    server: BadServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "150")
    done = run("lamp3u", "--into", root)
    assert done.exit_code == 0
    assert NAME in done.stderr
    assert "kB" in done.stderr
    assert len(done.stdout.splitlines()) == 4


@pytest.mark.parametrize(
    ("environment", "arguments", "message"),
    [
        ({"QRAG_DATA": "mini"}, ["lamp3u"], "QRAG_DATA names `mini`, the embedded sample"),
        ({}, ["lamp3u", "--into", "mini"], "--into names `mini`, the embedded sample"),
        ({}, ["lamp6u"], "LDC2015T03"),
        ({}, ["lamp3"], "unknown LaMP task 'lamp3'"),
        ({}, [], "Missing argument 'TASK...'"),
        ({}, ["lamp3u", "--split", "tset"], "'tset' is not one of"),
        ({"QRAG_LAMP_URL": "x"}, ["lamp3u"], "QRAG_LAMP_URL is 'x'"),
    ],
)
def test_the_command_refuses(
    server: BadServer,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    arguments: list[str],
    message: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = run(*arguments)
    assert done.exit_code != 0
    assert message in done.output
    assert "Traceback" not in done.output
    assert not server.asked


def test_mini_is_a_name_and_dot_mini_a_folder(
    server: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("lamp3u", "--into", "./mini").exit_code == 0
    assert (tmp_path / "mini" / NAME).is_file()
