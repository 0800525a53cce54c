"""The embedded default model: whole, its own words, and used wherever no model is named."""

from __future__ import annotations

import hashlib
import json
import math
import runpy
from pathlib import Path

import pytest
import yaml
from quantized_files import gptq_config, quantized_folder

from qrag_tasks.arms import embedded
from qrag_tasks.arms.checkpoint_files import read_headers
from qrag_tasks.experiment.plan import read_plan
from qrag_tasks.locations import embedded_model

FOLDER = embedded_model()
CARD = (FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_weights_are_those_of_the_card() -> None:
    pytest.importorskip("safetensors", reason="the hf extra is not installed")
    weights = FOLDER / "model.safetensors"
    assert hashlib.sha256(weights.read_bytes()).hexdigest() in CARD
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 14e6
    tensors = read_headers(FOLDER)
    assert tensors is not None
    assert f"{sum(math.prod(tensor.shape) for tensor in tensors.values()):,} parameters" in CARD


def test_every_precision_takes_its_layers() -> None:
    config = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    assert config["hidden_size"] % 128 == config["intermediate_size"] % 128 == 0


def test_it_is_used_with_a_warning_wherever_no_model_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pytest.importorskip("torch", reason="the hf extra is not installed")
    from lm_eval.api.registry import get_model

    # As the lm_eval command and simple_evaluate do it, for tasks that are not ours, too.
    model = get_model("qrag").create_from_arg_obj({}, {"device": "cpu", "batch_size": "auto"})
    assert model.engine.config.name_or_path == str(FOLDER)
    assert f"NO pretrained= GIVEN: using the embedded {embedded.NAME}" in caplog.text


def test_its_table_can_have_an_arm_from_a_checkpoint(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the hf extra is not installed")
    script = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "embedded_scores.py"))
    checkpoint = quantized_folder(FOLDER, tmp_path / "gptq", gptq_config(128))
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(script["plan_with"](checkpoint)), encoding="utf-8")
    plan = read_plan(file)
    precisions = {"bf16", "fp16", "int8", "int4-nf4", "int4-gptq"}
    assert {arm.precision for arm in plan.arms()} == precisions
