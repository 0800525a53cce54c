"""The conformance kits: does what a plugin supplies keep its contract?

In a plugin's tests, one class a retriever, format or task; pytest then shows every check by name::

    from qrag_tasks.testing import FormatConformance, RetrieverConformance, TaskConformance

    class TestLongest(RetrieverConformance):
        spec = "longest:minimum=2"
        expected_failures = {"differs_by_query": "it looks at lengths only"}

    class TestRow8(FormatConformance):
        spec = "row8"

    class TestBirds(TaskConformance):
        spec = "birds:tests/data"

Without pytest, :func:`run_checks` yields one :class:`Outcome` a check; ``qrag plugins check NAME``
prints them. The kits are versioned (:data:`KIT_VERSION`), for a stricter check can fail a plugin
that has not changed.
"""

import sys

from qrag_tasks.testing.check import KIT_VERSION, Check, Outcome
from qrag_tasks.testing.checks import CHECKS
from qrag_tasks.testing.conformance import (
    FormatConformance,
    RetrieverConformance,
    TaskConformance,
)
from qrag_tasks.testing.kits import FORMAT_CHECKS, TASK_CHECKS
from qrag_tasks.testing.running import run_check, run_checks

__all__ = [
    "CHECKS",
    "FORMAT_CHECKS",
    "KIT_VERSION",
    "TASK_CHECKS",
    "Check",
    "FormatConformance",
    "Outcome",
    "RetrieverConformance",
    "TaskConformance",
    "run_check",
    "run_checks",
]

# Engines are held to their contract by plain asserts, whose values pytest tells.
if (_pytest := sys.modules.get("pytest")) is not None:
    _pytest.register_assert_rewrite(
        "qrag_tasks.testing.engine_requests", "qrag_tasks.testing.engines"
    )
