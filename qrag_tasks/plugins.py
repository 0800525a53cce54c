"""The plugin manager: which plugins there are, what each supplies, and building it by name.

The built-in retrievers are plugins like any other. Third parties announce theirs by an entry
point in the group ``qrag``. What happens to a broken one:

- nobody asked for it: one warning with its distribution, version, entry point and cause, and
  everything else goes on (``QRAG_STRICT_PLUGINS=1`` makes it an error);
- it was asked for: an error with the same facts. Nothing is ever put in its place.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.metadata import EntryPoint, distribution
from typing import TYPE_CHECKING, Any, Literal

import pluggy

from qrag_tasks import hookspecs
from qrag_tasks.errors import PluginError, QragError, RetrieverError, SettingsError, did_you_mean
from qrag_tasks.installed import Announced, announced, source_digest
from qrag_tasks.retrieval.base import Retriever
from qrag_tasks.retrieval.named import NamedRetriever, Origin, described
from qrag_tasks.retrieval.options import call, read_options, split_spec, write_spec

if TYPE_CHECKING:
    from qrag_tasks.prompting.base import PromptStyle

BUILT_IN = tuple(
    EntryPoint(name, f"qrag_tasks.{module}", hookspecs.PROJECT)
    for name, module in (
        ("bm25", "retrieval.bm25"),
        ("baselines", "retrieval.baselines"),
        ("oracle", "retrieval.oracle"),
        ("run", "retrieval.trec"),
        ("lamp", "prompting.styles"),
    )
)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True)
class Plugin:
    """One plugin that is installed.

    :ivar name: of its entry point, or of the module for what is built in.
    :ivar hooks: the hooks that it implements.
    :ivar cause: why it is broken; empty otherwise.
    """

    name: str
    origin: Origin
    state: Literal["ok", "blocked", "broken"] = "ok"
    hooks: tuple[str, ...] = ()
    retrievers: Mapping[str, Callable[..., Retriever]] = field(default_factory=dict)
    prompt_styles: Mapping[str, PromptStyle] = field(default_factory=dict)
    cause: str = ""

    def __str__(self) -> str:
        place = f" ({self.origin.entry_point})" if self.origin.entry_point else ""
        told = f"{self.name!r}{place} from {self.origin}"
        if self.state == "blocked":
            return f"{told}: blocked by QRAG_BLOCK_PLUGINS"
        return f"{told}: {self.cause}" if self.cause else told


@dataclass(frozen=True)
class NamedPromptStyle:
    """A prompt style, and which plugin it comes from."""

    name: str
    origin: Origin
    style: PromptStyle


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


def _load(found: Announced) -> Plugin:
    """Load one plugin in a manager of its own, so that what it registers is known to be its."""
    plugin = Plugin(found.name, found.origin)
    if _blocked(plugin):
        return replace(plugin, state="blocked")
    if (point := found.point) is None:
        return replace(plugin, state="broken", cause=found.cause)
    retrievers: dict[str, Callable[..., Retriever]] = {}
    styles: dict[str, PromptStyle] = {}
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    hooks: tuple[str, ...] = ()
    try:
        module = point.load()
        manager.register(module, name=point.name)
        manager.check_pending()
        hooks = tuple(sorted(c.name for c in manager.get_hookcallers(module) or ()))
        if not hooks:
            raise PluginError("it implements no hook: is @hookimpl missing?")
        manager.hook.qrag_register_retrievers(register=_into(retrievers, RetrieverError))
        manager.hook.qrag_register_prompt_styles(register=_into(styles, SettingsError))
    except (Exception, SystemExit) as error:
        # A plugin may fail in any way; that must not take down those who did not ask for it.
        cause = f"{type(error).__name__}: {error}"
        return replace(plugin, state="broken", hooks=hooks, retrievers=retrievers, cause=cause)
    return replace(plugin, hooks=hooks, retrievers=retrievers, prompt_styles=styles)


def _into(registered: dict[str, Any], wrong: type[QragError]) -> Callable[[str, Any], None]:
    def register(name: str, supplied: Any) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise wrong(f"the name {name!r}: expected a-z, 0-9 and '-' only")
        if name in registered:
            raise wrong(f"the name {name!r} is registered twice")
        if not callable(supplied):
            raise wrong(f"what is registered as {name!r} cannot be called: {supplied!r}")
        registered[name] = supplied

    return register


def _blocked(plugin: Plugin) -> bool:
    listed = {_normal(name) for name in os.environ.get("QRAG_BLOCK_PLUGINS", "").split(",")}
    return bool(listed & {_normal(plugin.name), _normal(plugin.origin.distribution)})


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


@lru_cache(maxsize=1)
def core_origin() -> Origin:
    """Return where qrag-tasks itself comes from."""
    found = distribution("qrag-tasks")
    return Origin("qrag-tasks", found.version, source=source_digest(found, "qrag_tasks"))


@lru_cache(maxsize=1)
def _sound() -> tuple[Plugin, ...]:
    """Return the plugins in use, having told of the broken ones once.

    :raises PluginError: when two supply the same name; when one is broken and
        ``QRAG_STRICT_PLUGINS`` is set.
    """
    strict = os.environ.get("QRAG_STRICT_PLUGINS", "0") not in ("", "0")
    for plugin in plugins():
        if plugin.state == "broken":
            if strict:
                raise PluginError(f"qrag plugin {plugin}\nRepair, block or uninstall it.")
            warnings.warn(f"qrag plugin {plugin}. It is left out.", RuntimeWarning, stacklevel=3)
    sound = tuple(plugin for plugin in plugins() if plugin.state == "ok")
    if found := conflicts():
        raise PluginError(found[0])
    return sound


def conflicts() -> list[str]:
    """Return one sentence for every name that two plugins supply."""
    found = []
    first: dict[tuple[str, str], Plugin] = {}
    for plugin in plugins():
        supplied = [("retriever", name) for name in plugin.retrievers]
        supplied += [("prompt style", name) for name in plugin.prompt_styles]
        for kind, name in supplied if plugin.state == "ok" else ():
            other = first.setdefault((kind, name), plugin)
            if other is not plugin:
                found.append(
                    f"two plugins register the {kind} {name!r}: {other} and {plugin}. "
                    f"Uninstall one of them, or name it in QRAG_BLOCK_PLUGINS."
                )
    return found


def retrievers() -> dict[str, Plugin]:
    """Return every retriever that can be asked for: its name, and the plugin it comes from.

    :raises PluginError: when two plugins register the same name.
    """
    return {name: plugin for plugin in _sound() for name in plugin.retrievers}


def prompt_styles() -> dict[str, NamedPromptStyle]:
    """Return every prompt style that can be asked for, by name.

    :raises PluginError: when two plugins register the same name.
    """
    return {
        name: NamedPromptStyle(name, plugin.origin, style)
        for plugin in _sound()
        for name, style in plugin.prompt_styles.items()
    }


def prompt_style(name: str) -> NamedPromptStyle:
    """Return the prompt style called ``name``.

    :raises SettingsError: when there is none.
    """
    known = prompt_styles()
    if name not in known:
        raise SettingsError(_unknown("prompt style", name, known))
    return known[name]


def build_retriever(spec: str) -> NamedRetriever:
    """Build the retriever that ``spec`` asks for: ``name`` or ``name:option=value,...``.

    Asked for again in one process, the same retriever is returned, for it may hold a loaded model;
    but not one whose ``identity`` is another by now, as that of a file that was written again.

    :raises RetrieverError: when the name or an option is unknown, or a value is refused.
    """
    name, rest = split_spec(spec)
    known = retrievers()
    if name not in known:
        raise RetrieverError(_unknown("retriever", name, known))
    plugin = known[name]
    factory = plugin.retrievers[name]
    options = read_options(name, rest, factory)
    spec = write_spec(name, options, factory)
    built = _build(spec, name, plugin.origin)
    if dict(getattr(built.retriever, "identity", {})) != built.fingerprint.identity:
        _build.cache_clear()
        built = _build(spec, name, plugin.origin)
    return built


@lru_cache(maxsize=8)
def _build(spec: str, name: str, origin: Origin) -> NamedRetriever:
    factory = retrievers()[name].retrievers[name]
    options = read_options(name, split_spec(spec)[1], factory)
    try:
        built = call(factory, options)
        return described(spec, name, origin, options, built)
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


def _unknown(kind: str, name: str, known: Mapping[str, Plugin | NamedPromptStyle]) -> str:
    message = f"unknown {kind} {name!r} (known: {_listed(known)}).{did_you_mean(name, known)}"
    lost = [str(plugin) for plugin in plugins() if plugin.state != "ok"]
    if lost:
        message += "\nNot loaded, so what they supply is not known:\n  " + "\n  ".join(lost)
    return message


def _listed(known: Mapping[str, Plugin | NamedPromptStyle]) -> str:
    """Return the names that are built in, then those of each other distribution."""
    by_origin: dict[str, list[str]] = {}
    for name, supplied in known.items():
        origin = supplied.origin
        by_origin.setdefault("" if origin == core_origin() else str(origin), []).append(name)
    own = ", ".join(by_origin.pop("", []))
    others = [f"{', '.join(names)} from {origin}" for origin, names in by_origin.items()]
    return "; plugins: ".join(filter(None, (own, "; ".join(others))))


def release_retrievers() -> None:
    """Keep no retriever built so far: its models are freed once nobody else holds it."""
    _build.cache_clear()


def forget() -> None:
    """Forget all plugins and retrievers: the next use reads the entry points again."""
    for cached in (plugins, _sound, _build):
        cached.cache_clear()
