"""What of a plan is sound, so that one mistake does not hide the others.

A plan is typed as a whole or not at all. So what is wrong is taken out, or a stand-in put in its
place where it cannot be missing, until the rest is a plan, which can be checked further.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from qrag_tasks.experiment.plan.findings import FINDINGS, Finding, Place
from qrag_tasks.experiment.plan.grid import Plan
from qrag_tasks.experiment.plan.wording import message

_STAND_INS: Mapping[str, Any] = {
    "name": "stand-in",
    "models": [{"name": "stand-in"}],
    "precisions": ["bf16"],
    "tasks": ["lamp3u"],
    "k": ["0"],
}
# Field -> the fields whose mistakes may be all that is wrong with it.
_RESTS_ON = {"base": ("precisions", "models")}


@dataclass
class SoundPart:
    """The sound part of a plan.

    :ivar plan: ``None`` where nothing is left.
    :ivar mistakes: what was wrong with the rest; the fields are those of the file.
    :ivar missing: what is not on this machine.
    """

    plan: Plan | None = None
    mistakes: list[tuple[Place, str]] = field(default_factory=list)
    missing: list[tuple[Place, str]] = field(default_factory=list)
    _broken: list[Place] = field(default_factory=list)
    # Place of a list -> the positions, in the file, of the members that are left.
    _left: dict[Place, list[int]] = field(default_factory=dict)

    def add(self, findings: Iterable[Finding]) -> None:
        """Add what is wrong with :attr:`plan`, except what follows from an earlier mistake.

        :param findings: of fields of :attr:`plan`, which may stand elsewhere in the file.
        """
        placed = [each._replace(place=self._in_file(each.place)) for each in findings]
        for place, text, missing in [each for each in placed if not self._follows(each.place)]:
            (self.missing if missing else self.mistakes).append((place, text))
        self._broken += [each.place for each in placed]

    def _in_file(self, place: Place) -> Place:
        in_file: Place = ()
        for part in place:
            left = self._left.get(in_file)
            in_file = (*in_file, left[part] if left is not None and isinstance(part, int) else part)
        return in_file

    def _follows(self, place: Place) -> bool:
        return any(
            place[: len(one)] == one
            or one[: len(place)] == place
            or one[0] in _RESTS_ON.get(str(place[0]), ())
            for one in self._broken
            if one and place
        )

    def without(self, body: dict[str, Any], places: Iterable[Place]) -> bool:
        """Take what is wrong out of a plan's body; tell whether that changed it."""
        members: list[Place] = []
        changed = False
        for place in filter(None, places):
            around = _around(body, place)
            if isinstance(around, list):
                members.append(place)
            elif isinstance(around, dict):
                changed |= _mend(around, place)
        # From the last: the positions of the others stay.
        for place in sorted(set(members), reverse=True, key=lambda place: int(place[-1])):
            around, last = _around(body, place), int(place[-1])
            left = self._left.setdefault(self._in_file(place[:-1]), list(range(len(around))))
            del around[last], left[last]
            changed = True
        return changed


def _around(body: Any, place: Place) -> Any:
    """Return the list or mapping that a field stands in; ``None`` where there is none."""
    for part in place[:-1]:
        try:
            body = body[part]
        except (KeyError, IndexError, TypeError):
            return None
    return body


def _mend(around: dict[Any, Any], place: Place) -> bool:
    """Take a field out of its mapping, or put a stand-in there; tell whether that changed it."""
    last = place[-1]
    if place == (last,) and last in _STAND_INS:
        around[last] = _copy(_STAND_INS[str(last)])
        return True
    if len(place) == 3 and last == "name":
        around[last] = f"stand-in-{place[1]}"
        return True
    keys = [key for key in around if str(key) == str(last)]
    for key in keys:
        del around[key]
    return bool(keys)


def sound_part(body: Mapping[str, Any]) -> SoundPart:
    """Return the sound part of a plan's body, as YAML has it."""
    rest = _copy(dict(body))
    part = SoundPart()
    while True:
        whole: list[Finding] = []
        try:
            part.plan = Plan.model_validate(rest, context={FINDINGS: whole})
        except ValidationError as error:
            errors = [dict(one) for one in error.errors()]
            errors = [one for one in errors if not _hollow(one, errors)]
            part.add(Finding(_place(one), message(one)) for one in errors)
            if not part.without(rest, map(_place, errors)):
                return part
        else:
            part.add(whole)
            return part


def _place(error: Mapping[str, Any]) -> Place:
    return tuple(part for part in error["loc"] if part != "[key]")


def _hollow(one: Mapping[str, Any], errors: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether a list is only too short because it lost its wrong members."""
    place = _place(one)
    return one["type"] == "too_short" and any(
        other is not one and _place(other)[: len(place)] == place for other in errors
    )


def _copy(value: Any) -> Any:
    """Return a copy in which an alias of YAML's is no longer the same list."""
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    return [_copy(inner) for inner in value] if isinstance(value, list) else value
