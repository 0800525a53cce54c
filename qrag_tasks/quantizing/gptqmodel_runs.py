"""GPTQ and AWQ, by GPT-QModel."""

from __future__ import annotations

import gc
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qrag_tasks.arms.precisions import Precision
from qrag_tasks.quantizing.calibration import Calibration
from qrag_tasks.quantizing.library_output import Said, explained, failed, quiet
from qrag_tasks.quantizing.progress import Report
from qrag_tasks.quantizing.source import Source

logger = logging.getLogger("lm_eval.qrag_tasks")


def by_gptqmodel(
    row: Precision,
    source: Source,
    group_size: int,
    texts: Calibration,
    device: Any,
    work: Path,
    report: Report,
) -> dict[str, Any]:
    """Quantize with GPT-QModel; return what the provenance says about method and calibration."""
    # With one worker it fails at import, and one is its default on two cores.
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", str(max(2, (os.cpu_count() or 1) // 2)))
    # Of rows of unequal lengths its AWQ uses the last one only.
    rows = texts.rows
    if row.method == "awq":
        rows = texts.even_rows(max(map(len, rows)))
    report("loading GPT-QModel", 0, 0)
    with quiet() as said, explained("GPT-QModel", said), _tamed(work, said):
        from gptqmodel import BACKEND, GPTQModel, QuantizeConfig
        from gptqmodel.quantization import FORMAT, METHOD

        if row.method == "awq":
            # Zero points, as in the paper and in nearly all published checkpoints.
            options = {"method": METHOD.AWQ, "format": FORMAT.GEMM, "sym": False}
            backend = BACKEND.AWQ_TORCH
        else:
            options = {"method": METHOD.GPTQ, "format": FORMAT.GPTQ, "sym": True, "desc_act": False}
            backend = BACKEND.GPTQ_TORCH
        scratch = work / "scratch"
        config = QuantizeConfig(
            bits=row.bits,
            group_size=group_size,
            device=str(device),
            # Else layers that see few tokens are rounded instead, which is another method.
            fallback=None,
            offload_to_disk_path=str(scratch),
            **options,
        )
        model = GPTQModel.load(str(source.folder), config, backend=backend, dtype=source.dtype)
        model.layer_callback = _LayerReport(report, int(source.config.num_hidden_layers))
        log = model.quantize(
            [{"input_ids": list(each), "attention_mask": [1] * len(each)} for each in rows],
            calibration_sort=None,
            batch_size=1,
            backend=backend,
        )
        report("saving", 0, 0)
        model.save(str(work))
        del model
        gc.collect()
        shutil.rmtree(scratch, ignore_errors=True)
    _forget_scratch(work)
    seen = [
        int(entry.get("activation_retained_tokens", entry.get("samples", 0)))
        for entries in log.values()
        for entry in entries
    ]
    given = sum(map(len, rows))
    if min(seen, default=0) < given:
        logger.warning(
            "a layer was calibrated with %d of %d tokens, as the experts of a mixture are",
            min(seen, default=0),
            given,
        )
    return {
        "options": {name: getattr(value, "value", value) for name, value in options.items()},
        "calibration": {
            **texts.as_dict(),
            "rows": len(rows),
            "tokens_in_rows": given,
            "fewest_tokens_of_a_layer": min(seen, default=0),
        },
    }


@contextmanager
def _tamed(work: Path, said: Said) -> Iterator[None]:
    """Keep GPT-QModel from writing logs into the current folder, and from ending without a word.

    When one of its threads fails it ends the process at once. This cannot be turned into an
    exception, for not every failure reaches the thread that waits; but the user is told why, and
    nothing is left.
    """
    from gptqmodel.looper import loop_processor
    from gptqmodel.utils.threadx import _DeviceWorker

    def tell_and_end(_worker: Any, error: BaseException) -> None:
        shutil.rmtree(work, ignore_errors=True)
        said.is_quiet = False
        said.write(f"Error: {failed('GPT-QModel', error, said)}\n")
        said.flush()
        os._exit(1)

    abort, logs = _DeviceWorker._abort_process, loop_processor._PROJECT_LOG_DIR
    _DeviceWorker._abort_process = tell_and_end
    loop_processor._PROJECT_LOG_DIR = work / "scratch" / "logs"
    try:
        yield
    finally:
        _DeviceWorker._abort_process = abort
        loop_processor._PROJECT_LOG_DIR = logs


class _LayerReport:
    """Tells how far GPT-QModel has come; it calls this after every block."""

    def __init__(self, report: Report, blocks: int) -> None:
        self._report = report
        self._blocks = blocks
        report("quantizing blocks", 0, blocks)

    def layer_complete(self, layer_idx: int, submodule_finalized: bool) -> None:
        if submodule_finalized:
            self._report("quantizing blocks", layer_idx + 1, self._blocks)


def _forget_scratch(work: Path) -> None:
    """Take the path of a folder that is gone out of the configuration: equal runs, equal files."""
    for name in ("config.json", "quantize_config.json"):
        path = work / name
        content = json.loads(path.read_text(encoding="utf-8"))
        inner = content.get("quantization_config", content)
        inner["meta"] = {**inner.get("meta", {}), "offload_to_disk_path": None}
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
