"""docs/kv_cache.md: its table is what the engines have."""

from __future__ import annotations

from pathlib import Path

from qrag_tasks.registry import ENGINES, core_origin

PAGE = Path(__file__).parents[2] / "docs" / "kv_cache.md"


def test_the_table_is_what_the_engines_have() -> None:
    text = PAGE.read_text(encoding="utf-8")
    shown = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| `")
    ]
    expected = [
        [
            f"`{name}`",
            ", ".join(f"`{each}`" for each in (row.name, *row.also)),
            f"{row.bits:g}",
            row.scales,
            f"`{row.distribution}`" if row.distribution else "",
        ]
        for name, supplied in ENGINES.all().items()
        if supplied.origin == core_origin()
        for row in supplied.value.abilities.kv_caches
    ]
    assert shown == expected
