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
from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.arms.precisions import format_of, precisions
from qrag_tasks.arms.precisions import precision as precision_named
from qrag_tasks.errors import SettingsError
from qrag_tasks.quantizing.calibration import Wanted
from qrag_tasks.quantizing.library_output import explained, quiet
from qrag_tasks.quantizing.progress import Report
from qrag_tasks.quantizing.quantizer import Job, Quantizer, quantizer_of
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
    row, maker = _quantizable(precision)
    group_size = maker.group_size(row, group_size)
    if calibration is not None and not maker.calibrates(row):
        raise SettingsError(
            f"precision {row.name} takes no calibration: leave --calibration, --samples, "
            f"--max-tokens and --data out"
        )
    check_free(out)
    maker.check_installed(row)
    loading.check_installed(row)
    place = checked_device(device)
    report(f"looking at {model}", 0, 0)
    source = read_source(model)
    maker.check(source, row, group_size)
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
        texts = None
        if maker.calibrates(row):
            report("making calibration texts", 0, 0)
            texts = (calibration or Wanted()).read(_text_of(source), seed)
            for note in texts.notes:
                logger.warning("%s", note)
        provenance |= maker.run(Job(row, source, group_size, texts, place, work, report))
        copy_other_files(source.folder, work)
        report("verifying what was written", 0, 0)
        _verify(work, row, group_size, "cpu" if maker.verified_on_cpu else place)
        provenance |= {
            "seed": seed,
            "versions": {
                name: version(name)
                for name in ("qrag-tasks", "torch", "transformers", *row.needs, *maker.needs)
            },
            "device": _device_name(place),
            "seconds": round(time.monotonic() - started, 3),
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        text = json.dumps(provenance, indent=1, ensure_ascii=False)
        (work / PROVENANCE).write_text(f"{text}\n", encoding="utf-8")
    return provenance


def _quantizable(name: str) -> tuple[Precision, Quantizer]:
    """Return the precision of that name, and what makes it.

    :raises SettingsError: when there is none, or nothing here makes it.
    """
    row = precision_named(name)
    if (maker := quantizer_of(row)) is not None:
        return row, maker
    known = ", ".join(
        each.name for each in precisions().values() if each.quantized and quantizer_of(each)
    )
    if row.quantized:
        raise SettingsError(
            f"--precision {name}: {row.summary}; nothing here makes a checkpoint of it (known: "
            f"{known})"
        )
    raise SettingsError(
        f"--precision {name}: that is {row.summary}, nothing to quantize to (known: {known}); "
        f"any arm loads a checkpoint in {name} as it is, with precision={name}"
    )


def _verify(work: Path, row: Precision, group_size: int | None, device: Any) -> None:
    """Load what was written, and check that every linear layer of a block is as claimed."""
    from transformers import AutoModelForCausalLM

    from qrag_tasks.arms.verification import verify

    checkpoint = read_checkpoint(str(work))
    check_checkpoint(checkpoint, row, group_size)
    with quiet() as output, explained("transformers", output):
        model = AutoModelForCausalLM.from_pretrained(work, device_map={"": device}, dtype="auto")
        format_of(row).settle(model)
    verify(model, row, group_size=group_size, declared=checkpoint.declared.unquantized)


def _device_name(device: Any) -> str:
    """Return what the provenance calls a ``torch.device``, with a GPU's model."""
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else "cpu"


def _text_of(source: Source) -> Any:
    from qrag_tasks.engines.tokenizers import model_text

    return model_text({"pretrained": str(source.folder)})


def _seed_all(seed: int) -> None:
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
