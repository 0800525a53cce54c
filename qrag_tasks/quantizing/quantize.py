"""Quantize a checkpoint into a folder that any arm can read; the work behind ``qrag quantize``."""

from __future__ import annotations

import json
import logging
import random
import time
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from qrag_tasks.arms import loading
from qrag_tasks.arms.checkpoints import check_checkpoint, read_checkpoint
from qrag_tasks.arms.devices import checked_device
from qrag_tasks.arms.precisions import Precision
from qrag_tasks.errors import SettingsError
from qrag_tasks.quantizing.calibration import Wanted
from qrag_tasks.quantizing.gptqmodel_runs import by_gptqmodel
from qrag_tasks.quantizing.library_output import explained, quiet
from qrag_tasks.quantizing.limits import (
    DEFAULT_GROUP_SIZE,
    check_dtype,
    check_shapes,
    checked_group_size,
    device_name,
    quantized,
)
from qrag_tasks.quantizing.progress import Report
from qrag_tasks.quantizing.source import Source, fingerprint, read_source
from qrag_tasks.quantizing.work_folder import (
    check_free,
    copy_other_files,
    work_folder,
)

logger = logging.getLogger("lm_eval.qrag_tasks")

PROVENANCE = "qrag-quantization.json"


def quantize(
    model: str,
    precision: str,
    out: Path,
    *,
    group_size: int | None = None,
    calibration: Wanted | None = None,
    seed: int = 0,
    device: str | None = None,
    report: Report = lambda *_: None,
) -> dict[str, Any]:
    """Quantize ``model``, verify what was written, and only then let it appear at ``out``.

    The work is done in a hidden folder beside ``out``, ``.NAME.quantizing-...``, which is renamed
    at the very end. Of a process that is killed only this folder is left.

    :param model: folder or hub name of a checkpoint that is not quantized.
    :param precision: name of a quantized one.
    :param group_size: weights that share a scale; by default 128, and with bitsandbytes fixed.
    :param calibration: for GPTQ and AWQ only.
    :param seed: of the choice of calibration texts, and of all random numbers.
    :param device: as torch names it; by default a GPU where there is one.
    :returns: the provenance, as it stands in ``out``.
    :raises QragError: for an impossible choice, or when the result is not what it should be.
    """
    row = quantized(precision)
    group_size = checked_group_size(row, group_size)
    if row.method == "bitsandbytes" and calibration is not None:
        raise SettingsError(
            f"precision {row.name} takes no calibration: leave --calibration, --samples, "
            f"--max-tokens and --data out"
        )
    check_free(out)
    loading.check_installed(row)
    place = checked_device(device)
    report(f"looking at {model}", 0, 0)
    source = read_source(model)
    if row.method != "bitsandbytes":
        check_shapes(source, row, group_size or DEFAULT_GROUP_SIZE)
        check_dtype(source, row)
    with work_folder(out) as work:
        started = time.monotonic()
        _seed_all(seed)
        provenance: dict[str, Any] = {
            "source": {
                "name": source.name,
                "revision": source.revision,
                "sha256": fingerprint(source.folder, report),
            },
            "precision": row.name,
            "bits": row.bits,
            "group_size": group_size,
        }
        if row.method == "bitsandbytes":
            report("quantizing", 0, 0)
            provenance["options"] = _by_bitsandbytes(row, source, place, work)
            provenance["calibration"] = None
        else:
            report("making calibration texts", 0, 0)
            texts = (calibration or Wanted()).read(_text_of(source), seed)
            for note in texts.notes:
                logger.warning("%s", note)
            provenance |= by_gptqmodel(
                row, source, group_size or DEFAULT_GROUP_SIZE, texts, place, work, report
            )
        copy_other_files(source.folder, work)
        report("verifying what was written", 0, 0)
        _verify(work, row, None if row.method == "bitsandbytes" else group_size, place)
        provenance |= {
            "seed": seed,
            "versions": {
                name: version(name) for name in ("qrag-tasks", "torch", "transformers", *row.needs)
            },
            "device": device_name(place),
            "seconds": round(time.monotonic() - started, 3),
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        text = json.dumps(provenance, indent=1, ensure_ascii=False)
        (work / PROVENANCE).write_text(f"{text}\n", encoding="utf-8")
    return provenance


def _by_bitsandbytes(row: Precision, source: Source, device: Any, work: Path) -> dict[str, Any]:
    """Load in ``row`` and save at once: a forward pass packs the weights again, and saves wrong."""
    from transformers import AutoModelForCausalLM, GenerationConfig

    wanted: dict[str, Any] = {f"load_in_{row.bits}bit": True}
    if row.quant_type:
        wanted["bnb_4bit_quant_type"] = row.quant_type
    config = loading.bitsandbytes_config(wanted, source.dtype)
    with quiet() as said, explained("bitsandbytes", said):
        model = AutoModelForCausalLM.from_pretrained(
            source.folder, quantization_config=config, dtype=source.dtype, device_map={"": device}
        )
        # The source's own file is copied, whatever it says; some, transformers 4 refuses to save.
        model.generation_config = GenerationConfig()
        model.save_pretrained(work)
    return {key: str(value) for key, value in config.to_diff_dict().items()}


def _verify(work: Path, row: Precision, group_size: int | None, device: Any) -> None:
    """Load what was written, and check that every linear layer of a block is as claimed."""
    from transformers import AutoModelForCausalLM

    from qrag_tasks.arms.verification import verify

    checkpoint = read_checkpoint(str(work))
    check_checkpoint(checkpoint, row, group_size)
    if row.method in ("gptq", "awq"):
        # Some kernels that GPT-QModel would choose on a GPU build themselves first, some take
        # no layers of these shapes; on a CPU there is one for all.
        device = "cpu"
    with quiet() as said, explained("transformers", said):
        model = AutoModelForCausalLM.from_pretrained(work, device_map={"": device}, dtype="auto")
    verify(model, row, group_size=group_size, declared=checkpoint.declared_unquantized)


def _text_of(source: Source) -> Any:
    from qrag_tasks.engines.tokenizers import model_text

    return model_text({"pretrained": str(source.folder)})


def _seed_all(seed: int) -> None:
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
