"""Which packages that are installed here break what we, or what we need, ask of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

_OURS = "qrag-tasks"
_NO_EXTRA = ""


@dataclass(frozen=True)
class Conflict:
    """A package in a version that another does not take.

    :ivar package: what is installed, or missing.
    :ivar version: that is installed; empty where it is missing.
    :ivar by: what asks for another: ``qrag-tasks[gptq]``, ``gptqmodel 7.6.0``.
    :ivar needs: the requirement, as that one states it.
    """

    package: str
    version: str
    by: str
    needs: str

    @property
    def remedy(self) -> str:
        """What can be done about it."""
        return f"pip install '{self.needs}', or an environment of its own for {self.by}"

    def __str__(self) -> str:
        here = f"{self.version} is installed" if self.version else "it is not installed"
        return f"{self.by} needs {self.needs}, and {here}"


def conflicts() -> Iterator[Conflict]:
    """Yield what is broken of our own requirements, and of those of the packages that they name.

    Extras count where their packages are installed: one that is not here breaks nothing.
    """
    own = _found(_OURS)
    if own is None:
        return
    seen: set[str] = set()
    for extra, requirement in _requirements(own):
        by = f"{_OURS}[{extra}]" if extra else _OURS
        there = _found(requirement.name)
        if there is None:
            if not extra:
                yield Conflict(requirement.name, "", by, str(requirement))
            continue
        if not _takes(requirement, there.version):
            yield Conflict(requirement.name, there.version, by, _stated(requirement))
        if canonicalize_name(requirement.name) not in seen:
            seen.add(canonicalize_name(requirement.name))
            yield from _of(there)


def _of(installed: Distribution) -> Iterator[Conflict]:
    """Yield what is broken of a package's requirements, extras aside."""
    by = f"{installed.metadata['Name']} {installed.version}"
    for extra, requirement in _requirements(installed):
        if extra:
            continue
        there = _found(requirement.name)
        version = "" if there is None else there.version
        if there is None or not _takes(requirement, version):
            yield Conflict(requirement.name, version, by, _stated(requirement))


def _requirements(installed: Distribution) -> Iterator[tuple[str, Requirement]]:
    """Yield a package's requirements that hold on this machine, each with its extra, if any."""
    extras = [_NO_EXTRA, *(installed.metadata.get_all("Provides-Extra") or ())]
    for line in installed.requires or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        marker = requirement.marker
        for extra in extras:
            environment = {**default_environment(), "extra": extra}
            if marker is None or marker.evaluate(environment):
                # Those of an extra that names another are listed with that one.
                if canonicalize_name(requirement.name) != canonicalize_name(_OURS):
                    yield extra, requirement
                break


def _takes(requirement: Requirement, version: str) -> bool:
    try:
        # What is installed was chosen by somebody, be it released or not.
        return requirement.specifier.contains(version, prereleases=True)
    except (InvalidVersion, TypeError):  # or its metadata have none
        return True


def _stated(requirement: Requirement) -> str:
    return f"{requirement.name}{requirement.specifier}"


def _found(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None
