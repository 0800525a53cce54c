"""What `qrag compare` says of readings: as `qrag fidelity`, beside the scores, without a model."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")

from click.testing import CliRunner
from read_grids import TOP
from sample_log_files import record, write_log

from qrag_tasks.cli import main
from qrag_tasks.experiment.comparison.compare import compare_matched, compare_runs
from qrag_tasks.experiment.comparison.grids import compare_grid, match_grid
from qrag_tasks.experiment.comparison.kept import KeptComparisons
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.fidelity import store
from qrag_tasks.experiment.fidelity.answers import documents_in
from qrag_tasks.experiment.fidelity.places import reads_of
from qrag_tasks.experiment.fidelity.run import readings_of
from qrag_tasks.experiment.fidelity.summary import summarize
from qrag_tasks.experiment.report.figures import figures
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.logs.runs import read_runs

OPTIONS = Options(resamples=999)


def test_the_figures_are_those_of_qrag_fidelity(read: Path) -> None:
    comparison = compare_grid(read, Options())
    cells, trends = summarize(readings_of(read, TOP))
    figures = {(c.cell.task_name, c.kind): c.figures for c in cells}
    assert len(figures) == 8
    for cell in comparison.cells:
        assert cell.fidelity is not None
        for kind in ("own", "gold"):
            mine, theirs = getattr(cell.fidelity, kind), figures[cell.task, kind]
            assert mine.kl.value == pytest.approx(theirs.kl.value)
            assert mine.kl.interval == theirs.kl.interval
            assert mine.same_top.value == theirs.same.value
            assert mine.perplexity_ratio.value == theirs.perplexity_ratio.value
            assert mine.kl_percentiles["99.9"] == theirs.kl_percentiles[99.9]
            assert mine.samples_needed == theirs.samples_needed
    lines = {(t.task, t.kind): t for t in trends}
    assert len(comparison.fidelity_trends) == len(lines)
    for row in comparison.fidelity_trends:
        line = lines[row.lamp_task, row.answers]
        assert row.slope == pytest.approx(line.trend.slope)
        assert (row.p, row.p_holm) == pytest.approx((line.trend.p, line.p_holm))


def test_documents_are_those_in_the_prompts(tmp_path: Path) -> None:
    """Users may have fewer documents than were asked for."""
    many, few = (
        record(name, "2", doc_id=number, doc={"kept": ["d"] * number})
        for number, name in ((4, "many"), (1, "few"))
    )
    assert documents_in(write_log(tmp_path, many, few), 0) == 2.5
    foreign = {**few, "doc": {"question": "one of another task"}}
    assert documents_in(write_log(tmp_path, foreign, task="arc"), 0) is None


def test_directions_are_of_the_answers_that_change(read: Path) -> None:
    comparison = compare_grid(read, OPTIONS)
    grid = GridFolder.at(read)
    for cell in comparison.cells:
        folders = [grid.cell(c).path for c in grid.plan.cells() if c.task_name == cell.task]
        one, two = (next(iter(run.tasks.values())) for f in folders for run in read_runs(f))
        pairs = [
            (a, b)
            for a, b in zip(one.samples, two.samples, strict=True)
            if a.response != b.response
        ]
        assert cell.fidelity is not None
        for each in cell.fidelity.directions:
            (row,) = (row for row in cell.metrics if row.metric == each.metric)
            sign = 1 if row.higher_is_better else -1
            gains = [sign * (b.scores[each.metric] - a.scores[each.metric]) for a, b in pairs]
            assert each.changed == len(pairs)
            assert each.better == sum(gain > 0 for gain in gains)
            assert each.worse == sum(gain < 0 for gain in gains)
            assert row.flips is not None
            assert (each.better, each.worse) == (row.flips.better, row.flips.worse)


def test_it_needs_no_grid_around(read: Path) -> None:
    arms = [read / "cells" / "llama" / name for name in ("fp32", "bf16")]
    result = CliRunner().invoke(main, ["compare", *map(str, arms), "--wide", "--resamples", "199"])
    assert result.exit_code == 0, result.output
    assert "Same top" in result.stdout
    assert "KL along the right answers" in result.stdout


@pytest.mark.parametrize("changed", ["source", "answered_by", "base"])
def test_readings_of_something_else_are_not_taken(whole: Path, changed: str) -> None:
    reads = [r for r in reads_of(GridFolder.at(whole), TOP) if not r.is_base]
    (first,) = (r for r in reads if (r.cell.task_name, r.kind) == ("lamp3u_rag_k0", "own"))
    stored = store.read(first.file)
    assert stored is not None
    store.write(
        first.file, replace(stored, origin=replace(stored.origin, **{changed: "something else"}))
    )
    comparison = compare_grid(whole, OPTIONS)
    (cell,) = (c for c in comparison.cells if c.task == "lamp3u_rag_k0")
    assert cell.fidelity is not None
    assert cell.fidelity.own is None
    assert cell.fidelity.gold is not None
    assert (
        "llama bf16, lamp3u_rag_k0, none, own answers was read when other answers stood there: "
        "`qrag fidelity` reads it again"
    ) in comparison.notes


def test_readings_of_a_third_arms_answers_are_passed_over(read: Path) -> None:
    """And those of other prompts: neither is anything to read again."""
    base, other = (read / "cells" / "llama" / name for name in ("fp32", "bf16"))
    comparison = compare_runs(read_runs(other), [read_runs(base)], OPTIONS)
    assert all(cell.fidelity is None for cell in comparison.cells)
    assert not any("qrag fidelity" in note for note in comparison.notes)
    result = CliRunner().invoke(main, ["compare", str(read), "--by", "k", "--resamples", "199"])
    assert result.exit_code == 0, result.output
    assert "qrag fidelity" not in result.output


def test_readings_by_another_arm_are_taken_and_named(whole: Path) -> None:
    for reads in reads_of(GridFolder.at(whole), TOP):
        stored = store.read(reads.file)
        assert stored is not None
        store.write(reads.file, replace(stored, origin=replace(stored.origin, arm="another")))
    comparison = compare_grid(whole, OPTIONS)
    assert all(cell.fidelity and cell.fidelity.own for cell in comparison.cells)
    (note,) = (note for note in comparison.notes if "read by" in note)
    assert note.startswith("8 cells were read by other arms than answered them")


def test_a_comparison_that_was_kept_is_made_again_after_reading(
    grid: Path, read: Path, tmp_path: Path
) -> None:
    kept = KeptComparisons(tmp_path / "kept")
    before = compare_matched(match_grid(grid), OPTIONS, kept)
    assert all(cell.fidelity is None for cell in before.cells)
    for file in read.rglob("readings_*.parquet"):
        (grid / file.relative_to(read)).write_bytes(file.read_bytes())
    after = compare_matched(match_grid(grid), OPTIONS, kept)
    assert all(cell.fidelity is not None for cell in after.cells)
    assert compare_matched(match_grid(grid), OPTIONS, kept) == after


def test_files_have_it_all(read: Path, tmp_path: Path) -> None:
    names = [tmp_path / f"c.{end}" for end in ("json", "csv", "parquet", "md")]
    outs = [text for name in names for text in ("--out", str(name))]
    result = CliRunner().invoke(main, ["compare", str(read), "--resamples", "199", *outs])
    assert result.exit_code == 0, result.output
    body = json.loads(names[0].read_text())
    assert [cell["fidelity"]["own"]["samples"] for cell in body["cells"]] == [6] * 4
    assert {row["verdict"] for row in body["fidelity_trends"]} <= {
        *("rises", "falls", "undecided", "too few"),
    }
    table = pq.read_table(names[2])
    with names[1].open() as file:
        rows = list(csv.DictReader(file))
    for row, stored in zip(rows, table.to_pylist(), strict=True):
        assert float(row["own_kl"]) == pytest.approx(stored["own_kl"])
        assert stored["own_kl_low"] <= stored["own_kl"] <= stored["own_kl_high"]
    assert any(stored["changed"] is not None for stored in table.to_pylist())
    head = names[3].read_text().splitlines()[0]
    assert "| KL " in head
    assert "Same top" in head


def test_samples_needed_are_as_many_as_show_it() -> None:
    """By simulation: so many samples tell the mean from 0 in about four of five draws."""
    from scipy import stats

    from qrag_tasks.experiment.fidelity.figures import samples_to_show
    from qrag_tasks.experiment.statistics import Units, effect_to_show
    from qrag_tasks.experiment.statistics.scores import SCORES

    rng = np.random.default_rng(1)
    seen = rng.normal(0.1, 1.0, 4000)
    smallest = effect_to_show(Units.of(np.zeros(4000), seen, None, SCORES["mean"]))
    needed = samples_to_show(float(seen.mean()), smallest, 4000)
    assert needed is not None
    count = round(needed)
    drawn = rng.choice(seen, (1500, count))
    shown = stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05
    assert shown.mean() == pytest.approx(0.8, abs=0.035)
    assert samples_to_show(0.0, smallest, 4000) is None
    assert samples_to_show(0.1, None, 4000) is None


def test_kl_is_drawn_along_k(read: Path, tmp_path: Path) -> None:
    comparison = compare_grid(read, OPTIONS)
    (figure,) = (each for each in figures(comparison) if each.name == "kl-by-k")
    assert len(figure.drawn.axes) == 2
    kl = {cell.task: cell.fidelity.own.kl.value for cell in comparison.cells if cell.fidelity}
    for axes, task in zip(figure.drawn.axes, ("lamp3u", "lamp5u"), strict=True):
        (line,) = axes.lines
        assert list(line.get_ydata()) == [kl[f"{task}_rag_k{k}"] for k in (0, 1)]
    bare = [replace(cell, fidelity=None) for cell in comparison.cells]
    assert "kl-by-k" not in {each.name for each in figures(replace(comparison, cells=bare))}
