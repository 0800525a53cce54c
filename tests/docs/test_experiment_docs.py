"""docs/experiments.md says what a plan may hold."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from qrag_tasks.cli import main
from qrag_tasks.experiment.plan import Model, Plan, check_plan

ROOT = Path(__file__).parents[2]
SECTION = (
    (ROOT / "docs" / "experiments.md")
    .read_text(encoding="utf-8")
    .partition("\n## The plan")[2]
    .partition("\n## ")[0]
)


def fields(table: str) -> list[str]:
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]


def test_the_tables_of_fields() -> None:
    of_plan, _, of_model = SECTION.partition("| field of a model |")
    assert set(fields(of_plan)) == set(Plan.model_fields)
    assert set(fields(of_model)) == set(Model.model_fields)


def test_the_plan_is_one(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)
    path = tmp_path / "plan.yaml"
    path.write_text(example, encoding="utf-8")
    plan = check_plan(path).plan
    assert plan is not None
    assert len(plan.cells()) == 3 * 2 * (1 + 3 * 3)
    assert plan.models[0].pretrained == str(tmp_path / "models" / "Qwen2.5-1.5B-Instruct")


def test_the_command_runs() -> None:
    (command,) = re.findall(r"^qrag (plan .*)", SECTION, re.MULTILINE)
    name, file = command.split()
    done = CliRunner().invoke(main, [name, str(ROOT / file)])
    assert done.exit_code == 0, done.output
    assert "of the 12 cells" in done.output


def test_the_commands_on_power_run() -> None:
    text = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    commands = re.findall(r"^qrag (plan .* --disagreement .*)", text, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        name, file, *options = command.split()
        done = CliRunner().invoke(main, [name, str(ROOT / file), *options])
        assert done.exit_code == 0, done.output
        assert "What it will be able to show" in done.output
