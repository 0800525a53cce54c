"""What the arms of a comparison are, and down to how few bits their scores are not worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qrag_tasks.experiment.comparison.bits import BitsPanel, Knee, bits_panels, knees
from qrag_tasks.experiment.comparison.rows import ArmFacts, Comparison
from qrag_tasks.experiment.comparison.tables.sections import Fits, Section
from qrag_tasks.experiment.comparison.tables.texts import arrow

ARMS = "What the arms are"
_CACHE = "KB a token"
_ARM = (
    *("Model", "Arm", "Bits a weight", "Whole model", "MB", _CACHE, "Engine", "Evidence"),
    "Tensors",
)
_LABELS = ("Task", "Retriever", "Order", "k")
_KNEE = (*_LABELS, "Method", "No loss shown to", "Equivalent to", "Worse from", "Bits tried")
_NONE = "none"


def arm_sections(comparison: Comparison, fits: Fits) -> list[Section]:
    """Return a table of the arms, the bases first; nothing where no results tell of their bytes.

    What is the same for all is left out, as are the kinds of tensors where there is no room.
    """
    cells = comparison.cells
    arms = {arm.label: arm for cell in cells for arm in (cell.base, cell.other)}
    bases = {cell.base.label for cell in cells}
    listed = sorted(arms.values(), key=lambda arm: arm.label not in bases)
    if all(arm.weights.bytes is None and arm.kv_cache is None for arm in listed):
        return []
    rows = [dict(zip(_ARM, _arm(arm), strict=True)) for arm in listed]
    wanted = [name for name in _ARM if name == "Arm" or _differs(rows, name)]
    return [_fitting(ARMS, rows, wanted, fits)]


def knee_sections(comparison: Comparison, metrics: Sequence[str], fits: Fits) -> list[Section]:
    """Return a table of the fewest bits for every base; nothing without an axis of bits.

    :param metrics: as :func:`~qrag_tasks.experiment.comparison.bits.bits_panels`.
    """
    groups: dict[str, list[dict[str, str]]] = {}
    for panel in bits_panels(comparison, metrics):
        rows = groups.setdefault(f"{panel.model} {panel.base}".strip(), [])
        rows += [dict(zip(_KNEE, _knee(panel, knee), strict=True)) for knee in knees(panel)]
    sections = []
    for base, rows in groups.items():
        constant = [name for name in ("Retriever", "Order") if not _varies(rows, name)]
        wanted = [name for name in _KNEE if name not in constant]
        said = dict.fromkeys(row[name] for row in rows for name in constant if row[name])
        where = f" ({', '.join(said)})" if said else ""
        sections.append(
            _fitting(f"Fewest bits a weight, against {base}{where}", rows, wanted, fits)
        )
    return sections


def shares_text(shares: Mapping[str, float]) -> str:
    """Return kinds of tensors with their shares of the bytes: ``Q4_K 62 %, Q6_K 38 %``."""
    return ", ".join(f"{kind} {_percent(share)}" for kind, share in shares.items())


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.005 else "<1 %"


def _arm(arm: ArmFacts) -> tuple[str, ...]:
    weights, cache = arm.weights, arm.cache_bytes_per_token
    return (
        *(arm.model, arm.arm or arm.label),
        *(_bits(weights.bits, ""), _bits(weights.model_bits, "")),
        "" if weights.bytes is None else f"{weights.bytes / 1e6:,.1f}",
        "" if cache is None else f"{cache / 1e3:,.2f}",
        *(arm.engine or "", arm.evidence or "", shares_text(weights.shares)),
    )


def _knee(panel: BitsPanel, knee: Knee) -> tuple[str, ...]:
    metric = panel.lines[0].points[0].row
    return (
        panel.task + (f", {metric.metric}{arrow(metric)}" if metric else ""),
        "" if panel.retriever == "none" else panel.retriever,
        panel.order,
        panel.k,
        knee.method,
        *(_bits(bits, _NONE) for bits in (knee.no_loss_shown, knee.equivalent, knee.worse)),
        ", ".join(_bits(bits, "") for bits in knee.tried),
    )


def _bits(bits: float | None, otherwise: str) -> str:
    return otherwise if bits is None else f"{bits:.2f}"


def _differs(rows: Sequence[Mapping[str, str]], name: str) -> bool:
    return len({row[name] for row in rows}) > 1


def _varies(rows: Sequence[Mapping[str, str]], name: str) -> bool:
    """Tell whether a column has several values; of no documents there is none."""
    return len({row[name] for row in rows if row[name]}) > 1


def _fitting(
    title: str, rows: Sequence[Mapping[str, str]], wanted: Sequence[str], fits: Fits
) -> Section:
    """Return a table of those columns; without the last, which is the widest, where it must."""
    for headings in (wanted, wanted[:-1]):
        section = Section(title, headings, [[row[name] for name in headings] for row in rows])
        if fits(section.headings, section.rows):
            break
    return section
