"""The hooks that plugins implement, and their contracts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import pluggy

if TYPE_CHECKING:
    from qrag_tasks.retrieval.base import Retriever

PROJECT = "qrag"
"""The entry-point group in which plugins announce themselves, and pluggy's project name."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class RegisterRetriever(Protocol):
    """The callback that :func:`qrag_register_retrievers` is given."""

    def __call__(self, name: str, factory: Callable[..., Retriever]) -> None:
        """Make a retriever known.

        :param name: what users write: lower-case letters, digits, ``-``; unique.
        :param factory: builds the retriever; its keyword parameters are the options that users
            may give (``name:option=value,...``), with their defaults. It is called only when the
            retriever is asked for: heavy imports and model loading belong there.
        """
        ...


@hookspec
def qrag_register_retrievers(register: RegisterRetriever) -> None:
    """Call ``register(name, factory)`` for every retriever this plugin supplies.

    Called once a process, when retrievers are first listed or asked for. It must be quick and
    import nothing heavy. Where it raises, the plugin is left out with a warning; asking for one
    of its retrievers is then an error.
    """
