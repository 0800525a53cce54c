"""The walks of CONTRIBUTING that end in a plugin: what their first command writes, and the rest."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from warm_python import WarmPython

from qrag_tasks.scaffolding import read_names, rendered

PAGE = Path(__file__).parents[1] / "CONTRIBUTING.md"
Run = Callable[..., str]
MODULES = {"lm_eval": "lm_eval", "qrag": "qrag_tasks.cli"}
"""A command -> the module that it runs."""


@dataclass(frozen=True)
class Walk:
    """What a walk has one write and run.

    :ivar name: of the entry point; ``qrag-NAME`` is the distribution, ``qrag_NAME`` its package.
    :ivar files: path in the plugin's folder -> content.
    :ivar commands: lines of a shell, in their order, once it is installed.
    """

    name: str
    files: dict[str, str]
    commands: list[str]

    @classmethod
    def of(cls, heading: str) -> Walk:
        """Read the walk under a heading."""
        text = PAGE.read_text(encoding="utf-8").partition(f"## {heading}\n")[2]
        text = text.partition("\n## ")[0]
        blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        first, enters, installs, *others = "".join(blocks).splitlines()
        new = re.fullmatch(r"qrag plugins new (\S+) --kind (\w+)", first)
        assert new, first
        name, kind = new.groups()
        assert enters == f"cd qrag-{name}"
        assert installs == "python -m pip install -e '.[testing]'"
        for file in re.findall(rf"`(qrag_{name}/[\w.]+|tests/[\w.]+)`", text):
            assert file in rendered(read_names(name), kind), file
        return cls(name, rendered(read_names(name), kind), others)

    def write(self, folder: Path, **replaced: tuple[str, str]) -> None:
        """Write its files.

        :param replaced: name of a module of its package -> text in it, and what takes its place.
        """
        for name, content in self.files.items():
            path, code = folder / name, content
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.parent.name == f"qrag_{self.name}" and path.stem in replaced:
                old, new = replaced[path.stem]
                assert old in code
                code = code.replace(old, new)
            path.write_text(code, encoding="utf-8")

    def install(self, folder: Path) -> None:
        """Write its files, and what an installation leaves beside its package."""
        self.write(folder)
        info = folder / f"qrag_{self.name}-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: qrag-{self.name}\nVersion: 0.1.0\n", encoding="utf-8"
        )
        toml = self.files["pyproject.toml"]
        (point,) = re.findall(rf'^{self.name} = "(.+)"$', toml, re.MULTILINE)
        (info / "entry_points.txt").write_text(f"[qrag]\n{self.name} = {point}\n", encoding="utf-8")


def shell_in(folder: Path) -> Run:
    """Return what runs a line of a shell in a plugin's folder, and returns what it printed."""
    paths = (str(folder), os.environ.get("PYTHONPATH", ""))
    scripts = (str(Path(sys.executable).parent), os.environ["PATH"])

    def run(command: str, fails: bool = False) -> str:
        done = subprocess.run(  # noqa: S602 - the lines of our own page
            command,
            shell=True,
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                "PATH": os.pathsep.join(scripts),
                "COLUMNS": "200",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    return run


def warm_shell_in(folder: Path, warm: WarmPython, *places: Path) -> Run:
    """Return what runs a line of a shell, which is one command, in a process that is forked.

    :param folder: in which it runs.
    :param warm: that process has torch and lm_eval imported already.
    :param places: where plugins are found, beside those that are installed with ours.
    """
    paths = [*map(str, places), os.environ.get("PYTHONPATH", "")]
    # Of pytest's plugins, which want to be imported by it, and have been already.
    bare = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

    def run(command: str) -> str:
        first, *rest = shlex.split(command)
        done = warm.run(
            rest if first == "python" else ["-m", MODULES[first], *rest],
            {
                **os.environ,
                **bare,
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                "COLUMNS": "200",
            },
            folder,
        )
        printed = f"{done.stdout}{done.stderr}"
        assert done.returncode == 0, printed
        return printed

    return run
