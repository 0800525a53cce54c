"""Tasks that break their contract, each in one way: the check that is for it tells, and how."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from plugin_files import InstallPlugin

from qrag_tasks.errors import DataError
from qrag_tasks.tasks.base import DataSet, Sample, Task
from qrag_tasks.tasks.lamp.table import LAMP_TASKS
from qrag_tasks.tasks.scoring.kinds import Labels, Text
from qrag_tasks.testing import TASK_CHECKS, run_checks

SAMPLES = tuple(
    Sample(
        f"q{n}",
        f"review: thing {n}",
        tuple({"id": f"d{m}", "text": f"thing {m} of {n}", "score": str(m)} for m in range(1, 5)),
        str(n),
        f"u{n}",
    )
    for n in range(1, 4)
)


@dataclass(frozen=True)
class Made:
    """Samples of memory, in the folder ``here`` alone."""

    samples: tuple[Sample, ...] = SAMPLES
    public: bool = True

    def find(self, data: str | None, split: str) -> tuple[Path, None]:
        if data not in (None, "here") or split != "dev":
            raise DataError(f"{data}: no {split}")
        return Path("here"), None

    def load(self, task: Task, data: str | None, split: str) -> DataSet:
        path, _ = self.find(data, split)
        ids = tuple(sample.id for sample in self.samples)
        return DataSet(task, path, None, self.samples, ids, "f" * 64)


SOUND = replace(
    LAMP_TASKS["lamp3u"], name="made", family="Made", groups=(), source=Made(), evaluations=()
)


def with_samples(**changes: Any) -> Callable[[], Task]:
    first = replace(SAMPLES[0], **changes)
    return lambda: replace(SOUND, source=Made((first, *SAMPLES[1:])))


def row(**changes: Any) -> Callable[[], Task]:
    return lambda: replace(SOUND, **changes)


def prompt(**changes: Any) -> Callable[[], Task]:
    return lambda: replace(SOUND, prompt=replace(SOUND.prompt, **changes))  # type: ignore[type-var]


@dataclass(frozen=True)
class SameForAll:
    long_field: str = "text"

    def __call__(self, text: str, items: Sequence[Any]) -> str:
        return "always the same" + self.examples(items)

    def examples(self, items: Sequence[Any]) -> str:
        return " ".join(item["text"] for item in items)


class EverythingFound(Made):
    def find(self, data: str | None, split: str) -> tuple[Path, None]:
        return Path("here"), None


class Drawn(Made):
    def load(self, task: Task, data: str | None, split: str) -> DataSet:
        made = super().load(task, data, split)
        return replace(made, fingerprint=f"{id(made):064}")


class NotANumber(Text):
    def score(self, text: str, gold: str, unfinished: bool = False) -> dict[str, Any]:
        scores = super().score(text, gold, unfinished)
        return {**scores, "rouge1": math.nan if text == "nan" else scores["rouge1"]}


class Forgetful(Text):
    def score(self, text: str, gold: str, unfinished: bool = False) -> dict[str, Any]:
        scores = super().score(text, gold, unfinished)
        return {name: value for name, value in scores.items() if name != "rougeL_lamp"}


BROKEN: dict[str, tuple[Callable[[], Task], str]] = {
    "row_says_all": (row(version="first"), "version is 'first': expected such as '1.0'"),
    "missing_data_are_told": (row(source=EverythingFound()), "find(.*) raises nothing"),
    "unknown_splits_are_told": (row(source=EverythingFound()), "'no-such-split'.* raises nothing"),
    "samples_are_whole": (
        with_samples(profile=({"id": "d", "text": "t"},)),
        "document 'd': score is None: expected a text",
    ),
    "attributes_are_known": (with_samples(attributes={"topic": "x"}), "the row does not name it"),
    "data_are_read_alike": (row(source=Drawn()), "fingerprint or ids are others"),
    "queries_are_texts": (row(query=lambda text: ""), "all queries are empty"),
    "prompts_ask_the_question": (
        row(prompt=SameForAll()),
        "two different questions have one prompt at k = 0",
    ),
    "prompts_show_documents": (
        prompt(merge=lambda text, examples: text),
        "prompts of 0, 1, .* documents have .* characters: not longer",
    ),
    "texts_go_in_to_the_letter": (
        prompt(example=lambda item: item["text"].format("x", braces=1)),
        "raises|is not in the prompt as it is",
    ),
    "golds_are_answers": (with_samples(target="9"), "the gold '9' is none of 1, 2, 3, 4, 5"),
    "any_text_is_scored": (row(answer=NotANumber("x")), "rouge1 is nan: expected a finite number"),
    "likelihoods_are_scored": (
        row(answer=Labels("label", (), str)),
        "it has likelihood_metrics, and no values",
    ),
}


def outcomes(made: Task, install: InstallPlugin) -> dict[str, Any]:
    ROWS["made"] = made
    code = "import sys\nfrom qrag_tasks import hookimpl\n@hookimpl\n"
    code += "def qrag_register_tasks(register):\n"
    code += f"    rows = sys.modules[{__name__!r}].ROWS if {__name__!r} in sys.modules else {{}}\n"
    code += "    for name, row in rows.items():\n        register(name, row)\n"
    install("qrag_made", code)
    return {outcome.check.name: outcome for outcome in run_checks("made")}


ROWS: dict[str, Task] = {}


def test_what_is_sound_passes(install: InstallPlugin) -> None:
    assert {o.state for o in outcomes(SOUND, install).values()} == {"passed"}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_told_by_the_check_for_it(name: str, install: InstallPlugin) -> None:
    made, message = BROKEN[name]
    outcome = outcomes(made(), install)[name]
    assert outcome.state == "failed", outcome
    assert re.search(message, outcome.message), outcome.message


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ([{"back": True}], "attribute 'back' is True: expected a text or a finite number"),
        ([{"back": math.inf}], "attribute 'back' is inf: expected a text or a finite number"),
        ([{"back": 1}, {"back": "far"}], "'back' is 'far': of others it is no such thing"),
        ([{}], "no sample has the attribute 'back', which the row names"),
        ([{"back": 1}, {"back": 2.5}], None),
    ],
)
def test_attributes(
    attributes: list[dict[str, Any]], message: str | None, install: InstallPlugin
) -> None:
    first = [replace(s, attributes=a) for s, a in zip(SAMPLES, attributes, strict=False)]
    source = Made((*first, *SAMPLES[len(first) :]))
    made = replace(SOUND, source=source, attributes=("back",))
    outcome = outcomes(made, install)["attributes_are_known"]
    assert outcome.state == ("passed" if message is None else "failed")
    assert message is None or message in outcome.message


def test_a_score_that_is_left_out_is_told(install: InstallPlugin) -> None:
    outcome = outcomes(row(answer=Forgetful("x"))(), install)["any_text_is_scored"]
    assert "scores and metrics differ in rougeL_lamp" in outcome.message


def test_every_check_has_a_task_that_breaks_it() -> None:
    # The first three look at the plugin as it is installed; the last makes prompts as a run does.
    elsewhere = {"cheap_import", "names_are_its_own", "prompts_are_made"}
    assert {check.name for check in TASK_CHECKS} == {*BROKEN} | elsewhere
