"""Makes the page: the answer, figures, the table, and every sample of both arms."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from qrag_tasks.errors import StoreError
from qrag_tasks.experiment.comparison.agreement import Pair, text_of
from qrag_tasks.experiment.comparison.compare import compare_cells
from qrag_tasks.experiment.comparison.kept import KeptComparisons
from qrag_tasks.experiment.comparison.matching import Matched
from qrag_tasks.experiment.comparison.notes import percent
from qrag_tasks.experiment.comparison.options import Options, Track
from qrag_tasks.experiment.comparison.paired import PairedCells
from qrag_tasks.experiment.comparison.rows import CellRow, Comparison
from qrag_tasks.experiment.comparison.tables.arm_sections import arm_sections, knee_sections
from qrag_tasks.experiment.comparison.tables.sections import sections, trend_sections
from qrag_tasks.experiment.report.answer import headline_row, sentences
from qrag_tasks.experiment.report.figures import figures


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
) -> Report:
    """Compare arms and make the page.

    :param figure_folder: where the figures go as files, too.
    :param kept: as for :func:`compare_cells`.
    :param track: shows how far it is.
    :raises ComparisonError: when two arms were given different prompts.
    :raises StoreError: when a figure cannot be written.
    """
    from jinja2 import Environment

    paired = PairedCells(matched, options, track)
    comparison = compare_cells(paired, kept)
    drawn = figures(comparison)
    cell_tables = sections(comparison, (), _all_fits)
    trend_tables = trend_sections(comparison, (), _all_fits)
    if figure_folder is not None:
        for figure in drawn:
            figure.save(figure_folder)
    cells, chunks = _samples(paired, comparison.cells)
    here = files("qrag_tasks.experiment.report")
    page = Environment(autoescape=True).from_string(
        here.joinpath("page.html.jinja").read_text(encoding="utf-8")
    )
    html = page.render(
        title=title,
        version=version("qrag-tasks"),
        style=here.joinpath("page.css").read_text(encoding="utf-8"),
        script=here.joinpath("page.js").read_text(encoding="utf-8"),
        sentences=sentences(comparison),
        figures=[{"caption": figure.caption, "svg": figure.svg()} for figure in drawn],
        tables={
            "All comparisons": cell_tables,
            "Does the difference grow with the documents?": trend_tables,
            "How few bits will do?": knee_sections(comparison, (), _all_fits),
            "The arms": arm_sections(comparison, _all_fits),
        },
        notes=comparison.notes,
        level=percent(comparison.level),
        data=_for_script({"cells": cells}),
        chunks=chunks,
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


def _for_script(value: Any) -> str:
    """Return JSON that may stand in a script element: what ends one is written otherwise."""
    return _json(value).replace("<", "\\u003c")


def _json(value: Any) -> str:
    """Return JSON as a browser reads it: what is not a finite number, in a log, is null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(json.loads(json.dumps(value), parse_constant=lambda _: None))


def _chunk(value: Any) -> str:
    """Return JSON, compressed: a grid's prompts are many megabytes, and much alike."""
    data = _json(value).encode("ascii")
    # The default, 9, takes twice as long or more, and saves a thirtieth of the page.
    return base64.b64encode(gzip.compress(data, 5, mtime=0)).decode("ascii")


def _samples(
    paired: PairedCells, cells: Sequence[CellRow]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return what the page knows of every cell, and the chunks with its samples.

    Prompts are a chunk for all arms that were given them.
    """
    chunks: list[str] = []
    chunk_of: dict[tuple[str, ...], int] = {}
    records = []
    both = list(zip(paired.values, cells, strict=True))
    for values, cell in paired.track(both, "packing samples"):
        samples = [one for one, _ in values.pairs]
        prompts = tuple(sample.prompt for sample in samples)
        if prompts not in chunk_of:
            chunk_of[prompts] = len(chunks)
            chunks.append(
                _chunk([{"prompt": sample.prompt, **sample.documents} for sample in samples])
            )
        records.append({**_facts(cell), "prompts": chunk_of[prompts], "answers": len(chunks)})
        chunks.append(_chunk(_answers(cell, values.pairs)))
    return records, chunks


def _facts(cell: CellRow) -> dict[str, Any]:
    row = headline_row(cell)
    return {
        "task": cell.lamp_task or cell.task,
        "k": cell.k or "",
        "retriever": cell.retriever or "",
        "order": cell.order or "",
        "filter": "" if cell.filter == "none" else cell.filter,
        "model": cell.other.model,
        "base": cell.base.arm,
        "other": cell.other.arm,
        "metric": row.metric if row else "",
        "samples": cell.samples,
    }


def _answers(cell: CellRow, pairs: Sequence[Pair]) -> list[list[Any]]:
    """Return a list per sample.

    Key, gold, both answers, both scores, better (1) or worse (-1), invalid.
    """
    row = headline_row(cell)
    name = row.metric if row else None
    rows = []
    for one, two in pairs:
        first, second = (sample.scores.get(name) if name else None for sample in (one, two))
        flip = 0
        if row is not None and row.flips is not None and first is not None and second is not None:
            change = second - first if row.higher_is_better else first - second
            flip = (change > 0) - (change < 0)
        invalid = any(sample.scores.get("valid_rate") == 0 for sample in (one, two))
        rows.append(
            [
                *(one.key, one.target or None, text_of(one), text_of(two)),
                *(first, second, flip, int(invalid)),
            ]
        )
    return rows
