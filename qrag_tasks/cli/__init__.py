"""The ``qrag`` command: look at the tasks, the plugins, a prompt; rank; check the set-up."""

from qrag_tasks.cli import download, export, leaks, look, noise, plugins, quantize, rank
from qrag_tasks.cli.group import main

__all__ = ["download", "export", "leaks", "look", "main", "noise", "plugins", "quantize", "rank"]
