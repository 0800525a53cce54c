"""The plugin manager: who supplies which retriever, and building one from its name.

The built-in retrievers are plugins like any other. Third parties announce theirs by an entry
point in the group ``qrag``.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points, version
from itertools import pairwise
from typing import Any

import pluggy

from qrag_tasks import hookspecs
from qrag_tasks.errors import RetrieverError, did_you_mean
from qrag_tasks.retrieval import baselines, bm25
from qrag_tasks.retrieval.base import Query, Ranking, Retriever

BUILT_IN = (bm25, baselines)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True)
class Registration:
    """One retriever that can be asked for.

    :ivar distribution: the package on PyPI that supplies it, with :ivar:`version`.
    """

    name: str
    factory: Callable[..., Retriever]
    distribution: str
    version: str


@dataclass(frozen=True)
class NamedRetriever:
    """A retriever that was built, and how it was asked for.

    :ivar spec: canonical: the name and the options that were given, sorted: ``bm25:b=0.4,k1=0.9``.
    """

    spec: str
    registration: Registration
    retriever: Retriever

    def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
        """Rank like :meth:`Retriever.rank`, and hold the answer to the contract.

        :raises RetrieverError: when it is broken; the message names the plugin and the sample.
        """
        rankings = self.retriever.rank(queries, k)
        if len(rankings) != len(queries):
            raise self._broken(f"returned {len(rankings)} rankings for {len(queries)} queries")
        for query, ranking in zip(queries, rankings, strict=True):
            if fault := _fault(query, ranking, k):
                raise self._broken(f"query {query.id!r}: {fault}")
        return list(rankings)

    def _broken(self, fault: str) -> RetrieverError:
        r = self.registration
        return RetrieverError(f"retriever {self.spec!r} from {r.distribution} {r.version}: {fault}")


def _fault(query: Query, ranking: Ranking, k: int | None) -> str | None:
    """Say what is wrong with a ranking; ``None`` where nothing is."""
    ids, scores = ranking.ids, ranking.scores
    if len(ids) != len(scores):
        return f"{len(ids)} ids but {len(scores)} scores"
    if k is not None and len(ids) > k:
        return f"{len(ids)} documents where {k} were asked for"
    if len(set(ids)) != len(ids):
        return "a document stands twice"
    if strangers := set(ids) - {document.id for document in query.documents}:
        return f"ids that are not in the profile: {', '.join(map(repr, sorted(strangers)[:3]))}"
    if not all(float("-inf") < score < float("inf") for score in scores):
        return "a score is not finite"
    if any(later > earlier for earlier, later in pairwise(scores)):
        return "the scores rise: not best first"
    return None


@lru_cache(maxsize=1)
def registrations() -> Mapping[str, Registration]:
    """Return every retriever that can be asked for, by name.

    A plugin that cannot be loaded is left out with one warning; the others are not affected.

    :raises RetrieverError: when two plugins register the same name.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    found: dict[str, Registration] = {}
    for module in BUILT_IN:
        manager.register(module)
        _collect(manager, module, "qrag-tasks", version("qrag-tasks"), found)
    for point in entry_points(group=hookspecs.PROJECT):
        _load(manager, point, found)
    return found


def _load(manager: pluggy.PluginManager, point: EntryPoint, found: dict[str, Registration]) -> None:
    distribution = point.dist.name if point.dist else "unknown distribution"
    release = point.dist.version if point.dist else "?"
    offered: dict[str, Registration] = {}
    try:
        plugin = point.load()
        manager.register(plugin, name=f"{distribution}:{point.name}")
        manager.check_pending()
        _collect(manager, plugin, distribution, release, offered)
    except Exception as error:
        # A plugin may fail in any way; that must not take down those who did not ask for it.
        warnings.warn(
            f"qrag plugin {point.name!r} ({point.value}) from {distribution} {release} is left "
            f"out: {type(error).__name__}: {error}",
            RuntimeWarning,
            stacklevel=2,
        )
        if manager.has_plugin(f"{distribution}:{point.name}"):
            manager.unregister(name=f"{distribution}:{point.name}")
        return
    for name, registration in offered.items():
        if name in found:
            other = found[name]
            raise RetrieverError(
                f"two plugins register the retriever {name!r}: {other.distribution} "
                f"{other.version} and {distribution} {release}. Uninstall one of them."
            )
        found[name] = registration


def _collect(
    manager: pluggy.PluginManager,
    plugin: object,
    distribution: str,
    release: str,
    into: dict[str, Registration],
) -> None:
    """Call the hook of one plugin only, so that what it registers is known to be its own."""

    def register(name: str, factory: Callable[..., Retriever]) -> None:
        if not _NAME.fullmatch(name):
            raise RetrieverError(f"retriever name {name!r}: expected a-z, 0-9 and '-' only")
        into[name] = Registration(name, factory, distribution, release)

    others = [p for p in manager.get_plugins() if p is not plugin]
    manager.subset_hook_caller("qrag_register_retrievers", others)(register=register)


@lru_cache(maxsize=8)
def build_retriever(spec: str) -> NamedRetriever:
    """Build the retriever that ``spec`` asks for: ``name`` or ``name:option=value,...``.

    Asked for again in one process, the same retriever is returned: it may hold a loaded model.
    Values are read as integer, number, ``true``/``false`` or, failing these, text.

    :raises RetrieverError: when the name or an option is unknown, or a value is refused.
    """
    name, _, rest = spec.strip().partition(":")
    known = registrations()
    if name not in known:
        listed = ", ".join(known)
        raise RetrieverError(
            f"unknown retriever {name!r} (known: {listed}).{did_you_mean(name, known)}"
        )
    registration = known[name]
    options = _options(spec, rest)
    accepted = _parameters(registration.factory)
    if unknown := [option for option in options if option not in accepted]:
        raise RetrieverError(
            f"retriever {name!r} has no option {unknown[0]!r} "
            f"(known: {', '.join(accepted) or 'none'}).{did_you_mean(unknown[0], accepted)}"
        )
    try:
        retriever = registration.factory(**options)
    except (TypeError, ValueError) as error:
        raise RetrieverError(f"retriever {spec!r} was refused: {error}") from error
    written = ",".join(f"{key}={options[key]}" for key in sorted(options))
    return NamedRetriever(f"{name}:{written}" if written else name, registration, retriever)


def _options(spec: str, rest: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in rest.split(","))):
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise RetrieverError(
                f"retriever {spec!r}: {part!r} is no option; write name:option=value,option=value"
            )
        options[key.strip()] = _value(value.strip())
    return options


def _value(text: str) -> int | float | bool | str:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)


def _parameters(factory: Callable[..., Any]) -> tuple[str, ...]:
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(factory).parameters.values()
    return tuple(p.name for p in parameters if p.kind in kinds)
