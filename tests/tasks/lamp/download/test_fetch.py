"""What comes of servers that misbehave and then mend."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import re
import time
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path

import pytest
from bad_server import NO_LENGTH, Answer, BadServer
from download_files import (
    CHANGED,
    CUT,
    HASTY,
    IMPATIENT,
    NAME,
    PATH,
    QUESTIONS,
    begun,
    files,
    get,
    recorded,
    refused,
)

from qrag_tasks.tasks.catalog import task_named
from qrag_tasks.tasks.lamp import data
from qrag_tasks.tasks.lamp.download import Download


def test_files_land_where_lm_eval_reads_them(server: BadServer, root: Path) -> None:
    outcomes = [get(root), get(root, "outputs")]
    assert [outcome.state for outcome in outcomes] == ["downloaded", "downloaded"]
    assert files(root) == {NAME, "LaMP_3/dev/dev_outputs.json", "qrag-manifest.json"}
    assert (root / NAME).read_bytes() == QUESTIONS
    assert len(data.load(task_named("lamp3u"), str(root)).samples) == 60
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
    # Ranges would count packed bytes: the second try begins again.
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
            # By its length, it is another file than the one that was begun: all again.
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
    message = refused(root)
    assert "no answer (Connection refused). Given up after 4 tries." in message
    assert "HTTPConnectionPool" not in message
