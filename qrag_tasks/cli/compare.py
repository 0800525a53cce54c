"""``qrag compare``: what the difference between two arms is, and how sure that is."""

from __future__ import annotations

import gc
import json
import math
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from qrag_tasks.cli.gating import FAILED, gating, judged, read_gates
from qrag_tasks.cli.group import console, main, print_prose, read_size
from qrag_tasks.cli.outputs import OutFile, OutFolder, write_text
from qrag_tasks.cli.progress import tracking
from qrag_tasks.cli.tables import Table, fits, print_tables
from qrag_tasks.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from qrag_tasks.experiment.comparison.kept import KeptComparisons
    from qrag_tasks.experiment.comparison.matching import Matched
    from qrag_tasks.experiment.comparison.options import Options
    from qrag_tasks.experiment.comparison.rows import Comparison

_FORMATS = (".json", ".csv", ".parquet", ".tex", ".md")


_OPTIONS = (
    click.argument("base", type=click.Path(path_type=Path)),
    click.argument("others", nargs=-1, type=click.Path(path_type=Path), metavar="[OTHER]..."),
    click.option(
        "--margin",
        "margins",
        multiple=True,
        metavar="METRIC=SIZE",
        help="A difference below it does not matter; may be given often.",
    ),
    click.option("--common", is_flag=True, help="Compare the samples that both arms have."),
    click.option(
        "--noise",
        "noise_files",
        multiple=True,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="What `qrag noise --out` wrote; may be given often.",
    ),
    click.option(
        "--by-attribute",
        "attributes",
        multiple=True,
        metavar="NAME[=EDGE,...]",
        help="Show scores by an attribute of the questions, as in distance_tokens=8000,16000; may "
        "be given often.",
    ),
    click.option("--resamples", type=click.IntRange(min=99), default=9999, show_default=True),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True),
)


_CELLS = (
    click.option(
        "--by",
        "axis",
        metavar="AXIS[=BASE]",
        help="In a grid, compare along retriever, k or order instead of precision, as in k=0.",
    ),
    click.option(
        "--pair",
        "pairs",
        nargs=2,
        multiple=True,
        metavar="BASE OTHER",
        help="In a grid, compare these cells, as in fp16@k=5 int4-nf4@k=10; may be given often.",
    ),
)


def comparing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the arguments and options that say what is compared, and how.

    It runs without the search for reference cycles: there are none among its samples, and to go
    through them again and again takes as long as to read them.
    """

    @wraps(command)
    def run(**choices: Any) -> Any:
        collecting = gc.isenabled()
        gc.disable()
        try:
            return command(**choices)
        finally:
            if collecting:
                gc.enable()

    decorated: Callable[..., Any] = run
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def choosing_cells(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that have it compare cells of a grid whose prompts differ."""
    for option in reversed(_CELLS):
        command = option(command)
    return command


def read_options(choices: Mapping[str, Any]) -> Options:
    """Read the options that :func:`comparing` gives.

    :raises SettingsError: for one that cannot be read.
    """
    from qrag_tasks.experiment.comparison.options import Options

    return Options(
        margins=dict(read_size("--margin", text, "mae=0.05") for text in choices["margins"]),
        common=choices["common"],
        noise=[_noise(path) for path in choices["noise_files"]],
        attributes=dict(_attribute(text) for text in choices["attributes"]),
        resamples=choices["resamples"],
        seed=choices["seed"],
    )


