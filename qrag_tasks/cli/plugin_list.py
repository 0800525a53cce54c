"""The list of ``qrag plugins``: what is installed, what it supplies, which hooks it has."""

from __future__ import annotations

from typing import Any

import click

from qrag_tasks.cli.tables import Table, print_tables
from qrag_tasks.hookspecs import HOOKS
from qrag_tasks.plugin_hooks import lacking, takes
from qrag_tasks.registry import REGISTRIES, Plugin, conflicts, core_origin, plugins


def as_record() -> dict[str, Any]:
    """Return the list as what JSON can hold."""
    return {
        "qrag_tasks": core_origin().version,
        "hooks": HOOKS,
        "plugins": [_record(plugin) for plugin in plugins()],
        "conflicts": conflicts(),
    }


def _record(plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.origin.distribution,
        "version": plugin.origin.version,
        "entry_point": plugin.origin.entry_point,
        "state": plugin.state,
        "cause": plugin.cause,
        "built_for": plugin.built_for,
        "takes_this_version": _takes_this_version(plugin),
        "hooks": list(plugin.hooks),
        "lacks": list(lacking(plugin.hooks, plugin.built_for)),
        "unknown_hooks": list(plugin.unknown_hooks),
        "supplies": {kind: list(names) for kind, names in plugin.supplied.items() if names},
    }


def _takes_this_version(plugin: Plugin) -> bool:
    return takes(plugin.built_for, core_origin().version)


def print_list() -> None:
    """Print what each plugin supplies and, of those that are not built in, its hooks."""
    table = Table("plugin", "distribution", "version", "kind", "supplies", "state")
    hooks = Table("plugin", "built for", "hook", "added in", "state")
    for plugin in plugins():
        state = f"{plugin.state}: {plugin.cause}" if plugin.cause else plugin.state
        about = (plugin.name, plugin.origin.distribution, plugin.origin.version)
        supplied = [
            (registry.kind, ", ".join(registry.of(plugin)))
            for registry in REGISTRIES
            if registry.hook in plugin.hooks
        ]
        for kind, names in supplied or [("", "")]:
            table.add_row(*about, kind, names, state)
            about, state = ("", "", ""), ""
        if plugin.origin != core_origin():
            _add_hooks(hooks, plugin)
    print_tables(table)
    if hooks.rows:
        click.echo()
        hooks.title = f"Hooks of plugins, under qrag-tasks {core_origin().version}"
        print_tables(hooks)


def _add_hooks(table: Table, plugin: Plugin) -> None:
    """Add a row for each hook that a plugin implements, lacks, or has for another version."""
    built_for = {None: "not stated", "": "any version"}.get(plugin.built_for, plugin.built_for)
    if not _takes_this_version(plugin):
        built_for = f"{built_for}, not this one"
    about = (plugin.name, str(built_for))
    newer = lacking(plugin.hooks, plugin.built_for)
    rows = [
        *((name, HOOKS[name], "implemented") for name in plugin.hooks),
        *((name, HOOKS[name], "lacking: newer than the plugin") for name in newer),
        *((name, "", "unknown here, and optional") for name in plugin.unknown_hooks),
    ]
    for row in rows or [("", "", f"not read, as the plugin is {plugin.state}")]:
        table.add_row(*about, *row)
        about = ("", "")
