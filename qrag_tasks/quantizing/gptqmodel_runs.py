"""GPTQ and AWQ, by GPT-QModel."""

from __future__ import annotations

import gc
import json
import logging
import os
import shutil
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.arms.formats.gptqmodel import GROUP_SIZE
from qrag_tasks.arms.precisions import format_of
from qrag_tasks.errors import ModelError, SettingsError
from qrag_tasks.quantizing.calibration import Calibration
from qrag_tasks.quantizing.library_output import KeptOutput, explained, failed, quiet
from qrag_tasks.quantizing.progress import Report
from qrag_tasks.quantizing.quantizer import Job, Quantizer
from qrag_tasks.quantizing.source import Source

logger = logging.getLogger("lm_eval.qrag_tasks")


GROUP_SIZES = (32, 64, 128)
"""Those that every kernel of GPT-QModel has."""
AWQ_OUTPUTS = 64
"""Of a layer, a multiple of it: GPT-QModel's AWQ looks for clips in so many at once."""


class GptqModelQuantizer(Quantizer):
    """Makes a precision with GPT-QModel."""

    takes_calibration = True
    # Some kernels that GPT-QModel would choose on a GPU build themselves first, some take no
    # layers of these shapes; on a CPU there is one for all.
    verified_on_cpu = True

    def group_size(self, row: Precision, given: int | None) -> int | None:
        """Return the size that was given, or the default."""
        if given is not None and given not in GROUP_SIZES:
            raise SettingsError(
                f"--group-size {given}: not every kernel has it; give one of "
                f"{', '.join(map(str, GROUP_SIZES))}"
            )
        return given or GROUP_SIZE

    def check(self, source: Source, row: Precision, group_size: int | None) -> None:
        """Check that the group size divides the inputs of every layer."""
        sizes = source.layers.values()
        size = group_size or GROUP_SIZE
        for name, (inputs, outputs) in source.layers.items():
            if inputs % size:
                fitting = [each for each in GROUP_SIZES if not any(n % each for n, _ in sizes)]
                advice = (
                    f"give {' or '.join(map(str, fitting))}" if fitting else "none of ours does"
                )
                raise SettingsError(
                    f"--group-size {size} does not divide the {inputs} inputs of layer {name} of "
                    f"{source.name}: {advice}"
                )
            self.check_outputs(source, row, name, outputs)

    def check_outputs(self, source: Source, row: Precision, name: str, outputs: int) -> None:
        """Check that a layer of so many outputs can be quantized.

        :raises ModelError: when it cannot.
        """

    @abstractmethod
    def rows(self, texts: Calibration) -> Sequence[Sequence[int]]:
        """Return the tokens to calibrate with, as GPT-QModel is to have them."""

    @abstractmethod
    def options(self) -> tuple[dict[str, Any], Any]:
        """Return what tells the method from others, and the kernel that it is to run with."""

    def run(self, job: Job) -> dict[str, Any]:
        """Quantize with GPT-QModel."""
        if job.texts is None:
            raise AssertionError("GPT-QModel calibrates: there must be texts")
        report, work, source = job.report, job.work, job.source
        format_of(job.row).prepare()
        rows = self.rows(job.texts)
        report("loading GPT-QModel", 0, 0)
        with quiet() as output, explained("GPT-QModel", output), _tamed(work, output):
            from gptqmodel import GPTQModel, QuantizeConfig

            options, backend = self.options()
            scratch = work / "scratch"
            config = QuantizeConfig(
                bits=job.row.bits,
                group_size=job.group_size,
                device=str(job.device),
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
                **job.texts.as_dict(),
                "rows": len(rows),
                "tokens_in_rows": given,
                "fewest_tokens_of_a_layer": min(seen, default=0),
            },
        }


class GptqQuantizer(GptqModelQuantizer):
    """Makes ``int8-gptq``, ``int4-gptq``, ``int3-gptq`` and ``int2-gptq``."""

    def rows(self, texts: Calibration) -> Sequence[Sequence[int]]:
        """Return the texts as they are."""
        return texts.rows

    def options(self) -> tuple[dict[str, Any], Any]:
        """Return symmetric codes, groups in the order of the inputs."""
        from gptqmodel import BACKEND
        from gptqmodel.quantization import FORMAT, METHOD

        options = {"method": METHOD.GPTQ, "format": FORMAT.GPTQ, "sym": True, "desc_act": False}
        return options, BACKEND.GPTQ_TORCH


class AwqQuantizer(GptqModelQuantizer):
    """Makes ``int4-awq``."""

    def check(self, source: Source, row: Precision, group_size: int | None) -> None:
        """Check the dtype, too, of the weights that are not quantized."""
        import torch

        super().check(source, row, group_size)
        if source.dtype not in (torch.float16, torch.bfloat16):
            raise ModelError(
                f"{source.name} is in {source.dtype}, and {row.name} keeps what it does not "
                f"quantize in float16 or bfloat16 only: save a copy of it in one of these "
                f'(from_pretrained(..., dtype="bfloat16").save_pretrained(...)), and give that to '
                f"the arms you compare, too"
            )

    def check_outputs(self, source: Source, row: Precision, name: str, outputs: int) -> None:
        """Check that the outputs can be cut into the parts that AWQ looks for clips in."""
        if outputs % AWQ_OUTPUTS:
            raise ModelError(
                f"layer {name} of {source.name} has {outputs} outputs, no multiple of "
                f"{AWQ_OUTPUTS}, which {row.name} needs: take --precision int4-gptq"
            )

    def rows(self, texts: Calibration) -> Sequence[Sequence[int]]:
        """Return the texts in rows of one length: of unequal ones AWQ uses the last only."""
        return texts.even_rows(max(map(len, texts.rows)))

    def options(self) -> tuple[dict[str, Any], Any]:
        """Return zero points, as in the paper and in nearly all published checkpoints."""
        from gptqmodel import BACKEND
        from gptqmodel.quantization import FORMAT, METHOD

        options = {"method": METHOD.AWQ, "format": FORMAT.GEMM, "sym": False}
        return options, BACKEND.AWQ_TORCH


@contextmanager
def _tamed(work: Path, output: KeptOutput) -> Iterator[None]:
    """Keep GPT-QModel from writing logs into the current folder, and from ending without a word.

    When one of its threads fails it ends the process at once. This cannot be turned into an
    exception, for not every failure reaches the thread that waits; but the user is told why, and
    nothing is left.
    """
    from gptqmodel.looper import loop_processor
    from gptqmodel.utils.threadx import _DeviceWorker

    def tell_and_end(_worker: Any, error: BaseException) -> None:
        shutil.rmtree(work, ignore_errors=True)
        output.is_quiet = False
        output.write(f"Error: {failed('GPT-QModel', error, output)}\n")
        output.flush()
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
