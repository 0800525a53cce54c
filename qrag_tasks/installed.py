"""The entry points in the group ``qrag`` of what is installed here.

Each distribution is read on its own, so that a damaged one harms nobody else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distribution, distributions
from importlib.util import find_spec
from pathlib import Path

from packaging.markers import UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from qrag_tasks.errors import PluginError
from qrag_tasks.hookspecs import PROJECT

_UNKNOWN = "unknown distribution"


@dataclass(frozen=True)
class Origin:
    """Which installed package something comes from.

    :ivar distribution: its name on PyPI.
    :ivar entry_point: ``name = module:attribute``; empty for what is built in.
    :ivar source: digest of the package's code where it is installed to be edited: there the
        version does not tell one state of the code from the next. Empty otherwise.
    """

    distribution: str
    version: str
    entry_point: str = ""
    source: str = ""

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True)
class Announced:
    """A plugin that a distribution announces.

    :ivar name: of the entry point; of the distribution where no entry point can be read.
    :ivar point: ``None`` where it cannot be loaded.
    :ivar cause: why it cannot; empty otherwise.
    :ivar built_for: the versions of qrag-tasks that its distribution asks for, as in
        ``>=0.1,<0.2``; empty where it takes any, None where it asks for none.
    """

    name: str
    origin: Origin
    point: EntryPoint | None
    cause: str = ""
    built_for: str | None = None


def announced() -> Iterator[Announced]:
    """Find every plugin that an installed distribution announces; never fails."""
    # A folder may be on Python's path twice.
    seen: set[tuple[Path, tuple[str, str], str]] = set()
    for installed in distributions():
        try:
            text = installed.read_text("entry_points.txt") or ""
        except (OSError, UnicodeDecodeError):
            continue  # another project's: nothing tells that it is for us
        if f"[{PROJECT}]" not in text:
            continue  # before its METADATA is read: hundreds of them take a quarter of a second
        here = (
            Path(str(installed.locate_file(""))).resolve(),
            _name_and_version(installed),
            text,
        )
        if here not in seen:
            seen.add(here)
            yield from _of(installed)


def _of(installed: Distribution) -> Iterator[Announced]:
    try:
        points = list(dict.fromkeys(installed.entry_points.select(group=PROJECT)))
    except Exception as error:
        # The parser of Python's own raises whatever happens to go wrong.
        cause = f"its entry_points.txt is malformed ({type(error).__name__}: {error})"
        name, version = _name_and_version(installed)
        yield Announced(name, Origin(name, version), None, cause)
        return
    for point in points:
        written = f"entry point {point.name} = {point.value}"
        name, version = _name_and_version(installed)
        origin = Origin(name, version, written)
        try:
            _check(installed, point)
            origin = Origin(name, version, written, source_digest(installed, _package(point)))
        except PluginError as error:
            yield Announced(point.name, origin, None, str(error))
        else:
            if not _shadowed(installed):
                yield Announced(point.name, origin, point, built_for=_built_for(installed))


def _check(installed: Distribution, point: EntryPoint) -> None:
    where = installed.locate_file("")
    name, version = _name_and_version(installed)
    for what, value, missing in (("name", name, _UNKNOWN), ("version", version, "?")):
        if value == missing:
            raise PluginError(
                f"its METADATA in {where} is missing or has no {what}: uninstall and install it "
                f"again"
            )
    if point.pattern.match(point.value) is None:
        raise PluginError(f"{point.value!r} does not name a module")
    here = sorted(
        {str(other.version) for other in distributions(name=name) if _beside(other, installed)}
    )
    if len(here) > 1:
        raise PluginError(
            f"{where} holds the METADATA of {name} {' and '.join(here)}, so that nothing tells "
            f"which one is installed: uninstall and install it again"
        )


def _beside(other: Distribution, installed: Distribution) -> bool:
    return other.locate_file("") == installed.locate_file("")


def _shadowed(installed: Distribution) -> bool:
    """Tell whether another distribution of this name stands before it on Python's path."""
    return not _beside(distribution(installed.name), installed)


def _name_and_version(installed: Distribution) -> tuple[str, str]:
    # A missing METADATA is an empty one for Python up to 3.13, and an error later. To index a
    # missing field warns since 3.12.
    try:
        name, version = (installed.metadata.get_all(key, [""])[0] for key in ("Name", "Version"))
    except (KeyError, TypeError, OSError):
        name = version = ""
    return name or _UNKNOWN, version or "?"


def _built_for(installed: Distribution) -> str | None:
    asked = [_asked_of_core(line) for line in installed.requires or ()]
    stated = [specifiers for specifiers in asked if specifiers is not None]
    return ",".join(filter(None, stated)) if stated else None


def _asked_of_core(line: str) -> str | None:
    try:
        requirement = Requirement(line)
        here = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    except (InvalidRequirement, UndefinedEnvironmentName):
        return None  # pip tells of it
    if not here or canonicalize_name(requirement.name) != "qrag-tasks":
        return None
    # In the order in which people write them, whatever the order in the metadata.
    return ",".join(sorted(map(str, requirement.specifier), reverse=True))


def _package(point: EntryPoint) -> str:
    return point.value.partition(":")[0].partition(".")[0]


def source_digest(installed: Distribution, package: str) -> str:
    """Return a digest of a package's code if it is installed to be edited, else nothing.

    :raises PluginError: when the record of how it was installed cannot be read.
    """
    try:
        record = json.loads(installed.read_text("direct_url.json") or "{}")
        editable = record.get("dir_info", {}).get("editable")
    except (OSError, ValueError, AttributeError) as error:
        raise PluginError(
            f"its direct_url.json in {installed.locate_file('')} cannot be read ({error}): "
            f"uninstall and install it again"
        ) from error
    if not editable:
        return ""
    spec = find_spec(package)
    folders = (spec and spec.submodule_search_locations) or ()
    files = [path for folder in folders for path in sorted(Path(folder).rglob("*.py"))]
    if not folders and spec and spec.origin:
        files = [Path(spec.origin)]
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
