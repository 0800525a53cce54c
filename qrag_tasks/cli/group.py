"""The command ``qrag`` itself, and how it prints."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import textwrap
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from qrag_tasks.errors import QragError, SettingsError

METADATA_HELP = "Any choices, as one JSON object, as for lm_eval."


class _Group(click.Group):
    """A group of commands that prints our errors as messages, with exit code 1."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command, whatever characters the terminal knows."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        return super().main(*args, **kwargs)

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


def console(stderr: bool = False, width: int | None = None) -> Console:
    """Return where a command prints.

    :param width: in columns; by default the terminal's, or that of the variable ``COLUMNS``.
    """
    terminal = Console(highlight=False, stderr=stderr, width=width)
    if width is None and not terminal.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        # In a pipe nothing has to fit.
        terminal = Console(highlight=False, stderr=stderr, width=200)
    return terminal


def print_prose(text: str, stderr: bool = False) -> None:
    """Print lines for people: broken between words on a terminal, and not at all in a pipe.

    A command in backticks stays in one piece, as who copies it wants it. One that stands in a line
    without backticks is not for this function.
    """
    out = console(stderr=stderr)
    if out.is_terminal:
        text = "\n".join(_folded(line, out.width) for line in text.split("\n"))
    out.print(Text(text), soft_wrap=True)


def _folded(line: str, width: int) -> str:
    """Return a line in lines of a width; a command that is longer is left to the terminal."""
    whole = re.sub("`[^`]*`", lambda quoted: quoted[0].replace(" ", _KEPT_SPACE), line)
    lines = textwrap.wrap(whole, width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace(_KEPT_SPACE, " ")


_KEPT_SPACE = "\ue000"
"""Stands for a space at which no line is broken; no text has it."""


def read_metadata(given: str | None, choices: Mapping[str, Any]) -> dict[str, Any]:
    """Return the choices of a command: those of ``--metadata``, and options of their own.

    :param choices: metadata key -> what its option says, ``None`` where it was not given.
    :raises SettingsError: when ``--metadata`` is not a JSON object.
    """
    try:
        metadata = json.loads(given or "{}")
    except ValueError as error:
        raise SettingsError(f"--metadata {given!r} is not valid JSON: {error}") from None
    if not isinstance(metadata, dict):
        raise SettingsError(f"--metadata {given!r} is not a JSON object")
    return metadata | {key: value for key, value in choices.items() if value is not None}


def read_size(
    option: str, text: str, example: str, unnamed: str | None = None
) -> tuple[str, float]:
    """Read ``NAME=SIZE``.

    :param unnamed: the name of a size alone, where that is allowed.
    :raises SettingsError: where it is not a name and a size above 0.
    """
    name, _, size = text.rpartition("=")
    try:
        if (name or unnamed is not None) and 0 < float(size) < float("inf"):
            return name or str(unnamed), float(size)
    except ValueError:
        pass
    what = "a size above 0" if unnamed is not None else "a metric and a size above 0"
    raise SettingsError(f"{option} {text}: give {what}, as in {example}")
