"""What shows once all lines are read: what some lack, what differs, what holds no answer."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from qrag_tasks.experiment.importing.form import Form
from qrag_tasks.experiment.importing.lines import CellKey, ImportedArm, Line, place_of
from qrag_tasks.tasks.own.mistakes import Mistake, Mistakes
from qrag_tasks.wording import counted

_AROUND = 30
"""Characters on each side of where two prompts part."""


def _lines(arms: Sequence[ImportedArm]) -> Iterator[Line]:
    for arm in arms:
        for lines in arm.cells.values():
            yield from lines.values()


def fill_from_the_base(arms: Sequence[ImportedArm]) -> None:
    """Take from the base's answers whose gold or user an arm says on no line."""
    base, *others = arms
    for arm in others:
        for name in ("gold", "user"):
            if any(getattr(line, name) is not None for line in _lines([arm])):
                continue
            for cell, lines in arm.cells.items():
                firsts = base.cells.get(cell, {})
                for key, line in lines.items():
                    setattr(line, name, getattr(firsts.get(key), name, None))


def check_all_or_none(arms: Sequence[ImportedArm], form: Form, mistakes: Mistakes) -> None:
    """Find lines without a gold, or a user, where others have one, and arms without an answer."""
    for arm in arms:
        if not any(line.answer for line in _lines([arm])):
            first = next(_lines([arm])).place
            mistakes.add(
                Mistake(
                    first.file,
                    first.line,
                    form.column("answer"),
                    f"is empty on every line of arm {arm.name}; a column of another name is told "
                    f"by --field answer=COLUMN",
                    first.rows,
                ),
                "no answer",
            )
    every = list(_lines(arms))
    for name, instead in (
        ("gold", "give every line its right answer, or none of them, and nothing is scored"),
        ("user", "say of every line whose question it is, or of none"),
    ):
        lacking = [line for line in every if getattr(line, name) is None]
        if not lacking or len(lacking) == len(every):
            continue
        for line in lacking:
            mistakes.add(
                Mistake(
                    line.place.file,
                    line.place.line,
                    form.column(name),
                    f"is missing on {len(lacking):,} of {len(every):,} lines: {instead}",
                    line.place.rows,
                ),
                f"no {name}",
            )


def check_against_the_base(arms: Sequence[ImportedArm], form: Form, mistakes: Mistakes) -> None:
    """Find prompts, golds and users that are others than the base arm's for the same id.

    And arms that answer no question that the base does.
    """
    base, *others = arms
    for arm in others:
        if not any(base.cells.get(cell, {}).keys() & lines for cell, lines in arm.cells.items()):
            _nothing_in_common(base, arm, form, mistakes)
        for cell, lines in arm.cells.items():
            firsts = base.cells.get(cell, {})
            for key, line in lines.items():
                if key in firsts:
                    _check_pair(firsts[key], line, form, mistakes)


def _nothing_in_common(base: ImportedArm, arm: ImportedArm, form: Form, mistakes: Mistakes) -> None:
    (there, ones), (here, twos) = next(iter(base.cells.items())), next(iter(arm.cells.items()))
    first = next(iter(twos.values()))
    mistakes.add(
        Mistake(
            first.place.file,
            first.place.line,
            form.column("id"),
            f"arm {arm.name} answers none of the questions of the base {base.name}, so that "
            f"nothing can be compared: {first.key!r} of {_called(here)} here, and "
            f"{next(iter(ones))!r} of {_called(there)} there",
            first.place.rows,
        ),
        "nothing in common",
    )


def _called(cell: CellKey) -> str:
    parts = cell._asdict().items()
    return ", ".join(f"{name} {value}" for name, value in parts if value is not None)


