"""What earlier versions called otherwise is read as before, and is not to be written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from grid_folders import complete, grid_folder, small_plan
from run_files import QUANTIZED, rating, write_run

from qrag_tasks.errors import PlanError, SettingsError
from qrag_tasks.experiment.comparison.compare import Options, compare_runs
from qrag_tasks.experiment.plan.reading import read_plan
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.logs.runs import read_runs
from qrag_tasks.prompting.settings import Settings

BEFORE = {"filter": "paper", "index": "paper", "fill": "paper"}
NOW = dict.fromkeys(BEFORE, "yazan2024")


@pytest.mark.parametrize("choice", BEFORE)
def test_the_old_word_answers_with_the_new(choice: str, tmp_path: Path) -> None:
    told = f"{choice} 'paper' is now called 'yazan2024'"
    with pytest.raises(SettingsError, match=f"^{told}$"):
        Settings.from_metadata({choice: "paper"})
    assert getattr(Settings.from_metadata(NOW).protocol, choice) == "yazan2024"
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        f"name: small\nmodels: [{{name: a}}]\nprecisions: [bf16]\ntasks: [lamp3u]\nk: [1]\n"
        f"{choice}: paper\n",
        encoding="utf-8",
    )
    with pytest.raises(PlanError, match=f"plan.yaml:6: {choice}: {told}$"):
        read_plan(plan)


def test_a_grid_of_an_earlier_version_is_continued(tmp_path: Path) -> None:
    plan = small_plan(**NOW, protocol="yazan2024")
    grid = grid_folder(tmp_path, plan)
    cells = plan.cells()
    complete(grid, *cells[:2])
    now_called = json.loads((tmp_path / "plan.json").read_bytes())
    (tmp_path / "plan.json").write_text(json.dumps({**now_called, **BEFORE}), encoding="utf-8")
    for cell in cells[:2]:
        marker = grid.cell(cell).path / "complete.json"
        body = json.loads(marker.read_bytes())
        body["settings"]["metadata"] |= BEFORE
        text = json.dumps(body["settings"], sort_keys=True)
        body["key"] = hashlib.sha256(text.encode()).hexdigest()
        marker.write_text(json.dumps(body), encoding="utf-8")

    found = GridFolder.at(tmp_path)
    assert found.plan == plan
    assert found.plan.fingerprint() == plan.fingerprint()
    assert [found.cell(cell).complete for cell in cells] == [True, True, False, False]
    other = GridFolder(tmp_path, small_plan(**{**NOW, "fill": "exact"}, protocol="yazan2024"))
    with pytest.raises(PlanError, match=r"than the plan has now \(fill was yazan2024 and is exact"):
        assert other.cell(cells[0]).complete


def test_runs_of_an_earlier_version_are_compared(tmp_path: Path) -> None:
    samples = [rating(number, f"review {number}", "4", 1 + number % 5) for number in range(20)]
    before, now = (
        read_runs(write_run(tmp_path / name, samples, facts=facts, model_args=arguments))
        for name, facts, arguments in (("before", BEFORE, None), ("now", NOW, QUANTIZED))
    )
    (cell,) = compare_runs(before, [now], Options(resamples=99)).cells
    assert (cell.samples, {name: cell.facts[name] for name in NOW}) == (20, NOW)
