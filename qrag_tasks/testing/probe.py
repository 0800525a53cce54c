"""What runs in another process, started by :mod:`qrag_tasks.testing.processes`."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import multiprocessing
import socket
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import entry_points
from json import dumps, loads
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from qrag_tasks import plugins
from qrag_tasks.hookspecs import PROJECT
from qrag_tasks.testing.processes import Findings, Ranked, Request

COSTLY = frozenset(
    {
        *("datasets", "lm_eval", "pandas", "pyarrow", "scipy", "sklearn", "spacy"),
        *("faiss", "jax", "keras", "onnxruntime", "tensorflow", "torch", "vllm"),
        *("sentence_transformers", "transformers"),
        *("jnius", "jpype", "pyserini"),
    }
)
"""What no plugin may import merely because it is installed.

Every ``qrag`` command and every ``lm_eval`` run lists all plugins, whichever it then uses. Each of
these takes from some tenths of a second to several seconds to import, and many start what cannot
be undone in that process: a JVM, a CUDA context, a pool of threads that a fork does not survive.
"""
_OUTWARD = ("socket.connect", "socket.sendto", "socket.sendmsg")
_LOOK_UPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")


def main(request_file: str, findings_file: str) -> None:
    """Answer the request in one file by writing another."""
    request = Request.from_json(Path(request_file).read_text(encoding="utf-8"))
    connections: list[str] = []
    if request.offline:
        refuse_connections(connections)
    imports: tuple[tuple[str, str, str], ...] = ()
    worker = None
    try:
        imports = costly_imports()
        if request.worker:
            worker = in_worker(request_file, f"{findings_file}.worker", request.patience / 2)
    except Exception as error:
        process = Ranked(error=_told(error))
    else:
        process = rank(request)
    findings = Findings(process, worker, imports, tuple(dict.fromkeys(connections)))
    Path(findings_file).write_text(findings.as_json(), encoding="utf-8")


def rank(request: Request) -> Ranked:
    """Build the retriever and rank what is asked for."""
    fingerprint: dict[str, Any] = {}
    try:
        named = plugins.build_retriever(request.spec)
        fingerprint = named.fingerprint.as_dict()
        queries = request.queries
        calls = [(query,) for query in queries] if request.alone else [queries]
        rankings = [ranking for call in calls for ranking in named.rank(call)]
        ids = (query.id for query in queries)
        return Ranked(dict(zip(ids, rankings, strict=True)), fingerprint)
    except Exception as error:
        return Ranked(fingerprint=fingerprint, error=_told(error))


def in_worker(request_file: str, ranked_file: str, patience: float) -> Ranked:
    """Let a worker do :func:`rank`: daemonic, as those of pools and data loaders are."""
    process = multiprocessing.get_context("spawn").Process(
        target=work, args=(request_file, ranked_file), daemon=True
    )
    process.start()
    process.join(patience)
    if process.is_alive():
        process.kill()
        return Ranked(error=f"the worker did not end within {patience:g} s")
    if not Path(ranked_file).is_file():
        return Ranked(error=f"the worker ended with {process.exitcode} and no answer")
    return Ranked.from_fields(loads(Path(ranked_file).read_text(encoding="utf-8")))


def work(request_file: str, ranked_file: str) -> None:
    """Run in the worker: rank, and write down what came of it."""
    ranked = rank(Request.from_json(Path(request_file).read_text(encoding="utf-8")))
    Path(ranked_file).write_text(dumps(asdict(ranked)), encoding="utf-8")


def costly_imports() -> tuple[tuple[str, str, str], ...]:
    """List all retrievers; return each costly module that this imported, who did it and where."""
    watch = _Watch()
    sys.meta_path.insert(0, watch)
    try:
        plugins.RETRIEVERS.all()
    finally:
        sys.meta_path.remove(watch)
    # What is tried for and not installed here is none of them.
    return tuple((module, *by) for module, by in watch.seen.items() if module in sys.modules)


class _Watch(importlib.abc.MetaPathFinder):
    """Finds nothing, and notes who asks for costly modules."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[str, str]] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Take note, and leave the finding to others."""
        if fullname in COSTLY and fullname not in self.seen:
            self.seen[fullname] = _plugin_at_work()
        return None


def refuse_connections(attempts: list[str]) -> None:
    """Refuse all connections that Python makes, now and later, and write them down.

    Not seen is what native code does by itself (a JVM), and what other processes do.
    """

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _OUTWARD:
            connection, address = arguments[0], arguments[1]
            if connection.family not in (socket.AF_INET, socket.AF_INET6):
                return
            attempts.append(f"connect to {_address(address)} {_plugin_at_work()[1]}".strip())
            raise ConnectionRefusedError("this process has no network (qrag_tasks.testing)")
        if event in _LOOK_UPS:
            attempts.append(f"look up {arguments[0]!r} {_plugin_at_work()[1]}".strip())
            raise socket.gaierror("this process has no network (qrag_tasks.testing)")

    sys.addaudithook(watch)


def _address(address: object) -> str:
    return ":".join(map(str, address[:2])) if isinstance(address, tuple) else repr(address)


def _plugin_at_work() -> tuple[str, str]:
    """Return the plugin's package that is running, and where; the core's if it is no plugin's."""
    packages = {"qrag_tasks", *(_package(point.value) for point in entry_points(group=PROJECT))}
    for frame in _callers():
        module = str(frame.f_globals.get("__name__", ""))
        if module != __name__ and _package(module) in packages:
            place = f"(in {frame.f_code.co_name}, {Path(frame.f_code.co_filename).name}"
            return _package(module), f"{place} line {frame.f_lineno})"
    return "", ""


def _package(module: str) -> str:
    return module.partition(":")[0].partition(".")[0].strip()


def _callers() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _told(error: Exception) -> str:
    """Return the error in one line; all of it goes to what this process prints."""
    traceback.print_exception(error)
    return f"{type(error).__name__}: {error}"
