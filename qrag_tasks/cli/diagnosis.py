"""What the main job needs, and whether it is here: packages, names, plugins, data, model."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal

from qrag_tasks import registry
from qrag_tasks.arms import embedded
from qrag_tasks.cli.requirement_conflicts import conflicts
from qrag_tasks.errors import DataError
from qrag_tasks.harness import autoload
from qrag_tasks.locations import cache_dir, mini_root, task_yamls
from qrag_tasks.tasks.catalog import GROUP_TASKS, TASKS
from qrag_tasks.tasks.lamp import data as lamp_data
from qrag_tasks.tasks.lamp.layout import files_of
from qrag_tasks.tasks.lamp.table import LAMP_TASKS
from qrag_tasks.tasks.own.naming import NAME as OWN
from qrag_tasks.tasks.own.table import holds_corpus
from qrag_tasks.upstream.name_checks import look


@dataclass(frozen=True)
class Finding:
    """One line of ``qrag doctor``.

    :ivar level: ``missing`` where the main job cannot run without it.
    :ivar remedy: what can be done about it, in words.
    :ivar command: the one command to run next, because of this.
    """

    level: Literal["ok", "note", "missing"]
    what: str
    state: str
    remedy: str = ""
    command: str = ""


_NEEDED = ("lm_eval", "pluggy", "datasets", "rouge-score")
_NEEDED_BY_HF = ("torch", "transformers", "accelerate", "bitsandbytes")


def examine() -> list[Finding]:
    """Look at all that the main job needs: packages and their names, plugins, data, model."""
    return [
        *_packages(),
        *_autoload(),
        *_inner_names(),
        *_plugins(),
        *_data(),
        _cache(),
        _embedded_model(),
    ]


def _packages() -> Iterator[Finding]:
    yield Finding("ok", "python", platform.python_version())
    yield Finding("ok", "qrag-tasks", f"{version('qrag-tasks')}, task files in {task_yamls()}")
    # pip takes the qrag-tasks that is installed, and adds what it needs.
    install = "pip install 'qrag-tasks[hf]'"
    for name in (*_NEEDED, *_NEEDED_BY_HF):
        try:
            yield Finding("ok", name, version(name))
        except PackageNotFoundError:
            yield Finding("missing", name, "not installed", install, install)
    for conflict in conflicts():
        yield Finding("note", conflict.package, str(conflict), conflict.remedy)


def _autoload() -> Iterator[Finding]:
    by_hand = 'lm_eval --include_path "$(qrag path)" finds the tasks without it'
    if os.environ.get("QRAG_AUTOLOAD") == "0":
        remedy = f"unset it, or {by_hand}"
        yield Finding("missing", "autoload", "off: QRAG_AUTOLOAD=0", remedy, "unset QRAG_AUTOLOAD")
        return
    if not autoload.runs_at_start():
        folder = Path(str(distribution("qrag-tasks").locate_file("")))
        yield Finding(
            "missing",
            "autoload",
            f"qrag_tasks_autoload.pth is not run when {sys.executable} starts: it lies in {folder}",
            "Python reads .pth files in its site-packages only, not where pip install --target or "
            "PYTHONPATH point to: install qrag-tasks there; in Python, import qrag_tasks first; "
            f"or {by_hand}",
            _main_job(_IMPORTED_FIRST),
        )
        return
    yield Finding("ok", "autoload", f"on, in {Path(sys.prefix)}")


def _inner_names() -> Iterator[Finding]:
    """Look for the names of other projects that are replaced or read here."""
    seen = look(autoload.STEPPED_ASIDE)
    for each in seen:
        if each.there is False:
            yield Finding(
                "missing" if each.row.vital else "note",
                each.row.distribution,
                f"{version(each.row.distribution)}: {each.row.name} is not what is expected"
                + (f" ({each.cause})" if each.cause else ""),
                each.row.lost,
                _main_job(_BY_HAND) if each.row.vital else "",
            )
    there, looked_for = (sum(each.there in states for each in seen) for states in _STATES)
    yield Finding(
        "ok" if there == looked_for else "note",
        "inner names",
        f"{there} of {looked_for} that are replaced or read in other projects are as expected",
        "qrag doctor --names lists them",
    )


_STATES = ((True,), (True, False))


def _plugins() -> Iterator[Finding]:
    by_state = {
        state: [p for p in registry.plugins() if p.state == state]
        for state in ("ok", "broken", "blocked")
    }
    names = ", ".join(name for plugin in by_state["ok"] for name in registry.RETRIEVERS.of(plugin))
    yield Finding("ok", "retrievers", names)
    for plugin in (*by_state["broken"], *by_state["blocked"]):
        yield Finding("note", f"plugin {plugin.name}", str(plugin), "qrag plugins tells more")
    for conflict in registry.conflicts():
        yield Finding("missing", "plugins", conflict, "one of the two must go")


def _data() -> Iterator[Finding]:
    # A folder that the user named is wanted; without one there is always `mini`.
    named = os.environ.get("QRAG_DATA")
    if named and holds_corpus(named):
        yield _own_data(named)
        return
    level: Literal["note", "missing"] = "missing" if named else "note"
    names = GROUP_TASKS["lamp_rag"]
    download = f"qrag download {' '.join(names)}"
    for name in names:
        path = files_of(LAMP_TASKS[name]).path
        try:
            questions, _ = LAMP_TASKS[name].source.find(None, "dev")
        except DataError as error:
            first = str(error).splitlines()[0]
            yield Finding(
                level,
                f"data {name}",
                first.partition(": ")[2],
                f"{download}; or set QRAG_DATA to a folder that has "
                f"{path}/dev/dev_questions.json and dev_outputs.json, or "
                f"QRAG_DATA=mini to try things out",
                download,
            )
        else:
            yield Finding("ok", f"data {name}", str(questions))


def _own_data(folder: str) -> Finding:
    """Look whether the folder's own data can be had; `qrag check` looks at all of them."""
    check = f"qrag check {shlex.quote(folder)}"
    try:
        questions, _ = TASKS[OWN].source.find(None, "dev")
    except DataError as error:
        return Finding("missing", f"data {OWN}", str(error).splitlines()[0], check, check)
    return Finding("ok", f"data {OWN}", str(questions), f"{check} looks at all of it")


