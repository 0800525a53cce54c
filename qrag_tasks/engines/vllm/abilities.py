"""What the engine is called and can do, known before anything is loaded."""

from __future__ import annotations

from qrag_tasks.engines.base import Abilities

NAME = "vllm"
ABILITIES = Abilities(
    evidence="layers",
    precisions=frozenset(
        {"fp32", "fp16", "bf16", "fp8", "int4-nf4", "int4-gptq", "int4-awq"},
    ),
)
