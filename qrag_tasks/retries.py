"""How a server is asked again: which failures pass, how long to wait, and what is said of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime

from tenacity import RetryCallState, wait_exponential, wait_random

logger = logging.getLogger("lm_eval.qrag_tasks")


class PassingError(Exception):
    """A failure that another try may mend.

    :ivar status: of HTTP; 0 where there was no answer.
    :ivar pause: seconds that the server asked to be left alone.
    """

    def __init__(self, message: str, *, status: int = 0, pause: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.pause = pause


def pause_asked(value: str) -> float:
    """Return the seconds that a Retry-After header means: it is a number, or a date."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value)
    with suppress(ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    return 0.0


def waits(first: float, longest: float, jitter: float) -> Callable[[RetryCallState], float]:
    """Return what waits between two tries: longer each time, and at least as the server asked.

    :param first: seconds between the first try and the second; they double from try to try.
    :param longest: seconds that a wait grows to.
    :param jitter: the most seconds that are added by chance, so that not all come back at once.
    """
    backoff = wait_exponential(first, max=longest) + wait_random(max=jitter)

    def wait(state: RetryCallState) -> float:
        failure = state.outcome and state.outcome.exception()
        return max(failure.pause if isinstance(failure, PassingError) else 0.0, backoff(state))

    return wait


def telling(url: str, tries: int, level: int = logging.WARNING) -> Callable[[RetryCallState], None]:
    """Return what logs each failure before its wait.

    :param tries: in all.
    """

    def tell(state: RetryCallState) -> None:
        cause = state.outcome and state.outcome.exception()
        pause = state.next_action.sleep if state.next_action else 0.0
        next_try = f"try {state.attempt_number + 1} of {tries}"
        logger.log(level, "%s: %s; %s in %.1f s", url, cause, next_try, pause)

    return tell
