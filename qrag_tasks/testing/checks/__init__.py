"""The checks, in the order in which they run: what is cheap and basic first."""

from __future__ import annotations

from qrag_tasks.testing.check import Check, registered
from qrag_tasks.testing.checks import identity, independence, processes, rankings, texts

CHECKS: tuple[Check, ...] = tuple(
    check
    for module in (rankings, texts, independence, identity, processes)
    for check in registered(module.__name__)
)
"""Every check, each name once."""
