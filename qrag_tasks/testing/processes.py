"""Asking another process what a retriever does there.

The process runs :mod:`qrag_tasks.testing.probe`, whatever this one runs: a test runner, a command
line, a notebook. Question and answer go through files, so that nothing which a model prints can
get between them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from qrag_tasks.installed import Origin
from qrag_tasks.retrieval.base import Document, Query, Ranking

# What can be imported here can be imported there. Not by PYTHONPATH: that comes before the standard
# library, and a script's folder may hold a module that has the name of one of its.
_START = """
import sys
sys.path = [entry for entry in sys.path if entry]
import json
with open(sys.argv[1], encoding="utf-8") as file:
    sys.path[:] = json.load(file)["path"]
from qrag_tasks.testing.probe import main
main(*sys.argv[1:])
"""
PATIENCE = 900.0
"""Seconds that a process may take if nothing else is said: loading a model may take long."""


@dataclass(frozen=True)
class Request:
    """What the process is to do.

    :ivar queries: already without what the retriever did not ask for.
    :ivar path: what modules are looked for in, as ``sys.path``.
    :ivar alone: rank them one at a time, not in one call.
    :ivar offline: refuse connections, and record who tried to open one.
    :ivar worker: let a daemonic process, started by multiprocessing's ``spawn``, rank them first.
    :ivar patience: seconds after which the process is ended; a worker already after half of them.
    """

    spec: str
    queries: tuple[Query, ...]
    path: tuple[str, ...]
    alone: bool = False
    offline: bool = False
    worker: bool = False
    patience: float = PATIENCE

    def as_json(self) -> str:
        """Return the request as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Request:
        """Return the request that ``text`` holds."""
        fields = json.loads(text)
        fields["queries"] = tuple(
            Query(
                query["id"],
                query["text"],
                tuple(Document(**document) for document in query["documents"]),
                query["gold"],
            )
            for query in fields["queries"]
        )
        fields["path"] = tuple(fields["path"])
        return cls(**fields)


@dataclass(frozen=True)
class Ranked:
    """What came of ranking somewhere else.

    :ivar rankings: by the query's id.
    :ivar fingerprint: that of the retriever that was built there; empty when none was.
    :ivar error: why there are no rankings; empty when there are.
    """

    rankings: Mapping[str, Ranking] = field(default_factory=dict)
    fingerprint: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Ranked:
        """Return what :func:`dataclasses.asdict` made of it, after a way through JSON."""
        rankings = {
            query: Ranking(tuple(ranking["ids"]), tuple(ranking["scores"]))
            for query, ranking in fields["rankings"].items()
        }
        return cls(rankings, fields["fingerprint"], fields["error"])


@dataclass(frozen=True)
class Findings:
    """What another process found.

    :ivar process: what it ranked itself.
    :ivar worker: what its worker ranked; ``None`` when none was asked for.
    :ivar imports: costly modules that listing the retrievers imported: for each the module, the
        package of the plugin that did it, and where.
    :ivar connections: what somebody tried to connect to.
    """

    process: Ranked
    worker: Ranked | None = None
    imports: tuple[tuple[str, str, str], ...] = ()
    connections: tuple[str, ...] = ()

    def as_json(self) -> str:
        """Return the findings as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Findings:
        """Return the findings that ``text`` holds."""
        fields = json.loads(text)
        return cls(
            Ranked.from_fields(fields["process"]),
            Ranked.from_fields(fields["worker"]) if fields["worker"] else None,
            tuple((module, package, place) for module, package, place in fields["imports"]),
            tuple(fields["connections"]),
        )


def examine(request: Request, hash_seed: str = "") -> Findings:
    """Let another process do what is asked; never raises for what goes wrong there.

    :param hash_seed: its ``PYTHONHASHSEED``; empty: as for any process started here.
    """
    with tempfile.TemporaryDirectory(prefix="qrag-testing-") as folder:
        request_file, findings_file = Path(folder, "request.json"), Path(folder, "findings.json")
        printed = Path(folder, "output.txt")
        environment = {"PYTHONHASHSEED": hash_seed} if hash_seed else {}
        request_file.write_text(request.as_json(), encoding="utf-8")
        try:
            # Into a file, not a pipe: what a retriever has started may outlive the process, and
            # hold a pipe open.
            with printed.open("wb") as output:
                process = subprocess.run(  # noqa: S603 - our own module, our own files
                    [sys.executable, "-c", _START, str(request_file), str(findings_file)],
                    env={**os.environ, **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=request.patience,
                    check=False,
                )
        except subprocess.TimeoutExpired:
            return Findings(Ranked(error=f"the process did not end within {request.patience:g} s"))
        if findings_file.is_file():
            return Findings.from_json(findings_file.read_text(encoding="utf-8"))
        last = printed.read_text(encoding="utf-8", errors="replace").strip()[-2000:]
    ended = f"the process ended with {process.returncode} and no answer"
    return Findings(Ranked(error=f"{ended}; it printed: {last}" if last else ended))


def imports_of(origin: Origin, findings: Findings) -> list[str]:
    """Return the costly modules that one plugin imports merely because plugins are listed.

    :param findings: of a process that has listed them.
    """
    package = origin.entry_point.rpartition("= ")[2].partition(":")[0].partition(".")[0]
    own = package or "qrag_tasks"
    return [f"{module} {place}" for module, by, place in findings.imports if by == own]


@cache
def listing(path: tuple[str, ...]) -> Findings:
    """Return what another process finds that only lists the plugins; asked once for each path.

    :param path: its ``sys.path``, as :func:`import_path` returns it.
    """
    return examine(Request("none", (), path))


def import_path() -> tuple[str, ...]:
    """Return ``sys.path`` for a process that may be somewhere else."""
    # The empty entry means the folder in which one is.
    return tuple(str(Path(entry).absolute()) for entry in sys.path)
