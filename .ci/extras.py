"""Installs every extra alone, and all of them together, and says what conflicts.

``python .ci/extras.py [EXTRA ...]``: by default all of pyproject.toml. Each is installed from this
checkout into an environment of its own, with the versions that constraints.txt pins, and held to
``pip check``; what does not resolve is shown with pip's own words. Environments are removed again.
It takes about two minutes an extra, and is no part of continuous integration.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILT_HERE = {"gptq"}
"""Extras with a package whose build looks for the torch that is there."""
BY_A_GPU = {"vllm"}
"""Extras that bring gigabytes of CUDA packages: they are resolved, and not installed."""


@dataclass(frozen=True)
class Outcome:
    """What came of one environment.

    :ivar said: what pip has to say where it is not all right.
    """

    name: str
    ok: bool
    seconds: float
    said: str = ""

    def __str__(self) -> str:
        state = "ok" if self.ok else "CONFLICT"
        lines = [f"{self.name:50} {state:9} {self.seconds:5.0f} s"]
        return "\n    ".join([*lines, *self.said.splitlines()])


def extras() -> list[str]:
    """Return the names of all extras."""
    if sys.version_info < (3, 11):
        raise SystemExit("take a Python of 3.11 or later")
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return list(project["optional-dependencies"])


def wheel_of_this(folder: Path) -> Path:
    """Build this checkout's wheel: without isolation, pip would look for what builds it."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
    subprocess.run([*command, folder, ROOT], check=True)  # noqa: S603 - a command of this file
    return max(folder.glob("qrag_tasks-*.whl"), key=lambda path: path.stat().st_mtime)


def attempt(names: list[str], folder: Path, wheel: Path) -> Outcome:
    """Install extras into a new environment, and check it."""
    started = time.monotonic()
    called = ", ".join(names)
    environment = {**os.environ, "PIP_CONSTRAINT": str(ROOT / "constraints.txt")}
    environment["PIP_COMPILE"] = "0"
    place = Path(tempfile.mkdtemp(dir=folder))
    python = str(place / "bin" / "python")

    def run(*command: str) -> str:
        """Return nothing where it went well, else the last lines of what it said."""
        done = subprocess.run(  # noqa: S603 - commands of this file
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return ""
        told = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        return "\n".join(told[-12:])

    install = [python, "-m", "pip", "install", "--quiet"]
    steps = [[sys.executable, "-m", "venv", str(place)]]
    if BUILT_HERE & set(names):
        steps.append([*install, f"{wheel}[hf]", "setuptools", "wheel"])
        install.append("--no-build-isolation")
    installed = not BY_A_GPU & set(names)
    steps.append([*install, *([] if installed else ["--dry-run"]), f"{wheel}[{','.join(names)}]"])
    if installed:
        steps.append([python, "-m", "pip", "check"])
    try:
        said = next(filter(None, (run(*step) for step in steps)), "")
    finally:
        shutil.rmtree(place, ignore_errors=True)
    called += "" if installed else " (resolved only)"
    return Outcome(called, not said, time.monotonic() - started, said)


def main() -> int:
    """Try the extras that are named, or all; then together those that installed alone."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="EXTRA", help="by default all")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--alone", action="store_true", help="without all of them together")
    parser.add_argument("--together", action="store_true", help="only all of them together")
    options = parser.parse_args()
    names = options.names or extras()
    wheel = wheel_of_this(options.folder)
    outcomes = []
    if not options.together:
        for name in names:
            outcomes.append(attempt([name], options.folder, wheel))
            print(outcomes[-1], flush=True)
    if not options.alone and len(names) > 1:
        failed = {outcome.name for outcome in outcomes if not outcome.ok}
        both = [name for name in names if name not in failed | BY_A_GPU]
        outcomes.append(attempt(both, options.folder, wheel))
        print(outcomes[-1], flush=True)
    return int(any(not outcome.ok for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
