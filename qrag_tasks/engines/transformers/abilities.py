"""What the engine can do, known before anything is loaded."""

from __future__ import annotations

from qrag_tasks.arms.kv_caches import KvCache
from qrag_tasks.engines.base import Abilities

_GROUPS = "a scale and a lowest number for each group of 64 numbers or fewer of a token's head"
_HQQ = ("hqq", "hqq")
_QUANTO = ("optimum-quanto", "quanto")

KV_CACHES = (
    KvCache("fp8", 8, "1.0, e4m3: what is beyond 448 becomes 448", also=("fp8_e4m3",)),
    KvCache("int8", 8, _GROUPS),
    KvCache("int4", 4, _GROUPS),
    KvCache("int2", 2, _GROUPS),
    *(KvCache(f"int{n}-hqq", n, _GROUPS, "hqq", (), *_HQQ) for n in (8, 4, 2)),
    *(KvCache(f"int{n}-quanto", n, _GROUPS, "quanto", (), *_QUANTO) for n in (4, 2)),
)
ABILITIES = Abilities(
    evidence="layers",
    readings=True,
    needs=("torch", "transformers"),
    install="pip install 'qrag-tasks[hf]'",
    kv_caches=KV_CACHES,
    shares_ranks=True,
)
