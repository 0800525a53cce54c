"""Makes the page: a verdict for each arm, a map of all cells, figures, tables, and every sample."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from qrag_tasks.errors import StoreError
from qrag_tasks.experiment.comparison.compare import compare_cells
from qrag_tasks.experiment.comparison.kept import KeptComparisons
from qrag_tasks.experiment.comparison.matching import Matched
from qrag_tasks.experiment.comparison.notes import percent
from qrag_tasks.experiment.comparison.options import Options, Track
from qrag_tasks.experiment.comparison.paired import PairedCells
from qrag_tasks.experiment.comparison.rows import Comparison
from qrag_tasks.experiment.comparison.tables.arm_sections import arm_sections, knee_sections
from qrag_tasks.experiment.comparison.tables.by_attribute import attribute_sections
from qrag_tasks.experiment.comparison.tables.pooled import pooled_sections
from qrag_tasks.experiment.comparison.tables.sections import trend_sections
from qrag_tasks.experiment.report.answer import sentences
from qrag_tasks.experiment.report.arm_summaries import arm_summaries
from qrag_tasks.experiment.report.assembly import assembled
from qrag_tasks.experiment.report.cell_table import cell_table
from qrag_tasks.experiment.report.cells_data import page_data
from qrag_tasks.experiment.report.figures import memory_figures, save_figures
from qrag_tasks.experiment.report.first_screen import question, strips
from qrag_tasks.experiment.report.provenance import Provenance
from qrag_tasks.experiment.report.samples_data import for_script, packed_samples


@dataclass(frozen=True)
class Report:
    """A page.

    :ivar html: all of it: it loads nothing.
    :ivar comparison: what it shows.
    """

    html: str
    comparison: Comparison


def make_report(
    matched: Matched,
    options: Options,
    title: str,
    figure_folder: Path | None = None,
    kept: KeptComparisons | None = None,
    track: Track = lambda members, _: members,
    with_samples: bool = True,
) -> Report:
    """Compare arms and make the page.

    :param figure_folder: where the figures go as files, too.
    :param kept: as for :func:`compare_cells`.
    :param track: shows how far it is.
    :param with_samples: whether the page holds the samples' texts, or none of them.
    :raises ComparisonError: when two arms were given different prompts.
    :raises StoreError: when a figure cannot be written.
    """
    paired = PairedCells(matched, options, track)
    comparison = compare_cells(paired, kept)
    if figure_folder is not None:
        save_figures(comparison, figure_folder)
    samples = packed_samples(paired, comparison.cells, with_samples)
    sides = [((v.base.run, v.base.task), (v.other.run, v.other.task)) for v in paired.values]
    runs = [(one, two) for (one, _), (two, _) in sides]
    summaries = arm_summaries(comparison, runs)
    provenance = Provenance(comparison, options, sides)
    # Figures along bits and bytes draw arms on the same prompts.
    differ = any(cell.by_design for cell in comparison.cells)
    tables = {
        "All cells of an arm as one": pooled_sections(comparison, _all_fits),
        "Does the difference grow with the documents?": trend_sections(comparison, (), _all_fits),
        "Scores by attributes of the questions": attribute_sections(
            comparison, options.attributes or None, (), _all_fits
        ),
        "How few bits will do?": [] if differ else knee_sections(comparison, (), _all_fits),
        "The arms": arm_sections(comparison, _all_fits),
    }
    html = assembled(
        title=title,
        question=question(comparison, summaries),
        version=version("qrag-tasks"),
        summaries=summaries,
        strip=strips(summaries),
        facts=provenance.facts(),
        warnings=provenance.warnings(),
        sentences=sentences(comparison),
        table=cell_table(comparison),
        tables={heading: sections for heading, sections in tables.items() if sections},
        figures=[
            {"caption": figure.caption, "svg": figure.svg()}
            for figure in ([] if differ else memory_figures(comparison))
        ],
        notes=comparison.notes,
        level=percent(comparison.level),
        data=for_script(
            page_data(comparison, runs, summaries, samples, next(iter(options.attributes), None))
        ),
        chunks=samples.chunks,
        with_samples=with_samples,
    )
    return Report(html, comparison)


def write_report(path: Path, report: Report) -> None:
    """Write the page.

    :raises StoreError: when it cannot be written.
    """
    half = path.with_name(f".{path.name}.half")
    try:
        half.write_text(report.html, encoding="utf-8", errors="surrogatepass")
        half.replace(path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


def _all_fits(*_: object) -> bool:
    # A page scrolls.
    return True
