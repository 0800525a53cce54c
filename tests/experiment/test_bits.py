"""Scores along the bits that weights take: which arms are a line, and how far down they hold."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from matplotlib.colors import to_hex
from run_files import rating, write_run

from qrag_tasks.cli import main
from qrag_tasks.experiment.comparison.bits import BitsPanel, bits_panels, knees
from qrag_tasks.experiment.comparison.compare import compare_runs
from qrag_tasks.experiment.comparison.fidelity_rows import AnswersRead, FidelityRow, MeanRow
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.comparison.rows import Comparison
from qrag_tasks.experiment.comparison.tables.arm_sections import (
    arm_sections,
    knee_sections,
    shares_text,
)
from qrag_tasks.experiment.comparison.tables.records import flat
from qrag_tasks.experiment.report import bits_figure
from qrag_tasks.experiment.report.bits_figure import bits_figures
from qrag_tasks.experiment.report.drawing import page_style
from qrag_tasks.experiment.report.looks import COLOURS
from qrag_tasks.experiment.statistics import Interval
from qrag_tasks.logs.runs import read_runs

GOLDS = [1 + i % 5 for i in range(60)]
COUNT = 1_000_000
ARMS = {
    "bf16": (16.0, 0),
    "int8": (8.01, 0),
    "int4-nf4": (4.5, 2),
    "gguf-q8_0": (8.5, 0),
    "gguf-q4_k_m": (4.85, 1),
    "gguf-q2_k": (2.9, 40),
}
"""Arm -> bits a weight, and how many of its answers are wrong."""
KINDS = {"Q4_K": {"share": 0.62}, "Q6_K": {"share": 0.377}, "F32": {"share": 0.003}}


def samples(wrong: int, k: int) -> list[dict[str, Any]]:
    given = [gold - 1 or 2 if i < wrong else gold for i, gold in enumerate(GOLDS)]
    kept = [f"d{number}" for number in range(k)]
    both = enumerate(zip(given, GOLDS, strict=True))
    return [rating(i, f"k={k} {i}", str(answer), gold, kept=kept) for i, (answer, gold) in both]


def logged(precision: str, bits: float | None) -> dict[str, Any]:
    weights: dict[str, Any] = {"bytes": COUNT, "parameters": COUNT // 2}
    if bits is not None:
        weights |= {"linear_weights": COUNT, "linear_bytes": int(COUNT * bits / 8)}
    arm: dict[str, Any] = {"precision": precision, "arm": {"weights": weights}}
    if precision.startswith("gguf"):
        arm["arm"]["tensor_kinds"] = KINDS
        arm["engine"] = {"name": "llama_cpp", "evidence": "headers"}
    return arm


def write_arms(folder: Path, ks: tuple[int, ...] = (0, 5), **changes: float | None) -> list[Path]:
    """Write a run of every arm and k; ``changes`` are other bits of an arm."""
    folders = []
    for precision, (bits, wrong) in ARMS.items():
        folders.append(folder / precision)
        for k in ks:
            write_run(
                folders[-1] / str(k),
                samples(wrong, k),
                task=f"lamp3u_rag_k{k}",
                config={"qrag": logged(precision, changes.get(precision, bits))},
            )
    return folders


def compared(folders: list[Path]) -> Comparison:
    base, *others = [read_runs(folder) for folder in folders]
    return compare_runs(base, others, Options(resamples=999))


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return compared(write_arms(tmp_path_factory.mktemp("arms")))


def everything_fits(*_: object) -> bool:
    return True


# ---------------------------------------------------------------------- lines and knees
def test_a_line_is_what_one_method_made(comparison: Comparison) -> None:
    panels = bits_panels(comparison)
    assert [(panel.k, panel.base, panel.base_bits) for panel in panels] == [
        ("0", "bf16", 16.0),
        ("5", "bf16", 16.0),
    ]
    for panel in panels:
        lines = {line.method: [point.bits for point in line.points] for line in panel.lines}
        assert lines == {"LLM.int8()": [8.01], "nf4": [4.5], "gguf": [2.9, 4.85, 8.5]}
        assert panel.unknown == []


def test_the_knee_is_where_the_verdicts_turn(comparison: Comparison) -> None:
    for panel in bits_panels(comparison):
        by_method = {knee.method: knee for knee in knees(panel)}
        gguf = by_method["gguf"]
        assert gguf.tried == [8.5, 4.85, 2.9]
        assert (gguf.no_loss_shown, gguf.worse) == (4.85, 2.9)
        # Two answers of sixty that are one off: so few that a loss cannot be shown.
        assert by_method["nf4"].no_loss_shown == 4.5
        assert by_method["nf4"].worse is None


def verdicts(comparison: Comparison, words: dict[str, dict[str, Any]]) -> BitsPanel:
    """The panel of k = 5, with rows changed so that their verdicts are others."""
    cells = [
        replace(cell, metrics=[replace(row, **words[cell.other.arm]) for row in cell.metrics])
        for cell in comparison.cells
        if cell.k == "5" and cell.other.arm in words
    ]
    (panel,) = bits_panels(replace(comparison, cells=cells))
    return panel


WORSE = {"p": 0.001, "p_holm": 0.001, "difference": 0.2, "equivalence_p": 0.9}
SAME = {"p": 0.9, "p_holm": 0.9, "difference": 0.0, "equivalence_p": 0.001}
OPEN = {"p": 0.3, "p_holm": 0.9, "difference": 0.1, "equivalence_p": 0.4}
FEW = {"p": None, "p_holm": None, "equivalence_p": None, "units": 5}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((SAME, SAME, SAME), (2.9, 2.9, None)),
        ((SAME, OPEN, WORSE), (4.85, 8.5, 2.9)),
        # What fewer bits are said to do says nothing once more bits are worse.
        ((WORSE, SAME, SAME), (None, None, 8.5)),
        # What could not be tested is not called the same.
        ((SAME, FEW, SAME), (8.5, 8.5, None)),
        ((SAME, FEW | {"units": 60, "differing": 2}, WORSE), (4.85, 8.5, 2.9)),
        ((OPEN, OPEN, OPEN), (2.9, None, None)),
        # Worse by more than chance explains, and by less than matters.
        ((WORSE | {"equivalence_p": 0.001}, WORSE, WORSE), (None, 8.5, 8.5)),
    ],
)
def test_what_knees_are_called(
    comparison: Comparison, words: tuple[dict[str, Any], ...], expected: tuple[float | None, ...]
) -> None:
    arms = dict(zip(("gguf-q8_0", "gguf-q4_k_m", "gguf-q2_k"), words, strict=True))
    (knee,) = knees(verdicts(comparison, arms))
    assert (knee.no_loss_shown, knee.equivalent, knee.worse) == expected


def test_two_values_are_no_axis(tmp_path: Path) -> None:
    folders = write_arms(tmp_path)
    few = compared([folder for folder in folders if folder.name in ("bf16", "int4-nf4")])
    assert bits_panels(few) == []
    assert bits_figures(few) == []
    assert knee_sections(few, (), everything_fits) == []


def test_an_arm_that_does_not_say_its_bits_is_named(tmp_path: Path) -> None:
    folders = write_arms(tmp_path, ks=(5,), **{"gguf-q4_k_m": None})
    comparison = compared(folders)
    (panel,) = bits_panels(comparison)
    assert panel.unknown == ["gguf-q4_k_m"]
    with page_style():
        (figure,) = bits_figures(comparison)
    assert figure.caption.endswith(" Left out, as no results say their bits: gguf-q4_k_m.")


def test_a_method_of_two_engines_is_two_lines(comparison: Comparison) -> None:
    cells = [cell for cell in comparison.cells if cell.k == "5"]
    for cell in list(cells):
        if cell.other.arm == "int4-nf4":
            other = replace(cell.other, engine="vllm", arm="int4-nf4 (vllm)")
            cells.append(replace(cell, other=other))
    (panel,) = bits_panels(replace(comparison, cells=cells))
    assert {line.method for line in panel.lines} == {
        *("LLM.int8()", "gguf", "nf4 (transformers)", "nf4 (vllm)"),
    }


# ---------------------------------------------------------------------- tables
def test_tables_of_arms_and_knees(comparison: Comparison) -> None:
    (arms,) = arm_sections(comparison, everything_fits)
    assert list(arms.headings) == ["Arm", "Bits a weight", "Engine", "Evidence", "Tensors"]
    rows = {row[0]: list(row[1:]) for row in arms.rows}
    assert next(iter(rows)) == "bf16"
    assert rows["int4-nf4"] == ["4.50", "transformers", "layers", ""]
    mixture = "Q4_K 62 %, Q6_K 38 %, F32 <1 %"
    assert rows["gguf-q4_k_m"] == ["4.85", "llama_cpp", "headers", mixture]
    (knees,) = knee_sections(comparison, (), everything_fits)
    assert knees.title == "Fewest bits a weight, against model-1b bf16 (bm25, best-first)"
    gguf = ["lamp3u, mae ↓", "5", "gguf", "4.85", "none", "2.90", "8.50, 4.85, 2.90"]
    assert gguf in map(list, knees.rows)


def test_shares_add_up_in_words() -> None:
    assert shares_text({"Q4_K": 0.6213, "F32": 0.0004}) == "Q4_K 62 %, F32 <1 %"


def test_the_command_shows_them(tmp_path: Path) -> None:
    folders = write_arms(tmp_path, ks=(5,))
    out = tmp_path / "all.json"
    done = CliRunner().invoke(
        main,
        [
            *("compare", *map(str, folders), "--resamples", "999", "--out", str(out)),
            *("--figures", str(tmp_path / "figures")),
        ],
        env={"COLUMNS": "80"},
    )
    assert done.exit_code == 0, done.output
    assert "Fewest bits a weight, against model-1b bf16" in done.output
    assert "What the arms are" in done.output
    own = done.output.partition("Fewest bits")[2].partition("\nOf ")[0]
    assert max(map(len, own.splitlines())) <= 80
    assert (tmp_path / "figures" / "score-by-bits.svg").is_file()
    cells = json.loads(out.read_text())["cells"]
    assert {cell["other"]["weights"]["bits"] for cell in cells} == {
        bits for arm, (bits, _) in ARMS.items() if arm != "bf16"
    }


def test_flat_records_have_bits(comparison: Comparison) -> None:
    for record in flat(comparison):
        assert record["base_bits"] == 16.0
        assert record["bits"] == ARMS[record["arm"]][0]
        assert record["model_bits"] == 16.0
    methods = {record["arm"]: record["method"] for record in flat(comparison)}
    assert methods["int4-nf4"] == "nf4"


# ---------------------------------------------------------------------- the figure
def test_a_panel_for_every_k(comparison: Comparison) -> None:
    with page_style():
        (figure,) = bits_figures(comparison)
    assert figure.name == "score-by-bits"
    assert [axes.get_title(loc="left") for axes in figure.drawn.axes] == [
        "model-1b, lamp3u, bm25\nk = 0",
        "k = 5",
    ]
    figure.drawn.draw_without_rendering()
    for axes, panel in zip(figure.drawn.axes, bits_panels(comparison), strict=True):
        drawn = {line.get_label(): line for line in axes.lines}
        for line in panel.lines:
            x, y = drawn[line.method].get_data()
            assert list(x) == [point.bits for point in line.points]
            assert list(y) == [point.row.other for point in line.points if point.row]
        assert to_hex(drawn["nf4"].get_color()) == COLOURS["int4-nf4"]
        assert to_hex(drawn["bf16"].get_color()) == COLOURS["bf16"]
        low, high = axes.get_xlim()
        assert low < 2.9
        assert high > 16
        bars = sorted(tuple(path.get_segments()[0][0]) for path in axes.collections)
        intervals = [
            (point.bits, point.row.base + point.row.interval.low)
            for line in panel.lines
            for point in line.points
            if point.row and point.row.interval
        ]
        assert [bits for bits, _ in bars] == sorted(bits for bits, _ in intervals)
        assert [low for _, low in bars] == pytest.approx([low for _, low in sorted(intervals)])
    (legend,) = figure.drawn.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["bf16 (base)", "gguf", "nf4", "LLM.int8()"]
    place = legend.get_window_extent()
    assert place.width <= figure.drawn.bbox.width
    assert not any(place.overlaps(axes.get_tightbbox()) for axes in figure.drawn.axes)


def test_retrievers_share_what_has_no_documents(comparison: Comparison) -> None:
    cells = list(comparison.cells)
    cells += [
        replace(cell, facts={**cell.facts, "retriever": "random"})
        for cell in comparison.cells
        if cell.k == "5"
    ]
    with page_style():
        (figure,) = bits_figures(replace(comparison, cells=cells))
    assert [axes.get_title(loc="left") for axes in figure.drawn.axes] == [
        *("model-1b, lamp3u, bm25\nk = 0", "k = 5"),
        *("model-1b, lamp3u, random\nk = 0", "k = 5"),
    ]


def test_another_quantity_is_a_row(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    agreement = replace(
        bits_figure.QUANTITIES[0],
        name="agreement-by-bits",
        caption="Share of answers that are the base's.",
        label=lambda point: "same answers",
        of_base=lambda point: None,
        of_arm=lambda point: point.cell.agreement.same_answer,
        bar=lambda point: None,
    )
    monkeypatch.setattr(bits_figure, "QUANTITIES", (*bits_figure.QUANTITIES, agreement))
    with page_style():
        _, figure = bits_figures(comparison)
    assert figure.name == "agreement-by-bits"
    values = {y for axes in figure.drawn.axes for line in axes.lines for y in line.get_ydata()}
    assert values == {cell.agreement.same_answer for cell in comparison.cells}


def test_kl_has_a_figure_of_its_own(comparison: Comparison) -> None:
    """Where answers were read: on a logarithmic axis, with its intervals, without a base."""

    def read(number: int) -> FidelityRow:
        kl = MeanRow(0.001 * 4**number, Interval(0.0005 * 4**number, 0.002 * 4**number, 0.95))
        nothing = MeanRow(1.0, None)
        own = AnswersRead(60, 60, kl, None, {}, nothing, nothing, 0.0, nothing)
        return FidelityRow(own=own)

    cells = [replace(cell, fidelity=read(n % 5)) for n, cell in enumerate(comparison.cells)]
    with page_style():
        of_scores, figure = bits_figures(replace(comparison, cells=cells))
    assert (of_scores.name, figure.name) == ("score-by-bits", "kl-by-bits")
    panels = bits_panels(replace(comparison, cells=cells))
    figure.drawn.draw_without_rendering()
    for axes, panel in zip(figure.drawn.axes, panels, strict=True):
        assert axes.get_yscale() == "log"
        drawn = {line.get_label(): line for line in axes.lines}
        for line in panel.lines:
            wanted = [p.cell.fidelity.own.kl.value for p in line.points if p.cell.fidelity]
            assert list(drawn[line.method].get_ydata()) == wanted
    (legend,) = figure.drawn.legends
    assert not any("base" in text.get_text() for text in legend.get_texts())
