"""What the engine is called and can do, known before anything is loaded."""

from __future__ import annotations

from qrag_tasks.engines.base import Abilities

NAME = "server"

ABILITIES = Abilities(
    evidence="stated",
    likelihoods=False,
    sampling=False,
    deterministic=False,
    loads_checkpoint=False,
    side_by_side="concurrency sets how many requests it sends at once",
)
"""No likelihoods: a server tells those of its likeliest tokens, and not of the tokens that are
asked for. Not deterministic: which requests it computes together is its own affair."""
