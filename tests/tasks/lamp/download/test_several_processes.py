"""Downloads that share a folder, are killed, or interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bad_server import Answer, BadServer
from download_files import (
    CUT,
    NAME,
    PATH,
    QUESTIONS,
    begun,
    encoded,
    files,
    get,
    recorded,
)
from lamp_files import papers

from qrag_tasks.tasks.lamp.download.manifest import Entry, Manifest


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
        # Where the tests run in the background of a shell, it would be ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
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
