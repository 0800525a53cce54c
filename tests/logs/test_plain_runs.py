"""Output folders that stock lm_eval made, without any help of ours."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from lm_eval_logs import results_of

pytest.importorskip("torch", reason="the hf extra is not installed")

from qrag_tasks.cli import main

Command = Callable[..., subprocess.CompletedProcess[str]]

TASKS = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
doc_to_text: "{text}"
doc_to_target: {target}
"""


def tasks(folder: Path, data: Path, text: str) -> Path:
    folder.mkdir()
    generate = TASKS.format(name="capitals", data=data, text=text, target="answer")
    (folder / "capitals.yaml").write_text(
        generate + "output_type: generate_until\n"
        "generation_kwargs: {until: ['.'], max_gen_toks: 4}\n"
        "metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]\n",
        encoding="utf-8",
    )
    choose = TASKS.format(name="chosen", data=data, text=text, target="place")
    (folder / "chosen.yaml").write_text(
        choose + "output_type: multiple_choice\ndoc_to_choice: choices\n"
        "metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\n",
        encoding="utf-8",
    )
    return folder


def test_stock_lm_eval(
    tiny_model: Path, lm_eval_command: Command, few_tasks: str, tmp_path: Path
) -> None:
    data = tmp_path / "data.json"
    names = ["Athens", "Berlin", "Cairo", "Dublin", "Łódź", "Quito", "Rome", "Tokyo"]
    rows = [
        {"n": i, "answer": name, "choices": names[:4], "place": i % 4}
        for i, name in enumerate(names)
    ]
    data.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    asked = tasks(tmp_path / "tasks", data, "City {{n}} is")
    asked_otherwise = tasks(tmp_path / "others", data, "Town {{n}} is")

    def evaluate(name: str, folder: Path, dtype: str) -> Path:
        out = tmp_path / name
        done = lm_eval_command(
            *("run", "--model", "hf", "--include_path", folder, "--tasks", "capitals,chosen"),
            *("--model_args", f"pretrained={tiny_model},dtype={dtype}"),
            *("--log_samples", "--output_path", out, "--device", "cpu"),
            QRAG_AUTOLOAD="0",
            PYTHONPATH=few_tasks,
            HF_DATASETS_CACHE=str(tmp_path / "datasets"),
        )
        assert done.returncode == 0, done.stderr
        return out

    base, other = evaluate("fp32", asked, "float32"), evaluate("bf16", asked, "bfloat16")
    out = tmp_path / "found.json"
    done = CliRunner().invoke(
        main, ["compare", str(base), str(other), "--out", str(out), "--resamples", "199"]
    )
    assert done.exit_code == 0, done.output
    cells = {cell["task"]: cell for cell in json.loads(out.read_bytes())["cells"]}
    assert set(cells) == {"capitals", "chosen"}
    scores = results_of(other)["results"]
    for task, metric in (("capitals", "exact_match"), ("chosen", "acc")):
        (row,) = cells[task]["metrics"]
        assert row["metric"] == metric
        assert row["other"] == pytest.approx(scores[task][f"{metric},none"])
        assert cells[task]["samples"] == 8
    assert cells["capitals"]["base"]["precision"] == "fp32"
    assert cells["capitals"]["other"]["precision"] == "bf16"
    assert cells["chosen"]["agreement"]["divergence"] < 0.01
    assert cells["chosen"]["agreement"]["overlap"] is None

    third = evaluate("third", asked_otherwise, "bfloat16")
    done = CliRunner().invoke(main, ["compare", str(base), str(third)])
    assert done.exit_code == 1
    assert "its prompts differ from character 0 on: 'City 0 is' and 'Town 0 is'" in done.output
