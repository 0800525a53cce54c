"""JSON files that are there whole or not at all, and stay."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qrag_tasks.errors import StoreError


def write_atomically(path: Path, body: Mapping[str, Any]) -> None:
    """Write JSON so that the file is there whole or not at all, and stays.

    :raises StoreError: when it cannot be written.
    """
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            with half.open("w", encoding="utf-8") as file:
                json.dump(body, file, indent=2)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            half.replace(path)
        except OSError:
            half.unlink(missing_ok=True)
            raise
        flush_to_disk(path.parent)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


def flush_to_disk(path: Path) -> None:
    """Have the system write a file, or a folder's list of files, to the disk now."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def read_json(path: Path, *names: str, mend: str) -> dict[str, Any] | None:
    """Return the JSON object in a file; ``None`` where there is none.

    :param names: keys that it must have.
    :param mend: what to do where the file is damaged.
    :raises StoreError: when it is, or cannot be read.
    """
    try:
        body = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError:
        body = None
    if not isinstance(body, dict) or not body.keys() >= set(names):
        raise StoreError(f"{path}: damaged; {mend}")
    return body
