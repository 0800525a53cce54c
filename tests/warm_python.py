"""Python processes that have imported what a run of lm_eval needs: forked from one that has.

To import torch, transformers and lm_eval takes a process some five seconds, and the commands that
tests run take a second beside it. Each of them has a process of its own all the same: its
environment, folder, arguments, standard streams and exit code are those of a command.

What it does not show is what happens while Python starts and imports. Tests of that, and one of
each way in, run a Python of their own.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, NoReturn

IMPORTED = (
    *(
        "torch",
        "transformers.models.auto.modeling_auto",
        "transformers.models.llama.modeling_llama",
    ),
    *("accelerate", "bitsandbytes", "datasets", "lm_eval.evaluator", "lm_eval.tasks"),
    *("lm_eval._cli.harness", "lm_eval.models.huggingface", "qrag_tasks.cli"),
    *("qrag_tasks.harness.model", "qrag_tasks.harness.task", "qrag_tasks.experiment.running.arm"),
)
"""What a command finds imported, as far as it is installed."""
LIBRARIES = (
    *(name for name in IMPORTED if not name.startswith(("lm_eval", "qrag_tasks"))),
    *("jinja2", "pandas", "pydantic", "requests", "rich", "sacrebleu", "scipy.stats"),
)
"""What lm_eval and our package import: for tests of how these two are imported themselves."""
_AT_START = ("QRAG_AUTOLOAD", "PYTHONHASHSEED")
"""Variables that matter while Python starts and imports."""
_SERVER = f"""
import sys
sys.path.append({str(Path(__file__).parent)!r})
import warm_python
warm_python.serve(sys.argv[1], sys.argv[2:])
"""
_HIGH = 512
"""Numbers of files from here on are those of none that is passed on."""


class WarmPython:
    """Runs commands of Python in processes that are forked from one that has imported much.

    :param folder: for its socket.
    :param imported: what a command finds imported, as far as it is installed.
    :param base: one that has imported a part of that; processes that import the rest are forked
        from it.
    :param python: the interpreter; by default this one, and that of ``base`` is this one, too.
    """

    def __init__(
        self,
        folder: Path,
        imported: Sequence[str] = IMPORTED,
        base: WarmPython | None = None,
        python: Path | str = sys.executable,
    ) -> None:
        self._folder, self._imported, self._base = folder, imported, base
        self._python = str(python)
        self._servers: dict[
            tuple[str | None, ...], tuple[subprocess.Popen[bytes] | WarmProcess, str]
        ] = {}

    def run(
        self,
        arguments: Sequence[str],
        env: Mapping[str, str],
        cwd: Path | None = None,
        timeout: float = 600,
    ) -> subprocess.CompletedProcess[str]:
        """Run ``python ARGUMENTS``, which are ``-m MODULE ...`` or ``-c CODE ...``.

        :raises subprocess.TimeoutExpired: when it takes too long; it is ended then.
        """
        command = [self._python, *arguments]
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
            with self.popen(command, stdout=out, stderr=error, env=env, cwd=cwd) as process:
                try:
                    code = process.wait(timeout)
                except subprocess.TimeoutExpired:
                    os.kill(process.pid, signal.SIGKILL)
                    raise
            texts = []
            for file in (out, error):
                file.seek(0)
                texts.append(file.read().decode("utf-8", errors="replace"))
            return subprocess.CompletedProcess(command, code, *texts)

    def popen(
        self,
        command: Sequence[str],
        stdin: int = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.DEVNULL,
        stderr: int | IO[bytes] = subprocess.STDOUT,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        pass_fds: Sequence[int] = (),
        start_new_session: bool = False,
    ) -> WarmProcess:
        """Start a command of Python, as ``subprocess.Popen`` does.

        It is the leader of a process group in any case.

        :param stdin: ``DEVNULL``, or ``PIPE`` for a pipe that ends when this process does.
        :param stdout: a file or its descriptor, or ``DEVNULL``.
        :param stderr: the same, or ``STDOUT``.
        """
        env = os.environ if env is None else env
        wire = socket.socket(socket.AF_UNIX)
        wire.connect(self._server(env))
        request = {"arguments": [*command[1:]], "env": {**env}, "cwd": str(cwd or Path.cwd())}
        request["files"] = [0, 1, 2, *pass_fds]
        body = json.dumps(request).encode() + b"\n"
        nothing = os.open(os.devnull, os.O_RDWR)
        given, kept = os.pipe() if stdin == subprocess.PIPE else (nothing, None)
        out = nothing if stdout == subprocess.DEVNULL else _descriptor(stdout)
        error = {subprocess.STDOUT: out, subprocess.DEVNULL: nothing}.get(stderr)  # type: ignore[call-overload]
        files = [given, out, _descriptor(stderr) if error is None else error, *pass_fds]
        try:
            wire.sendall(body[socket.send_fds(wire, [body], files) :])
        finally:
            for file in {nothing, given}:
                os.close(file)
        return WarmProcess(command, wire, kept)

    def close(self) -> None:
        """End the processes that commands are forked from."""
        for process, _ in self._servers.values():
            with process:  # its standard input ends
                pass
        self._servers.clear()

    def _server(self, env: Mapping[str, str]) -> str:
        """Return the socket of a process that was started as this environment would have it."""
        shadows = [place for place in _places(env) if self._is_seen_at_start(Path(place))]
        key = (*shadows, *(env.get(name) for name in _AT_START))
        if key not in self._servers:
            address = str(self._folder / f"{len(self._servers)}.socket")
            path = os.pathsep.join([*shadows, *_places(os.environ)])
            reading, writing = os.pipe()
            process = (subprocess.Popen if self._base is None else self._base.popen)(
                [self._python, "-c", _SERVER, address, *self._imported],
                env={**env, "PYTHONPATH": path},
                stdin=subprocess.PIPE,
                stdout=writing,
                stderr=2,
                cwd=Path("/"),
            )
            os.close(writing)
            with os.fdopen(reading, "rb") as said:
                assert said.readline() == b"ready\n"
            self._servers[key] = process, address
        return self._servers[key][1]

    def _is_seen_at_start(self, place: Path) -> bool:
        """Tell whether a folder of ``PYTHONPATH`` holds what is imported from there."""
        if not any(name.startswith(("lm_eval", "qrag_tasks")) for name in self._imported):
            return False
        return str(place) not in _places(os.environ) and (place / "lm_eval").exists()


class WarmProcess:
    """A command that was started, with the methods of ``subprocess.Popen`` that are needed.

    :ivar pid: of its process.
    :ivar returncode: how it ended; ``None`` while it runs.
    :ivar stdin: the end of the pipe that it reads, where it has one.
    """

    def __init__(self, command: Sequence[str], wire: socket.socket, stdin: int | None) -> None:
        self._command, self._wire, self._told = [*command], wire, b""
        self.stdin = None if stdin is None else os.fdopen(stdin, "wb", buffering=0)
        self.pid = int(self._line())
        self.returncode: int | None = None

    def __enter__(self) -> WarmProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.stdin is not None:
            self.stdin.close()
        self.wait()

    def wait(self, timeout: float | None = None) -> int:
        """Return how it ended.

        :raises subprocess.TimeoutExpired: when it has not, after that many seconds.
        """
        if self.returncode is None:
            self._wire.settimeout(timeout)
            try:
                self.returncode = int(self._line())
            except TimeoutError:
                raise subprocess.TimeoutExpired(self._command, timeout or 0) from None
            self._wire.close()
        return self.returncode

    def poll(self) -> int | None:
        """Return how it ended; ``None`` while it runs."""
        try:
            return self.wait(0.001)
        except subprocess.TimeoutExpired:
            return None

    def terminate(self) -> None:
        """Ask it to end."""
        os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        os.kill(self.pid, signal.SIGKILL)

    def _line(self) -> bytes:
        while b"\n" not in self._told:
            more = self._wire.recv(1 << 10)
            assert more, "the process that commands are forked from has ended"
            self._told += more
        line, _, self._told = self._told.partition(b"\n")
        return line


def _descriptor(file: int | IO[bytes]) -> int:
    return file if isinstance(file, int) else file.fileno()


def _places(env: Mapping[str, str]) -> list[str]:
    return [place for place in env.get("PYTHONPATH", "").split(os.pathsep) if place]


def ask_the_machine_once() -> None:
    """Have lm_eval's results describe the machine as this process has found it.

    torch starts pip and others to describe it, which takes a second in every run.
    """
    try:
        from torch.utils import collect_env
    except ImportError:
        return
    collect_env.get_pretty_env_info = cache(collect_env.get_pretty_env_info)


# ---------------------------------------------------------------------- the process itself
def serve(address: str, imported: Sequence[str]) -> None:
    """Import, and then fork a process for each command; end when standard input does."""
    import gc
    import importlib

    # Of this module and the folder it is in, which no command is to find.
    sys.path[:] = [place for place in sys.path if place not in ("", str(Path(__file__).parent))]
    for name in imported:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    if {"torch", "datasets"} <= sys.modules.keys():
        from torch.utils import collect_env

        ask_the_machine_once()
        collect_env.get_pretty_env_info()
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            ready, _, _ = select.select([listening, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            wire, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _watch(wire)
            wire.close()


def _watch(wire: socket.socket) -> NoReturn:
    """Run a command in a further process, and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    body, files, _, _ = socket.recv_fds(wire, 1 << 20, 16)
    while not body.endswith(b"\n"):
        body += wire.recv(1 << 20)
    request = json.loads(body)
    process = os.fork()
    if process == 0:
        wire.close()
        _become(request, files)
    wire.sendall(f"{process}\n".encode())
    _, status = os.waitpid(process, 0)
    wire.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(request: Mapping[str, Any], files: Sequence[int]) -> NoReturn:
    """Be the process of a command from here on."""
    import atexit
    import fcntl
    import runpy
    import threading

    os.setpgid(0, 0)
    # Out of the way of each other first.
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD, _HIGH) for file in files]
    for file in files:
        os.close(file)
    for file, number in zip(moved, request["files"], strict=True):
        os.dup2(file, number)
        os.close(file)
    before = _places(os.environ)
    os.environ.clear()
    os.environ.update(request["env"])
    more = [place for place in _places(os.environ) if place not in before]
    sys.path[:0] = more
    os.chdir(request["cwd"])
    _forget_folders()
    code = 0
    try:
        for place in more:
            if (Path(place) / "sitecustomize.py").exists():
                runpy.run_path(str(Path(place) / "sitecustomize.py"))
        _run(request["arguments"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _forget_folders() -> None:
    """Have what is installed be looked for again."""
    import importlib

    importlib.invalidate_caches()
    if plugins := sys.modules.get("qrag_tasks.plugins"):
        plugins.forget()


def _run(arguments: Sequence[str]) -> None:
    import runpy

    kind, what, *rest = arguments
    if kind == "-m":
        sys.argv[:] = [what, *rest]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.argv[:] = ["-c", *rest]
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102
