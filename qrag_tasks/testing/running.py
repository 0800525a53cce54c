"""Running the checks, without any test runner."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from qrag_tasks.errors import QragError, SettingsError, did_you_mean
from qrag_tasks.testing.check import Check, CheckFailed, CheckSkipped, Outcome, State
from qrag_tasks.testing.kits import Kit, kit_for


def run_checks(
    spec: str, expected_failures: Mapping[str, str] | None = None, kit: Kit | None = None
) -> Iterator[Outcome]:
    """Hold a retriever or a format to its contract: yield the outcome of each check as it is known.

    :param spec: ``name`` or ``name:option=value,...`` of a retriever; the name of a format.
    :param expected_failures: names of checks that fail by design, each with the reason.
    :param kit: whose checks to run; that of the kind which has the name by default.
    :raises RetrieverError: at once, when nothing has that name, or the retriever cannot be built.
    :raises SettingsError: at once, when ``expected_failures`` names no check, or gives no reason.
    """
    kit = kit or kit_for(spec)
    expected = checked_expectations(expected_failures or {}, kit)
    subject = kit.subject(spec)
    return (judge(check, subject, expected.get(check.name)) for check in kit.checks)


def run_check(name: str, spec: str) -> Outcome:
    """Run the one check called ``name``; see :func:`run_checks`."""
    kit = kit_for(spec)
    return judge(check_named(name, kit), kit.subject(spec))


def check_named(name: str, kit: Kit) -> Check:
    """Return the check called ``name``.

    :raises SettingsError: when there is none.
    """
    known = {check.name: check for check in kit.checks}
    if name not in known:
        raise SettingsError(
            f"unknown check {name!r} (known: {', '.join(known)}).{did_you_mean(name, known)}"
        )
    return known[name]


def checked_expectations(expected_failures: Mapping[str, str], kit: Kit) -> Mapping[str, str]:
    """Return ``expected_failures`` once every name is known to be a check's, with a reason.

    :raises SettingsError: otherwise.
    """
    for name, reason in expected_failures.items():
        check_named(name, kit)
        if not isinstance(reason, str) or not reason.strip():
            raise SettingsError(
                f"expected_failures: {name!r} has no reason; write why it cannot hold"
            )
    return expected_failures


def judge(check: Check, subject: Any, reason: str | None = None) -> Outcome:
    """Run one check.

    :param reason: why it is expected to fail; ``None`` when it is not.
    """
    start = time.perf_counter()
    state, message, cause = _verdict(check, subject)
    seconds = time.perf_counter() - start
    if reason is not None and state == "failed":
        state, message, cause = "expected", f"{reason} ({message})", None
    elif reason is not None and state == "passed":
        state = "failed"
        message = f"expected to fail ({reason}), but it passes: remove it from expected_failures"
    return Outcome(check, state, message, seconds, cause)


def _verdict(check: Check, subject: Any) -> tuple[State, str, BaseException | None]:
    try:
        check.function(subject)
    except CheckSkipped as skipped:
        return "skipped", str(skipped), None
    except CheckFailed as failed:
        return "failed", str(failed), failed.__cause__
    except QragError as error:
        # Its message names the plugin and the place already.
        return "failed", str(error), error.__cause__ or error
    except Exception as error:
        # The code that is examined: whatever it raises is the finding.
        return "failed", f"{type(error).__name__}: {error}", error
    return "passed", "", None