def _check_pair(one: Line, two: Line, form: Form, mistakes: Mistakes) -> None:
    for name, what in (
        ("prompt_sha256", "another prompt"),
        ("gold", "another gold"),
        ("user", "another user"),
    ):
        mine, theirs = getattr(one, name), getattr(two, name)
        # What one of them lacks is told already.
        if mine == theirs or mine is None or theirs is None:
            continue
        field_name = name
        if name == "prompt_sha256" and one.prompt is not None and two.prompt is not None:
            field_name, shown = "prompt", _apart(one.prompt, two.prompt)
        else:
            shown = f": {str(mine)[:64]!r} there and {str(theirs)[:64]!r} here"
        mistakes.add(
            Mistake(
                two.place.file,
                two.place.line,
                form.column(field_name),
                f"{what} for id {two.key!r} than in {place_of(one.place)}{shown}",
                two.place.rows,
            ),
            f"{what} for the same id: arms are compared on the same questions alone",
        )
    # Where one of them tells the text, both have it.
    one.prompt = two.prompt = one.prompt if one.prompt is not None else two.prompt


def _apart(one: str, two: str) -> str:
    pairs = enumerate(zip(one, two, strict=False))
    place = next((i for i, (a, b) in pairs if a != b), min(len(one), len(two)))
    around = slice(max(0, place - _AROUND), place + _AROUND)
    return f", from character {place + 1:,} on: {one[around]!r} there and {two[around]!r} here"


# ---------------------------------------------------------------------- what belongs beside them
def only_in_some(arms: Sequence[ImportedArm]) -> Iterator[str]:
    """Tell of cells, and of ids, that only one of two arms has."""
    base, *others = arms
    for arm in others:
        for cell in dict.fromkeys([*base.cells, *arm.cells]):
            one, two = base.cells.get(cell), arm.cells.get(cell)
            if one is None or two is None:
                yield f"{(base if two is None else arm).name} alone has {_called(cell)}"
                continue
            first, second = len(one.keys() - two.keys()), len(two.keys() - one.keys())
            if first or second:
                yield (
                    f"{_called(cell)}: {base.name} alone has {counted(first, 'id')}, and "
                    f"{arm.name} alone {second:,}; `qrag compare --common` compares those that "
                    f"both have"
                )


_MOST_VALUES = 20


def not_read(arms: Sequence[ImportedArm], form: Form) -> Iterator[str]:
    """Tell how many answers hold nothing of their kind, or are compared as whole texts."""
    answers = form.kind
    every = list(_lines(arms))
    empty = [line for line in every if not answers.is_valid(answers.read(line.answer))]
    if empty:
        first = empty[0]
        hold, are = ("holds", "it is") if len(empty) == 1 else ("hold", "they are")
        yield (
            f"{len(empty):,} of {counted(len(every), 'answer')} {hold} no {answers.asks_for} of "
            f"this kind, such as {first.answer[:60]!r} ({place_of(first.place)}): {are} scored as "
            f"wrong, and valid_rate counts them"
        )
    golds = {line.gold for line in every if line.gold is not None}
    if answers.values is not None or not 2 <= len(golds) <= _MOST_VALUES:
        return
    # A closed set, by its looks; of each gold there are several.
    longer = [line for line in every if _holds_another(answers.read(line.answer), golds)]
    if longer and len(every) >= 5 * len(golds):
        first, shown = longer[0], ", ".join(map(repr, sorted(golds)[:5]))
        numbers = [int(gold) for gold in golds if gold.isdecimal()]
        instead = (
            f"--answer ratings --scale {min(numbers)} {max(numbers)}"
            if len(numbers) == len(golds)
            else "--answer labels --values A,B,..."
        )
        yield (
            f"the golds are {len(golds)} texts ({shown}), and {len(longer):,} of {len(every):,} "
            f"answers hold one of them within more words, such as {first.answer[:60]!r} "
            f"({place_of(first.place)}): as {answers.name} they are compared whole. To have the "
            f"answer read out of them, import with {instead}"
        )


def _holds_another(answer: str, golds: Collection[str]) -> bool:
    if answer in golds:
        return False
    return any(re.search(rf"(?<!\w){re.escape(gold)}(?!\w)", answer) for gold in golds)
