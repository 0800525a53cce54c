"""A comparison in LaTeX: rows are retrievers and k, columns are arms, as papers print it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from qrag_tasks.experiment.comparison.notes import percent
from qrag_tasks.experiment.comparison.rows import Comparison, MetricRow, TrendRow
from qrag_tasks.experiment.comparison.tables import texts
from qrag_tasks.experiment.comparison.verdicts import (
    ALPHA,
    BETTER,
    DIFFERENT,
    EQUIVALENT,
    WORSE,
    interval_text,
    trend_verdict,
)

_SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "|": "\\textbar{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "±": "$\\pm$",
}
_LABELS = {"Task": "l", "Retriever": "l", "k": "r", "Order": "l"}
"""What may tell rows apart, with the alignment of its column."""
_DIRECTIONS = {True: " (higher is better)", False: " (lower is better)", None: ""}
_NEEDS = "% Needs \\usepackage{booktabs}.\n"


@dataclass(frozen=True)
class _Entry:
    """One arm in one row of one table.

    :ivar about: what its table shows; entries of one table have it in common.
    :ivar labels: of :data:`_LABELS`, what it is in.
    :ivar score: the base's; empty for trends, which have none.
    :ivar interval: or why there is none; empty without golds.
    """

    about: str
    labels: Mapping[str, str]
    arm: str
    base: str
    score: str
    figure: str
    interval: str
    verdict: str
    margin: float | None = None

    @property
    def drawn(self) -> str:
        """The figure in LaTeX."""
        text = latex_figure(self.figure)
        if {WORSE, BETTER, DIFFERENT} & set(self.verdict.split(", ")):
            text = f"\\textbf{{{text}}}"
        return f"{text} =" if EQUIVALENT in self.verdict else text

    @property
    def below(self) -> str:
        """The interval in LaTeX: it stands in a line of its own, as columns are narrow."""
        return f"{{\\scriptsize {latex_figure(self.interval)}}}" if self.interval else ""


def latex(comparison: Comparison, metrics: Sequence[str] = ()) -> str:
    """Return a comparison's cells and trends as floats with captions, for the package booktabs.

    :param metrics: as :func:`texts.records`.
    """
    tables: dict[str, list[_Entry]] = {}
    for entry in (*_cells(comparison, metrics), *_trends(comparison, metrics)):
        tables.setdefault(entry.about, []).append(entry)
    return _NEEDS + "\n".join(_table(entries, comparison.level) for entries in tables.values())


def _cells(comparison: Comparison, metrics: Sequence[str]) -> Iterator[_Entry]:
    for cell, row in texts.chosen(comparison, metrics):
        shown = texts.record(cell, row, comparison.level)
        # Tasks that are not ours have no k: they are rows of one table.
        task, own = (shown["Task"], "") if shown["k"] else ("", shown["Task"])
        where = f"{cell.other.model}" + (f" on {task}" if task else "")
        labels = {"Task": own, **{name: shown[name] for name in ("Retriever", "k", "Order")}}
        base, figures, margin = shown["Base"], ("", shown["Same answers"], ""), None
        if row is None:
            about = f"{where}: share of the answers that are {base}'s"
        else:
            about = f"{_scored(row)}, {where}: differences to {base}"
            figures = (f"{row.base:.3f}", f"{row.difference:+.3f}", interval_text(row, 3))
            margin = row.margin
        yield _Entry(about, labels, shown["Other"], base, *figures, shown["Verdict"], margin)


def _trends(comparison: Comparison, metrics: Sequence[str]) -> Iterator[_Entry]:
    for row in texts.chosen_trends(comparison, metrics):
        base = row.base_arm
        about = (
            f"{_scored(row)}, {row.model} on {row.lamp_task}: slope of the difference to {base} "
            f"per document"
        )
        labels = {"Retriever": row.retriever, "Order": row.order}
        figures = ("", f"{row.slope:+.4f}", interval_text(row, 4))
        yield _Entry(about, labels, row.arm, base, *figures, trend_verdict(row))


def _scored(row: MetricRow | TrendRow) -> str:
    return row.metric + _DIRECTIONS[row.higher_is_better]


def _table(entries: Sequence[_Entry], level: float) -> str:
    labels = [name for name in _LABELS if _shown(name, entries)]
    arms = list(dict.fromkeys(entry.arm for entry in entries))
    rows: dict[tuple[str, ...], dict[str, _Entry]] = {}
    for entry in entries:
        rows.setdefault(tuple(entry.labels.get(name, "") for name in labels), {})[entry.arm] = entry
    bases = [entries[0].base] if any(entry.score for entry in entries) else []
    alignment = "".join(_LABELS[name] for name in labels) + "r" * len(bases) + "l" * len(arms)
    lines = [
        "\\begin{table}",
        "\\centering\\small\\setlength{\\tabcolsep}{3pt}",
        f"\\caption{{{_caption(entries, level)}}}",
        f"\\begin{{tabular}}{{@{{}}{alignment}@{{}}}}",
        "\\toprule",
        _line(map(escaped, [*labels, *bases, *arms])),
        "\\midrule",
    ]
    group: str | None = None
    for row, by_arm in rows.items():
        first, *rest = row or ("",)
        if len(row) > 1 and group not in (None, first):
            lines.append("\\addlinespace")
        named = ["" if rest and group == first else first, *rest] if row else []
        group = first
        scores = [next(iter(by_arm.values())).score for _ in bases]
        across = [by_arm.get(arm) for arm in arms]
        drawn = [one.drawn if one else "" for one in across]
        lines.append(_line([*map(escaped, named), *scores, *drawn]))
        if any(entry.interval for entry in by_arm.values()):
            empty = [""] * (len(row) + len(scores))
            # An interval stands closer to its own figure than to the next.
            lines[-1] += "[-2pt]"
            lines.append(_line([*empty, *(one.below if one else "" for one in across)]))
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", "\\end{table}", ""])


def _caption(entries: Sequence[_Entry], level: float) -> str:
    caption = entries[0].about
    if any(entry.interval for entry in entries):
        caption += f", with {percent(level)} intervals. "
        caption += f"Bold: significant after Holm's correction (p < {ALPHA})"
        margins = sorted({entry.margin for entry in entries if entry.margin is not None})
        if margins:
            caption += f"; =: equivalent within ±{', ±'.join(f'{one:g}' for one in margins)}"
    return escaped(f"{caption}.")


def _shown(name: str, entries: Sequence[_Entry]) -> bool:
    values = {entry.labels.get(name, "") for entry in entries} - {""}
    return len(values) > 1 if name == "Order" else bool(values)


def _line(cells: Iterable[str]) -> str:
    text = " & ".join(cells)
    # After \\ and \midrule a bracket or star would be read as theirs.
    return ("{}" if text.startswith(("[", "*")) else "") + text + " \\\\"


def escaped(text: str) -> str:
    """Return a text as LaTeX prints it to the letter."""
    return "".join(_SPECIAL.get(character, character) for character in text)


def latex_figure(text: str) -> str:
    """Return a figure with minus signs, not hyphens."""
    return escaped(text).replace("-", "$-$")
