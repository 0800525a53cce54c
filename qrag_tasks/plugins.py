"""Retrievers, built by name; and what is known of the plugins that supply them.

How plugins are found and loaded is in :mod:`qrag_tasks.registry`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from qrag_tasks import registry
from qrag_tasks.errors import QragError, RetrieverError
from qrag_tasks.installed import Origin
from qrag_tasks.registry import (
    PROMPT_STYLES,
    RETRIEVERS,
    Supplied,
    conflicts,
    core_origin,
    plugins,
)
from qrag_tasks.retrieval.base import Retriever
from qrag_tasks.retrieval.from_file import is_in_file, retriever_in_file
from qrag_tasks.retrieval.named import NamedRetriever, described
from qrag_tasks.retrieval.options import call, read_options, split_spec, write_spec

__all__ = [
    "PROMPT_STYLES",
    "RETRIEVERS",
    "build_retriever",
    "conflicts",
    "core_origin",
    "find_retriever",
    "forget",
    "plugins",
    "release_retrievers",
]


def build_retriever(spec: str) -> NamedRetriever:
    """Build the retriever that ``spec`` asks for: ``name`` or ``name:option=value,...``.

    Asked for again in one process, the same retriever is returned, for it may hold a loaded model;
    but not one whose ``identity`` is another by now, as that of a file that was written again.

    :raises RetrieverError: when the name or an option is unknown, or a value is refused.
    """
    name, rest = split_spec(spec)
    supplied = find_retriever(name)
    options = read_options(name, rest, supplied.value)
    spec = write_spec(name, options, supplied.value)
    built = _build(spec, name, supplied.origin)
    if dict(getattr(built.retriever, "identity", {})) != built.fingerprint.identity:
        _build.cache_clear()
        built = _build(spec, name, supplied.origin)
    return built


def find_retriever(name: str) -> Supplied[Callable[..., Retriever]]:
    """Return the factory that goes by ``name``: of a plugin, or of a file, ``./mine.py:CLASS``.

    :raises RetrieverError: when there is none.
    """
    return retriever_in_file(name) if is_in_file(name) else RETRIEVERS.get(name)


@lru_cache(maxsize=8)
def _build(spec: str, name: str, origin: Origin) -> NamedRetriever:
    supplied = find_retriever(name)
    factory = supplied.value
    options = read_options(name, split_spec(spec)[1], factory)
    try:
        built = call(factory, options)
        return described(spec, supplied.name, origin, options, built)
    except QragError:
        raise
    except (TypeError, ValueError) as error:
        raise RetrieverError(f"retriever {spec!r} was refused: {error}") from error
    except Exception as error:
        # The factory is the plugin's own code: whatever it raises is told with its origin.
        place = f" ({origin.entry_point})" if origin.entry_point else ""
        raise RetrieverError(
            f"retriever {spec!r} from {origin}{place} cannot be built: "
            f"{type(error).__name__}: {error}"
        ) from error


def release_retrievers() -> None:
    """Keep no retriever built so far: its models are freed once nobody else holds it."""
    _build.cache_clear()


def forget() -> None:
    """Forget all plugins and retrievers: the next use reads the entry points again."""
    registry.forget()
    _build.cache_clear()
