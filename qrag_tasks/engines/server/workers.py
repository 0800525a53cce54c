"""Threads that make calls side by side, and bring the results to the one that waits."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


class Workers(Generic[Job, Result]):
    """Runs calls in threads of its own, in order of their jobs.

    After an error no further job is begun. Those that are running are waited for, so that what they
    bring is not lost; with Ctrl-C they are not, and only what they have brought is not lost.

    :param call: job -> result; called by several threads at once.
    :param most: calls at once.
    :param ending: is set as soon as nothing more is wanted, for calls that can be cut short.
    """

    def __init__(self, call: Callable[[Job], Result], most: int, ending: threading.Event) -> None:
        self._call = call
        self._most = most
        self._ending = ending

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Result]]:
        """Yield each job with its result, as they are finished.

        :raises Exception: the first that a call raised, once the calls that were running have
            ended and their results were yielded.
        """
        self._ending.clear()
        waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
        for job in jobs:
            waiting.put(job)
        done: queue.SimpleQueue[tuple[Job, Result] | BaseException | None] = queue.SimpleQueue()
        count = min(self._most, waiting.qsize())
        # Daemons, as a request that hangs must not keep Python from ending.
        for _ in range(count):
            threading.Thread(target=self._work, args=(waiting, done), daemon=True).start()
        failure: BaseException | None = None
        try:
            while count:
                finished = done.get()
                if finished is None:
                    count -= 1
                elif isinstance(finished, BaseException):
                    failure = failure or finished
                    self._ending.set()
                else:
                    yield finished
        except KeyboardInterrupt:
            while not done.empty():
                finished = done.get()
                if isinstance(finished, tuple):
                    yield finished
            raise
        finally:
            self._ending.set()
        if failure is not None:
            raise failure

    def _work(
        self,
        waiting: queue.SimpleQueue[Job],
        done: queue.SimpleQueue[tuple[Job, Result] | BaseException | None],
    ) -> None:
        try:
            while not self._ending.is_set():
                job = waiting.get_nowait()
                done.put((job, self._call(job)))
        except queue.Empty:
            pass
        except BaseException as error:
            done.put(error)
        finally:
            done.put(None)
