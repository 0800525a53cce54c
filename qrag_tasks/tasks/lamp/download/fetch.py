"""Fetching one file from a server that may be slow, be cut off, or change the file meanwhile."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import requests
from requests.exceptions import ChunkedEncodingError, ContentDecodingError, SSLError
from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
)

from qrag_tasks.errors import DownloadError
from qrag_tasks.retries import PassingError, pause_asked, telling, waits
from qrag_tasks.tasks.lamp.download.part import Origin, Part

logger = logging.getLogger("lm_eval.qrag_tasks")

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here, and with those there will be (``None``: not known)."""

Room = Callable[[Path], int]
"""Folder, there or yet to be made -> bytes that are free for it."""

_BLOCK = 1 << 16
_MOST_REDIRECTS = 5
_TRY_AGAIN = (408, 425, 429)  # and 500 and above
_HINTS = {
    401: " It wants a name and a password: is the address the right one?",
    403: " It does not give the file to this computer.",
    404: " Is the address the right one?",
}


@dataclass(frozen=True)
class Patience:
    """How long to bear with a server.

    :ivar tries: requests for one file, in all.
    :ivar first_wait: seconds between the first and the second; doubles from try to try.
    :ivar longest_wait: seconds that a wait grows to. A server that asks for more gets no other
        request.
    :ivar jitter: the most seconds that are added by chance, so that not all clients come at once.
    :ivar connecting: seconds within which a connection must be made.
    :ivar silence: seconds within which the next bytes must come.
    """

    tries: int = 7
    first_wait: float = 1.0
    longest_wait: float = 120.0
    jitter: float = 1.0
    connecting: float = 15.0
    silence: float = 60.0


def fetch(
    url: str, part: Part, patience: Patience, free: Room, progress: Progress = lambda *_: None
) -> Origin:
    """Bring the whole body of ``url`` into ``part``, going on from what is there already.

    :return: what the server said of the body.
    :raises DownloadError: when it cannot be had; what came stays in ``part`` where the next call
        can go on from it.
    """
    with _session() as session:
        retrying = Retrying(
            retry=retry_if_exception_type(PassingError),
            stop=stop_after_attempt(patience.tries),
            wait=waits(patience.first_wait, patience.longest_wait, patience.jitter),
            before_sleep=telling(url, patience.tries),
            reraise=True,
        )
        try:
            return retrying(_try, session, url, part, patience, free, progress)
        except PassingError as failure:
            message = f"{url}: {failure}. Given up after {patience.tries} tries."
            if here := part.held(url)[0]:
                message += f" {here:,} bytes are kept; the same command goes on from there."
            raise DownloadError(message) from failure


def sizes(urls: Sequence[str], patience: Patience) -> list[int | None]:
    """Return the bytes that each file has by its server's word; ``None`` where it gives none.

    Never fails: what is wrong with a server is told when the file is fetched.
    """
    lengths: list[int | None] = []
    hasty = replace(patience, silence=patience.connecting)
    with _session() as session, suppress(PassingError, DownloadError):
        for url in urls:
            with _answer(session, "HEAD", url, {}, hasty) as response:
                lengths.append(_length(response) if response.status_code == 200 else None)
    return lengths + [None] * (len(urls) - len(lengths))


def require_room(needed: int, folder: Path, free: Room) -> None:
    """Refuse to begin what will not fit.

    :param needed: bytes.
    :raises DownloadError: when ``folder`` has fewer bytes free.
    """
    if needed > (there := free(folder)):
        raise DownloadError(
            f"not enough room in {folder}: {needed:,} bytes are needed, {there:,} are free. Make "
            f"room there, or name another folder by --into FOLDER or QRAG_DATA=FOLDER."
        )


def _try(
    session: requests.Session,
    url: str,
    part: Part,
    patience: Patience,
    free: Room,
    progress: Progress,
) -> Origin:
    start, origin = part.held(url)
    headers = {"Range": f"bytes={start}-", "If-Range": origin.validator} if origin else {}
    with _answer(session, "GET", url, headers, patience) as response:
        status = response.status_code
        if response.ok:
            require_room(_length(response) or 0, part.path.parent, free)
        if origin and status == 416:
            # Nothing is left to send: all is here, unless the file has become shorter.
            content_range = response.headers.get("Content-Range", f"bytes */{start}")
            if start == origin.size and content_range == f"bytes */{start}":
                return origin
            part.drop()
            raise PassingError(f"the server has no byte {start:,}, unlike before")
        if origin and status == 206:
            if fault := _no_continuation(response, start, origin):
                part.drop()
                raise PassingError(f"no continuation of what was begun: {fault}")
            size = int(response.headers["Content-Range"].rpartition("/")[2])
            origin = replace(origin, size=size, status=status)
        elif status == 200:
            start, origin = 0, _origin(url, response)
            part.begin(origin)
        else:
            raise _refusal(url, response, patience)
        _receive(url, response, part, start, origin.size, progress)
    return origin


