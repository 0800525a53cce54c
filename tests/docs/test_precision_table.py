"""The table of all precisions in docs/precisions.md is what the registry says today."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "precisions.md").read_text(encoding="utf-8")
AGAIN = "run `python benchmarks/precision_table.py` again"


@pytest.fixture(scope="module")
def script() -> Any:
    place = ROOT / "benchmarks" / "precision_table.py"
    spec = importlib.util.spec_from_file_location("precision_table", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(place.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(place.parent))
    return module


def rows(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_has_the_table(script: Any) -> None:
    begin, end = script.MARKS
    told = PAGE.partition(begin)[2].partition(end)[0].strip()
    now = script.table(list(script.built_in()), script.measured())
    if importlib.util.find_spec("gguf") is None:
        # Only that package knows what GGUF's blocks take.
        place = script.HEAD.index("bits a weight")
        kept = [rows(told), rows(now)]
        for row in (row for table in kept for row in table if row[1] == "`llama_cpp`"):
            row[place] = ""
        assert kept[0] == kept[1], AGAIN
    else:
        assert told == now, AGAIN


def test_measured_times_have_a_source(script: Any) -> None:
    for path in script.MEASURED.glob("*.json"):
        file = json.loads(path.read_text())
        assert file["device"] in script.DEVICES
        assert file["source"]
        known = {f"{way.engine}, {way.row.name}" for way in script.built_in()}
        assert set(file["rows"]) <= known, f"{path} has rows that there are no more"
        assert file["rows"][file["base"]]["times"] == 1


def test_a_time_stands_where_it_was_measured(script: Any) -> None:
    listed = list(script.built_in())
    speeds = {
        "cpu": {
            "device": "cpu",
            "source": "two cores",
            "rows": {"transformers, int4-nf4": {"times": 1.274}},
        }
    }
    table = script.table(listed, speeds)
    (row,) = [row for row in rows(table) if row[0] == "`int4-nf4`"]
    assert row[script.HEAD.index("CPU")] == "1.27"
    assert row[script.HEAD.index("GPU")] == "yes"
    assert table.endswith("\n- CPU: two cores")
    (fp8,) = [row for row in rows(table) if row[0] == "`fp8`"]
    assert fp8[script.HEAD.index("CPU")] == "no"
