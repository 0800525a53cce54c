"""A retriever out of a file, without a package: ``retriever=./mine.py:MyRetriever``.

It is for trying one out. Nobody can install it by its name, so results say that it is not packaged,
and hold the sha256 of the file; another content is another retriever, whose rankings are made
again.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from qrag_tasks.errors import RetrieverError, did_you_mean
from qrag_tasks.installed import Origin
from qrag_tasks.registry import Supplied

_IN_FILE = re.compile(r"(?P<file>(?:[A-Za-z]:)?[^:]+\.py):(?P<name>[A-Za-z_]\w*)")


def is_in_file(name: str) -> bool:
    """Tell whether a retriever's name is that of a file, with the class in it or without."""
    return name.endswith(".py") or _IN_FILE.fullmatch(name) is not None


def retriever_in_file(name: str) -> Supplied[Callable[..., Any]]:
    """Return the class or function that ``FILE.py:NAME`` names, as plugins supply it.

    :raises RetrieverError: when the file cannot be read or run, or has no such name.
    """
    named = _IN_FILE.fullmatch(name)
    path = Path(named["file"] if named else name).expanduser().absolute()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RetrieverError(
            f"retriever {name!r}: {path} cannot be read: {error.strerror}"
        ) from None
    digest = hashlib.sha256(content).hexdigest()[:16]
    module = _module(path, digest, name)
    # What has a method rank, of those that the file itself makes.
    able = [
        each
        for each, value in vars(module).items()
        if callable(getattr(value, "rank", None)) and value.__module__ == module.__name__
    ]
    if named is None:
        example = able[0] if able else "CLASS"
        raise RetrieverError(f"retriever {name!r} is a file: which class? {name}:{example}")
    if not callable(value := getattr(module, named["name"], None)):
        hint = did_you_mean(named["name"], able)
        raise RetrieverError(
            f"retriever {name!r}: {path} has no class {named['name']!r} (with a method 'rank': "
            f"{', '.join(able) or 'none'}).{hint}"
        )
    version = f"(a file of sha256 {digest}, not packaged)"
    origin = Origin(path.name, version, f"{path}:{named['name']}", digest)
    return Supplied(f"{path.name}:{named['name']}", origin, value)


@lru_cache(maxsize=8)
def _module(path: Path, digest: str, name: str) -> ModuleType:
    """Run a file as a module of its own; again where its content is another."""
    called = f"qrag_file_{re.sub(r'[^A-Za-z0-9]+', '_', path.stem)}_{digest}"
    spec = spec_from_file_location(called, path)
    if spec is None or spec.loader is None:
        raise RetrieverError(f"retriever {name!r}: {path} is not a Python file")
    module = module_from_spec(spec)
    sys.modules[called] = module  # where a dataclass looks for its module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[called]
        raise RetrieverError(
            f"retriever {name!r}: {path} cannot be run: {type(error).__name__}: {error}"
        ) from error
    return module
