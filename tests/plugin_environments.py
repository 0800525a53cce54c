"""Environments in which somebody else's plugin is installed, and its wheel."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from plugin_walks import MODULES, Walk
from warm_python import WarmPython

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def run_in(environment: Path, cache: Path) -> Run:
    """Return what runs bash in a virtual environment, as somebody does who has nothing else."""
    variables = _variables(environment, cache)

    def run(script: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=cwd,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stdout
        return done

    return run


def warm_in(environment: Path, cache: Path, warm: WarmPython, *places: Path) -> Run:
    """Return what runs one command there, as :func:`run_in` does, in a process that is forked.

    What was installed since that process started is found.

    :param warm: finds what is installed in the environment; the places are added.
    :param places: where plugins are found beside.
    """
    variables = _variables(environment, cache)
    if places:
        variables["PYTHONPATH"] = os.pathsep.join(map(str, places))

    def run(script: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        words = shlex.split(script)
        told = {}
        while "=" in words[0]:
            name, _, told[name] = words.pop(0).partition("=")
        command, *arguments = words
        done = warm.run(["-m", MODULES[command], *arguments], {**variables, **told}, cwd, 900)
        done.stdout += done.stderr
        assert done.returncode == 0 or not check, done.stdout
        return done

    return run


def _variables(environment: Path, cache: Path) -> dict[str, str]:
    """Return the variables of somebody's shell who has nothing but a virtual environment."""
    ours = ("PYTHONPATH", "VIRTUAL_ENV", "COLUMNS")
    return {
        **{k: v for k, v in os.environ.items() if k not in ours and not k.startswith("TOX")},
        "PATH": f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "QRAG_CACHE": str(cache),
        "HF_HUB_OFFLINE": "1",
    }


@dataclass(frozen=True)
class Beside:
    """An environment of its own that has all that the tests' has, ours among it.

    :ivar environment: its folder.
    :ivar run: runs bash there.
    :ivar site: where what is installed into it goes.
    """

    environment: Path
    run: Run
    site: Path

    def warm(self, warm: WarmPython) -> Run:
        """Return what runs one command there, forked from a process that has what ours has."""
        return warm_in(self.environment, self.environment.parent / "cache", warm, self.site)


def install(run: Run, walk: Walk, folder: Path, **replaced: tuple[str, str]) -> None:
    """Build the wheel of a plugin in a folder, and install it.

    :param run: runs bash in the environment that it goes into.
    :param replaced: of the plugin's code, as :meth:`Walk.write` has it.
    """
    walk.write(folder, **replaced)
    run(f"python -m pip install --quiet --no-deps --force-reinstall '{built(folder)}'", folder)


def built(folder: Path) -> Path:
    """Build the wheel of a plugin, and return it."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", "dist"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def beside_ours(folder: Path) -> Beside:
    """Make an environment that has all that this one has, and whatever is installed into it."""
    environment = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (site,) = (environment / "lib").glob("python*/site-packages")
    ours = sysconfig.get_path("purelib")
    (site / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n", encoding="utf-8")
    for name, module in (("qrag", "qrag_tasks.cli"), ("lm_eval", "lm_eval")):
        script = environment / "bin" / name
        script.write_text(f'#!/bin/sh\nexec python -m {module} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    return Beside(environment, run_in(environment, folder / "cache"), site)
