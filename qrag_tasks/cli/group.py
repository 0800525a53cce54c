"""The command ``qrag`` itself, and how it prints."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console

from qrag_tasks.errors import QragError


class _Group(click.Group):
    """A group of commands that prints our errors as messages, with exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except QragError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="qrag-tasks", prog_name="qrag")
def main() -> None:
    """LaMP-style RAG tasks for lm_eval: what does quantization do to them?"""


def console(stderr: bool = False) -> Console:
    """Return where a command prints."""
    # In a pipe, as wide as the widest line: a cut cell cannot be searched for.
    found = Console(highlight=False, stderr=stderr)
    if not found.is_terminal:
        found = Console(highlight=False, stderr=stderr, width=200)
    return found
