"""Results and logs of which any part is something else: an error that names the file, or a note."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from run_files import QUANTIZED, rating, write_run

from qrag_tasks.errors import QragError
from qrag_tasks.experiment.comparison.matching import match_runs
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.comparison.tables.texts import cell_table
from qrag_tasks.experiment.report.report import make_report
from qrag_tasks.logs.runs import read_runs

SAMPLES = [rating(i, f"question {i}", str(1 + i % 5), 1 + i % 3) for i in range(8)]

Place = tuple[str | int, ...]


def places(value: Any) -> Iterator[Place]:
    parts = value.items() if isinstance(value, dict) else ()
    for key, part in enumerate(value) if isinstance(value, list) else parts:
        yield (key,)
        yield from ((key, *rest) for rest in places(part))


def with_part(value: Any, place: Place, part: Any) -> Any:
    if not place:
        return part
    copied = value.copy()
    copied[place[0]] = with_part(value[place[0]], place[1:], part)
    return copied


@pytest.mark.parametrize("file", ["results_*.json", "samples_*.jsonl"])
@pytest.mark.parametrize("part", [None, "x", [None], math.nan], ids=str)
def test_no_part_of_a_file_ends_in_a_traceback(file: str, part: Any, tmp_path: Path) -> None:
    base = write_run(tmp_path / "base", SAMPLES)
    broken = write_run(tmp_path / "broken", SAMPLES, model_args=QUANTIZED)
    (path,) = broken.glob(file)
    first, *rest = path.read_bytes().splitlines()
    whole = json.loads(first)
    refused = 0
    for place in places(whole):
        text = json.dumps(with_part(whole, place, part)).encode()
        path.write_bytes(b"\n".join([text, *rest]))
        try:
            matched = match_runs(read_runs(base), [read_runs(broken)])
            cell_table(make_report(matched, Options(resamples=99), "title").comparison)
        except QragError as error:
            named = str(broken) in str(error)
            assert named or str(error).startswith("the runs have no task in common"), place
            refused += 1
    assert refused
