"""What the engine can do, known before anything is loaded."""

from __future__ import annotations

from qrag_tasks.engines.base import Abilities

ABILITIES = Abilities(
    evidence="layers",
    needs=("torch", "transformers"),
    install="pip install 'qrag-tasks[hf]'",
)
