"""What no other try mends: bodies, addresses, and disks that are full."""

from __future__ import annotations

from pathlib import Path

import pytest
from bad_server import NO_LENGTH, Answer, BadServer
from download_files import (
    CUT,
    GOLDS_PATH,
    HASTY,
    HTML,
    NAME,
    PATH,
    QUESTIONS,
    encoded,
    files,
    get,
    recorded,
    refused,
)
from lamp_files import papers, reviews

from qrag_tasks.errors import DownloadError
from qrag_tasks.tasks.lamp.download import Download


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(status=404), "the server answered 404 Not Found. Is the address the right one?"),
        (Answer(status=403), "403 Forbidden. It does not give the file"),
        (Answer(status=401), "401 Unauthorized. It wants a name and a password"),
        (Answer(status=204), "204 No Content"),
        (Answer(status=206, body=QUESTIONS), "206 Partial Content"),
        (
            Answer(HTML, headers={"Content-Type": "text/html"}),
            "not valid JSON at line 1, column 1 (Expecting value).\n"
            "  got:  status 200, content type text/html, 55 bytes, starting with '<!DOCTYPE",
        ),
        (Answer(), "content type application/json, 0 bytes, starting with ''"),
        (Answer(QUESTIONS[:-20]), "no LaMP file: not valid JSON"),
        (Answer(QUESTIONS, announced=CUT), '150,000 bytes, starting with \'[{"id": "100"'),
        (Answer(QUESTIONS + b"x"), "no LaMP file: not valid JSON at line 1, column"),
        (Answer(b"[]"), "not of LaMP_3: it has no questions"),
        (Answer(b'{"a": 1}'), "expected a JSON list of questions, got an object"),
        (Answer(b"[1, 2]"), "question 0: expected an object, got int"),
        (Answer(b'[{"id": "1", "input": "x"}]'), "question 0: field 'profile' is missing"),
        (
            Answer(b'[{"id": "1", "input": "x", "profile": {}}]'),
            "question 0: input is not text, or profile is not a list",
        ),
        (Answer(encoded(papers()[0])), "not of LaMP_3: the input holds no 'review:'"),
        (
            Answer(QUESTIONS.replace(b'"score"', b'"stars"')),
            "not of LaMP_3: profile items have no score",
        ),
        (Answer(b"[" * 99_999), "inside each other"),
        (Answer(b'["\xff\xfe"]'), "not UTF-8 text at byte 2"),
    ],
)
def test_questions_that_are_none(
    server: BadServer, root: Path, answer: Answer, message: str
) -> None:
    server.on(PATH, answer)
    told = refused(root)
    assert message in told
    assert f"{server.url}{PATH}: " in told
    assert ".part" not in told
    assert len(server.gets()) == 1
    assert files(root) == set()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (HTML, "not valid JSON"),
        (QUESTIONS, "outputs: expected an object, got a list"),
        (b'{"task": "LaMP_3"}', "outputs: field 'golds' is missing"),
        (b'{"golds": []}', "outputs: field 'task' is missing"),
        (b'{"task": "LaMP_3", "golds": []}', "expected a list of them, got an empty list"),
        (b'{"task": "LaMP_3", "golds": [{"id": "1"}]}', "gold 0: field 'output' is missing"),
        (encoded(papers()[1]), "golds of 'LaMP_5', expected those of 'LaMP_3'"),
    ],
)
def test_outputs_that_are_none(server: BadServer, root: Path, body: bytes, message: str) -> None:
    server.on(GOLDS_PATH, Answer(body))
    assert message in refused(root, "outputs")
    assert files(root) == set()


@pytest.mark.parametrize("position", [0, -1])
def test_one_flawed_question_does_no_harm(server: BadServer, root: Path, position: int) -> None:
    questions = reviews()[0]
    questions[position]["input"] = "LaMP-2 has such a one."
    server.on(PATH, Answer(encoded(questions)))
    assert get(root).state == "downloaded"


def test_redirects_are_followed_but_not_for_ever(server: BadServer, root: Path) -> None:
    server.on(PATH, Answer(status=302, headers={"Location": "/moved"}))
    server.on("/moved", Answer(QUESTIONS))
    get(root)
    # What is recorded is the address that was asked for.
    assert recorded(root)[NAME]["url"] == f"{server.url}{PATH}"
    server.on("/moved", Answer(status=302, headers={"Location": PATH}))
    assert "redirected more than 5 times" in refused(root, force=True)


def test_no_secure_connection_is_told_at_once(
    server: BadServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QRAG_LAMP_URL", server.url.replace("http:", "https:"))
    message = refused(root)
    assert "no secure connection: [SSL" in message
    assert "Given up" not in message
    assert "REQUESTS_CA_BUNDLE" in message


def test_what_will_not_fit_is_not_begun(server: BadServer, root: Path) -> None:
    server.sizes |= {PATH: 400_000_000, GOLDS_PATH: 1_000_000}
    wanted = Download(["lamp3u"], into=str(root), patience=HASTY, free=lambda _: 400_999_999)
    with pytest.raises(DownloadError) as caught:
        wanted.check_room()
    assert f"not enough room in {root}: 401,000,000 bytes are needed, 400,999,999 are free" in str(
        caught.value
    )
    assert not server.gets()
    exactly = Download(["lamp3u"], into=str(root), patience=HASTY, free=lambda _: 401_000_000)
    exactly.check_room()


def test_only_what_is_missing_needs_room(server: BadServer, root: Path) -> None:
    get(root, "outputs")
    server.on(PATH, Answer(QUESTIONS, send=CUT, ranges=False))
    refused(root)
    server.sizes |= {PATH: len(QUESTIONS), GOLDS_PATH: 1_000_000}
    rest = len(QUESTIONS) - (root / f"{NAME}.part").stat().st_size
    assert rest < len(QUESTIONS)

    def room(free: int) -> Download:
        return Download(["lamp3u"], into=str(root), patience=HASTY, free=lambda _: free)

    room(rest).check_room()
    with pytest.raises(DownloadError, match=f"{rest:,} bytes are needed"):
        room(rest - 1).check_room()


def test_a_server_that_tells_no_size_beforehand_tells_it_with_the_file(
    server: BadServer, root: Path
) -> None:
    wanted = Download(["lamp3u"], into=str(root), patience=HASTY, free=lambda _: 99)
    wanted.check_room()  # HEAD is refused: nothing is known yet
    assert f"{len(QUESTIONS):,} bytes are needed, 99 are free" in refused(root, free=lambda _: 99)
    assert files(root) == set()
    server.on(PATH, Answer(QUESTIONS, announced=NO_LENGTH))
    assert get(root, free=lambda _: 99).state == "downloaded"


def test_sizes_of_a_server_that_is_gone_are_not_waited_for(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BadServer() as gone:
        monkeypatch.setenv("QRAG_LAMP_URL", gone.url)
    Download(["all"], into=str(root), free=lambda _: 0).check_room()


def test_a_disk_that_fills_up_meanwhile(server: BadServer, root: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    (root / NAME).parent.mkdir(parents=True)
    manifest = root / "qrag-manifest.json.part"
    manifest.symlink_to("/dev/full")
    message = refused(root)
    assert "No space left on device" in message
    assert "--into FOLDER" in message
    manifest.unlink()
    assert get(root).state == "downloaded"
    assert server.ranges(PATH) == [None, f"bytes={len(QUESTIONS)}-"]
