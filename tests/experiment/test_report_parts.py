"""What the first screen says: costs, fidelity, warnings, and the verdict over many cells."""

from __future__ import annotations

import html as markup
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_pages import report_of, samples
from run_files import QUANTIZED, write_run

from qrag_tasks.experiment.comparison.compare import compare_runs
from qrag_tasks.experiment.comparison.fidelity_rows import AnswersRead, FidelityRow, MeanRow
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.comparison.rows import Comparison
from qrag_tasks.experiment.report.arm_summaries import ArmSummary, arm_summaries
from qrag_tasks.experiment.report.spending import amount, spent
from qrag_tasks.locations import mini_root
from qrag_tasks.logs.runs import Run, read_runs


def arm(precision: str, size: int, seconds: float, device: str = "a card") -> dict[str, Any]:
    """Return what results say of an arm of ours."""
    cost = {"device": device, "run_seconds": seconds, "peak_device_bytes": 2 * size}
    return {
        "config": {
            "model": "qrag",
            "qrag": {
                "schema": 1,
                "precision": precision,
                "arm": {"weights": {"bytes": size, "parameters": size // 2}},
                "cost": cost,
            },
        }
    }


def runs_of(root: Path, base: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[Run, Run]]:
    """Write two arms at two k, a run each; return them paired."""
    for name, wrong, changes in (("base", 4, base), ("other", 30, other)):
        for k in (0, 1):
            folder = root / name / str(k)
            write_run(folder, samples(wrong, k), task=f"lamp3u_rag_k{k}", **changes)
    return list(zip(read_runs(root / "base"), read_runs(root / "other"), strict=True))


def test_what_two_arms_spent(tmp_path: Path) -> None:
    pairs = runs_of(tmp_path, arm("fp16", 4_000_000_000, 20.0), arm("int8", 2_000_000_000, 30.0))
    told = {one.quantity.name: (round(one.ratio, 3), one.text) for one in spent(pairs)}
    assert told == {
        "weight_bytes": (0.5, "2.00 of 4.00 GB"),
        "peak_device_bytes": (0.5, "4.00 of 8.00 GB"),
        # Of both runs together.
        "run_seconds": (1.5, "60.0 of 40.0 s"),
    }
    # The same run in two pairs, as with two tasks, counts once.
    again = {one.quantity.name: one.ratio for one in spent([*pairs, *pairs])}
    assert again == {name: ratio for name, (ratio, _) in told.items()}


def test_other_hardware_is_no_saving(tmp_path: Path) -> None:
    pairs = runs_of(
        tmp_path, arm("fp16", 4_000_000_000, 20.0), arm("int8", 2_000_000_000, 3.0, "another card")
    )
    assert [one.quantity.name for one in spent(pairs)] == ["weight_bytes"]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (3_090_000_000, "B", "3.09 GB"),
        (876_000_000, "B", "876 MB"),
        (12, "B", "12.0 B"),
        (47.63, "s", "47.6 s"),
        (119, "s", "119 s"),
        (150, "s", "2.50 min"),
        (9000, "s", "2.50 h"),
        (20_600, "J", "20.6 kJ"),
    ],
)
def test_amounts(value: float, unit: str, text: str) -> None:
    assert amount(value, unit) == text


def summary_of(comparison: Comparison, pairs: list[tuple[Run, Run]]) -> ArmSummary:
    (summary,) = arm_summaries(comparison, pairs)
    return summary


def test_fidelity_stands_beside_the_scores(tmp_path: Path) -> None:
    pairs = runs_of(tmp_path, {}, {"config": {"model_args": {**QUANTIZED, "pretrained": "m/m"}}})
    bases, others = zip(*pairs, strict=True)
    comparison = compare_runs(list(bases), [list(others)], Options(resamples=199))
    assert not any("KL" in line for line in summary_of(comparison, pairs).quality)
    cells = []
    for cell, kl in zip(comparison.cells, (0.0561, 0.0702), strict=True):
        mean = MeanRow(kl, None)
        read = AnswersRead(70, 700, mean, None, {}, MeanRow(0.9, None), mean, 0.1, mean)
        cells.append(replace(cell, fidelity=FidelityRow(own=read)))
    lines = summary_of(replace(comparison, cells=cells), pairs).quality
    assert "KL 0.056 to 0.07 nats a token, 90 % same top" in lines


def test_one_loss_makes_an_arm_worse(tmp_path: Path) -> None:
    """What all cells together show does not outweigh a cell that is shown to lose."""
    pairs = runs_of(tmp_path, {}, {"config": {"model_args": {**QUANTIZED, "pretrained": "m/m"}}})
    bases, others = zip(*pairs, strict=True)
    comparison = compare_runs(list(bases), [list(others)], Options(resamples=999))
    (pooled,) = [row for row in comparison.pooled if row.retriever == "all"]
    milder = replace(comparison, pooled=[replace(pooled, verdict="equivalent")])
    assert summary_of(milder, pairs).state.word == "worse"
    # And where no cell shows anything, all of them together may.
    undecided = [
        replace(cell, metrics=[replace(row, p_holm=0.5, equivalence_p=0.5) for row in cell.metrics])
        for cell in comparison.cells
    ]
    assert summary_of(replace(milder, cells=undecided), pairs).state.word == "equivalent"
    alone = replace(comparison, cells=undecided, pooled=[])
    summary = summary_of(alone, pairs)
    assert summary.state.word == "undecided"
    assert "2 cells undecided; each alone needs about" in summary.unknown


def test_mini_is_named(tmp_path: Path) -> None:
    data = str(mini_root() / "LaMP_3" / "dev" / "dev_questions.json")
    for name, wrong, arguments in (("one", 4, {}), ("two", 30, QUANTIZED)):
        write_run(tmp_path / name, samples(wrong, 1), facts={"data": data}, model_args=arguments)
    report_of([f"{tmp_path}/one", f"{tmp_path}/two"], tmp_path / "r.html")
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Its scores say nothing of a model on real data." in html
    assert "LaMP_3/dev/dev_questions.json" in html
    # Where a package lies is of this machine.
    assert str(mini_root()) not in html


def test_names_are_texts(tmp_path: Path) -> None:
    odd = "<img src=x onerror=document.title=3>"
    changes = {"config": {"model_args": {"pretrained": f"org/{odd}", "dtype": "bfloat16"}}}
    for name, wrong in (("one", 4), ("two", 30)):
        write_run(tmp_path / name, samples(wrong, 1), **changes)
    report_of([f"{tmp_path}/one", f"b<script>={tmp_path}/two"], tmp_path / "r.html")
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<img" not in html
    told = markup.unescape(re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL))
    assert "b<script>" in told
    assert "b<script>" not in html
