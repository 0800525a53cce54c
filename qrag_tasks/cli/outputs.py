"""Where a command writes: refused before any work where nothing can be written there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qrag_tasks.errors import SettingsError, StoreError

if TYPE_CHECKING:
    _PathType = click.ParamType[Path]
else:
    # It takes no type parameter before click 8.2.
    _PathType = click.ParamType


class OutFile(_PathType):
    """A file to be written, in a folder that is there.

    :param suffixes: the endings that it may have; none for any.
    """

    name = "file"

    def __init__(self, *suffixes: str) -> None:
        self.suffixes = suffixes

    def convert(self, value: Any, param: click.Parameter | None, ctx: Any) -> Path:
        """Return the path.

        :raises SettingsError: for another ending.
        :raises StoreError: when it cannot be written.
        """
        path, given = Path(value), f"{_option(param)} {value}"
        if self.suffixes and path.suffix not in self.suffixes:
            raise SettingsError(f"{given}: name a file in {', '.join(self.suffixes)}")
        if path.is_dir():
            raise StoreError(f"{given}: cannot be written: it is a folder. Name a file in it.")
        if not path.parent.is_dir():
            raise StoreError(
                f"{given}: cannot be written: there is no folder {path.parent}. Make it first, or "
                f"name another."
            )
        _check_permission(path if path.exists() else path.parent, given)
        return path


class OutFolder(_PathType):
    """A folder to be written to, which is made where it is not there."""

    name = "directory"

    def convert(self, value: Any, param: click.Parameter | None, ctx: Any) -> Path:
        """Return the path.

        :raises StoreError: when nothing can be written there.
        """
        path, given = Path(value), f"{_option(param)} {value}"
        nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
        if not nearest.is_dir():
            raise StoreError(f"{given}: cannot be written: {nearest} is a file. Name a folder.")
        _check_permission(nearest, given)
        return path


class OutFileOrFolder(_PathType):
    """A file of one ending, or else a folder; the folder is made where it is not there."""

    name = "path"

    def __init__(self, suffix: str) -> None:
        self.suffix = suffix

    def convert(self, value: Any, param: click.Parameter | None, ctx: Any) -> Path:
        """Return the path.

        :raises StoreError: when it cannot be written.
        """
        path = Path(value)
        if path.suffix == self.suffix and not path.is_dir():
            OutFolder().convert(path.parent, param, ctx)
        else:
            OutFolder().convert(value, param, ctx)
        return path


def write_text(path: Path, text: str, mode: str = "w") -> None:
    """Write a text, or append it by mode ``a``.

    :raises StoreError: when that cannot be done.
    """
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


def _option(param: click.Parameter | None) -> str:
    return param.opts[-1] if param is not None else "output"


def _check_permission(place: Path, given: str) -> None:
    if not os.access(place, os.W_OK):
        raise StoreError(f"{given}: cannot be written: {place} is read-only for this user.")
