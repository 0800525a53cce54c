"""docs/own_data.md: its walk is followed to the letter, and its table names every field."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path

import pytest
from pydantic import BaseModel
from warm_python import WarmPython

from qrag_tasks.tasks.own import corpus_file

PAGE = (Path(__file__).parents[2] / "docs" / "own_data.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line)
    for block in re.findall(r"(?m)^```bash\n(.*?)^```", PAGE, re.DOTALL)
    for line in block.splitlines()
]
WITH_ARMS_IN_ITS_PROCESS = f"""
import sys
sys.path.append({str(Path(__file__).parents[1])!r})
from in_process_arms import InProcess
from qrag_tasks.cli import main
from qrag_tasks.experiment.running import launchers
launchers.Here = InProcess
main(prog_name="qrag")
"""
"""The command ``qrag``, of which a run starts no processes that would import all of it again."""


def test_from_nothing_to_a_report(warm_python: WarmPython, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the hf extra is not installed")
    said = {}
    for program, *arguments in COMMANDS:
        start = ("-c", WITH_ARMS_IN_ITS_PROCESS) if program == "qrag" else ("-m", program)
        done = warm_python.run(
            [*start, *arguments],
            env={**os.environ, "PYTHONSAFEPATH": "1"},
            cwd=tmp_path,
            timeout=900,
        )
        assert done.returncode == 0, f"{program} {arguments}: {done.stderr}"
        said[" ".join([program, *arguments[:2]])] = done.stdout
    assert "mydata, dev: 32 questions, of 8 users" in said["qrag check mydata"]
    assert "is the score for" in said["qrag show own_rag_k1"]
    assert "valid_rate" in said["lm_eval --tasks own_rag_k5"]
    compared = said["qrag compare grid"]
    assert "own-mydata, mae" in compared
    assert "32" in compared
    assert (tmp_path / "report.html").stat().st_size > 10_000
    (file,) = (tmp_path / "out").rglob("results_*.json")
    config = json.loads(file.read_bytes())["configs"]["own_rag_k5"]
    assert config["dataset_kwargs"] == {"task": "own-mydata", "k": 5}
    assert config["generation_kwargs"]["max_gen_toks"] == 16
    block = config["metadata"]["qrag"]
    assert block["answer_kind"] == {"kind": "ratings", "scale": [1, 5]}


def test_every_field_of_the_file_is_told() -> None:
    table = PAGE.partition("## corpus.toml")[2].partition("### Prompts")[0]
    told = set()
    for row in re.findall(r"(?m)^\| (`.*?) \|", table):
        first = ""
        for name in re.findall(r"`([\w.]+)`", row):
            first = name.partition(".")[0] if not name.startswith(".") else first
            told.add(f"{first}{name}" if name.startswith(".") else name)
    models: dict[str, tuple[type[BaseModel], ...]] = {
        "questions": (corpus_file.Questions,),
        "documents": (corpus_file.Documents,),
        "prompt": (corpus_file.Prompt,),
    }
    expected = {f"splits.{split}" for split in ("dev", "train", "test")}
    expected |= {"answer.kind", "answer.metrics", "answer.tokens"}
    expected |= {f"{table}.{name}" for table, (m,) in models.items() for name in m.model_fields}
    tables = {*models, "answer", "splits"}
    expected |= {name for name in corpus_file.Corpus.model_fields if name not in tables}
    assert told == expected
