"""The process in which Lucene runs, as seen from ours: starting it, asking it, ending it.

Java is kept out of the caller's process for good reasons: a JVM must not be forked, cannot be
stopped, can be started only once and with one set of options, and takes its process with it when
it runs out of memory. ``subprocess`` is used and not ``multiprocessing``, which would import the
caller's ``__main__`` again and refuses to start a child from its own daemonic workers.

All retrievers of a process share one worker (one for each ``java`` and ``heap``), since a task
builds its own retriever and a run may have many tasks. A worker keeps nothing from one question to
the next. It ends when our end of its standard input is closed, which the system does for us
however we end.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from typing import Any, cast

from qrag_pyserini.anserini import anserini_jar
from qrag_pyserini.java import find_java

_JVM_OPTIONS = (
    # One profile at a time is a load for one thread; saves 130 MB against the default collector.
    "-XX:+UseSerialGC",
    # A JVM that had no memory for one document is not to be trusted with the next.
    "-XX:+ExitOnOutOfMemoryError",
    # Leave no file of counters in the temporary folder when killed.
    "-XX:-UsePerfData",
)

_PART = 1 << 16  # bytes; what a pipe holds


class WorkerError(RuntimeError):
    """The worker could not answer; the message says why, with its last words if it ended."""


class LuceneWorker:
    """One running :mod:`qrag_pyserini.worker`. May be shared by threads.

    :param java: the folder of a Java, or empty; see :func:`~qrag_pyserini.java.find_java`.
    :param heap: as in ``-Xmx1g``.
    :raises RetrieverError: when there is no Java 21.
    :raises WorkerError: when it cannot be started.
    """

    def __init__(self, java: str, heap: str) -> None:
        home = find_java(java).home
        try:
            jar = anserini_jar()
        except FileNotFoundError as error:
            raise WorkerError(str(error)) from error
        environment = dict(os.environ, JAVA_HOME=str(home))
        # pyjnius would prefer it to the Java that was found.
        environment.pop("JVM_PATH", None)
        self._asking = threading.Lock()
        # A file and not a pipe: nobody has to read it for the worker to go on writing.
        self._errors = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 -- closed by stop
        # -P: a file of the user's in the working folder must not stand in for a module.
        command = [sys.executable, "-P", "-m", "qrag_pyserini.worker", str(jar)]
        self._process = subprocess.Popen(  # noqa: S603 -- our own module
            [*command, f"-Xmx{heap}", *_JVM_OPTIONS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            # Unbuffered: a buffer is copied by a fork, with what is in it and whoever locked it.
            bufsize=0,
        )
        self._requests = cast(io.FileIO, self._process.stdin)
        self._replies = cast(io.FileIO, self._process.stdout)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return not self._requests.closed and self._process.poll() is None

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to one request; both are described in :mod:`qrag_pyserini.worker`.

        :raises WorkerError: when the request is refused, or the worker ends instead.
        """
        with self._asking:
            if self._requests.closed:
                raise WorkerError("the Java worker ended while another thread was asking it")
            try:
                self._send(json.dumps(request).encode() + b"\n")
                reply = self._receive()
            except OSError:
                reply = b""
            except BaseException:
                # Interrupted: the answer would be taken for that of the next question.
                self.stop(kill=True)
                raise
            if not reply.endswith(b"\n"):
                raise WorkerError(self._obituary())
        answer: dict[str, Any] = json.loads(reply)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def _send(self, line: bytes) -> None:
        unsent = memoryview(line)
        while unsent:
            unsent = unsent[self._requests.write(unsent) :]

    def _receive(self) -> bytes:
        """Return what is answered, up to the end of its line or of the worker."""
        reply = b""
        while not reply.endswith(b"\n") and (part := self._replies.read(_PART)):
            reply += part
        return reply

    def _obituary(self) -> str:
        """Return how the worker ended and what it wrote last, once it has ended."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._errors.seek(0)
        written = self._errors.read().decode(errors="replace").splitlines()
        last = "\n".join(line for line in written if line.strip())[-2000:]
        self.stop()
        how = f"with exit status {code}"
        if code < 0:
            with contextlib.suppress(ValueError):
                how = f"killed by {signal.Signals(-code).name}"
            if code == -signal.SIGKILL:
                how += ", as the system does when memory runs out"
        return f"the Java worker ended, {how}. " + (
            f"It wrote last:\n{last}" if last else "It wrote nothing."
        )

    def stop(self, kill: bool = False) -> None:
        """End it; ask it to, or do not ask."""
        if kill:
            self._process.kill()
        self._requests.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._replies.close()
        self._errors.close()

    def abandon(self) -> None:
        """Let go of it in a fork of the process whose worker it is."""
        self._requests.close()
        self._replies.close()
        self._errors.close()
        self._process.returncode = 0  # it is no child of this process, which could only miss it


_workers: dict[tuple[str, str], LuceneWorker] = {}
_starting = threading.Lock()


def lucene_worker(java: str, heap: str) -> LuceneWorker:
    """Return this process's worker, started if there is none.

    :raises RetrieverError: when there is no Java 21.
    :raises WorkerError: when it cannot be started.
    """
    with _starting:
        worker = _workers.pop((java, heap), None)
        if worker is not None and not worker.alive:
            worker.stop()
            worker = None
        _workers[java, heap] = worker or LuceneWorker(java, heap)
        return _workers[java, heap]


@atexit.register
def stop_workers() -> None:
    """End every worker of this process; the next question starts one again."""
    with _starting:
        while _workers:
            _workers.popitem()[1].stop()


def _abandon_in_fork() -> None:
    # Two processes must not talk through one pipe; and as long as a fork held its end of the
    # pipe open, the worker would outlive the process that started it.
    global _starting
    _starting = threading.Lock()  # another thread may have held it
    while _workers:
        _workers.popitem()[1].abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_in_fork)
