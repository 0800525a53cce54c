"""What the engine is called and can do, known before anything is loaded."""

from __future__ import annotations

from qrag_tasks.arms.formats.gguf import Gguf
from qrag_tasks.engines.base import Abilities

NAME = "llama_cpp"
ABILITIES = Abilities(
    evidence="headers",
    readings=True,
    sampling=False,
    side_by_side="n_threads sets how many threads it computes with",
    precisions=frozenset(row.name for row in Gguf.precisions),
    needs=("gguf", "llama_cpp"),
    install="pip install 'qrag-tasks[llama-cpp]'",
)
