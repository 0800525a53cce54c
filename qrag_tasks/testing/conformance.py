"""The conformance kits as pytest shows them: classes with one test a check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from qrag_tasks.testing.check import Check
from qrag_tasks.testing.format_subject import FormatSubject
from qrag_tasks.testing.kits import FORMAT_KIT, RETRIEVER_KIT, TASK_KIT, Kit
from qrag_tasks.testing.running import checked_expectations, judge


class Conformance:
    """What the classes of all kits have in common.

    ``test_<check>`` is written for every check of the kit; run one with ``pytest -k test_<check>``.
    Do not override them: a check that cannot hold belongs into ``expected_failures``, where the
    reader finds the reason.

    :cvar spec: what is meant, as users write it. Required.
    :cvar expected_failures: checks that cannot hold by design, by name, each with the reason.
        They are reported as ``xfailed``; one that passes is a failure, so that none outlives its
        reason.
    """

    kit: ClassVar[Kit]
    spec: ClassVar[str] = ""
    expected_failures: ClassVar[Mapping[str, str]] = {}

    _subjects: ClassVar[dict[str, Any]]

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Refuse names that are no checks' when the class is written, not test by test."""
        super().__init_subclass__(**arguments)
        cls._subjects = {}
        if "kit" in vars(cls):
            for each in cls.kit.checks:
                setattr(cls, f"test_{each.name}", _test_of(each, cls.__qualname__))
        if isinstance(cls.expected_failures, Mapping):
            checked_expectations(cls.expected_failures, cls.kit)

    def _run(self, check: Check) -> None:
        import pytest

        __tracebackhide__ = True
        expected = checked_expectations(self.expected_failures, self.kit)
        outcome = judge(check, self._subject(), expected.get(check.name))
        if outcome.state == "expected":
            pytest.xfail(outcome.message)
        elif outcome.state == "skipped":
            pytest.skip(outcome.message)
        elif outcome.state == "failed":
            message = f"{check.name}: {outcome.message}"
            if outcome.cause is None:
                # No traceback: the kit's own code has nothing to tell of what is examined.
                pytest.fail(message, pytrace=False)
            raise AssertionError(message) from outcome.cause

    def _subject(self) -> Any:
        """Return what is under examination, one a class: building it may be costly."""
        if not self.spec:
            kind = self.kit.registry.kind
            raise AssertionError(f"{type(self).__name__}.spec is not set: which {kind}?")
        if self.spec not in self._subjects:
            self._subjects[self.spec] = self._build()
        return self._subjects[self.spec]

    def _build(self) -> Any:
        return self.kit.subject(self.spec)


def _test_of(check: Check, owner: str) -> Callable[[Conformance], None]:
    def test(self: Conformance) -> None:
        __tracebackhide__ = True
        self._run(check)

    test.__name__ = f"test_{check.name}"
    test.__qualname__ = f"{owner}.{test.__name__}"
    test.__doc__ = check.summary
    return test


class RetrieverConformance(Conformance):
    """Inherit from it, in a class that pytest collects, and say which retriever is meant.

    One test for every check of :data:`~qrag_tasks.testing.CHECKS`.

    :cvar spec: the retriever as users write it, options included. Required.
    """

    kit = RETRIEVER_KIT


class TaskConformance(Conformance):
    """Inherit from it, in a class that pytest collects, and say which task is meant.

    One test for every check of :data:`~qrag_tasks.testing.TASK_CHECKS`. They read the data.

    :cvar spec: the task's name, and after a colon its data, as ``data`` of a run names them:
        ``birds:tests/data``. Without a colon, the data that its source takes by default. Required.
    """

    kit = TASK_KIT


class FormatConformance(Conformance):
    """Inherit from it, in a class that pytest collects, and say which format is meant.

    One test for every check of :data:`~qrag_tasks.testing.FORMAT_CHECKS`. They load a small model
    with random weights in each of the format's precisions that can be had here.

    :cvar spec: the format's name. Required.
    """

    kit = FORMAT_KIT

    def write_checkpoint(self, precision: str, plain: Path, folder: Path) -> None:
        """Write a checkpoint in a precision.

        Override it for precisions that are not made on loading. By default the others are loaded,
        and saved.

        :param precision: its name.
        :param plain: the folder of a checkpoint that is not quantized.
        :param folder: to be made.
        """

    def _build(self) -> FormatSubject:
        overridden = type(self).write_checkpoint is not FormatConformance.write_checkpoint
        return FormatSubject(self.spec, self.write_checkpoint if overridden else None)
