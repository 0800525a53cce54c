"""Which Pyserini is installed, and the jar of Anserini that it carries; imports neither."""

from __future__ import annotations

import os
import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path


def anserini_jar() -> Path:
    """Return the jar with Anserini and Lucene that Pyserini itself would use.

    That is the newest in the folder ``ANSERINI_CLASSPATH``, where that is set, else the one in
    Pyserini's package (``pyserini.setup.configure_classpath``).

    :raises FileNotFoundError: when there is none.
    """
    folder = _jar_folder()
    jars = list(folder.glob("anserini-*-fatjar.jar"))
    if not jars:
        raise FileNotFoundError(
            f"no anserini-*-fatjar.jar in {folder}: reinstall pyserini, "
            f"or correct ANSERINI_CLASSPATH"
        )
    return max(jars, key=lambda jar: jar.stat().st_ctime)


def _jar_folder() -> Path:
    if chosen := os.environ.get("ANSERINI_CLASSPATH"):
        return Path(chosen)
    spec = find_spec("pyserini")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("pyserini is not installed: pip install qrag-pyserini")
    return Path(spec.origin).parent / "resources" / "jars"


def versions() -> dict[str, str]:
    """Return the versions of ``pyserini`` and ``anserini``; the latter fixes that of Lucene.

    Anserini's is read from the name of its jar, and left out where there is no jar; ranking then
    fails with the reason.
    """
    found = {"pyserini": version("pyserini")}
    try:
        named = re.fullmatch(r"anserini-(.+)-fatjar\.jar", anserini_jar().name)
    except FileNotFoundError:
        return found
    return found | {"anserini": named[1]} if named else found
