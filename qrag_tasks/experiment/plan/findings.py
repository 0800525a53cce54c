"""What is wrong with a plan as a whole, whose fields are sound one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from qrag_tasks.arms.engine_choice import abilities_of, engine_name
from qrag_tasks.arms.precisions import precision as precision_named
from qrag_tasks.errors import QragError, SettingsError
from qrag_tasks.prompting.prompt_source import no_likelihoods
from qrag_tasks.prompting.protocols import PROTOCOLS
from qrag_tasks.prompting.settings import Settings
from qrag_tasks.tasks.base import Depth
from qrag_tasks.tasks.catalog import TASKS

if TYPE_CHECKING:
    from qrag_tasks.experiment.plan.grid import Plan

Place = tuple[str | int, ...]
"""A field of a plan, as a path of names and positions: ``("models", 0, "pretrained")``."""
FINDINGS = "findings"
"""Key of pydantic's validation context whose value is a list, which then takes what is wrong with
a plan as a whole; without it, that is an error."""


class Finding(NamedTuple):
    """Something that is wrong with a plan.

    :ivar place: the field.
    :ivar missing: whether it is only not on this machine; else the plan itself is wrong.
    """

    place: Place
    text: str
    missing: bool = False


def findings_of(plan: Plan) -> list[Finding]:
    """Return all that is wrong with a plan as a whole."""
    return [
        *_twice(plan),
        *_impossible_choices(plan),
        *_impossible_tasks(plan),
        *_missing_checkpoints(plan),
        *_idle_fields(plan),
        *_missing_bases(plan),
        *_unreadable(plan),
    ]


def _twice(plan: Plan) -> Iterator[Finding]:
    lists: dict[Place, Sequence[str]] = {
        (name,): getattr(plan, name)
        for name in ("precisions", "kv_caches", "retrievers", "tasks", "k", "orders")
    }
    lists["models",] = [model.name for model in plan.models]
    for place, model in enumerate(plan.models):
        lists["models", place, "precisions"] = model.precisions or ()
        lists["models", place, "kv_caches"] = model.kv_caches or ()
        lists["models", place, "k"] = model.k or ()
    for field, values in lists.items():
        for place, value in enumerate(values):
            if value in values[:place]:
                yield Finding((*field, place), f"{value!r} is there twice")


def _impossible_choices(plan: Plan) -> Iterator[Finding]:
    choices = {key: value for key, value in plan.choices().items() if value is not None}
    wrong = []
    # Each by itself, as an error names the first alone.
    for key, value in choices.items():
        try:
            Settings.from_metadata({"context_tokens": plan.context_tokens, key: value}, ())
        except QragError as error:
            wrong.append(key)
            yield Finding((key,), _of_plan(error))
    sound = {key: value for key, value in choices.items() if key not in wrong}
    for place, order in enumerate(plan.orders):
        try:
            Settings.from_metadata({**sound, "order": order}, ())
        except QragError as error:
            yield Finding(("orders", place), _of_plan(error))


def _impossible_tasks(plan: Plan) -> Iterator[Finding]:
    """Find what a :class:`~qrag_tasks.prompting.prompt_source.PromptSource` would refuse."""
    if plan.answer == "likelihood" and plan.answer_tokens is not None:
        yield Finding(
            ("answer_tokens",),
            "answer 'likelihood' generates nothing: leave answer_tokens out",
        )
    for place, name in enumerate(plan.tasks):
        named = PROTOCOLS.get(plan.protocol)
        try:
            task = TASKS[name].described(plan.data)
        except QragError:
            continue  # told where the data are looked for
        try:
            if named is not None:
                named.published(task)
        except SettingsError as error:
            yield Finding(("tasks", place), str(error))
        if plan.answer == "likelihood" and not task.answer.likelihood_metrics:
            yield Finding(("tasks", place), no_likelihoods(task))
    for field, values in _lists_of_k(plan):
        for place, k in enumerate(values):
            window = Depth.parse(k).window
            if window and plan.context_tokens not in (None, window):
                yield Finding(
                    (*field, place),
                    f"{k!r} fixes the window to {window} tokens, but context_tokens is "
                    f"{plan.context_tokens}: leave one of them out",
                )


def _lists_of_k(plan: Plan) -> Iterator[tuple[Place, Sequence[str]]]:
    yield ("k",), plan.k
    for place, model in enumerate(plan.models):
        yield ("models", place, "k"), model.k or ()


def _missing_checkpoints(plan: Plan) -> Iterator[Finding]:
    for place, model in enumerate(plan.models):
        for precision in plan.precisions_of(model):
            if precision in model.checkpoints or not plan.loads(model, precision):
                continue
            if not precision_named(precision).made_on_loading:
                yield Finding(
                    ("models", place, "checkpoints", precision),
                    f"model {model.name!r} has no checkpoint for {precision}: name one under "
                    f"checkpoints, made by `qrag quantize --precision {precision}` or found "
                    f"ready",
                )
            elif model.pretrained is None and model.checkpoints:
                yield Finding(
                    ("models", place, "pretrained"),
                    f"model {model.name!r} has nothing to make {precision} of, but "
                    f"checkpoints of other precisions: name its 16-bit checkpoint as "
                    f"pretrained (without either, it would be the embedded model)",
                )


def _idle_fields(plan: Plan) -> Iterator[Finding]:
    """Find what no arm looks at."""
    for place, model in enumerate(plan.models):
        precisions = plan.precisions_of(model)
        for precision in model.args_of:
            if precision not in precisions:
                yield Finding(
                    ("models", place, "args_of", precision),
                    f"{precision!r} is no precision of model {model.name!r}",
                )
        elsewhere = [each for each in precisions if not plan.loads(model, each)]
        idle: dict[Place, str] = {
            ("models", place, "checkpoints", precision): precision
            for precision in elsewhere
            if precision in model.checkpoints
        }
        if model.pretrained is not None and len(elsewhere) == len(precisions):
            idle["models", place, "pretrained"] = precisions[0]
        for field, precision in idle.items():
            engine = engine_name("qrag", plan.arguments(model, precision))
            yield Finding(
                field, f"engine {engine!r} loads no checkpoint in this process: leave it out"
            )


def _missing_bases(plan: Plan) -> Iterator[Finding]:
    for model in plan.models:
        if plan.base is not None and plan.base not in plan.precisions_of(model):
            yield Finding(("base",), f"{plan.base!r} is no precision of model {model.name!r}")


def _unreadable(plan: Plan) -> Iterator[Finding]:
    """Find what has no distributions to read."""
    if plan.fidelity is None:
        return
    if plan.answer == "likelihood":
        yield Finding(
            ("fidelity",),
            "answer 'likelihood' generates nothing that could be read: leave fidelity out",
        )
    silent = [
        arm
        for arm in plan.arms()
        if (abilities := abilities_of(arm.arguments)) is not None and not abilities.readings
    ]
    if silent:
        engines = ", ".join(dict.fromkeys(engine_name("qrag", arm.arguments) for arm in silent))
        yield Finding(
            ("fidelity",),
            f"engine {engines} tells no distributions, and is to run "
            f"{', '.join(arm.name for arm in silent)}: leave fidelity out, and have `qrag "
            f"fidelity --arm` read the other arms after the run",
        )


def _of_plan(error: QragError) -> str:
    """Return a message without the name that the key has in lm_eval's ``--metadata``."""
    return re.sub(r"^metadata key '\w+': ", "", str(error))