def _receive(
    url: str,
    response: requests.Response,
    part: Part,
    start: int,
    size: int | None,
    progress: Progress,
) -> None:
    """Add the body to what is here; :class:`PassingError` unless all of it came."""
    here = start
    with part.path.open("ab") as file:
        progress(here, size)
        try:
            for block in response.iter_content(_BLOCK):
                file.write(block)
                here += len(block)
                progress(here, size)
        except ContentDecodingError as error:
            part.drop()
            raise DownloadError(f"{url}: the body cannot be unpacked: {_cause(error)}") from error
        except requests.RequestException as error:
            of = "" if size is None else f" of {size:,}"
            cause = _cause(error, "the server hung up")
            raise PassingError(f"cut off after {here:,}{of} bytes ({cause})") from error
    # Nobody else looks at that before urllib3 2.
    came, announced = response.raw.tell(), _length(response)
    if announced is not None and came != announced:
        raise PassingError(f"cut off: {came:,} bytes came, {announced:,} were announced")
    if size is not None and here != size:
        part.drop()
        raise PassingError(f"{here:,} bytes came of a file of {size:,}")


def _origin(url: str, response: requests.Response) -> Origin:
    headers = response.headers
    packed = headers.get("Content-Encoding", "identity").lower() != "identity"
    # What was packed on the way cannot be gone on from: ranges count packed bytes, we keep others.
    return Origin(
        url,
        "" if packed else headers.get("ETag", ""),
        "" if packed else headers.get("Last-Modified", ""),
        None if packed else _length(response),
        response.status_code,
        headers.get("Content-Type", "none"),
    )


def _no_continuation(response: requests.Response, start: int, origin: Origin) -> str:
    """Return why a partial answer is not the rest of the file that was begun; empty if it is."""
    headers = response.headers
    content_range = headers.get("Content-Range", "nothing")
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", content_range)
    if match is None or int(match[1]) != start or int(match[2]) + 1 != int(match[3]):
        return f"asked for bytes from {start:,} on, it gave {content_range!r}"
    if origin.size not in (None, int(match[3])):
        return f"it has {int(match[3]):,} bytes now, {origin.size:,} before"
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        return f"it came packed ({headers['Content-Encoding']})"
    # Some servers pass over If-Range.
    for header, before in (("ETag", origin.etag), ("Last-Modified", origin.last_modified)):
        if before and headers.get(header, before) != before:
            return f"its {header} was {before} before, and is {headers[header]} now"
    return ""


def _refusal(url: str, response: requests.Response, patience: Patience) -> Exception:
    status = response.status_code
    message = f"the server answered {status} {response.reason or ''}".rstrip()
    if status not in _TRY_AGAIN and status < 500:
        return DownloadError(f"{url}: {message}.{_HINTS.get(status, '')}")
    pause = pause_asked(response.headers.get("Retry-After", ""))
    if pause > patience.longest_wait:
        return DownloadError(
            f"{url}: {message} and wants no other request for {pause:,.0f} s. Run the same command "
            f"after that; it goes on where it was."
        )
    return PassingError(message, pause=pause)


def _session() -> requests.Session:
    session = requests.Session()
    # Unpacked: only so do ranges and lengths count the bytes that we keep.
    session.headers.update({"Accept-Encoding": "identity", "User-Agent": "qrag-tasks"})
    session.max_redirects = _MOST_REDIRECTS
    return session


@contextmanager
def _answer(
    session: requests.Session,
    method: str,
    url: str,
    headers: dict[str, str],
    patience: Patience,
) -> Iterator[requests.Response]:
    try:
        response = session.request(
            method,
            url,
            headers=headers,
            stream=True,
            timeout=(patience.connecting, patience.silence),
            allow_redirects=True,
        )
    except SSLError as error:
        raise DownloadError(
            f"{url}: no secure connection: {_cause(error)}. Behind a proxy with a certificate of "
            f"its own, name that in REQUESTS_CA_BUNDLE."
        ) from error
    except (requests.ConnectionError, requests.Timeout, ChunkedEncodingError) as error:
        raise PassingError(f"no answer ({_cause(error)})") from error
    except requests.TooManyRedirects as error:
        raise DownloadError(
            f"{url}: redirected more than {_MOST_REDIRECTS} times. Is the address the right one?"
        ) from error
    except (requests.RequestException, ValueError) as error:
        raise DownloadError(f"{url}: cannot be asked for: {_cause(error)}") from error
    with response:
        yield response


def _length(response: requests.Response) -> int | None:
    """Return the bytes of the body as it comes over the wire, where the server says."""
    length = response.headers.get("Content-Length", "")
    if "Transfer-Encoding" in response.headers or not (length.isascii() and length.isdigit()):
        return None
    return int(length)


def _cause(error: BaseException, otherwise: str = "") -> str:
    """Return what lies beneath a failure of requests, whose own message wraps it thrice.

    :param otherwise: what to say if it was not the system that failed.
    """
    while deeper := error.__cause__ or error.__context__:
        error = deeper
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        return error.strerror or str(error)
    return otherwise or str(error)