def _cache() -> Finding:
    """Write into the cache folder, and into those that it holds."""
    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for place in (folder, *filter(Path.is_dir, folder.iterdir())):
            with TemporaryFile(dir=place) as file:
                file.write(b"qrag doctor")
    except OSError as error:
        return Finding(
            "missing",
            "cache",
            f"{folder} cannot be written: {error.strerror} ({error.filename})",
            "repair it, or name another folder with QRAG_CACHE",
        )
    return Finding("ok", "cache", str(folder))


def _embedded_model() -> Finding:
    return Finding("ok", "embedded model", f"{embedded.NAME}, used where pretrained= is not given")


_PLAIN = "lm_eval"
_BY_HAND = 'lm_eval --include_path "$(qrag path)"'
_IMPORTED_FIRST = (
    f"{sys.executable} -c 'import qrag_tasks; from lm_eval.__main__ import cli_evaluate; "
    f"cli_evaluate()'"
)
"""Three ways to start lm_eval with our tasks: with autoload, without it, and with it later."""


def next_command(findings: Sequence[Finding]) -> str:
    """Return the one command to run next: what mends the first thing missing, or the main job."""
    missing = [finding for finding in findings if finding.level == "missing"]
    if not missing:
        return _main_job(_PLAIN)
    return next((finding.command for finding in missing if finding.command), "qrag doctor")


def _main_job(program: str) -> str:
    """Return the command of the main job: on the data that are here, else on the sample."""
    sample = "" if all(finding.level == "ok" for finding in _data()) else _ON_THE_SAMPLE
    task = OWN if holds_corpus(os.environ.get("QRAG_DATA", "")) else "lamp"
    # The embedded model can do the tasks of the sample alone.
    model = "" if sample or lamp_data.data_root() == mini_root() else "pretrained=MODEL,"
    return (
        f"{program} --tasks {task}_rag_k5 --model hf --model_args {model}load_in_4bit=True{sample}"
    )


_ON_THE_SAMPLE = """ --metadata '{"data": "mini"}'"""
