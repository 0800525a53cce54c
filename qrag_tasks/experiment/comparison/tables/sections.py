"""A comparison as people read it: what is constant stands above a table, what fits stands in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from qrag_tasks.experiment.comparison.rows import Comparison
from qrag_tasks.experiment.comparison.tables import fidelity_texts, texts

Fits = Callable[[Sequence[str], Sequence[Sequence[str]]], bool]
"""Whether there is room for a table, by its headings and rows."""
Row = Mapping[str, str]
"""Heading -> text."""

_APART = ("Metric", "Model", "Base")
"""What differs between tables, never in one; so do tasks, except those that have no k."""
_MOVABLE = ("Retriever", "Order", "Other", "Task")
"""What stands in a column, or above a table of its own: the first moves first."""
_CELL = ("Task", "Retriever", "Order", "Other", "k", "n")
_FURTHER = (
    *("p (Holm)", "Prompt tokens", fidelity_texts.KL, fidelity_texts.SAME_TOP),
    *("Same answers", "Recovery", "Better / worse", "McNemar p", "Noise", fidelity_texts.NEEDED),
)
_NO_BREAK = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Section:
    """One table, with what is the same for all of its rows in its title.

    Spaces in the title that no line should end at are no-break spaces.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def sections(comparison: Comparison, metrics: Sequence[str], fits: Fits) -> list[Section]:
    """Return a comparison's cells in tables, each of one metric, model and base.

    A table holds one task and filter, or all tasks that have no k, as those that are not ours.

    Of the further figures, those come along for which there is room in every table.

    :param metrics: as :func:`texts.records`.
    """
    rows = texts.records(comparison, metrics)
    interval = texts.interval_heading(comparison.level)
    figures = ("Verdict", "Difference", interval, "Base score", "Other score")
    return _sections(rows, figures, _FURTHER, fits)


def trend_sections(comparison: Comparison, metrics: Sequence[str], fits: Fits) -> list[Section]:
    """Return a comparison's trends in tables, as :func:`sections` does."""
    rows = [
        {
            **row,
            "Metric": f"{row['Metric']}, {texts.SLOPE.lower()}",
            "Slope": row[texts.SLOPE],
        }
        for row in texts.trend_records(comparison, metrics)
    ]
    figures = ("Verdict", "Slope", texts.interval_heading(comparison.level))
    return _sections(rows, figures, ("p (Holm)",), fits)


def _sections(
    rows: Sequence[Row], figures: Sequence[str], further: Sequence[str], fits: Fits
) -> list[Section]:
    for moved in range(len(_MOVABLE) + 1):
        groups = _split(rows, _MOVABLE[:moved])
        if all(_fits(group, figures, fits) for group in groups):
            break
    shown = list(figures)
    for name in further:
        if all(_fits(group, [*shown, name], fits) for group in groups):
            shown.append(name)
    return [_section(group, shown) for group in groups]


def _split(rows: Sequence[Row], moved: Sequence[str]) -> list[list[Row]]:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        task = row["Task"] if row["k"] else ""
        groups.setdefault((task, *(row[name] for name in (*_APART, *moved))), []).append(row)
    return [_in_order(members) for members in groups.values()]


def _in_order(rows: Sequence[Row]) -> list[Row]:
    """Sort by the columns from the left, each in the order in which its values came."""
    places = {name: list(dict.fromkeys(row[name] for row in rows)) for name in _varying(rows)}
    return sorted(rows, key=lambda row: [known.index(row[n]) for n, known in places.items()])


def _fits(rows: Sequence[Row], figures: Sequence[str], fits: Fits) -> bool:
    section = _section(rows, figures)
    return fits(section.headings, section.rows)


def _section(rows: Sequence[Row], figures: Sequence[str]) -> Section:
    varying = _varying(rows)
    filled = [name for name in figures if any(row[name] for row in rows)]
    headings = [*varying, *filled]
    return Section(
        _title(rows, [name for name in _CELL if name not in varying]),
        headings,
        [[row[name] for name in headings] for row in rows],
    )


def _varying(rows: Sequence[Row]) -> list[str]:
    return [name for name in _CELL if len(_values(rows, name)) > 1]


def _values(rows: Sequence[Row], name: str) -> list[str]:
    """Return the different values of a column, except those that say nothing."""
    telling = [row for row in rows if not (name == "Retriever" and row["k"] == "0")]
    return list(dict.fromkeys(row[name] for row in telling or rows if row[name]))


def _title(rows: Sequence[Row], constant: Sequence[str]) -> str:
    one = {name: value for name in constant for value in _values(rows, name)}
    first = rows[0]
    arms = f"{first['Model']} {one.get('Other', '')}".strip()
    about = ", ".join(part for part in (one.get("Task", ""), first["Metric"]) if part)
    title = f"{about}: " if about else ""
    parts = [one.get("Retriever", ""), one.get("Order", "")]
    parts += [
        f"{name} = {one[name]}".replace(" ", _NO_BREAK) for name in ("k", "n") if one.get(name)
    ]
    where = ", ".join(part for part in parts if part)
    return f"{title}{arms} against {first['Base'] or 'its base'}" + (f" ({where})" if where else "")
