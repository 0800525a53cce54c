"""Arms over all of their cells."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from rated_arms import GOLDS, answers, compared, samples
from run_files import QUANTIZED, write_run

from qrag_tasks.cli import main
from qrag_tasks.experiment.comparison.metric_rows import recovery
from qrag_tasks.experiment.comparison.rows import ALL, Comparison
from qrag_tasks.experiment.comparison.tables.markdown import markdown
from qrag_tasks.experiment.comparison.tables.pooled import pooled_sections, pooled_table
from qrag_tasks.experiment.comparison.tables.records import nested
from qrag_tasks.experiment.comparison.verdicts import verdict
from qrag_tasks.experiment.report.answer import sentences
from qrag_tasks.logs.schema import LoggedArm


def arm(
    folder: Path, wrong: dict[str, int], facts: dict[str, Any] | None = None, **run: Any
) -> Path:
    """Write the runs of an arm: task -> how many answers are wrong."""
    for number, (task, few) in enumerate(wrong.items()):
        write_run(folder / str(number), samples(answers(few)), task, facts, **run)
    return folder


@pytest.fixture
def two_k(tmp_path: Path) -> Comparison:
    one = arm(tmp_path / "one", {"lamp3u_rag_k1": 6, "lamp3u_rag_k5": 4})
    two = arm(tmp_path / "two", {"lamp3u_rag_k1": 15, "lamp3u_rag_k5": 16}, model_args=QUANTIZED)
    return compared(one, two)


def test_a_row_over_all_cells(two_k: Comparison) -> None:
    (row,) = two_k.pooled
    cells = two_k.cells
    assert (row.model, row.arm, row.base_arm) == ("model-1b", "int4-nf4", "bf16")
    assert (row.retriever, row.cells, row.samples, row.users) == (ALL, 2, 60, 60)
    assert row.metrics == ["mae"]
    losses = [cell.metrics[0].difference / 0.05 for cell in cells]
    assert row.effect == pytest.approx(np.mean(losses))
    assert row.effect > 0
    assert row.recovery == pytest.approx(
        np.mean([recovery(c.metrics[0].base, c.metrics[0].other, False) for c in cells])
    )
    assert row.interval is not None
    assert row.interval.low < row.effect < row.interval.high
    assert row.verdict == "worse"
    assert row.samples_needed is None
    assert row.noise == "unknown"
    assert json.loads(json.dumps(nested(two_k)))["pooled"][0]["verdict"] == "worse"


def test_the_samples_of_two_k_are_no_further_samples(tmp_path: Path) -> None:
    """Asked at another k, and answered alike, a question says nothing new."""
    answered = {f"lamp3u_rag_k{k}": 10 for k in (1, 3, 5)}
    base = dict.fromkeys(answered, 4)
    pooled = []
    for tasks in (["lamp3u_rag_k1"], list(answered)):
        one = arm(tmp_path / f"one {len(tasks)}", {task: base[task] for task in tasks})
        two = arm(
            tmp_path / f"two {len(tasks)}",
            {task: answered[task] for task in tasks},
            model_args=QUANTIZED,
        )
        pooled += compared(one, two).pooled
    single, three = pooled
    assert (single.cells, three.cells) == (1, 3)
    assert single.p == three.p
    assert three.interval is not None
    assert single.interval is not None
    assert (three.interval.low, three.interval.high) == pytest.approx(
        (single.interval.low, single.interval.high)
    )


def test_retrievers_have_rows_of_their_own(tmp_path: Path) -> None:
    def folder(name: str, wrong: int, **run: Any) -> Path:
        place = tmp_path / name
        arm(place / "a", {"lamp3u_rag_k1": wrong}, {"retriever": "bm25"}, **run)
        arm(place / "b", {"lamp3u_rag_k1": wrong + 3}, {"retriever": "random"}, **run)
        arm(place / "c", {"lamp3u_rag_k0": wrong + 1}, {"retriever": "bm25"}, **run)
        return place

    rows = compared(folder("one", 6), folder("two", 16, model_args=QUANTIZED)).pooled
    assert [(row.retriever, row.cells) for row in rows] == [(ALL, 3), ("bm25", 1), ("random", 1)]
    whole, *single = rows
    assert whole.p_holm == whole.p, "a family of its own"
    assert all((row.p_holm or 0) >= (row.p or 0) for row in single)


def test_a_metric_without_a_margin_is_told(tmp_path: Path) -> None:
    def rated(wrong: int) -> list[dict[str, Any]]:
        return [
            {
                **{k: v for k, v in one.items() if k not in ("mae", "rmse", "accuracy")},
                "metrics": ["stars"],
                "stars": one["mae"],
            }
            for one in samples(answers(wrong))
        ]

    directions = {"higher_is_better": {"lamp3u_rag_k1": {"stars": False}}}
    one = write_run(tmp_path / "one", rated(6), **directions)
    two = write_run(tmp_path / "two", rated(16), model_args=QUANTIZED, **directions)
    without = compared(one, two)
    assert list(without.pooled) == []
    (note,) = without.notes
    assert note.startswith("lamp3u_rag_k1: stars is not in the rows over all cells: no margin")
    (row,) = compared(one, two, margins={"stars": 0.1}).pooled
    assert row.effect == pytest.approx(10 * 10 / 60)


def test_an_undecided_row_says_how_many_samples_settle_it(tmp_path: Path) -> None:
    def given(places: range) -> list[str]:
        texts = [str(gold) for gold in GOLDS]
        for i in places:
            texts[i] = str(GOLDS[i] - 1 or 2)
        return texts

    tasks = ("lamp3u_rag_k1", "lamp3u_rag_k5")
    for task in tasks:
        write_run(tmp_path / "one" / task, samples(given(range(8))), task)
        write_run(tmp_path / "two" / task, samples(given(range(4, 13))), task, model_args=QUANTIZED)
    (row,) = compared(tmp_path / "one", tmp_path / "two").pooled
    assert row.verdict == "undecided"
    # Nine of sixty differ by one point, which is 20 margins.
    spread = 20 * np.sqrt(9 / 60)
    assert row.samples_needed == pytest.approx((5.29 * spread) ** 2, rel=0.05)


def test_the_tables(two_k: Comparison) -> None:
    (section,) = pooled_sections(two_k, lambda *_: True)
    assert section.title == "All cells of an arm as one: model-1b against bf16"
    (row,) = section.rows
    assert dict(zip(section.headings, row, strict=True))["Verdict"] == "worse"
    narrow = pooled_sections(two_k, lambda headings, _: len(headings) < 6)[0]
    assert list(narrow.headings) == [
        "Other",
        "Verdict",
        "Loss in margins",
        "95 % interval",
        "Recovery",
    ]
    assert "| model-1b | int4-nf4 | bf16 | all | 2 | 60 | 60 |" in markdown(*pooled_table(two_k))


def noise_file(identity: str, task: str, **facts: Any) -> dict[str, Any]:
    return {"identity": identity, "tasks": [{"task": task, "samples": 60, **facts}]}


def test_files_of_their_own_hold_the_rows(tmp_path: Path) -> None:
    """CSV and Parquet have one kind of row in a file; the numbers are those of JSON."""
    one = arm(tmp_path / "one", {"lamp3u_rag_k1": 6, "lamp3u_rag_k5": 4})
    two = arm(tmp_path / "two", {"lamp3u_rag_k1": 15, "lamp3u_rag_k5": 16}, model_args=QUANTIZED)
    arguments = ["compare", str(one), str(two), "--resamples", "999"]
    for suffix in ("json", "csv", "parquet"):
        arguments += ["--out", str(tmp_path / f"table.{suffix}")]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    (expected,) = json.loads((tmp_path / "table.json").read_bytes())["pooled"]
    with (tmp_path / "table.pooled.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    (stored,) = pyarrow.parquet.read_table(tmp_path / "table.pooled.parquet").to_pylist()
    assert list(row) == list(stored)
    for made in (row, stored):
        assert (made["metrics"], made["verdict"], int(made["cells"])) == ("mae", "worse", 2)
        for name in ("effect", "p_holm", "recovery"):
            assert float(made[name]) == expected[name]
        assert float(made["low"]) == expected["interval"]["low"]
        assert float(made["recovery_high"]) == expected["recovery_interval"]["high"]
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 6


def test_a_difference_within_the_noise_is_none(tmp_path: Path) -> None:
    def ran(folder: str, precision: str, wrong: int, **facts: Any) -> Path:
        logged = LoggedArm(precision=precision, identity=folder, **facts).as_dict()
        for task in ("lamp3u_rag_k1", "lamp3u_rag_k5"):
            write_run(
                tmp_path / folder / task, samples(answers(wrong)), task, config={"qrag": logged}
            )
        return tmp_path / folder

    one, two = ran("one", "fp16", 3), ran("two", "int8", 13)
    (cell, _), (pooled,) = compared(one, two).cells, compared(one, two).pooled
    assert (verdict(cell.metrics[0]), pooled.verdict) == ("worse", "worse")
    # 1.96 standard errors of .05 are below the difference of 1/6; those of .1 are not.
    for error, word in ((0.05, "worse"), (0.1, "within noise")):
        measured = [
            noise_file("one", task, errors={"mae": error}, scores={"mae": [0.1, 0.1]})
            for task in ("lamp3u_rag_k1", "lamp3u_rag_k5")
        ]
        merged = {"identity": "one", "tasks": [t for m in measured for t in m["tasks"]]}
        comparison = compared(one, two, noise=[merged])
        (cell, _), (pooled,) = comparison.cells, comparison.pooled
        assert cell.batch_noise == pooled.noise == "measured"
        assert cell.metrics[0].noise_floor == pytest.approx(1.96 * error, rel=1e-4)
        assert verdict(cell.metrics[0]) == word
        # The batches of two cells are two, and so their noise is smaller together.
        assert pooled.noise_floor == pytest.approx(1.96 * error / 0.05 / np.sqrt(2), rel=1e-4)
    assert pooled.verdict == "worse"
    assert "; in 2 other batches alone would differ as much" in sentences(comparison)[0]
    old = noise_file("two", "lamp3u_rag_k1", scores={"mae": [0.1, 0.4]})
    (cell, other) = compared(one, two, noise=[old]).cells
    assert cell.metrics[0].noise_floor == pytest.approx(0.3)
    assert verdict(cell.metrics[0]) == "within noise"
    assert (other.batch_noise, other.metrics[0].noise_floor) == ("unknown", None)
    fixed = [
        ran(name, name, wrong, deterministic=True)
        for name, wrong in (("fp32", 3), ("int4-nf4", 13))
    ]
    comparison = compared(*fixed)
    assert {cell.batch_noise for cell in comparison.cells} == {"excluded"}
    assert comparison.pooled[0].noise == "excluded"
    assert verdict(comparison.cells[0].metrics[0]) == "worse"


def test_mcnemar_stands_beside_the_permutation_test(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", samples(answers(6)))
    two = write_run(tmp_path / "two", samples(answers(15)), model_args=QUANTIZED)
    mae, _, accuracy = compared(one, two).cells[0].metrics
    assert accuracy.mcnemar_p == pytest.approx(2 / 2**9) == accuracy.p
    assert accuracy.mcnemar_mid_p == pytest.approx(1 / 2**9)
    assert mae.mcnemar_p is None, "an error of 1 is not a right answer"
    few = [
        write_run(tmp_path / f"few {i}", samples(answers(wrong), users=20), model_args=arguments)
        for i, (wrong, arguments) in enumerate(((6, {}), (15, QUANTIZED)))
    ]
    # Three questions of one user are not independent.
    assert compared(*few).cells[0].metrics[2].mcnemar_p is None
