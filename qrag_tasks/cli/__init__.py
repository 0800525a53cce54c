"""The ``qrag`` command: look at the tasks, the plugins, a prompt; rank; check the set-up."""

from qrag_tasks.cli import download, export, leaks, look, plugins, rank
from qrag_tasks.cli.group import main

__all__ = ["download", "export", "leaks", "look", "main", "plugins", "rank"]
