"""What a grid will be able to show, told before it is run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from run_files import rating, write_run
from statsmodels.stats.power import TTestPower

from qrag_tasks.cli import main
from qrag_tasks.errors import SettingsError
from qrag_tasks.experiment.comparison.grids import compare_grid
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.plan import Plan
from qrag_tasks.experiment.plan.estimates import estimate
from qrag_tasks.experiment.power.forecast import Forecast, ForecastRow, forecast
from qrag_tasks.experiment.power.spreads import Measured, Stated
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.experiment.statistics import (
    PooledCell,
    permutation_p,
    permutation_test,
    pooled_loss,
)


def plan(**fields: Any) -> Plan:
    body = {
        "name": "p",
        "models": [{"name": "m", "pretrained": "owner/nowhere"}],
        "precisions": ["bf16", "int8"],
        "tasks": ["lamp3u"],
        "k": [1],
        "data": "mini",
    }
    return Plan.model_validate({**body, **fields})


def told(planned: Plan, spreads: Stated | Measured, **effects: float) -> Forecast:
    return forecast(planned, estimate(planned), spreads, effects)


def row(found: Forecast, metric: str, task: str = "lamp3u") -> ForecastRow:
    (one,) = [each for each in found.rows if (each.task, each.metric) == (task, metric)]
    return one


def test_stated_rates_against_statsmodels() -> None:
    found = told(plan(), Stated({"": 0.3}), accuracy=0.1)
    accuracy = row(found, "accuracy")
    samples = accuracy.samples
    assert samples
    assert (accuracy.tests, accuracy.differing, accuracy.effect) == (1, 0.3, 0.1)
    power = TTestPower()
    spread = math.sqrt(0.3)
    expected = power.solve_power(nobs=samples, power=0.8, alpha=0.05) * spread
    assert accuracy.smallest == pytest.approx(expected, rel=1e-3)
    assert accuracy.needed == math.ceil(power.solve_power(0.1 / spread, power=0.8, alpha=0.05))
    # Twelve tests, each at a twelfth of 0.05.
    many = told(
        plan(k=[0, 1, 5, 10], precisions=["bf16", "int8", "int4-nf4", "int4-hqq"]),
        Stated({"": 0.3}),
        accuracy=0.1,
    )
    accuracy = row(many, "accuracy")
    assert accuracy.tests == 12
    assert accuracy.needed == math.ceil(power.solve_power(0.1 / spread, power=0.8, alpha=0.05 / 12))


def test_what_will_be_shown_is_shown_four_times_in_five() -> None:
    """Pairs of right and wrong that differ in 15 of 100, by the permutation test itself."""
    found = row(told(plan(), Stated({"": 0.15}), accuracy=0.06), "accuracy")
    samples = found.needed
    assert samples
    # Of those that differ, so many lose that accuracy falls by 0.06.
    worse = (0.15 + 0.06) / 2
    shown = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        kind = rng.random(samples)
        change = np.where(kind < worse, -1.0, np.where(kind < 0.15, 1.0, 0.0))
        p = permutation_p((change < 0) * 1.0, (change > 0) * 1.0, resamples=499, seed=seed)
        shown += p is not None and p < 0.05
    # 0.02 is a standard error of such a share.
    assert 0.74 <= shown / 400 <= 0.88


def test_all_cells_as_one_by_simulation() -> None:
    planned = plan(tasks=["lamp3u", "lamp5u"], k=[0, 1, 5])
    found = told(planned, Stated({"lamp3u": 0.2, "lamp5u": 0.6}))
    whole = row(found, "loss", "")
    assert whole.arm == ""
    one, two = (row(found, "mae").samples, row(found, "rougeL", "lamp5u").samples)
    assert one
    assert two
    assert whole.samples == one + two
    assert whole.smallest
    shown = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        cells = []
        for task, samples, spread, margin, higher in (
            ("a", one, 1.5 * math.sqrt(0.2), 0.05, False),
            ("b", two, 0.15 * math.sqrt(0.6), 0.01, True),
        ):
            shared = rng.normal(0, math.sqrt(0.25), samples)
            units = [(task, place) for place in range(samples)]
            for _ in range(3):
                own = rng.normal(0, math.sqrt(0.75), samples)
                loss = spread * (shared + own) + whole.smallest * margin
                signed = -loss if higher else loss
                cells.append(PooledCell(np.zeros(samples), signed, units, higher, margin))
        test = permutation_test(pooled_loss(cells), 499, seed=seed)
        shown += test is not None and test.p < 0.05
    assert 0.73 <= shown / 300 <= 0.87


@pytest.fixture
def grid(tmp_path: Path) -> GridFolder:
    """One arm and its base at two k, by users with two reviews each."""
    whole = GridFolder(tmp_path / "grid", plan(k=[0, 1]))
    whole.write_plan()
    rng = np.random.default_rng(3)
    for cell in whole.plan.cells():
        rows = []
        for i in range(60):
            gold = 1 + i % 5
            moved = cell.arm.precision == "int8" and rng.random() < 0.3
            given = gold + int(rng.choice([-1, 1])) if moved else gold
            rows.append(rating(i, f"{cell.k} {i}", str(min(5, max(1, given))), gold, f"u{i // 2}"))
        folder = whole.cell(cell)
        write_run(folder.path, rows, cell.task_name, model_args=dict(cell.arm.arguments))
        folder.finish()
    return whole


def test_what_was_measured_is_what_the_comparison_says(grid: GridFolder) -> None:
    """Planned with as many samples, it can show as much."""
    comparison = compare_grid(grid.root, Options(resamples=199))
    effects = [cell.metrics[0].smallest_effect for cell in comparison.cells]
    measured = Measured(grid.root)
    spread = measured.spread("lamp3u", "mae", "int8")
    assert spread
    assert spread.units_per_sample == 0.5
    assert spread == measured.spread("lamp3u", "mae", "int4-nf4"), "as of the one that was run"
    planned = grid.plan
    found = told(planned, measured)
    mae, whole = row(found, "mae"), row(found, "loss", "")
    assert mae.samples
    scale = math.sqrt(60 / mae.samples)
    seen = math.sqrt(np.mean([effect**2 for effect in effects if effect]))
    # Corrected for two tests, with other degrees of freedom.
    assert mae.smallest == pytest.approx(seen * scale, rel=0.2)
    (pooled,) = comparison.pooled
    assert pooled.smallest_effect
    assert whole.smallest == pytest.approx(pooled.smallest_effect * scale, rel=0.1)


def test_too_few_will_differ() -> None:
    found = row(told(plan(limit=40), Stated({"": 0.1})), "mae")
    assert (found.too_few, found.smallest) == (True, None)
    # Six of a tenth.
    assert found.needed
    assert found.needed >= 60


@pytest.mark.parametrize(
    ("effects", "message"),
    [({"bleu": 1.0}, "no task of the plan has that score"), ({"acuracy": 1.0}, "'accuracy'?")],
)
def test_an_effect_on_no_score(effects: dict[str, float], message: str) -> None:
    with pytest.raises(SettingsError, match=message.replace("?", r"\?")):
        told(plan(), Stated({"": 0.1}), **effects)


def run(path: Path, *options: object) -> Result:
    path.write_text(
        json.dumps(
            plan(tasks=["lamp3u", "lamp5u"]).model_dump(
                mode="json", exclude_none=True, exclude_defaults=True
            )
        ),
        encoding="utf-8",
    )
    return CliRunner().invoke(main, ["plan", str(path), *map(str, options)])


def test_the_command(tmp_path: Path, grid: GridFolder) -> None:
    path = tmp_path / "plan.yaml"
    (tmp_path / "empty").mkdir()
    plain = run(path)
    assert plain.exit_code == 0, plain.output
    assert "say how many scores will by --disagreement 0.1" in plain.output
    stated = run(path, "--disagreement", "lamp3u=0.3", "--disagreement", 0.6, "--effect", "mae=0.1")
    assert stated.exit_code == 0, stated.output
    assert "What it will be able to show, with a power of 0.8" in stated.output
    assert "loss in margins" in stated.output
    measured = run(path, "--measured", grid.root)
    assert "Not known from that grid: lamp5u: rougeL." in measured.output
    as_json = json.loads(run(path, "--disagreement", 0.3, "--json").stdout)
    assert {each["metric"] for each in as_json["power"]["rows"]} == {"mae", "rougeL", "loss"}
    for options, message in (
        (("--effect", "mae=0.1"), "depends on how much the arms differ"),
        (("--effect", "mae", "--disagreement", 0.1), "--effect mae: give a metric and a size"),
        (("--disagreement", 1.5), "a share of samples is at most 1"),
        (("--disagreement", "none"), "--disagreement none: give a size above 0, as in lamp3u=0.1"),
        (("--disagreement", "lamp4u=0.1"), "the plan has no such task (it has lamp3u, lamp5u)"),
        (("--disagreement", 0.1, "--measured", grid.root), "give one, as each tells the same"),
        (("--measured", tmp_path / "empty"), "holds no grid"),
    ):
        done = run(path, *options)
        assert done.exit_code == 1
        assert message in done.output, done.output


def test_data_of_ones_own(tmp_path: Path) -> None:
    """Their kind of answer is said by the data, and so are the score and its spread."""
    data = tmp_path / "mine"
    assert CliRunner().invoke(main, ["init", str(data)]).exit_code == 0
    done = CliRunner().invoke(
        main, ["plan", str(data / "plan.yaml"), "--disagreement", "own=0.3", "--json"]
    )
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["power"]["rows"]
    assert [(each["task"], each["metric"]) for each in rows] == [("own", "mae"), ("", "loss")]
