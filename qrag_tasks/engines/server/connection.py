"""HTTP to one server: what passes is tried again, what does not is one error with its own words."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from json import dumps
from typing import Any

import requests
from requests.auth import AuthBase
from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_when_event_set,
)
from tenacity.nap import sleep_using_event

from qrag_tasks.engines.server.arguments import KEY, ServerArguments, api_key
from qrag_tasks.errors import ModelError
from qrag_tasks.retries import PassingError, pause_asked, telling, waits

logger = logging.getLogger("lm_eval.qrag_tasks")

CONNECTING = 15.0
"""Seconds within which a connection must be made."""
FIRST_WAIT = 1.0
"""Seconds between a first try and the second; it doubles from try to try, and up to as many are
added by chance, so that not all requests come back at once."""
TRIES = 3
"""Of a question at the start, where somebody waits to hear whether the server is there."""
PASSING = (0, 408, 425, 429, 502, 503, 504)
"""HTTP statuses that say nothing of what was asked, 0 for no answer at all."""
_TRY_AGAIN = (408, 425, 429)  # and 500 and above
_LONGEST_WAIT = 60.0
_SHOWN = 300
_NEXT_STEPS = {
    401: f"It wants a key, or another one: set the environment variable {KEY}.",
    403: f"It wants a key, or another one: set the environment variable {KEY}.",
    404: "Is base_url= the address of its OpenAI interface, and model= a model that it serves?",
    405: "Is base_url= the address of its OpenAI interface?",
}


class RefusedError(ModelError):
    """The server answered, and will not answer otherwise when it is asked again.

    :ivar status: of HTTP.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class UnreachableError(ModelError):
    """The server did not answer, or with an error that may pass.

    :ivar status: of HTTP; 0 where there was no answer.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Connection:
    """Asks one server. Any number of threads may use it at once.

    :ivar ending: set it to have no request tried again, and waits cut short.
    """

    def __init__(self, arguments: ServerArguments) -> None:
        self.ending = threading.Event()
        self._arguments = arguments
        self._auth = _Bearer(api_key())
        self._of_thread = threading.local()
        self._sessions: list[requests.Session] = []
        self._lock = threading.Lock()
        self._next_start = 0.0

    def ask(
        self,
        method: str,
        url: str,
        body: Mapping[str, Any] | None,
        tries: int | None = None,
        log_level: int = logging.WARNING,
    ) -> Any:
        """Return the JSON that the server answers.

        :param body: to send as JSON.
        :param tries: in all; as the model arguments say by default.
        :param log_level: of the words on each that failed.
        :raises RefusedError: for an error that another try does not mend.
        :raises UnreachableError: when all tries failed.
        """
        most = tries or self._arguments.retries + 1
        start = time.monotonic()
        retrying = Retrying(
            retry=retry_if_exception_type(PassingError),
            stop=stop_after_attempt(most) | stop_when_event_set(self.ending),
            wait=waits(FIRST_WAIT, _LONGEST_WAIT, FIRST_WAIT),
            sleep=sleep_using_event(self.ending),
            before_sleep=telling(url, most, log_level),
            reraise=True,
        )
        try:
            return retrying(self._try, method, url, body)
        except PassingError as failure:
            seconds = time.monotonic() - start
            after = f" Given up after {most} tries in {seconds:.0f} s." if most > 1 else ""
            raise UnreachableError(f"{url}: {failure}.{after}", failure.status) from failure

    def close(self) -> None:
        """Close the connections that are kept open."""
        self.ending.set()
        with self._lock:
            for session in self._sessions:
                session.close()

    # ------------------------------------------------------------------ one try
    def _try(self, method: str, url: str, body: Mapping[str, Any] | None) -> Any:
        self._keep_the_rate()
        try:
            response = self._session().request(
                method,
                url,
                data=None if body is None else dumps(body),
                headers={"Content-Type": "application/json", "Accept": "application/json"},
                auth=self._auth,
                timeout=(CONNECTING, self._arguments.timeout),
                allow_redirects=False,
            )
        except requests.exceptions.ReadTimeout:
            raise PassingError(
                f"no answer within timeout={self._arguments.timeout:g} seconds"
            ) from None
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader) as error:
            raise RefusedError(f"{url}: it cannot be asked: {error}", 0) from None
        except requests.exceptions.RequestException as error:
            raise PassingError(f"the connection failed ({_cause(error)})") from None
        if response.is_redirect:
            raise RefusedError(
                f"{url}: it sends on to {response.headers.get('Location')}, and a request is not "
                f"sent on with what it carries: give that address as base_url=",
                response.status_code,
            )
        if response.status_code in _TRY_AGAIN or response.status_code >= 500:
            asked = pause_asked(response.headers.get("Retry-After", ""))
            raise PassingError(_said(response), status=response.status_code, pause=asked)
        if response.status_code != 200:
            text = f"{url}: {_said(response)}. {_NEXT_STEPS.get(response.status_code, '')}"
            raise RefusedError(text.rstrip(), response.status_code)
        try:
            return response.json()
        except ValueError:
            shown = response.text[:_SHOWN].strip()
            raise PassingError(
                f"it answered with what is not JSON: {shown!r}", status=response.status_code
            ) from None

    def _keep_the_rate(self) -> None:
        if not self._arguments.interval:
            return
        with self._lock:
            start = max(self._next_start, time.monotonic())
            self._next_start = start + self._arguments.interval
        self.ending.wait(start - time.monotonic())

    def _session(self) -> requests.Session:
        if not hasattr(self._of_thread, "session"):
            self._of_thread.session = requests.Session()
            with self._lock:
                self._sessions.append(self._of_thread.session)
        session: requests.Session = self._of_thread.session
        return session


class _Bearer(AuthBase):
    """Gives the key. Without one it keeps requests from looking for one in ``~/.netrc``."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key is not None:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def _said(response: requests.Response) -> str:
    """Return the status, and the server's own words for it."""
    words: Any = response.text
    try:
        words = response.json()
        # OpenAI's form, Ollama's and TGI's, FastAPI's.
        if isinstance(words, dict):
            words = words.get("error") or words.get("detail") or words.get("message") or words
        if isinstance(words, dict) and "message" in words:
            words = words["message"]
    except ValueError:
        pass
    text = " ".join((words if isinstance(words, str) else dumps(words)).split())
    return f"HTTP {response.status_code}" + (f": {text[:_SHOWN]}" if text else "")


def _cause(error: BaseException) -> str:
    """Return the innermost cause that says something: ``Connection refused``."""
    text = ""
    inner: BaseException | None = error
    while inner is not None:
        reason = getattr(inner, "reason", None)
        text = getattr(inner, "strerror", None) or text or type(inner).__name__
        args = [each for each in inner.args if isinstance(each, BaseException)]
        inner = (
            reason
            if isinstance(reason, BaseException)
            else inner.__cause__ or inner.__context__ or (args[0] if args else None)
        )
    return text
