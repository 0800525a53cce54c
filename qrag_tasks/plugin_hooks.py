"""Which hooks a plugin implements, and how they agree with the version that it was built for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pluggy
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from qrag_tasks.errors import PluginError, did_you_mean
from qrag_tasks.hookspecs import HOOKS, PROJECT

_PREFIX = f"{PROJECT}_register_"
_LOWEST = frozenset({">=", ">", "==", "===", "~="})


@dataclass(frozen=True)
class PluginHooks:
    """The hooks of one plugin.

    :ivar implemented: names of those that are called, sorted.
    :ivar unknown: names of those that this version of qrag-tasks does not have, and that the plugin
        marks as optional; they are never called.
    """

    implemented: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def examine(holder: Any, version: str, built_for: str | None = None) -> PluginHooks:
    """Return the hooks that a plugin's module or object implements.

    :param version: of qrag-tasks, for messages.
    :param built_for: the versions of qrag-tasks that the plugin's package asks for; None where it
        does not say.
    :raises PluginError: when it implements none; when one is unknown and not optional, or is
        named like one and not marked, and so would never be called.
    """
    manager = pluggy.PluginManager(PROJECT)
    marked = {
        name: options
        for name in dir(holder)
        if (options := manager.parse_hookimpl_opts(holder, name)) is not None
    }
    names = {options.get("specname") or name: options for name, options in marked.items()}
    for name in sorted(names.keys() - HOOKS.keys()):
        if not names[name].get("optionalhook"):
            raise PluginError(_unknown(name, version, built_for))
    for name in dir(holder):
        if name.startswith(_PREFIX) and name not in marked:
            value = getattr(holder, name)
            if callable(value) and not hasattr(value, f"{PROJECT}_spec"):
                raise PluginError(
                    f"{name!r} is not marked as a hook, so that it would never be called: put "
                    f"@hookimpl above it"
                )
    if not names:
        raise PluginError("it implements no hook: is @hookimpl missing?")
    return PluginHooks(
        tuple(sorted(names.keys() & HOOKS.keys())), tuple(sorted(names.keys() - HOOKS.keys()))
    )


def _unknown(name: str, version: str, built_for: str | None) -> str:
    text = (
        f"unknown hook {name!r} (qrag-tasks {version} has {', '.join(HOOKS)})."
        f"{did_you_mean(name, HOOKS)}"
    )
    if not takes(built_for, version):
        text += f" The plugin was built for qrag-tasks {built_for}: install that."
    return text


def takes(built_for: str | None, version: str) -> bool:
    """Tell whether a plugin says that it works with a version of qrag-tasks, or does not say."""
    try:
        return SpecifierSet(built_for or "").contains(version, prereleases=True)
    except InvalidSpecifier:
        return True


def lacking(implemented: tuple[str, ...], built_for: str | None) -> tuple[str, ...]:
    """Return the hooks that a plugin does not implement, as they came after what it was built for.

    That is the lowest version that it asks for or, where it names none, any that it takes. Hooks
    that it could know and leaves out are not among them: most plugins need one alone.

    :param implemented: the hooks that it does implement.
    :param built_for: the versions of qrag-tasks that it asks for.
    """
    try:
        asked = SpecifierSet(built_for or "")
    except InvalidSpecifier:
        return ()
    bounds = [
        Version(each.version.removesuffix(".*")) for each in asked if each.operator in _LOWEST
    ]

    def is_newer(since: str) -> bool:
        if bounds:
            return Version(since) > max(bounds)
        return not asked.contains(since, prereleases=True)

    return tuple(
        name for name, since in HOOKS.items() if name not in implemented and is_newer(since)
    )
