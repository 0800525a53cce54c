"""What plugins supply, by kind and name: one :class:`Registry` for each kind.

What is built in comes as plugins like any other. Third parties announce theirs by an entry point in
the group ``qrag``. What happens to a broken one:

- nobody asked for it: one warning with its distribution, version, entry point and cause, and
  everything else goes on (``QRAG_STRICT_PLUGINS=1`` makes it an error);
- it was asked for: an error with the same facts. Nothing is ever put in its place.

A new kind is a row in :data:`REGISTRIES` and a hook in :mod:`qrag_tasks.hookspecs`.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.metadata import EntryPoint, distribution
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import pluggy

from qrag_tasks import hookspecs
from qrag_tasks.errors import PluginError, QragError, RetrieverError, SettingsError, did_you_mean
from qrag_tasks.installed import Announced, Origin, announced, source_digest
from qrag_tasks.plugin_hooks import examine
from qrag_tasks.registered import (
    names_in_lm_eval,
    no_engine,
    uncallable,
    unfit_format,
    unfit_task,
)

if TYPE_CHECKING:
    from qrag_tasks.arms.formats.base import Format
    from qrag_tasks.engines.base import EngineFactory
    from qrag_tasks.prompting.base import PromptStyle
    from qrag_tasks.retrieval.base import Retriever
    from qrag_tasks.tasks.base import Task

BUILT_IN = tuple(
    EntryPoint(name, f"qrag_tasks.{module}", hookspecs.PROJECT)
    for name, module in (
        ("lamp_tasks", "tasks.lamp.table"),
        ("own_data", "tasks.own.table"),
        ("bm25", "retrieval.bm25"),
        ("baselines", "retrieval.baselines"),
        ("oracle", "retrieval.oracle"),
        ("run", "retrieval.trec"),
        ("lamp", "prompting.styles"),
        ("plain", "arms.formats.plain"),
        ("bitsandbytes", "arms.formats.bitsandbytes"),
        ("gptq", "arms.formats.gptq"),
        ("awq", "arms.formats.awq"),
        ("compressed_tensors", "arms.formats.compressed_tensors"),
        ("gguf", "arms.formats.gguf"),
        ("fp8", "arms.formats.fp8"),
        ("torchao", "arms.formats.torchao"),
        ("hqq", "arms.formats.hqq"),
        ("quanto", "arms.formats.quanto"),
        ("transformers", "harness.built_in_engine"),
        ("vllm", "engines.vllm.registration"),
        ("server", "engines.server.registration"),
        ("llama_cpp", "engines.llama_cpp.registration"),
    )
)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")

T = TypeVar("T")


@dataclass(frozen=True)
class Plugin:
    """One plugin that is installed.

    :ivar name: of its entry point, or of the module for what is built in.
    :ivar hooks: the hooks that it implements.
    :ivar unknown_hooks: optional ones that it implements for other versions of qrag-tasks.
    :ivar built_for: the versions of qrag-tasks that its distribution asks for; empty where it takes
        any, None where it does not say.
    :ivar supplied: kind -> name -> what the plugin registered;
        :meth:`Registry.of` reads it with its type.
    :ivar cause: why it is broken; empty otherwise.
    """

    name: str
    origin: Origin
    state: Literal["ok", "blocked", "broken"] = "ok"
    hooks: tuple[str, ...] = ()
    unknown_hooks: tuple[str, ...] = ()
    built_for: str | None = None
    supplied: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    cause: str = ""

    def __str__(self) -> str:
        place = f" ({self.origin.entry_point})" if self.origin.entry_point else ""
        text = f"{self.name!r}{place} from {self.origin}"
        if self.state == "blocked":
            return f"{text}: blocked by QRAG_BLOCK_PLUGINS"
        return f"{text}: {self.cause}" if self.cause else text


@dataclass(frozen=True)
class Supplied(Generic[T]):
    """Something that a plugin supplies, the name it goes by, and where it comes from.

    :ivar value: what was registered: a retriever's factory, a prompt style, ...
    """

    name: str
    origin: Origin
    value: T


class Registry(Generic[T]):
    """All that plugins supply of one kind, by name.

    :param kind: what messages call it: ``retriever``.
    :param hook: name of the hook that registers it, of :mod:`qrag_tasks.hookspecs`.
    :param error: raised for a name that is unknown or cannot be registered.
    :param check: returns what is wrong with a thing that a plugin registers under a name; empty
        where nothing is. By default it must be callable.
    :param parts: returns kind and name of what a thing brings along, where that name must be
        unique among all plugins, too.
    """

    def __init__(
        self,
        kind: str,
        hook: str,
        error: type[QragError],
        *,
        check: Callable[[str, Any], str] | None = None,
        parts: Callable[[T], Iterable[tuple[str, str]]] | None = None,
    ) -> None:
        self.kind = kind
        self.hook = hook
        self.error = error
        self._check = check or uncallable
        self._parts = parts

    def of(self, plugin: Plugin) -> Mapping[str, T]:
        """Return what ``plugin`` supplies of this kind, by name."""
        return plugin.supplied.get(self.kind, {})

    def all(self) -> dict[str, Supplied[T]]:
        """Return all that can be asked for, by name; what is built in comes first.

        :raises PluginError: when two plugins register the same name.
        """
        return {
            name: Supplied(name, plugin.origin, value)
            for plugin in _sound()
            for name, value in self.of(plugin).items()
        }

    def get(self, name: str) -> Supplied[T]:
        """Return what goes by ``name``.

        :raises QragError: of the registry's ``error``, when there is none; the message lists the
            known names and the plugins that were not loaded.
        :raises PluginError: when two plugins register the same name.
        """
        known = self.all()
        if name not in known:
            raise self.error(
                f"unknown {self.kind} {name!r} (known: {listed(known)})."
                f"{did_you_mean(name, known)}{not_loaded()}"
            )
        return known[name]

    def names(self, plugin: Plugin) -> Iterable[tuple[str, str]]:
        """Return the kinds and names that ``plugin`` takes, which no other plugin may."""
        for name, value in self.of(plugin).items():
            yield self.kind, name
            if self._parts is not None:
                yield from self._parts(value)

    def into(self, registered: dict[str, T]) -> Callable[[str, T], None]:
        """Return the callback ``register(name, value)`` that a hook is given.

        :param registered: where the callback puts what it is given.
        """

        def register(name: str, value: T) -> None:
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise self.error(f"the name {name!r}: expected a-z, 0-9, '-' and '_' only")
            if name in registered:
                raise self.error(f"the name {name!r} is registered twice")
            if wrong := self._check(name, value):
                raise self.error(f"what is registered as {name!r} {wrong}")
            registered[name] = value

        return register


TASKS: Registry[Task] = Registry(
    "task", "qrag_register_tasks", SettingsError, check=unfit_task, parts=names_in_lm_eval
)
RETRIEVERS: Registry[Callable[..., Retriever]] = Registry(
    "retriever", "qrag_register_retrievers", RetrieverError
)
PROMPT_STYLES: Registry[PromptStyle] = Registry(
    "prompt style", "qrag_register_prompt_styles", SettingsError
)
FORMATS: Registry[Format] = Registry(
    "format",
    "qrag_register_formats",
    SettingsError,
    check=unfit_format,
    parts=lambda one: (("precision", row.name) for row in one.precisions),
)
ENGINES: Registry[EngineFactory] = Registry(
    "engine", "qrag_register_engines", SettingsError, check=no_engine
)
REGISTRIES: tuple[Registry[Any], ...] = (TASKS, RETRIEVERS, PROMPT_STYLES, FORMATS, ENGINES)
"""All kinds, in the order in which their hooks are called and ``qrag plugins`` lists them."""


@lru_cache(maxsize=1)
def plugins() -> tuple[Plugin, ...]:
    """Return every plugin that is installed, the built-in ones first; never fails.

    Entry points are read and hooks called once a process.
    """
    core = core_origin()
    return (
        *(_load(Announced(point.name, core, point)) for point in BUILT_IN),
        *map(_load, announced()),
    )


def _load(announcement: Announced) -> Plugin:
    """Load one plugin."""
    plugin = Plugin(announcement.name, announcement.origin, built_for=announcement.built_for)
    if _blocked(plugin):
        return replace(plugin, state="blocked")
    if announcement.point is None:
        return replace(plugin, state="broken", cause=announcement.cause)
    try:
        holder = announcement.point.load()
    except (Exception, SystemExit) as error:
        return replace(plugin, state="broken", cause=_cause(error))
    return called(plugin, holder)


def called(plugin: Plugin, holder: Any) -> Plugin:
    """Return a plugin with what it registers: the hooks of its module are called; never fails.

    They are called in a manager of their own, so that what is registered is known to be its.

    :param holder: the module or object that has the hooks.
    """
    supplied: dict[str, dict[str, Any]] = {registry.kind: {} for registry in REGISTRIES}
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        hooks = examine(holder, core_origin().version, plugin.built_for)
        plugin = replace(plugin, hooks=hooks.implemented, unknown_hooks=hooks.unknown)
        manager.register(holder, name=plugin.name)
        manager.check_pending()
        for registry in REGISTRIES:
            register = registry.into(supplied[registry.kind])
            getattr(manager.hook, registry.hook)(register=register)
    except (Exception, SystemExit) as error:
        return replace(plugin, state="broken", supplied=supplied, cause=_cause(error))
    return replace(plugin, supplied=supplied)


def _cause(error: BaseException) -> str:
    """Say what a plugin failed of: in any way, which must not take down who did not ask for it."""
    return f"{type(error).__name__}: {error}"


def _blocked(plugin: Plugin) -> bool:
    blocked = {_normal(name) for name in os.environ.get("QRAG_BLOCK_PLUGINS", "").split(",")}
    return bool(blocked & {_normal(plugin.name), _normal(plugin.origin.distribution)})


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


@lru_cache(maxsize=1)
def core_origin() -> Origin:
    """Return where qrag-tasks itself comes from."""
    core = distribution("qrag-tasks")
    return Origin("qrag-tasks", core.version, source=source_digest(core, "qrag_tasks"))


@lru_cache(maxsize=1)
def _sound() -> tuple[Plugin, ...]:
    """Return the plugins in use, having warned of the broken ones once.

    :raises PluginError: when two supply the same name; when one is broken and
        ``QRAG_STRICT_PLUGINS`` is set.
    """
    strict = os.environ.get("QRAG_STRICT_PLUGINS", "0") not in ("", "0")
    for plugin in plugins():
        if plugin.state == "broken":
            if strict:
                raise PluginError(f"qrag plugin {plugin}\nRepair, block or uninstall it.")
            warnings.warn(f"qrag plugin {plugin}. It is left out.", RuntimeWarning, stacklevel=4)
    if clashes := conflicts():
        raise PluginError(clashes[0])
    return tuple(plugin for plugin in plugins() if plugin.state == "ok")


def conflicts() -> list[str]:
    """Return one sentence for every name that two plugins supply."""
    sentences = []
    first: dict[tuple[str, str], Plugin] = {}
    for plugin in plugins():
        for registry in REGISTRIES if plugin.state == "ok" else ():
            for kind, name in registry.names(plugin):
                other = first.setdefault((kind, name), plugin)
                if other is not plugin:
                    sentences.append(
                        f"two plugins register the {kind} {name!r}: {other} and {plugin}. "
                        f"Uninstall one of them, or name it in QRAG_BLOCK_PLUGINS."
                    )
    return sentences


def listed(known: Mapping[str, Supplied[Any]]) -> str:
    """Return the names that are built in, then those of each other distribution."""
    by_origin: dict[str, list[str]] = {}
    for name, supplied in known.items():
        origin = supplied.origin
        by_origin.setdefault("" if origin == core_origin() else str(origin), []).append(name)
    own = ", ".join(by_origin.pop("", []))
    others = [f"{', '.join(names)} from {origin}" for origin, names in by_origin.items()]
    return "; plugins: ".join(filter(None, (own, "; ".join(others))))


def not_loaded() -> str:
    """Return lines on the plugins that were not loaded, whose names are not known; or nothing."""
    lost = [str(plugin) for plugin in plugins() if plugin.state != "ok"]
    heading = "\nNot loaded, so what they supply is not known:\n  "
    return heading + "\n  ".join(lost) if lost else ""


def forget() -> None:
    """Forget all plugins: the next use reads the entry points again."""
    for cached in (plugins, _sound):
        cached.cache_clear()
