"""What the engine is called and can do, known before anything is loaded."""

from __future__ import annotations

from qrag_tasks.arms.formats.gguf import Gguf
from qrag_tasks.arms.kv_caches import KvCache
from qrag_tasks.engines.base import Abilities

NAME = "llama_cpp"
_SCALE = "a number for each 32 of a row"
_BOTH = "a number, and a lowest one, for each 32 of a row"
KV_CACHES = (
    KvCache("f32", 32, "", also=("fp32",)),
    KvCache("f16", 16, "", also=("fp16",)),
    KvCache("bf16", 16, ""),
    KvCache("q8_0", 8, _SCALE, also=("int8",)),
    KvCache("q5_1", 5, _BOTH),
    KvCache("q5_0", 5, _SCALE),
    KvCache("q4_1", 4, _BOTH),
    KvCache("q4_0", 4, _SCALE, also=("int4",)),
)
"""ggml's kinds of numbers that a cache can be in."""
ABILITIES = Abilities(
    evidence="headers",
    readings=True,
    sampling=False,
    side_by_side="n_threads sets how many threads it computes with",
    precisions=frozenset(row.name for row in Gguf.precisions),
    needs=("gguf", "llama_cpp"),
    install="pip install 'qrag-tasks[llama-cpp]'",
    kv_caches=KV_CACHES,
)
