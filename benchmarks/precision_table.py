"""Writes the table of docs/precisions.md: every precision by every engine that runs it.

``python benchmarks/precision_table.py`` reads the registry of this checkout; what ``qrag-tasks``
itself brings is listed, and plugins are not. Speed comes from ``benchmarks/measured/*.json``, which
:mod:`precisions_cpu` and :mod:`gpu.precision_arms` write, and is left open where nobody measured.
It needs the package ``gguf``, which knows what GGUF's blocks take. A test holds the page to it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gpu.marked_page import between_marks

from qrag_tasks.engines.ways import Way, ways

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "precisions.md"
MEASURED = ROOT / "benchmarks" / "measured"
MARKS = ("<!-- precisions: begin -->", "<!-- precisions: end -->")
HEAD = (
    *("precision", "engine", "bits a weight", "made", "evidence", "CPU", "GPU", "CI"),
    "what it is",
)
DEVICES = {"cpu": "CPU", "cuda": "GPU"}
MADE = {"qrag quantize": "`qrag quantize`", "read": "read only"}

Measured = Mapping[str, Mapping[str, Any]]
"""Device -> what was measured on it: a file of ``benchmarks/measured``."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail where it differs")
    options = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    written = between_marks(page, table(list(built_in()), measured()), MARKS)
    if written != page and options.check:
        raise SystemExit(f"{PAGE} is not what the registry says: run {__file__}")
    PAGE.write_text(written, encoding="utf-8")


def built_in() -> Iterator[Way]:
    """Yield the ways that need no plugin."""
    return (way for way in ways() if way.built_in)


def measured() -> Measured:
    """Return what was measured, of each device where anything was: of a real model, if of one."""
    paths = sorted(MEASURED.glob("*.json"), key=lambda path: "embedded" not in path.stem)
    files = (json.loads(path.read_text()) for path in paths)
    return {file["device"]: file for file in files}


def table(listed: Sequence[Way], speeds: Measured) -> str:
    """Return the ways as a table of Markdown, and below it what its times were measured with."""
    rows: list[tuple[str, ...]] = [HEAD, tuple("---:" if "bits" in h else "---" for h in HEAD)]
    shown: set[str] = set()
    for way in listed:
        first = way.row.name not in shown
        shown.add(way.row.name)
        rows.append(
            (
                f"`{way.row.name}`" if first else "",
                f"`{way.engine}`",
                bits(way),
                made(way),
                way.abilities.evidence,
                *(on(way, device, speeds) for device in DEVICES),
                f"`{way.support.ci}`" if way.support.ci else "no",
                way.row.summary if first else "",
            )
        )
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    notes = [f"- {DEVICES[device]}: {file['source']}" for device, file in speeds.items()]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def bits(way: Way) -> str:
    """Return the bits of a row; of a mixture those of most layers, which the others exceed."""
    if way.bits is None:
        return ""
    return f"{way.bits:.2f} up" if way.row.mixed else f"{way.bits:.2f}"


def made(way: Way) -> str:
    """Return how weights come about."""
    return ", ".join(MADE.get(each, each) for each in way.made)


def on(way: Way, device: str, speeds: Measured) -> str:
    """Return the time on a device as a multiple of the base's, where it was measured."""
    if device not in way.support.devices:
        return "no"
    rows = speeds.get(device, {}).get("rows", {})
    found = rows.get(f"{way.engine}, {way.row.name}", {})
    return f"{found['times']:.2f}" if "times" in found else "yes"


if __name__ == "__main__":
    main()
