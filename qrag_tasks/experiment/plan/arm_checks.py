"""Whether every arm of a plan can be had, before the first of them is run. torch is not needed."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from qrag_tasks.arms.checkpoints import Checkpoint, check_checkpoint, read_checkpoint
from qrag_tasks.arms.engine_choice import (
    TRANSFORMERS,
    abilities_of,
    check_engine,
    engine_name,
    loads_checkpoint,
    model_mistakes,
)
from qrag_tasks.arms.kv_caches import asked_cache
from qrag_tasks.arms.loading import check_installed
from qrag_tasks.arms.places import check_additions, whole_place
from qrag_tasks.arms.precisions import precision as precision_named
from qrag_tasks.errors import ModelError, SettingsError
from qrag_tasks.experiment.plan.cells import Arm
from qrag_tasks.experiment.plan.checkpoints import LocalCheckpoint, local_checkpoint, window_of
from qrag_tasks.experiment.plan.findings import Finding, Place
from qrag_tasks.experiment.plan.grid import Plan
from qrag_tasks.experiment.plan.planned_model import Model
from qrag_tasks.experiment.plan.token_rates import chat_template, read_tokenizer
from qrag_tasks.tasks.base import Depth

FOLDERS = ("tokenizer", "peft", "delta")
"""Arguments that name a folder, or a repository of the hub, beside ``pretrained``."""
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
_TOKENIZER_FILES = ("tokenizer*", "vocab*", "*.model", "*.tiktoken")


def check_arms(plan: Plan, to_run: bool, needed: Container[Arm]) -> Iterator[Finding]:
    """Find what is wrong with the arms of a plan.

    Their arguments, checkpoint, precision and tokenizer; whether the tokenizer has a chat template
    and the model a window, where the plan asks for these.

    :param to_run: whether the arms are to run here. Then what they need must be installed, and of
        a name on the hub, config.json is fetched; else such a name is only looked for in the
        hub's local cache, and nothing is wrong where it is not there.
    :param needed: the arms to look at.
    """
    for index, model in enumerate(plan.models):
        for arm in (arm for arm in plan.arms() if arm.model == model.name):
            made_on_loading = precision_named(arm.precision).made_on_loading
            # Else it has no checkpoint at all, which the plan itself says.
            if arm in needed and (
                arm.precision in model.checkpoints
                or not loads_checkpoint(arm.arguments)
                or (made_on_loading and (model.pretrained or not model.checkpoints))
            ):
                at: Place = ("models", index)
                wrong = list(_check_cache(plan, arm, model, at, to_run))
                yield from wrong or _check(plan, arm, model, at, to_run)


def _check_cache(plan: Plan, arm: Arm, model: Model, at: Place, to_run: bool) -> Iterator[Finding]:
    """Find what is wrong with how an arm is to keep keys and values."""
    abilities = abilities_of(arm.arguments)
    if abilities is None:
        return
    place = _cache_of(plan, arm, model, at)
    try:
        asked = asked_cache(arm.arguments, abilities.kv_caches, engine_name("qrag", arm.arguments))
    except SettingsError as error:
        yield Finding(place, str(error))
        return
    try:
        if asked is not None and to_run:
            asked.check_installed()
    except ModelError as error:
        yield Finding(place, str(error), missing=True)


def _check(plan: Plan, arm: Arm, model: Model, at: Place, to_run: bool) -> Iterator[Finding]:
    arguments = dict(arm.arguments)
    if engine_name("qrag", arguments) != TRANSFORMERS:
        yield from _check_by_engine(plan, arm, model, at)
        return
    where = _source_of(arm, model, at)
    here = local_checkpoint(arguments)
    if here.folder is not None and "pretrained" not in arguments:
        arguments["pretrained"] = str(here.folder)
    for argument, text in model_mistakes("qrag", arguments, offline=not to_run):
        in_plan = _cache_of(plan, arm, model, at) if argument == "kv_cache" else None
        yield Finding(in_plan or _place_of(argument, arm, model, at) or where, text)
    absent = list(_absent_folders(arm, model, at))
    yield from absent
    if to_run and not absent:
        try:
            check_additions(arguments)
        except ModelError as error:
            yield Finding((*at, "args"), str(error), missing=True)
    row = precision_named(arm.precision)
    try:
        if to_run:
            check_installed(row)
        checkpoint = _read(here, arguments, to_run)
    except ModelError as error:
        yield Finding(where, str(error).removeprefix("pretrained="), missing=True)
        return
    if checkpoint is None:
        return
    try:
        size = arguments.get("group_size")
        check_checkpoint(checkpoint, row, size if isinstance(size, int) else None)
    except ModelError as error:
        yield Finding(where, str(error))
    yield from _check_windows(plan, model, at, window_of(arguments, checkpoint.config))
    # Of a hub's checkpoint, the tokenizer may not be here yet.
    is_local = Path(whole_place(str(arguments["pretrained"]))).is_dir()
    folder = local_checkpoint(arguments, "tokenizer").folder
    if folder is None or not (is_local or arguments.get("tokenizer")):
        return
    yield from _check_tokenizer(plan, model, where, folder)


def _check_by_engine(plan: Plan, arm: Arm, model: Model, at: Place) -> Iterator[Finding]:
    """Find what is wrong with an arm whose engine knows best what it needs."""
    where = _place_of("engine", arm, model, at) or at
    absent = list(_absent_folders(arm, model, at))
    yield from absent
    try:
        check_engine(arm.arguments)
    except SettingsError as error:
        yield Finding(where, str(error))
        return
    except ModelError as error:
        source = _source_of(arm, model, at)
        yield Finding(source if source != at else where, str(error), missing=True)
        return
    here = local_checkpoint(arm.arguments)
    yield from _check_windows(plan, model, at, window_of(arm.arguments, here.config))
    folder = local_checkpoint(arm.arguments, "tokenizer").folder
    if folder is not None and not absent:
        place = _place_of("tokenizer", arm, model, at) or where
        yield from _check_tokenizer(plan, model, place, folder)


def _source_of(arm: Arm, model: Model, at: Place) -> Place:
    """Return the field that names an arm's checkpoint; the model where none does."""
    if arm.precision in model.checkpoints:
        return (*at, "checkpoints", arm.precision)
    return (*at, "pretrained") if model.pretrained else at