def _attribute(text: str) -> tuple[str, list[float] | None]:
    """Read ``NAME``, or ``NAME=EDGE,EDGE``.

    :raises SettingsError: for edges that are not rising numbers.
    """
    name, equals, edges = text.partition("=")
    if not equals:
        return name, None
    try:
        numbers = [float(edge) for edge in edges.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(map(math.isfinite, numbers)) or numbers != sorted(set(numbers)):
        raise SettingsError(
            f"--by-attribute {text}: {edges!r} are not the edges of bins: give rising numbers, as "
            f"in distance_tokens=8000,16000, or the name alone for bins of equal size"
        )
    return name, numbers


def read_arms(
    base: Path,
    others: tuple[Path, ...],
    options: Options,
    axis: str | None = None,
    pairs: tuple[tuple[str, str], ...] = (),
) -> tuple[Matched, Options, str]:
    """Return what is to be compared, how, and what it is called.

    :param axis: along which the cells of a grid are compared, where that is not precision.
    :param pairs: of cells of a grid that are compared instead, the base first.
    :raises SettingsError: for an axis or a pair that is wrong, or not of a grid.
    :raises QragError: when the folders do not hold what they should, or a margin is stated for a
        metric that they do not have.
    """
    from qrag_tasks.experiment.comparison.arm_names import read_arm, split
    from qrag_tasks.experiment.comparison.axes import match_axis, match_pairs
    from qrag_tasks.experiment.comparison.grids import match_grid, with_margins
    from qrag_tasks.experiment.comparison.matching import match_runs
    from qrag_tasks.experiment.comparison.metric_names import check_metrics
    from qrag_tasks.experiment.running.grid_folder import GridFolder

    if axis and pairs:
        raise SettingsError("--by and --pair: give one of them, as each says what is compared")
    if others and (axis or pairs):
        raise SettingsError(
            f"{'--by' if axis else '--pair'} chooses cells of a grid: name the one folder of `qrag "
            f"run`"
        )
    if axis or pairs:
        matched = match_axis(base, axis) if axis else match_pairs(base, pairs)
        along = f"by {axis}" if axis else "; ".join(f"{two} against {one}" for one, two in pairs)
        title = f"{GridFolder.at(base).plan.name}, {along}"
    elif others:
        matched = match_runs(read_arm(base), [read_arm(other) for other in others])
        called, *rest = (
            name or folder.resolve().name for name, folder in map(split, (base, *others))
        )
        title = f"{', '.join(rest)} against {called}"
    else:
        matched = match_grid(base)
        title = GridFolder.at(base).plan.name
    check_metrics(matched, options.margins, "--margin")
    return matched, options if others else with_margins(base, options), title


def kept_comparisons() -> KeptComparisons:
    """Return where comparisons are kept."""
    from qrag_tasks.experiment.comparison.kept import KeptComparisons
    from qrag_tasks.locations import cache_dir

    return KeptComparisons(cache_dir() / "comparisons")


@main.command()
@comparing
@choosing_cells
@click.option("--metric", "metrics", multiple=True, help="Show this metric; may be given often.")
@click.option("--wide", is_flag=True, help="Show every column, however wide the terminal is.")
@click.option(
    "--out",
    "outs",
    multiple=True,
    type=OutFile(*_FORMATS),
    help=f"Also write it to a file ({', '.join(_FORMATS)}); may be given often. Beside NAME.csv or "
    f"NAME.parquet, NAME.pooled.csv or .parquet gets the rows over all cells.",
)
@click.option(
    "--figures",
    "figure_folder",
    type=OutFolder(),
    help="Folder for the figures, as SVG and PDF.",
)
@gating
@click.pass_context
def compare(
    context: click.Context,
    /,
    base: Path,
    others: tuple[Path, ...],
    axis: str | None,
    pairs: tuple[tuple[str, str], ...],
    metrics: tuple[str, ...],
    wide: bool,
    outs: tuple[Path, ...],
    figure_folder: Path | None,
    **choices: Any,
) -> None:
    """Compare arms sample by sample.

    BASE and OTHER are output folders of lm_eval with --log_samples, each of one arm, by whatever
    model or task; or BASE alone is the folder of `qrag run`. NAME=FOLDER says what an arm is called
    in tables, as in fp16=results/a int4=results/b; else its precision does. Arms that were not
    asked the same, to the letter, are refused.

    With --by or --pair, cells of a grid are compared whose prompts differ by design, question by
    question.

    Exit codes: 0, also where arms differ; 1 where they cannot be compared; 2 for a wrong command
    line; 3 where a condition of --fail-if holds.
    """
    from qrag_tasks.experiment.comparison.compare import compare_matched
    from qrag_tasks.experiment.comparison.metric_names import check_metrics

    gates = read_gates(choices)
    if figure_folder is not None and (axis or pairs):
        raise SettingsError("--figures draws arms on the same prompts: leave out --by and --pair")
    matched, options, title = read_arms(base, others, read_options(choices), axis, pairs)
    check_metrics(matched, metrics, "--metric")
    with tracking() as track:
        comparison = compare_matched(matched, options, kept_comparisons(), track)
    _show(comparison, metrics, options.attributes, wide)
    for note in comparison.notes:
        print_prose(f"note: {note}", stderr=True)
    for path in outs:
        _write(path, comparison, metrics, options.attributes)
    if figure_folder is not None:
        from qrag_tasks.experiment.report.figures import save_figures

        save_figures(comparison, figure_folder)
    if judged(gates, comparison, title, metrics, choices):
        context.exit(FAILED)


def _show(
    comparison: Comparison, metrics: tuple[str, ...], attributes: Collection[str], wide: bool
) -> None:
    from qrag_tasks.experiment.comparison.tables import (
        arm_sections,
        by_attribute,
        pooled,
        sections,
        texts,
    )
    from qrag_tasks.experiment.report.answer import sentences

    if wide:
        tables_of = (texts.cell_table(comparison, metrics), texts.trend_table(comparison, metrics))
        shown = [sections.Section("", *table) for table in tables_of if table.rows]
    else:
        shown = sections.sections(comparison, metrics, fits)
        shown += sections.trend_sections(comparison, metrics, fits)
    room = (lambda *_: True) if wide else fits
    shown += by_attribute.attribute_sections(comparison, attributes, metrics, room)
    shown += arm_sections.knee_sections(comparison, metrics, room)
    shown += arm_sections.arm_sections(comparison, room)
    shown += pooled.pooled_sections(comparison, room)
    tables = []
    for section in shown:
        tables.append(Table(*section.headings, title=section.title))
        for row in section.rows:
            tables[-1].add_row(*row)
    print_tables(*tables, fold=False, wide=wide)
    if not metrics:
        console().print()
        for sentence in sentences(comparison):
            console().print(Text(sentence))


def _noise(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError):
        raise SettingsError(f"--noise {path}: not as `qrag noise --out` writes it") from None


def _write(
    path: Path, comparison: Comparison, metrics: tuple[str, ...], attributes: Collection[str]
) -> None:
    from qrag_tasks.experiment.comparison.tables import (
        by_attribute,
        latex,
        markdown,
        pooled,
        records,
        texts,
    )

    if path.suffix in (".csv", ".parquet"):
        _write_records(path, records.flat(comparison))
        # Rows of another kind, which would be counted with the cells in one table.
        if comparison.pooled:
            _write_records(_beside(path, "pooled"), records.flat_pooled(comparison))
        if comparison.attributes:
            _write_records(_beside(path, "attributes"), by_attribute.flat(comparison))
        return
    if path.suffix == ".json":
        text = json.dumps(records.nested(comparison), indent=2, ensure_ascii=False) + "\n"
    elif path.suffix == ".tex":
        text = latex.latex(comparison, metrics)
    else:
        tables = (
            texts.cell_table(comparison, metrics),
            texts.trend_table(comparison, metrics),
            *by_attribute.attribute_tables(comparison, attributes, metrics),
            pooled.pooled_table(comparison),
        )
        text = "\n".join(markdown.markdown(*table) for table in tables if table.rows)
    write_text(path, text)


def _beside(path: Path, what: str) -> Path:
    """Return where rows of another kind go: ``grid.pooled.csv`` for ``grid.csv``."""
    return path.with_name(f"{path.stem}.{what}{path.suffix}")


def _write_records(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    from qrag_tasks.experiment.comparison.tables import records

    if path.suffix == ".parquet":
        records.write_parquet(path, rows)
    else:
        write_text(path, records.csv_text(rows))
