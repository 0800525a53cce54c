"""Figures: what an arm, a model or a retriever looks like is the same in all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.colors import to_rgba
from run_files import QUANTIZED, rating, write_run

from qrag_tasks.arms.precisions import precisions
from qrag_tasks.experiment.comparison.compare import compare_runs
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.report.figures import Figure, figures
from qrag_tasks.experiment.report.looks import COLOURS, Looks
from qrag_tasks.logs.runs import read_runs

GOLDS = [1 + i % 5 for i in range(30)]
WEIGHTS = {"base": 100, "four": 30, "eight": 55}


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
                        config={"qrag": {"arm": {"weights": {"bytes": WEIGHTS[arm]}}}},
                    )
    read = [read_runs(tmp_path / arm) for arm in ("base", "four", "eight")]
    comparison = compare_runs(read[0], read[1:], Options(resamples=99))
    return {figure.name: figure for figure in figures(comparison)}


def test_an_arm_has_one_colour(drawn: dict[str, Figure]) -> None:
    seen: dict[str, set[str]] = {}
    for figure in drawn.values():
        (legend,) = figure.drawn.legends
        for handle, text in zip(legend.get_lines(), legend.get_texts(), strict=True):
            arm = text.get_text().removesuffix(" (base)")
            seen.setdefault(arm, set()).add(handle.get_color())
    retrievers = {"bm25", "dense:…MiniLM-L6-v2"}
    assert {arm: one for arm, one in seen.items() if arm not in retrievers} == {
        name: {COLOURS[name]} for name in ("bf16", "int4-nf4", "int8")
    }
    for name in ("score-by-k", "gap-by-k", "loss-by-memory"):
        for axes in drawn[name].drawn.axes:
            for line in axes.lines:
                arm = line.get_label().removeprefix("model-1b ")
                if not arm.startswith("_"):
                    assert {line.get_color()} == seen[arm]
    for axes in drawn["retrievers"].drawn.axes:
        assert {line.get_color() for line in axes.lines} == {COLOURS["bf16"]}


def test_a_retriever_has_one_line_style(drawn: dict[str, Figure]) -> None:
    for name in ("score-by-k", "gap-by-k"):
        styles = [
            {line._unscaled_dash_pattern for line in axes.lines if line.get_label() in COLOURS}
            for axes in drawn[name].drawn.axes
        ]
        assert [len(style) for style in styles] == [1, 1]
        assert styles[0] != styles[1]
    (axes,) = drawn["retrievers"].drawn.axes
    assert [{line._unscaled_dash_pattern} for line in axes.lines] == styles


def test_no_two_look_the_same(tmp_path: Path) -> None:
    assert set(COLOURS) <= set(precisions())
    names = ["fp16", *(f"arm {number}" for number in range(14))]
    (run,) = read_runs(write_run(tmp_path, samples(3, 1)))
    base, *others = [replace(run, called=name) for name in names]
    comparison = compare_runs([base], [[other] for other in others], Options(resamples=99))
    # The same cells by other retrievers.
    cells = [
        replace(cell, facts={**cell.facts, "retriever": f"random:seed={number}"})
        for cell in comparison.cells
        for number in range(14)
    ]
    looks = Looks.of(replace(comparison, cells=cells))
    assert set(looks.colours) == set(names)
    assert len(set(looks.colours.values())) == 15
    assert looks.colours["fp16"] == COLOURS["fp16"]
    assert len(looks.dashes) == len(set(looks.dashes.values())) == 14


def test_legends_cover_nothing(drawn: dict[str, Figure]) -> None:
    for figure in drawn.values():
        figure.drawn.draw_without_rendering()
        (legend,) = figure.drawn.legends
        place = legend.get_window_extent()
        assert figure.drawn.bbox.width >= place.width
        for axes in figure.drawn.axes:
            assert not place.overlaps(axes.get_tightbbox())


def test_long_names_leave_the_panels_their_size(tmp_path: Path) -> None:
    runs = []
    for k in (1, 3):
        task = f"lamp3u_rag_k{k}"
        (run,) = read_runs(write_run(tmp_path / str(k), samples(3, k), task))
        runs.append(run)
    base, *others = (
        [
            replace(run, called=f"an arm of a long name, such as a folder's, {number}")
            for run in runs
        ]
        for number in range(9)
    )
    for figure in figures(compare_runs(base, others, Options(resamples=99))):
        figure.drawn.draw_without_rendering()
        (axes,) = figure.drawn.axes
        assert axes.get_window_extent().height > figure.drawn.dpi * 1.5


def test_bands_lie_around_the_other_arm(drawn: dict[str, Figure]) -> None:
    caption = drawn["score-by-k"].caption
    assert "around the arm's own score; it is not corrected for the number" in caption
    for axes in drawn["score-by-k"].drawn.axes:
        others = {
            line.get_color(): list(line.get_ydata())
            for line in axes.lines
            if line.get_label() in ("int4-nf4", "int8")
        }
        assert axes.collections
        for band in axes.collections:
            corners = band.get_paths()[0].vertices
            (scores,) = (
                marks
                for colour, marks in others.items()
                if to_rgba(colour, 0.15) == tuple(band.get_facecolor()[0])
            )
            x = sorted(set(corners[:, 0]))
            middles = [corners[corners[:, 0] == place, 1] for place in x]
            assert [(max(y) + min(y)) / 2 for y in middles] == pytest.approx(scores)


def test_a_filled_marker_is_a_corrected_verdict(tmp_path: Path) -> None:
    for arm, arguments in (("base", {}), ("four", QUANTIZED)):
        for k, wrong in ((1, 4), (3, 24)):
            rows = samples(wrong if arguments else 4, k)
            write_run(tmp_path / arm / str(k), rows, f"lamp3u_rag_k{k}", model_args=arguments)
    arms = [read_runs(tmp_path / arm) for arm in ("base", "four")]
    drawn = figures(compare_runs(arms[0], arms[1:], Options(resamples=999)))
    for figure in drawn:
        (axes,) = figure.drawn.axes
        markers = {
            line.get_markerfacecolor(): list(line.get_xdata())
            for line in axes.lines
            if line.get_marker() == "o"
        }
        assert markers == {
            "none": pytest.approx([1, 3**0.5]),
            COLOURS["int4-nf4"]: pytest.approx([3**0.5]),
        }
        assert "A filled marker is a score that is worse or better by more" in figure.caption


def test_every_k_of_the_base_is_drawn(drawn: dict[str, Figure]) -> None:
    for axes in drawn["score-by-k"].drawn.axes:
        base = next(line for line in axes.lines if line.get_label() == "bf16")
        assert list(base.get_xdata()) == pytest.approx([1, 3**0.5, 5**0.5])
        assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "3", "5"]


def test_titles_stay_short(drawn: dict[str, Figure]) -> None:
    titles = [axes.get_title() for axes in drawn["gap-by-k"].drawn.axes]
    assert titles == ["model-1b, lamp3u, bm25", "model-1b, lamp3u, dense:…MiniLM-L6-v2"]


def test_the_pdf_carries_no_type_3_font(drawn: dict[str, Figure], tmp_path: Path) -> None:
    written = {path.suffix: path.read_bytes() for path in drawn["score-by-k"].save(tmp_path)}
    assert b"/Type3" not in written[".pdf"]
    assert b"/TrueType" in written[".pdf"] or b"/CIDFontType2" in written[".pdf"]