def _place_of(argument: str, arm: Arm, model: Model, at: Place) -> Place | None:
    """Return the field that gives an arm a model argument; ``None`` where none does."""
    if argument in model.args_of.get(arm.precision, {}):
        return (*at, "args_of", arm.precision, argument)
    return (*at, "args", argument) if argument in model.args else None


def _cache_of(plan: Plan, arm: Arm, model: Model, at: Place) -> Place:
    """Return the field that says how an arm is to keep keys and values."""
    field: Place = ("kv_caches",) if model.kv_caches is None else (*at, "kv_caches")
    return (*field, plan.kv_caches_of(model).index(arm.kv_cache))


def _absent_folders(arm: Arm, model: Model, at: Place) -> Iterator[Finding]:
    for name in FOLDERS:
        if _is_absent(named := str(arm.arguments.get(name) or "")):
            place = _place_of(name, arm, model, at) or at
            yield Finding(place, f"{named}: there is no such folder", missing=True)


def _check_tokenizer(plan: Plan, model: Model, where: Place, folder: Path) -> Iterator[Finding]:
    if not any(next(folder.glob(pattern), None) for pattern in _TOKENIZER_FILES):
        text = (
            f"{folder} holds no tokenizer (tokenizer.json, tokenizer.model or vocab files): copy "
            f"the whole checkpoint, or name another one under args as tokenizer"
        )
        yield Finding(where, text, missing=True)
        return
    file = folder / "tokenizer.json"
    with suppress(ImportError):  # what else would read it is not here either
        try:
            if file.is_file():
                read_tokenizer(file)
        except ModelError as error:
            yield Finding(where, f"{folder}: {error}: copy it again", missing=True)
    if plan.chat_template:
        try:
            chat_template(folder)
        except ModelError as error:
            text = (
                f"the tokenizer of model {model.name!r} in {folder}: {error}. Leave chat_template "
                f"out, or name a tokenizer that has one under args"
            )
            yield Finding(("chat_template",), text)


def _check_windows(plan: Plan, model: Model, at: Place, window: int | None) -> Iterator[Finding]:
    """Find what asks for a longer prompt than the model takes."""
    if window is None:
        return
    if plan.context_tokens is not None and plan.context_tokens > window:
        yield Finding(
            ("context_tokens",),
            f"{plan.context_tokens} tokens are more than the window of model {model.name!r}, "
            f"{window}: ask for that or less",
        )
    field: Place = ("k",) if model.k is None else (*at, "k")
    for place, k in enumerate(plan.k_of(model)):
        fills = Depth.parse(k).window or 0
        if fills > window:
            yield Finding(
                (*field, place),
                f"{k!r} fills {fills} tokens, but the window of model {model.name!r} has "
                f"{window}: give that model a k of its own, without {k}",
            )


def _read(here: LocalCheckpoint, arguments: Mapping[str, Any], to_run: bool) -> Checkpoint | None:
    """Return the checkpoint of an arm; ``None`` where it is not here, and need not be.

    :raises ModelError: when it cannot be had, or is damaged.
    """
    named = str(arguments["pretrained"])
    try:
        is_here = Path(named).expanduser().exists()
        if not is_here and not _may_be_on_hub(named):
            raise ModelError(f"{named}: there is no such folder")
        if to_run or is_here:
            return read_checkpoint(
                named,
                revision=str(arguments.get("revision") or "main"),
                subfolder=str(arguments.get("subfolder") or ""),
            )
    except ImportError:  # safetensors: the weights cannot be looked at without the hf extra
        return None
    try:
        return here.checkpoint if here.folder is not None else None
    except (ModelError, ImportError):  # not all of it was downloaded
        return None


def _is_absent(named: str) -> bool:
    return bool(named) and not Path(whole_place(named)).is_dir() and not _may_be_on_hub(named)


def _may_be_on_hub(name: str) -> bool:
    return _HUB_NAME.fullmatch(name) is not None and not name.startswith(".")
