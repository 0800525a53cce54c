"""Cells whose prompts were made of more than one state of the data, or by a changed retriever."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from qrag_tasks.logs.schema import LoggedPrompts

_DIGITS = 12
"""How many of a digest's are shown."""


def mixed_prompts(prompts: Iterable[tuple[str, LoggedPrompts]]) -> Iterator[str]:
    """Yield a sentence for all data, and every retriever, that changed between two cells.

    :param prompts: the task's name without k, and what the results of a cell say, of every cell.
    """
    states: dict[tuple[str, str, str | None, str | None], dict[str, None]] = {}
    for task, logged in prompts:
        # What is left out of the data is chosen for each run.
        data = ("the data", task, logged.split, logged.filter)
        retriever = (f"the retriever {logged.retriever}", task, None, None)
        for place, digest in ((data, logged.data_sha256), (retriever, logged.retriever_sha256)):
            # Nothing is asked of a retriever where there are no documents.
            if digest is not None and (place is data or logged.retriever != "none"):
                states.setdefault(place, {})[digest] = None
    for (what, called, *_), digests in states.items():
        if len(digests) > 1:
            shown = " and ".join(digest[:_DIGITS] for digest in list(digests)[:2])
            yield (
                f"{called}: {what} changed between cells: there were {len(digests)} versions, by "
                f"their sha256 ({shown}). What differs between cells may come of that: run all of "
                f"them again with one of these"
            )
