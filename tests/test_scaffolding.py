"""`qrag plugins new`: what it writes, which names it refuses, and that it writes all or nothing."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from packaging.requirements import Requirement
from plugin_files import InstallPlugin

from qrag_tasks import registry, scaffolding
from qrag_tasks.cli import main
from qrag_tasks.locations import plugin_templates
from qrag_tasks.scaffolding import KINDS, read_names, rendered

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def new(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["plugins", "new", *arguments])


def refused(*arguments: str) -> str:
    done = new(*arguments)
    assert done.exit_code == 1, done.output
    assert "Traceback" not in done.output
    return " ".join(done.output.split())


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_is_written_and_nothing_of_the_template_is_left(here: Path, kind: str) -> None:
    done = new("my-own", "--kind", kind)
    assert done.exit_code == 0, done.output
    folder = here / "qrag-my-own"
    assert [path.name for path in here.iterdir()] == [folder.name]
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {
        *("pyproject.toml", "README.md", "LICENSE", "tox.ini", ".gitignore"),
        *(".github/workflows/tests.yml", "tests/test_my_own.py"),
        *("qrag_my_own/__init__.py", "qrag_my_own/py.typed"),
    } <= files
    for name in files:
        assert f"written: {Path('qrag-my-own', name)}" in done.output
        text = (folder / name).read_text("utf-8")
        assert not re.search(r"\bmine\b|mine_|Mine|@\w+@", f"{name}\n{text}"), name
        if name.endswith(".py"):
            compile(text, name, "exec")
    readme = (folder / "README.md").read_text("utf-8")
    for name in re.findall(r"`(qrag_my_own/[\w.]+|tests/[\w.]+)`", readme):
        assert name in files
    assert "cd qrag-my-own\n" in done.output


@pytest.mark.parametrize("kind", KINDS)
def test_its_bounds_are_those_of_this_version(kind: str) -> None:
    files, core = rendered(read_names("own"), kind), distribution("qrag-tasks")
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert project["requires-python"] == core.metadata["Requires-Python"]
    (asked,) = map(Requirement, project["dependencies"])
    assert asked.name == "qrag-tasks"
    assert asked.extras == ({"hf"} if kind in ("format", "engine") else set())
    assert asked.specifier.contains(core.version)
    assert f"qraglowest: qrag-tasks=={core.version}\n" in files["tox.ini"]
    assert str(asked.specifier).count(core.version) == 1
    (lm_eval,) = (r for r in map(Requirement, core.requires or ()) if r.name == "lm-eval")
    assert (
        f"lmevallowest: lm-eval{str(lm_eval.specifier).replace('>=', '==')}\n" in files["tox.ini"]
    )
    workflow: Any = yaml.safe_load(files[".github/workflows/tests.yml"])
    pythons = workflow["jobs"]["tox"]["strategy"]["matrix"]["python"]
    own = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["classifiers"]
    assert pythons == [c.rpartition(" ")[2] for c in own if re.search(r":: \d\.\d+$", c)]
    listed = ",".join(each.replace(".", "") for each in pythons)
    assert (
        f"env_list = py{{{listed}}}-qrag{{lowest,newest}}-lmeval{{lowest,newest}}\n"
        in (files["tox.ini"])
    )


@pytest.mark.parametrize(
    ("version", "bounds"),
    [
        ("0.1.0", ">=0.1.0,<0.2"),
        ("0.12.3", ">=0.12.3,<0.13"),
        ("2.4.1", ">=2.4.1,<3"),
        ("0.2.0.dev1+local", ">=0.2.0.dev1,<0.3"),
    ],
)
def test_the_next_version_that_may_break_it_is_excluded(
    monkeypatch: pytest.MonkeyPatch, version: str, bounds: str
) -> None:
    core = distribution("qrag-tasks")

    class Later:
        metadata, requires = core.metadata, core.requires

    Later.version = version  # type: ignore[attr-defined]
    monkeypatch.setattr(scaffolding, "distribution", lambda name: Later)
    assert f'"qrag-tasks{bounds}"' in rendered(read_names("own"), "retriever")["pyproject.toml"]


@pytest.mark.parametrize(
    ("given", "distribution", "module", "title"),
    [
        ("longest", "qrag-longest", "qrag_longest", "Longest"),
        ("qrag-longest", "qrag-longest", "qrag_longest", "Longest"),
        ("my-2nd-own", "qrag-my-2nd-own", "qrag_my_2nd_own", "My2ndOwn"),
        ("x", "qrag-x", "qrag_x", "X"),
    ],
)
def test_names(given: str, distribution: str, module: str, title: str) -> None:
    names = read_names(given)
    assert (names.distribution, names.module, names.title) == (distribution, module, title)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My_Retriever", "the name 'My_Retriever': expected a letter, .* Did you mean 'my-retr"),
        ("QRAG_Longest", "Did you mean 'longest'"),
        ("möwe", "Did you mean 'mowe'"),
        ("鳥", "the name '鳥': expected a letter, then letters, digits and single hyphens"),
        ("3gram", "the name '3gram': expected a letter"),
        ("a--b", "Did you mean 'a-b'"),
        ("a-", "Did you mean 'a'"),
        ("a.b", "Did you mean 'a-b'"),
        ("../up", "Did you mean 'up'"),
        ("a b\n", "Did you mean 'a-b'"),
        ("", "the name '': expected"),
        ("qrag-", "the name 'qrag-': expected"),
        ("a" * 41, "at most 40"),
    ],
)
def test_a_name_that_pip_python_and_qrag_would_not_all_take(
    here: Path, name: str, message: str
) -> None:
    said = refused("--kind", "retriever", "--", name)
    assert re.search(message, said), said
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("true", "retriever", "its class would be True, which means something else in Python"),
        ("query", "retriever", "its class would be Query, .* or in the retriever's code"),
        ("format", "format", "its class would be Format"),
        ("bm25", "retriever", r"qrag-tasks \S+ has the retriever 'bm25'"),
        ("lamp3u", "task", r"qrag-tasks \S+ has the task 'lamp3u'"),
        ("lamp", "task", r"qrag-tasks \S+ has the (name|tag) in lm_eval 'lamp_rag"),
        ("own-data", "task", "begins with 'own-', as the rows of own data do"),
        ("gptq", "format", "has the format 'gptq'"),
        ("vllm", "engine", "has the engine 'vllm'"),
        ("tasks", "retriever", r"qrag-tasks \S+ is installed here already"),
    ],
)
def test_a_name_that_is_taken(here: Path, name: str, kind: str, message: str) -> None:
    said = refused(name, "--kind", kind)
    assert re.search(message, said), said
    assert said.endswith("Choose another name")
    assert not list(here.iterdir())


def test_a_name_of_another_plugin_is_taken(install: InstallPlugin, tmp_path: Path) -> None:
    install("somebody", rendered(read_names("last"), "retriever")["qrag_last/__init__.py"])
    assert "somebody 0.3 has the retriever 'last'" in refused("last", "--kind", "retriever")
    assert new("last", "--kind", "task").exit_code == 0  # each kind has names of its own
    install("qrag_first", "")
    assert "qrag-first 0.3 is installed here already" in refused("first", "--kind", "task")
    (tmp_path / "site" / "qrag_second.py").touch()
    assert "there is a package qrag_second here already" in refused("second", "--kind", "task")


def test_a_trial_leaves_no_trace() -> None:
    assert new("birds", "--kind", "task").exit_code == 0
    assert "qrag_birds" not in sys.modules
    assert "birds" not in registry.TASKS.all()


def test_the_folder_can_be_named(here: Path) -> None:
    assert new("own", "--kind", "retriever", "--out", "deep/er").exit_code == 0
    assert (here / "deep" / "er" / "pyproject.toml").is_file()
    (here / "empty").mkdir()
    assert new("own", "--kind", "retriever", "--out", "empty").exit_code == 0
    assert (here / "empty" / "tox.ini").is_file()


def test_nothing_is_written_over(here: Path) -> None:
    (here / "qrag-own").mkdir()
    (here / "qrag-own" / "thesis.txt").write_text("all of it", encoding="utf-8")
    (here / "file").touch()
    (here / "link").symlink_to("nowhere")
    for arguments in ([], ["--out", "file"], ["--out", "link"]):
        said = refused("own", "--kind", "retriever", *arguments)
        assert "is there already, and nothing is overwritten" in said
    assert [path.name for path in (here / "qrag-own").iterdir()] == ["thesis.txt"]
    said = refused("own", "--kind", "retriever", "--out", "file/in/it")
    assert "cannot be written: " in said
    assert not [path for path in here.iterdir() if path.name.startswith(".")]


def test_files_have_the_modes_of_new_ones(here: Path) -> None:
    assert new("own", "--kind", "retriever").exit_code == 0
    (here / "plain").mkdir()
    (here / "plain" / "file").touch()
    assert (here / "qrag-own").stat().st_mode == (here / "plain").stat().st_mode
    assert (here / "qrag-own/tox.ini").stat().st_mode == (here / "plain/file").stat().st_mode


KILLED = """
import os, signal, sys
from pathlib import Path
from qrag_tasks import scaffolding
# A shell's background jobs, and what they start, ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
write, count = Path.write_text, 0
def writes(self, *arguments, **settings):
    global count
    count += 1
    if count == 4:
        os.kill(os.getpid(), int(sys.argv[1]))
    return write(self, *arguments, **settings)
Path.write_text = writes
scaffolding.new_plugin("own", "retriever")
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "stopped"])
def test_of_a_killed_run_there_is_no_half_package(here: Path, number: int) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(int(number))], check=False)
    assert done.returncode != 0
    assert not (here / "qrag-own").exists()
    left = [path.name for path in here.iterdir()]
    assert all(name.startswith(".qrag-own.new-") for name in left)
    assert bool(left) == (number == signal.SIGKILL)
    assert new("own", "--kind", "retriever").exit_code == 0


def test_kinds_are_those_of_the_command_and_the_templates() -> None:
    said = new("own", "--kind", "metric").output
    assert all(f"'{kind}'" in said for kind in KINDS)
    assert {path.name for path in plugin_templates().iterdir()} == {"every", *KINDS}
    hooks = {each.kind: each.hook for each in registry.REGISTRIES}
    for kind in KINDS:
        code = (plugin_templates() / kind / "qrag_mine" / "__init__.py").read_text("utf-8")
        assert f"def {hooks[kind]}(" in code
