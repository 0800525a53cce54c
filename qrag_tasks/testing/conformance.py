"""The conformance kit as pytest shows it: a class with one test a check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from qrag_tasks.testing.check import Check
from qrag_tasks.testing.checks import CHECKS
from qrag_tasks.testing.running import checked_expectations, judge
from qrag_tasks.testing.subject import Subject


class RetrieverConformance:
    """Inherit from it, in a class that pytest collects, and say which retriever is meant.

    ``test_<check>`` is written for every check of :data:`~qrag_tasks.testing.CHECKS`; run one
    with ``pytest -k test_top_k_is_prefix``. Do not override them: a check that cannot hold
    belongs into ``expected_failures``, where the reader finds the reason.

    :cvar spec: the retriever as users write it, options included. Required.
    :cvar expected_failures: checks that cannot hold by design, by name, each with the reason.
        They are reported as ``xfailed``; one that passes is a failure, so that none outlives its
        reason.
    """

    spec: ClassVar[str] = ""
    expected_failures: ClassVar[Mapping[str, str]] = {}

    _subjects: ClassVar[dict[str, Subject]]

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Refuse names that are no checks' when the class is written, not test by test."""
        super().__init_subclass__(**arguments)
        cls._subjects = {}
        if isinstance(cls.expected_failures, Mapping):
            checked_expectations(cls.expected_failures)

    def _run(self, check: Check) -> None:
        import pytest

        __tracebackhide__ = True
        expected = checked_expectations(self.expected_failures)
        outcome = judge(check, self._subject(), expected.get(check.name))
        if outcome.state == "expected":
            pytest.xfail(outcome.message)
        elif outcome.state == "skipped":
            pytest.skip(outcome.message)
        elif outcome.state == "failed":
            message = f"{check.name}: {outcome.message}"
            if outcome.cause is None:
                # No traceback: the kit's own code has nothing to tell of the retriever.
                pytest.fail(message, pytrace=False)
            raise AssertionError(message) from outcome.cause

    def _subject(self) -> Subject:
        """Return the retriever under examination, one a class: building it may be costly."""
        if not self.spec:
            raise AssertionError(f"{type(self).__name__}.spec is not set: which retriever?")
        if self.spec not in self._subjects:
            self._subjects[self.spec] = Subject(self.spec)
        return self._subjects[self.spec]


def _test_of(check: Check) -> Callable[[RetrieverConformance], None]:
    def test(self: RetrieverConformance) -> None:
        __tracebackhide__ = True
        self._run(check)

    test.__name__ = f"test_{check.name}"
    test.__qualname__ = f"{RetrieverConformance.__qualname__}.{test.__name__}"
    test.__doc__ = check.summary
    return test


for _check in CHECKS:
    setattr(RetrieverConformance, f"test_{_check.name}", _test_of(_check))
