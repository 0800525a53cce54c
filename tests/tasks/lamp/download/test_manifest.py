"""What is there already is held to its record."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from bad_server import Answer, BadServer
from download_files import (
    CHANGED,
    CUT,
    HTML,
    NAME,
    PATH,
    QUESTIONS,
    files,
    get,
    recorded,
    refused,
)


def test_what_is_there_is_verified_without_a_request(server: BadServer, root: Path) -> None:
    before = get(root).entry
    asked = len(server.asked)
    outcome = get(root)
    assert (outcome.state, outcome.entry) == ("there, as recorded", before)
    assert len(server.asked) == asked


def test_a_folder_that_may_only_be_read_can_be_verified(server: BadServer, root: Path) -> None:
    get(root)
    # No lock can be taken here, even by a user who may write anywhere.
    for lock in (root / ".locks").iterdir():
        lock.unlink()
    (root / ".locks").rmdir()
    (root / ".locks").write_text("")
    assert get(root).state == "there, as recorded"


@pytest.mark.parametrize("changed", [CHANGED, QUESTIONS[:-1]])
def test_a_file_that_was_changed_is_told_and_kept(
    server: BadServer, root: Path, changed: bytes
) -> None:
    get(root)
    (root / NAME).write_bytes(changed)
    message = refused(root)
    for text in (
        f"{root / NAME} is not what was recorded",
        f"{len(changed):,} bytes, sha256 {hashlib.sha256(changed).hexdigest()}",
        f"{len(QUESTIONS):,} bytes, sha256 {hashlib.sha256(QUESTIONS).hexdigest()}",
        "--force",
    ):
        assert text in message
    assert (root / NAME).read_bytes() == changed
    assert len(server.gets()) == 1
    assert get(root, force=True).state == "downloaded, as recorded"
    assert (root / NAME).read_bytes() == QUESTIONS


def test_a_server_that_sends_another_file_than_before(server: BadServer, root: Path) -> None:
    get(root)
    (root / NAME).unlink()
    server.on(PATH, Answer(CHANGED))
    message = refused(root)
    assert hashlib.sha256(CHANGED).hexdigest() in message
    assert hashlib.sha256(QUESTIONS).hexdigest() in message
    assert "--force accepts what came" in message
    assert not (root / NAME).exists()
    assert recorded(root)[NAME]["sha256"] == hashlib.sha256(QUESTIONS).hexdigest()
    assert get(root, force=True).state == "downloaded"
    assert (root / NAME).read_bytes() == CHANGED
    assert recorded(root)[NAME]["sha256"] == hashlib.sha256(CHANGED).hexdigest()
    # What came before --force was said was not fetched again.
    assert server.ranges(PATH)[-1] == f"bytes={len(CHANGED)}-"


def test_a_file_that_was_removed_comes_back(server: BadServer, root: Path) -> None:
    before = get(root).entry
    (root / NAME).unlink()
    outcome = get(root)
    assert (outcome.state, outcome.entry) == ("downloaded, as recorded", before)


def test_a_file_put_there_by_hand_is_checked_and_recorded(server: BadServer, root: Path) -> None:
    (root / NAME).parent.mkdir(parents=True)
    (root / NAME).write_bytes(CHANGED)
    assert get(root).state == "there already, recorded now"
    entry = recorded(root)[NAME]
    assert entry["url"] is None
    assert entry["sha256"] == hashlib.sha256(CHANGED).hexdigest()
    assert get(root).state == "there, as recorded"
    assert not server.asked
    get(root, force=True)
    assert recorded(root)[NAME]["url"] == f"{server.url}{PATH}"


def test_a_bad_file_put_there_by_hand_is_told_and_kept(server: BadServer, root: Path) -> None:
    (root / NAME).parent.mkdir(parents=True)
    (root / NAME).write_bytes(HTML)
    message = refused(root)
    assert f"{root / NAME}: not valid JSON" in message
    assert "Nothing is recorded of it" in message
    assert (root / NAME).read_bytes() == HTML
    assert not server.asked
    assert files(root) == {NAME}
    assert get(root, force=True).state == "downloaded"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expecting value"),
        ('{"format": 1, "fil', "line 1 column 15"),
        ("[]", 'expected {"format": 1'),
        ('{"format": 2, "files": {}}', "its format is 2, known is 1"),
        ('{"format": 1, "files": {"a": 3}}', "entry 'a'"),
        ('{"format": 1, "files": {"a": {"url": null, "bytes": 1}}}', "missing 2 required"),
        (
            '{"format": 1, "files": {"a": {"url": 1, "bytes": 1, "sha256": "", "time": ""}}}',
            "entry 'a': url or time is not text",
        ),
        (
            '{"format": 1, "files": {"a": {"url": "", "bytes": "1", "sha256": "", "time": ""}}}',
            "entry 'a': bytes is '1'",
        ),
        (
            '{"format": 1, "files": {"a": {"url": "", "bytes": 1, "sha256": "x", "time": ""}}}',
            "entry 'a': sha256 is 'x'",
        ),
        ("[" * 99_999, "damaged"),
    ],
)
def test_a_damaged_manifest_is_told_and_kept(
    server: BadServer, root: Path, text: str, message: str
) -> None:
    root.mkdir()
    manifest = root / "qrag-manifest.json"
    manifest.write_text(text)
    told = refused(root)
    assert f"{manifest} is damaged: " in told
    assert message in told
    assert "Move it away" in told
    assert manifest.read_text() == text
    assert not server.asked
    manifest.unlink()
    assert get(root).state == "downloaded"


@pytest.mark.parametrize("text", ["", "[]", '{"url": 1}', '{"etag": "', "\xff"])
def test_a_damaged_part_is_begun_anew(server: BadServer, root: Path, text: str) -> None:
    server.on(PATH, Answer(QUESTIONS, send=CUT, ranges=False))
    refused(root)
    (root / f"{NAME}.part.json").write_text(text)
    server.on(PATH, Answer(QUESTIONS))
    get(root)
    assert server.ranges(PATH)[-1] is None


def test_a_part_of_another_address_is_begun_anew(
    server: BadServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.on(PATH, Answer(CHANGED, send=CUT, ranges=False))
    refused(root)
    server.on(f"/mirror{PATH}", Answer(QUESTIONS))
    monkeypatch.setenv("QRAG_LAMP_URL", f"{server.url}/mirror")
    get(root)
    assert server.ranges(f"/mirror{PATH}") == [None]


def test_killed_after_the_last_byte_nothing_is_fetched_again(
    server: BadServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(descriptor: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            get(root)
    assert files(root) == {f"{NAME}.part", f"{NAME}.part.json"}
    assert get(root).state == "downloaded"
    assert (root / NAME).read_bytes() == QUESTIONS
    assert server.ranges(PATH) == [None, f"bytes={len(QUESTIONS)}-"]


def test_killed_between_record_and_name(
    server: BadServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def killed(path: Path, target: Path) -> Path:
        if target.name == "dev_questions.json":
            raise KeyboardInterrupt
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            get(root)
    assert not (root / NAME).exists()
    assert get(root).state == "downloaded, as recorded"
    assert (root / NAME).read_bytes() == QUESTIONS
