"""A third party's format: CONTRIBUTING's "Add a format", its wheel beside ours, and that broken."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from plugin_environments import Beside, install
from plugin_walks import Run, Walk, warm_shell_in
from warm_python import WarmPython

pytest.importorskip("torch", reason="the hf extra is not installed")

from in_process_arms import InProcess

from qrag_tasks import plugins
from qrag_tasks.cli import main
from qrag_tasks.locations import embedded_model

WALK = Walk.of("Add a format")
PLAN = """
name: rows
data: mini
models:
  - name: embedded
precisions: [bf16, int8-row8]
retrievers: [bm25]
tasks: [lamp3u]
k: [1]
limit: 4
"""


@pytest.fixture(scope="module")
def folder(beside: Beside, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the plugin, whose wheel is installed."""
    folder = tmp_path_factory.mktemp("qrag-row8")
    install(beside.run, WALK, folder)
    return folder


@pytest.fixture(scope="module")
def qrag(folder: Path, beside: Beside) -> Iterator[Run]:
    """The command, in this process, where the plugin is installed as well."""

    def run(arguments: str, fails: bool = False) -> str:
        done = CliRunner().invoke(main, shlex.split(arguments))
        assert (done.exit_code != 0) == fails, done.output
        return str(done.output)

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(beside.site))
        patch.chdir(folder)
        patch.setattr("qrag_tasks.experiment.running.launchers.Here", InProcess)
        plugins.forget()
        yield run
    for name in [name for name in sys.modules if name.partition(".")[0] == "qrag_row8"]:
        del sys.modules[name]
    plugins.forget()


@pytest.fixture(scope="module")
def warm(folder: Path, beside: Beside, warm_python: WarmPython) -> Run:
    """Commands in the plugin's folder, forked from a process, where the wheel is found."""
    return warm_shell_in(folder, warm_python, beside.site)


def test_the_commands_as_printed(folder: Path, beside: Beside, warm: Run) -> None:
    beside.run("python -m pip check", folder)
    tests, listed, check, evaluated = WALK.commands
    tests, check = warm(tests), warm(check)
    # In the environment that the wheel was installed into, from the start of Python.
    listed, evaluated = (beside.run(command, folder).stdout for command in (listed, evaluated))
    assert re.search(r"\d+ passed", tests)
    assert not re.search(r"skipped|failed", tests)
    assert re.search(r"row8 +qrag-row8 +0\.1\.0 +format +row8 +ok", listed)
    assert re.search(r"row8: \d+ checks, 0 failed", check)
    assert "|lamp3u_rag_k1|" in evaluated
    assert "MineLinear" not in evaluated
    assert "Row8Linear, 8 bits" in evaluated


@pytest.fixture(scope="module")
def grid(folder: Path, qrag: Run) -> Path:
    (folder / "plan.yaml").write_text(PLAN, encoding="utf-8")
    qrag("run plan.yaml --out grid")
    return folder / "grid"


def results(grid: Path, precision: str) -> dict[str, Any]:
    (path,) = grid.rglob(f"*{precision}*/**/results*.json")
    config: dict[str, Any] = json.loads(path.read_text("utf-8"))["config"]
    return dict(config["qrag"])


def test_it_is_loaded_verified_and_checked(grid: Path) -> None:
    block = results(grid, "int8-row8")
    kinds = {kind["kernel"]: kind for kind in block["arm"]["layers"]}
    assert (kinds["Row8Linear"]["method"], kinds["Row8Linear"]["bits"]) == ("row8", 8)
    check = block["smoke_check"]
    assert check["kernel"] == "Row8Linear"
    assert 0 < check["error"] < check["tolerance"]


def test_it_is_planned_and_costs_what_was_planned(grid: Path, qrag: Run) -> None:
    told, plain = results(grid, "int8-row8"), results(grid, "bf16")
    weights = told["arm"]["weights"]
    assert weights["quantized"] < 0.6 * plain["arm"]["weights"]["full_precision"]
    assert told["cost"]["prompt_tokens"] == plain["cost"]["prompt_tokens"] > 0
    (size,) = re.findall(r"^int8-row8 +([\d.]+) \(x", qrag("plan plan.yaml"), re.MULTILINE)
    assert float(size) == pytest.approx(weights["bytes"] / 1e6, rel=0.02)


def test_it_is_compared_and_reported(grid: Path, folder: Path, qrag: Run) -> None:
    assert "int8-row8" in qrag("compare grid")
    qrag("report grid --out page.html")
    assert "int8-row8" in (folder / "page.html").read_text("utf-8")


def test_a_checkpoint_of_it_and_one_that_only_says_so(folder: Path, warm: Run, qrag: Run) -> None:
    source, made, posing = embedded_model(), folder / "made", folder / "posing"
    qrag(f"quantize {source} --precision int8-row8 --out {made}")
    assert json.loads((made / "qrag-quantization.json").read_text())["precision"] == "int8-row8"
    evaluate = "lm_eval --tasks lamp3u_rag_k0 --limit 2 --model qrag --model_args pretrained="
    evaluated = warm(f'{evaluate}{made} --metadata \'{{"data": "mini"}}\'')
    assert "Row8Linear, 8 bits" in evaluated

    def refused(checkpoint: Path, precision: str) -> str:
        plan = PLAN.replace("name: embedded", f"pretrained: {checkpoint}")
        plan = plan.replace("[bf16, int8-row8]", f"[{precision}]")
        (folder / "refused.yaml").write_text(plan, encoding="utf-8")
        return " ".join(qrag("plan refused.yaml", fails=True).split())

    text = refused(made, "int8")
    assert "is quantized already (row8, 8 bits): leave precision out, or give" in text
    shutil.copytree(source, posing)
    config = json.loads((posing / "config.json").read_text("utf-8"))
    claim = json.loads((made / "config.json").read_text("utf-8"))["quantization_config"]
    (posing / "config.json").write_text(json.dumps({**config, "quantization_config": claim}))
    text = refused(posing, "int8-row8")
    assert "its config.json says row8, 8 bits, but" in text
    assert "This arm would not be what it claims" in text


BROKEN = {
    "import": (
        ("import sys\n", "import sys\nimport no_such_module_anywhere\n"),
        "ModuleNotFoundError: No module named 'no_such_module_anywhere'",
    ),
    "type": (
        ("Row8())", "Row8)"),
        "what is registered as 'row8' is a class: register an object, Row8()",
    ),
    "taken": (
        ('Precision("int8-row8"', 'Precision("int8-gptq"'),
        "two plugins register the precision 'int8-gptq': 'gptq' from qrag-tasks",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_wheel(
    name: str, beside: Beside, folder: Path, warm_python: WarmPython, tmp_path: Path
) -> None:
    replaced, cause = BROKEN[name]
    install(beside.run, WALK, tmp_path / "broken", __init__=replaced)
    # That one which is imported at the start is met from the start.
    run = beside.run if name == "import" else beside.warm(warm_python)
    asked = run(WALK.commands[-1], tmp_path, check=False)
    assert asked.returncode != 0
    printed = " ".join(asked.stdout.split())
    assert cause in printed
    assert "qrag-row8 0.1.0" in printed
    assert "Traceback" not in asked.stdout
    listed = run("COLUMNS=400 qrag plugins", tmp_path, check=False)
    assert cause in " ".join(listed.stdout.split())
    assert (listed.returncode == 0) == (name != "taken")
