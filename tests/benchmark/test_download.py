"""Downloading LaMP from servers that misbehave in every way that servers do."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from bad_server import NO_LENGTH, Answer, BadServer
from click.testing import CliRunner, Result
from lamp_files import papers, reviews

from qrag_tasks.benchmark import data
from qrag_tasks.benchmark.download import Download, Outcome, Patience, lamp_files
from qrag_tasks.benchmark.download.manifest import Entry, Manifest
from qrag_tasks.benchmark.tasks import LAMP_TASKS, lamp_task
from qrag_tasks.cli import main
from qrag_tasks.errors import DownloadError, QragError, SettingsError

NAME = "LaMP_3/dev/dev_questions.json"
PATH = f"/{NAME}"
GOLDS_PATH = "/LaMP_3/dev/dev_outputs.json"


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


QUESTIONS, GOLDS = map(encoded, reviews(60, profile=60))
# As long, but not the same.
CHANGED = QUESTIONS.replace(b"Kettle", b"Teapot")
CUT = 150_000
HASTY = Patience(
    tries=4, first_wait=0.01, longest_wait=3.0, jitter=0.0, connecting=5.0, silence=10.0
)
IMPATIENT = dataclasses.replace(HASTY, silence=0.25)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BadServer]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with BadServer() as running:
        running.on(PATH, Answer(QUESTIONS))
        running.on(GOLDS_PATH, Answer(GOLDS))
        monkeypatch.setenv("QRAG_LAMP_URL", running.url)
        yield running


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "lamp"


def get(root: Path, holds: str = "questions", **options: Any) -> Outcome:
    """Download one file of LaMP-3."""
    wanted = Download(["lamp3u"], into=str(root), **{"patience": HASTY, **options})
    (file,) = (file for file in wanted.files if file.holds == holds)
    return wanted.get(file)


def refused(root: Path, holds: str = "questions", **options: Any) -> str:
    with pytest.raises(QragError) as caught:
        get(root, holds, **options)
    return str(caught.value)


def files(root: Path) -> set[str]:
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    return {name for name in found if not name.startswith(".locks/")}


def recorded(root: Path) -> dict[str, Any]:
    body = json.loads((root / "qrag-manifest.json").read_text(encoding="utf-8"))
    assert body["format"] == 1
    return dict(body["files"])


def begun(asked: str | None) -> int:
    """Return the first byte that a Range header asks for, if it is the rest of what was sent."""
    first = int(str(asked).removeprefix("bytes=").removesuffix("-"))
    # Whole blocks for certain; what came of the next one, only with some versions of urllib3.
    assert first in (65_536, 100_000, 131_072, CUT, 196_608, 200_000, len(QUESTIONS))
    return first


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["download", *map(str, arguments)])


# What comes


def test_files_land_where_lm_eval_reads_them(server: BadServer, root: Path) -> None:
    outcomes = [get(root), get(root, "outputs")]
    assert [outcome.state for outcome in outcomes] == ["downloaded", "downloaded"]
    assert files(root) == {NAME, "LaMP_3/dev/dev_outputs.json", "qrag-manifest.json"}
    assert (root / NAME).read_bytes() == QUESTIONS
    assert len(data.load(lamp_task("lamp3u"), str(root)).samples) == 60
    entry = recorded(root)[NAME]
    assert entry["url"] == f"{server.url}{PATH}"
    assert entry["bytes"] == len(QUESTIONS)
    assert entry["sha256"] == hashlib.sha256(QUESTIONS).hexdigest()
    age = datetime.now(timezone.utc) - datetime.fromisoformat(entry["time"].replace("Z", "+00:00"))
    assert timedelta(seconds=-2) < age < timedelta(minutes=5)


def test_progress_is_told(server: BadServer, root: Path) -> None:
    wanted = Download(["lamp3u"], into=str(root), patience=HASTY)
    told: list[tuple[int, int | None]] = []
    wanted.get(wanted.files[0], lambda here, size: told.append((here, size)))
    assert told == sorted(told)
    assert len(told) > 3
    assert (told[0], told[-1]) == ((0, len(QUESTIONS)), (len(QUESTIONS), len(QUESTIONS)))


def test_a_body_without_length_is_taken(server: BadServer, root: Path) -> None:
    server.on(PATH, Answer(QUESTIONS, announced=NO_LENGTH))
    assert get(root).entry.bytes == len(QUESTIONS)


def test_a_body_in_chunks_is_taken_and_a_cut_one_gone_on_from(
    server: BadServer, root: Path
) -> None:
    def chunks(body: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
        parts = [body[i : i + 9999] for i in range(0, len(body), 9999)]
        return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + end

    chunked = {"Transfer-Encoding": "chunked"}
    cut = Answer(chunks(QUESTIONS[:CUT], end=b""), headers=chunked, announced=NO_LENGTH)
    server.on(PATH, cut, Answer(QUESTIONS))
    get(root)
    assert (root / NAME).read_bytes() == QUESTIONS
    assert server.ranges(PATH) == [None, f"bytes={CUT}-"]
    # A length beside chunks means nothing.
    server.on(PATH, Answer(chunks(CHANGED), headers=chunked, announced=10))
    get(root, force=True)
    assert (root / NAME).read_bytes() == CHANGED


def test_a_packed_body_is_unpacked(server: BadServer, root: Path) -> None:
    packed = {"Content-Encoding": "gzip"}
    body = gzip.compress(QUESTIONS)
    server.on(PATH, Answer(body, headers=packed, send=len(body) // 2), Answer(body, headers=packed))
    assert get(root).entry.sha256 == hashlib.sha256(QUESTIONS).hexdigest()
    assert (root / NAME).read_bytes() == QUESTIONS
    # Ranges would count packed bytes: the second try begins anew.
    assert server.ranges(PATH) == [None, None]
    assert {asked.headers["Accept-Encoding"] for asked in server.gets()} == {"identity"}


@pytest.mark.parametrize(
    "spoilt", [b"not packed at all", gzip.compress(QUESTIONS)[:-8] + b"spoilt!!"]
)
def test_a_packed_body_that_cannot_be_unpacked(
    server: BadServer, root: Path, spoilt: bytes
) -> None:
    server.on(PATH, Answer(spoilt, headers={"Content-Encoding": "gzip"}))
    assert "cannot be unpacked" in refused(root)
    assert files(root) == set()
    assert len(server.gets()) == 1


# What another try mends

DATED = {"Last-Modified": "Tue, 01 Oct 2024 10:00:00 GMT"}
LATER = {"Last-Modified": "Tue, 08 Oct 2024 10:00:00 GMT"}
REST = True
ALL = f"bytes 0-{len(QUESTIONS) - 1}/{len(QUESTIONS)}"
FROM_BLOCK = f"bytes 131072-{len(QUESTIONS) - 1}/{len(QUESTIONS)}"


@pytest.mark.parametrize(
    ("answers", "ranges"),
    [
        pytest.param([Answer(QUESTIONS, send=CUT), Answer(QUESTIONS)], [None, REST], id="cut"),
        pytest.param(
            [Answer(QUESTIONS, send=CUT, then="stall"), Answer(QUESTIONS)],
            [None, REST],
            id="stalls",
        ),
        pytest.param(
            [Answer(QUESTIONS, send=0, then="reset"), Answer(QUESTIONS)], [None, None], id="reset"
        ),
        pytest.param(
            [
                Answer(QUESTIONS, send=100_000),
                Answer(QUESTIONS, send=100_000),
                Answer(QUESTIONS),
            ],
            [None, REST, REST],
            id="cut twice",
        ),
        pytest.param(
            [Answer(QUESTIONS, announced=len(QUESTIONS) + 9), Answer(QUESTIONS)],
            # By its length, it is another file than the one that was begun: all anew.
            [None, REST, None],
            id="announces too much",
        ),
        pytest.param(
            [Answer(QUESTIONS, send=CUT), Answer(QUESTIONS, ranges=False)],
            [None, REST],
            id="passes over Range",
        ),
        pytest.param(
            [
                Answer(QUESTIONS, send=CUT),
                Answer(QUESTIONS, content_range="bytes 0-9/10"),
                Answer(QUESTIONS),
            ],
            [None, REST, None],
            id="another range",
        ),
        pytest.param(
            [
                Answer(QUESTIONS, send=CUT),
                Answer(QUESTIONS, content_range="bytes 131072-140000/" + str(len(QUESTIONS))),
                Answer(QUESTIONS),
            ],
            [None, REST, None],
            id="less than the rest",
        ),
        pytest.param(
            [
                Answer(QUESTIONS, send=CUT),
                Answer(QUESTIONS, content_range="all"),
                Answer(QUESTIONS),
            ],
            [None, REST, None],
            id="a range that is none",
        ),
        pytest.param(
            [Answer(QUESTIONS, send=CUT), Answer(QUESTIONS, content_range=ALL), Answer(QUESTIONS)],
            [None, REST, None],
            id="the range of the whole file",
        ),
        pytest.param(
            [
                Answer(QUESTIONS, send=CUT),
                Answer(QUESTIONS[:-50], content_range=FROM_BLOCK),
                Answer(QUESTIONS),
            ],
            [None, REST, None],
            id="less than it says",
        ),
        pytest.param(
            [Answer(CHANGED, etag='"old"', send=CUT), Answer(QUESTIONS)],
            [None, REST],
            id="changed",
        ),
        pytest.param(
            [
                Answer(CHANGED, etag='"old"', send=CUT),
                Answer(QUESTIONS, if_range=False),
                Answer(QUESTIONS),
            ],
            [None, REST, None],
            id="changed, passes over If-Range",
        ),
        pytest.param(
            [
                Answer(CHANGED, etag="", headers=DATED, send=CUT),
                Answer(QUESTIONS, etag="", headers=LATER, if_range=False),
                Answer(QUESTIONS),
            ],
            [None, REST, None],
            id="changed, told by its date",
        ),
        pytest.param(
            [
                Answer(QUESTIONS, etag="", headers=DATED, send=CUT),
                Answer(QUESTIONS, etag="", headers=DATED),
            ],
            [None, REST],
            id="the same by its date",
        ),
        pytest.param(
            [Answer(CHANGED + b"  ", send=CUT), Answer(QUESTIONS), Answer(QUESTIONS)],
            [None, REST, None],
            id="changed, told by its size",
        ),
        pytest.param(
            [Answer(QUESTIONS, etag="", send=CUT), Answer(QUESTIONS, etag="")],
            [None, None],
            id="nothing tells the version",
        ),
        pytest.param(
            [
                Answer(QUESTIONS, etag='W/"weak"', send=CUT),
                Answer(QUESTIONS, etag='W/"weak"'),
            ],
            [None, None],
            id="a weak tag tells too little",
        ),
        pytest.param(
            [
                Answer(QUESTIONS, send=CUT),
                Answer(b"[]", if_range=False),
                Answer(QUESTIONS),
            ],
            [None, REST, None],
            id="416: it has become shorter",
        ),
        pytest.param(
            [Answer(status=500), Answer(status=500), Answer(QUESTIONS)], [None] * 3, id="500 twice"
        ),
        pytest.param(
            [Answer(QUESTIONS, send=CUT), Answer(status=503), Answer(QUESTIONS)],
            [None, REST, REST],
            id="503 in between",
        ),
        pytest.param([Answer(status=408), Answer(QUESTIONS)], [None, None], id="408"),
    ],
)
def test_another_try_mends_it(
    server: BadServer, root: Path, answers: list[Answer], ranges: list[bool | None]
) -> None:
    server.on(PATH, *answers)
    stalls = any(answer.then == "stall" for answer in answers)
    get(root, patience=IMPATIENT if stalls else HASTY)
    assert [asked and begun(asked) > 0 for asked in server.ranges(PATH)] == ranges
    assert (root / NAME).read_bytes() == QUESTIONS
    assert files(root) == {NAME, "qrag-manifest.json"}


def test_what_is_asked_for_is_the_rest_of_the_same_version(server: BadServer, root: Path) -> None:
    server.on(PATH, Answer(QUESTIONS, etag='"v7"', send=CUT), Answer(QUESTIONS, etag='"v7"'))
    get(root)
    assert server.gets()[1].headers["If-Range"] == '"v7"'


def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(
    server: BadServer, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.on(PATH, Answer(status=429, headers={"Retry-After": "1"}), Answer(QUESTIONS))
    begun = time.monotonic()
    get(root)
    assert time.monotonic() - begun > 0.99
    (line,) = caplog.messages
    assert line.endswith("the server answered 429 Too Many Requests; try 2 of 4 in 1.0 s")


@pytest.mark.parametrize("dated", [False, True])
def test_a_server_that_asks_for_hours_gets_no_other_request(
    server: BadServer, root: Path, dated: bool
) -> None:
    date = format_datetime(datetime.now(timezone.utc) + timedelta(hours=2), usegmt=True)
    told = date if dated else "7200"
    server.on(PATH, Answer(status=503, headers={"Retry-After": told}))
    message = refused(root)
    assert re.search(r"wants no other request for (7,200|7,1\d\d) s", message), message
    assert len(server.gets()) == 1


def test_a_pause_that_cannot_be_read_is_none(server: BadServer, root: Path) -> None:
    server.on(PATH, Answer(status=503, headers={"Retry-After": "soon"}), Answer(QUESTIONS))
    assert get(root).state == "downloaded"


def test_waits_grow(server: BadServer, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    server.on(PATH, Answer(status=500))
    refused(root, patience=dataclasses.replace(HASTY, tries=5, first_wait=0.05, longest_wait=0.2))
    waits = [float(line.rpartition(" in ")[2].split()[0]) for line in caplog.messages]
    assert waits == [0.1, 0.1, 0.2, 0.2]  # 0.05, 0.1, 0.2, 0.2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(status=500), "the server answered 500 Internal Server Error"),
        (Answer(QUESTIONS, send=CUT, ranges=False, then="stall"), "cut off after 1"),
        (Answer(QUESTIONS, send=0, then="reset"), "Connection reset by peer"),
        (Answer(QUESTIONS, send=0, then="stall"), "timed out"),
    ],
)
def test_tries_come_to_an_end(server: BadServer, root: Path, answer: Answer, message: str) -> None:
    server.on(PATH, answer)
    begun = time.monotonic()
    told = refused(root, patience=IMPATIENT)
    assert time.monotonic() - begun < 10  # a stall is as long as we bear it, no longer
    assert message in told
    assert f"{server.url}{PATH}: " in told
    assert "Given up after 4 tries." in told
    assert len(server.gets()) == 4
    assert ("bytes are kept; the same command goes on" in told) == (answer.send == CUT)
    assert not (root / NAME).exists()


def test_nobody_answers(server: BadServer, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with BadServer() as gone:
        pass
    monkeypatch.setenv("QRAG_LAMP_URL", gone.url)
    told = refused(root)
    assert "no answer (Connection refused). Given up after 4 tries." in told
    assert "HTTPConnectionPool" not in told


# What no other try mends

HTML = b"<!DOCTYPE html><html><body>Page not found</body></html>"


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
            "question 0: input is no text, or profile no list",
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
    told = refused(root)
    assert "no secure connection: [SSL" in told
    assert "Given up" not in told
    assert "REQUESTS_CA_BUNDLE" in told


# Room on the disk


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
    told = refused(root)
    assert "No space left on device" in told
    assert "--into FOLDER" in told
    manifest.unlink()
    assert get(root).state == "downloaded"
    assert server.ranges(PATH) == [None, f"bytes={len(QUESTIONS)}-"]


# What is there already


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
    told = refused(root)
    for text in (
        f"{root / NAME} is not what was recorded",
        f"{len(changed):,} bytes, sha256 {hashlib.sha256(changed).hexdigest()}",
        f"{len(QUESTIONS):,} bytes, sha256 {hashlib.sha256(QUESTIONS).hexdigest()}",
        "--force",
    ):
        assert text in told
    assert (root / NAME).read_bytes() == changed
    assert len(server.gets()) == 1
    assert get(root, force=True).state == "downloaded, as recorded"
    assert (root / NAME).read_bytes() == QUESTIONS


def test_a_server_that_sends_another_file_than_before(server: BadServer, root: Path) -> None:
    get(root)
    (root / NAME).unlink()
    server.on(PATH, Answer(CHANGED))
    told = refused(root)
    assert hashlib.sha256(CHANGED).hexdigest() in told
    assert hashlib.sha256(QUESTIONS).hexdigest() in told
    assert "--force accepts what came" in told
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
    told = refused(root)
    assert f"{root / NAME}: not valid JSON" in told
    assert "Nothing is recorded of it" in told
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
            "entry 'a': url or time is no text",
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


# Several processes


def test_three_at_once_share_one_download(
    server: BadServer, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = threading.Event()
    server.on(PATH, Answer(QUESTIONS, after=go_on))
    states = []

    def download() -> None:
        states.append(get(root).state)

    threads = [threading.Thread(target=download) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(caplog.messages) == 2)  # two are waiting
    go_on.set()
    for thread in threads:
        thread.join()
    assert sorted(states) == ["downloaded", "there, as recorded", "there, as recorded"]
    assert len(server.gets()) == 1


def test_no_record_is_lost_where_many_write(root: Path) -> None:
    manifest = Manifest(root)
    entry = Entry(None, 1, "0" * 64, "2024-10-01T10:00:00Z")
    threads = [
        threading.Thread(target=manifest.record, args=(f"file {number}", entry))
        for number in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(manifest.read()) == 20
    assert files(root) == {"qrag-manifest.json"}


def start(root: Path, *tasks: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "qrag_tasks.cli", "download", *(tasks or ["lamp3u"])],
        env={**os.environ, "QRAG_DATA": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def has_begun(root: Path) -> bool:
    part = root / f"{NAME}.part"
    return part.exists() and part.stat().st_size >= 131_072


def test_two_processes_at_once(server: BadServer, root: Path) -> None:
    go_on = threading.Event()
    server.on(PATH, Answer(QUESTIONS, after=go_on))
    first = start(root)
    wait_for(lambda: bool(server.gets()))
    second = start(root, "lamp3u", "lamp5u")
    assert second.stderr
    told = second.stderr.readline()
    assert f"waiting for another process that downloads {root / NAME}" in told
    go_on.set()
    server.on("/LaMP_5/dev/dev_questions.json", Answer(encoded(papers()[0])))
    server.on("/LaMP_5/dev/dev_outputs.json", Answer(encoded(papers()[1])))
    out, complaints = first.communicate(timeout=60)
    assert (first.returncode, complaints) == (0, "")
    assert f"{NAME}: downloaded, {len(QUESTIONS):,} bytes" in out
    out, complaints = second.communicate(timeout=60)
    assert second.returncode == 0
    assert all(line.startswith("waiting for another") for line in complaints.splitlines())
    assert f"{NAME}: there, as recorded, {len(QUESTIONS):,} bytes" in out
    assert len(server.gets(PATH)) == 1
    assert len(recorded(root)) == 4


def test_a_killed_process_is_gone_on_from(server: BadServer, root: Path) -> None:
    server.on(PATH, Answer(QUESTIONS, send=CUT, then="stall"), Answer(QUESTIONS))
    first = start(root)
    wait_for(lambda: has_begun(root))
    first.kill()
    first.communicate(timeout=60)
    assert first.returncode == -signal.SIGKILL
    assert files(root) == {f"{NAME}.part", f"{NAME}.part.json"}
    second = start(root)
    _, complaints = second.communicate(timeout=60)
    assert (second.returncode, complaints) == (0, "")
    whole, rest = server.ranges(PATH)
    assert (whole, begun(rest) >= 131_072) == (None, True)
    assert (root / NAME).read_bytes() == QUESTIONS
    assert files(root) == {NAME, "LaMP_3/dev/dev_outputs.json", "qrag-manifest.json"}


def test_ctrl_c_is_one_line(server: BadServer, root: Path) -> None:
    server.on(PATH, Answer(QUESTIONS, send=CUT, then="stall"))
    process = start(root)
    wait_for(lambda: has_begun(root))
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaints == (
        "Stopped; 0 of 2 files are done. The same command goes on where it was.\n"
    )


# Which files, from where and into which folder


def test_all_is_every_public_task_of_both_splits() -> None:
    public = [task for task in LAMP_TASKS.values() if task.public]
    assert len(public) == 12
    found = lamp_files(["all", "lamp3u"])
    assert len(found) == 2 * len(public)
    names = {file.name for file in found}
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
    told = refused(root, patience=dataclasses.replace(HASTY, tries=1))
    assert told.startswith(
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


# The command


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
