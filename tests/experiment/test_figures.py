"""Figures: an arm looks the same in all of them, also where cells are missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from run_files import rating, write_run

from qrag_tasks.experiment.comparison.compare import Options, compare_runs
from qrag_tasks.experiment.report.figures import Figure, figures
from qrag_tasks.experiment.runs import read_runs

GOLDS = [1 + i % 5 for i in range(30)]


def samples(wrong: int, k: int) -> list[dict[str, Any]]:
    given = [gold - 1 or 2 if i < wrong else gold for i, gold in enumerate(GOLDS)]
    both = enumerate(zip(given, GOLDS, strict=True))
    kept = [f"d{number}" for number in range(k)]
    return [rating(i, f"k={k} {i}", str(answer), gold, kept=kept) for i, (answer, gold) in both]


@pytest.fixture
def drawn(tmp_path: Path) -> dict[str, Figure]:
    """int8 lacks k = 3 by one retriever; the other has a long name."""
    long = "dense:model=/a/long/way/to/all-MiniLM-L6-v2"
    for arm, arguments in (
        ("base", {}),
        ("four", {"load_in_4bit": True}),
        ("eight", {"load_in_8bit": True}),
    ):
        for retriever in ("bm25", long):
            for k in (1, 3, 5):
                if (arm, retriever, k) != ("eight", "bm25", 5):
                    write_run(
                        tmp_path / arm / f"{retriever[:4]}{k}",
                        samples(2 + k, k),
                        task=f"lamp3u_rag_k{k}",
                        facts={"retriever": retriever},
                        model_args=arguments,
                    )
    read = [read_runs(tmp_path / arm) for arm in ("base", "four", "eight")]
    found = compare_runs(read[0], read[1:], Options(resamples=99))
    return {figure.name: figure for figure in figures(found)}


def test_an_arm_has_one_colour(drawn: dict[str, Figure]) -> None:
    seen: dict[str, set[str]] = {}
    for name in ("score-by-k", "gap-by-k"):
        for axes in drawn[name].drawn.axes:
            handles, labels = axes.get_legend_handles_labels()
            for handle, label in zip(handles, labels, strict=True):
                line = handle if hasattr(handle, "get_color") else handle.lines[0]
                seen.setdefault(label, set()).add(line.get_color())
    assert {label: len(colours) for label, colours in seen.items()} == {
        "bf16": 1,
        "int4-nf4": 1,
        "int8": 1,
    }
    # Okabe and Ito's first three, whatever matplotlib's own colours are.
    assert set.union(*seen.values()) == {"#0072B2", "#D55E00", "#009E73"}


def test_every_k_of_the_base_is_drawn(drawn: dict[str, Figure]) -> None:
    for axes in drawn["score-by-k"].drawn.axes:
        base = next(line for line in axes.lines if line.get_label() == "bf16")
        assert list(base.get_xdata()) == [1, 3, 5]


def test_titles_stay_short(drawn: dict[str, Figure]) -> None:
    titles = [axes.get_title() for axes in drawn["gap-by-k"].drawn.axes]
    assert titles == ["model-1b, lamp3u, bm25", "model-1b, lamp3u, dense:…MiniLM-L6-v2"]


def test_the_pdf_carries_no_type_3_font(drawn: dict[str, Figure], tmp_path: Path) -> None:
    written = {path.suffix: path.read_bytes() for path in drawn["score-by-k"].save(tmp_path)}
    assert b"/Type3" not in written[".pdf"]
    assert b"/TrueType" in written[".pdf"] or b"/CIDFontType2" in written[".pdf"]
