"""Write what all runs measured as a markdown table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NO_TIME = "no time left"


def heading(report: Mapping[str, Any]) -> str:
    kernels = (report["made"] or {}).get("kernels", {})
    used = ", ".join(f"{kind} by {found['layer']}" for kind, found in kernels.items())
    return (
        f"{report['machine']['gpu'] or 'CPU'}; {report['shape']['name']} with random weights "
        f"(answers never stop before their limit); tasks {', '.join(report['tasks'])}, "
        f"limit {report['limit']}; hf: batch size {report['hf_batch_size']}. {used}"
    )


def table(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return the runs as a table, an arm a row."""
    head = (
        *("arm", "weights GB (x of fp16)", "peak GB", "load s", "prefill tok/s", "decode tok/s"),
        *("seconds qrag", "seconds hf", "hf peak GB", "energy kJ", "hf energy kJ"),
        "same answers",
    )
    rows = [head, ("---",) + ("---:",) * (len(head) - 1)]
    by = {(run["arm"], run["engine"]): run for run in runs}
    base = weights(by.get(("fp16", "qrag"), {})) or weights(by.get(("fp16", "hf"), {}))
    for arm in dict.fromkeys(run["arm"] for run in runs):
        ours, theirs = by.get((arm, "qrag"), {}), by.get((arm, "hf"), {})
        cost = (ours.get("qrag") or {}).get("cost") or {}
        size = weights(ours) or weights(theirs)
        share = f" (x{size / base:.2f})" if size and base else ""
        rows.append(
            (
                arm,
                number(size, 1e9, 2) + share,
                number(cost.get("peak_device_bytes") or ours.get("peak_bytes"), 1e9, 1),
                number(cost.get("load_seconds") or ours.get("load_seconds"), 1, 1),
                number(cost.get("prefill_tokens_per_second"), 1, 0),
                number(cost.get("decode_tokens_per_second"), 1, 0),
                seconds(ours),
                seconds(theirs),
                number(theirs.get("peak_bytes"), 1e9, 1),
                number(cost.get("energy_joules") or ours.get("joules"), 1000, 2),
                number(theirs.get("joules"), 1000, 2),
                percent(theirs.get("same_answers")),
            )
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def weights(run: Mapping[str, Any]) -> float | None:
    """Return the bytes of a run's weights, by whoever knows them best."""
    arm = (run.get("qrag") or {}).get("arm") or {}
    return (
        (arm.get("weights") or {}).get("bytes")
        or run.get("loaded_bytes")
        or run.get("weight_bytes")
    )


def seconds(run: Mapping[str, Any]) -> str:
    """Return the seconds of answering; of a run that failed later, too."""
    missing = "not run" if run.get("error") == NO_TIME else "failed" if run else ""
    return number(run.get("generate_seconds"), 1, 1) or missing


def same_answers(ours: Sequence[str] | None, theirs: Sequence[str] | None) -> float | None:
    """Return the share of answers that are equal except for white space at their ends."""
    if not ours or not theirs:
        return None
    return sum(a.strip() == b.strip() for a, b in zip(ours, theirs, strict=False)) / len(ours)


def percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def number(value: float | None, unit: float, digits: int) -> str:
    return "" if value is None else f"{value / unit:,.{digits}f}"
