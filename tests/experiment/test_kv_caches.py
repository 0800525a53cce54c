"""Arms that keep keys and values in fewer bits: named, compared, and drawn against their memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from run_files import rating, write_run

from qrag_tasks.experiment.comparison.arm_names import read_arm
from qrag_tasks.experiment.comparison.bits import bits_panels
from qrag_tasks.experiment.comparison.compare import compare_runs
from qrag_tasks.experiment.comparison.grids import compare_grid
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.comparison.rows import Comparison
from qrag_tasks.experiment.comparison.tables.arm_sections import arm_sections
from qrag_tasks.experiment.comparison.tables.records import flat
from qrag_tasks.experiment.plan import Plan
from qrag_tasks.experiment.report.figures import figures
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.logs.runs import read_runs

GOLDS = [1 + i % 5 for i in range(40)]
TOKENS = {0: 100, 1: 200, 5: 600}
"""k -> tokens of a prompt."""
BYTES = {None: 6144.0, "fp8": 3072.0, "int4": 1728.0}
WRONG = {None: 2, "fp8": 3, "int4": 9}


def samples(kv: str | None, k: int) -> list[dict[str, Any]]:
    wrong, kept = WRONG[kv], [f"d{number}" for number in range(k)]
    given = [gold - 1 or 2 if i < wrong else gold for i, gold in enumerate(GOLDS)]
    both = enumerate(zip(given, GOLDS, strict=True))
    more = {"kept": kept, "prompt_tokens": TOKENS[k]}
    return [rating(i, f"k={k} {i}", str(answer), gold, **more) for i, (answer, gold) in both]


def logged(precision: str, kv: str | None) -> dict[str, Any]:
    return {
        "precision": precision,
        "cost": {"cache_bytes_per_token": BYTES[kv]},
        "kv_cache": {"name": kv or "auto", "bytes_per_token": BYTES[kv]},
    }


def write_arm(folder: Path, precision: str, kv: str | None) -> Path:
    for k in TOKENS:
        write_run(
            folder / str(k),
            samples(kv, k),
            task=f"lamp3u_rag_k{k}",
            config={"qrag": logged(precision, kv)},
        )
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("arms")
    return [write_arm(root / (kv or "plain"), "bf16", kv) for kv in BYTES]


@pytest.fixture(scope="module")
def comparison(folders: list[Path]) -> Comparison:
    base, *others = [read_runs(folder) for folder in folders]
    return compare_runs(base, others, Options(resamples=999))


def test_the_cache_is_part_of_an_arms_name(comparison: Comparison) -> None:
    assert {(cell.base.arm, cell.other.arm) for cell in comparison.cells} == {
        ("bf16", "bf16+kv-fp8"),
        ("bf16", "bf16+kv-int4"),
    }
    assert not any("two causes" in note for note in comparison.notes)


def test_a_name_that_was_given_stays(folders: list[Path]) -> None:
    (run, *_) = read_arm(Path(f"mine={folders[1]}"))
    assert run.arm == "mine"


def test_records_have_the_cache_and_its_bytes(comparison: Comparison) -> None:
    for record in flat(comparison):
        assert record["precision"] == record["base_precision"] == "bf16"
        assert record["base_kv_cache"] is None
        assert record["cache_bytes_per_token"] == BYTES[record["kv_cache"]]
        assert record["base_cache_bytes_per_token"] == BYTES[None]
        assert record["prompt_tokens"] == TOKENS[int(record["k"])]


def test_what_the_arms_are_tells_the_bytes_of_a_token(comparison: Comparison) -> None:
    (section,) = arm_sections(comparison, lambda *_: True)
    assert section.headings == ["Arm", "KB a token"]
    assert section.rows == [["bf16", "6.14"], ["bf16+kv-fp8", "3.07"], ["bf16+kv-int4", "1.73"]]


def test_a_base_with_other_weights_has_two_causes(folders: list[Path], tmp_path: Path) -> None:
    four = write_arm(tmp_path / "four", "int4-nf4", "fp8")
    compared = compare_runs(read_runs(folders[0]), [read_runs(four)], Options(resamples=99))
    (note,) = [note for note in compared.notes if "two causes" in note]
    assert "weights (bf16 and int4-nf4) and of their keys and values (auto and fp8)" in note
    assert note.endswith("to part them, run bf16 with kv_cache=fp8, too")


def test_what_vllm_of_lm_eval_was_asked_for_is_read(tmp_path: Path) -> None:
    arguments = {"pretrained": "m", "dtype": "bfloat16", "kv_cache_dtype": "fp8"}
    write_run(tmp_path, samples(None, 0), task="lamp3u_rag_k0", model_args=arguments)
    (run,) = read_runs(tmp_path)
    assert run.kv_cache == "fp8"
    assert run.arm == "bf16+kv-fp8"


def test_weights_alone_are_drawn_along_bits(comparison: Comparison) -> None:
    assert bits_panels(comparison) == []


# ---------------------------------------------------------------------- figure
def test_scores_are_drawn_against_bytes_of_keys_and_values(comparison: Comparison) -> None:
    (figure,) = [each for each in figures(comparison) if each.name == "score-by-cache"]
    (axes,) = figure.drawn.axes
    drawn = {
        line.get_label(): list(zip(*line.get_data(), strict=True))
        for line in axes.lines
        if not line.get_label().startswith("_")
    }
    assert list(drawn) == ["bf16", "bf16+kv-fp8", "bf16+kv-int4"]
    for (kv, each), points in zip(BYTES.items(), drawn.values(), strict=True):
        megabytes = [each * tokens / 1e6 for tokens in TOKENS.values()]
        assert [x for x, _ in points] == pytest.approx(megabytes)
        assert [y for _, y in points] == pytest.approx([WRONG[kv] / 40] * len(TOKENS))
    assert [text.get_text() for text in axes.texts] == ["0", "1", "5"] * 3
    assert "MB of keys and values" in figure.svg()


def test_without_such_arms_there_is_no_such_figure(folders: list[Path], tmp_path: Path) -> None:
    eight = write_arm(tmp_path / "eight", "int8", None)
    compared = compare_runs(read_runs(folders[0]), [read_runs(eight)], Options(resamples=99))
    assert "score-by-cache" not in {figure.name for figure in figures(compared)}


# ---------------------------------------------------------------------- grids
def test_a_grid_is_compared_with_the_first_cache_of_the_base(tmp_path: Path) -> None:
    plan = Plan.model_validate(
        {
            "name": "caches",
            "models": [{"name": "m", "pretrained": "m"}],
            "precisions": ["bf16", "int4-nf4"],
            "kv_caches": ["auto", "fp8"],
            "tasks": ["lamp3u"],
            "k": [0, 1],
        }
    )
    grid = GridFolder(tmp_path / "grid", plan)
    grid.write_plan()
    for cell in plan.cells():
        kv = None if cell.arm.kv_cache == "auto" else cell.arm.kv_cache
        folder = grid.cell(cell)
        write_run(
            folder.path,
            samples(kv, int(cell.k)),
            task=cell.task_name,
            model_args=dict(cell.arm.arguments),
            config={"qrag": logged(cell.arm.precision, kv)},
        )
        folder.finish()
    compared = compare_grid(grid.root, Options(resamples=99))
    assert {cell.base.arm for cell in compared.cells} == {"bf16"}
    arms = {cell.other.arm for cell in compared.cells}
    assert arms == {"bf16+kv-fp8", "int4-nf4", "int4-nf4+kv-fp8"}
    assert sum("two causes" in note for note in compared.notes) == 1
