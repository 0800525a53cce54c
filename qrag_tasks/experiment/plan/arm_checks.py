"""Whether every arm of a plan can be had, before the first of them is run. torch is not needed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qrag_tasks.errors import ModelError
from qrag_tasks.experiment.plan.cells import Arm
from qrag_tasks.experiment.plan.checkpoints import LocalCheckpoint, local_checkpoint
from qrag_tasks.experiment.plan.grid import MADE_BEFOREHAND, Finding, Model, Place, Plan
from qrag_tasks.harness.arms.arguments import argument_mistakes
from qrag_tasks.harness.arms.checkpoints import check_checkpoint, read_checkpoint
from qrag_tasks.harness.arms.claims import Checkpoint
from qrag_tasks.harness.arms.loading import check_installed
from qrag_tasks.harness.arms.precisions import precision as precision_named

FOLDERS = ("tokenizer", "peft", "delta")
"""Arguments that name a folder, or a repository of the hub, beside ``pretrained``."""
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
_TOKENIZER_FILES = ("tokenizer*", "vocab*", "*.model", "*.tiktoken")


def check_arms(plan: Plan, to_run: bool = False) -> Iterator[Finding]:
    """Find what is wrong with the arms of a plan: arguments, checkpoint, precision, tokenizer.

    :param to_run: whether the arms are to run here. Then what they need must be installed, and of
        a name on the hub, config.json is fetched; else such a name is only looked for in the
        hub's local cache, and nothing is wrong where it is not there.
    """
    arms = iter(plan.arms())
    for index, model in enumerate(plan.models):
        for precision in plan.precisions_of(model):
            arm = next(arms)
            made_on_loading = precision not in MADE_BEFOREHAND
            # Else it has no checkpoint at all, which the plan itself says.
            if precision in model.checkpoints or (
                made_on_loading and (model.pretrained or not model.checkpoints)
            ):
                yield from _check(arm, model, ("models", index), to_run)


def _check(arm: Arm, model: Model, at: Place, to_run: bool) -> Iterator[Finding]:
    arguments = dict(arm.arguments)
    where: Place = (*at, "pretrained") if model.pretrained else at
    if arm.precision in model.checkpoints:
        where = (*at, "checkpoints", arm.precision)
    found = local_checkpoint(arguments)
    if found.folder is not None and "pretrained" not in arguments:
        arguments["pretrained"] = str(found.folder)
    for argument, text in argument_mistakes("qrag", arguments, offline=not to_run):
        yield Finding((*at, "args", argument) if argument in model.args else where, text)
    for name in FOLDERS:
        named = str(arguments.get(name) or "")
        if named and not Path(named).expanduser().is_dir() and not _may_be_on_hub(named):
            yield Finding((*at, "args", name), f"{named}: there is no such folder", missing=True)
    row = precision_named(arm.precision)
    try:
        if to_run:
            check_installed(row)
        checkpoint = _read(found, arguments, to_run)
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
    # Of a hub's checkpoint, the tokenizer may not be here yet.
    is_local = Path(str(arguments["pretrained"])).expanduser().is_dir()
    if is_local and checkpoint.folder and not _has_tokenizer(checkpoint.folder, arguments):
        text = (
            f"{checkpoint.folder} holds no tokenizer (tokenizer.json, tokenizer.model or vocab "
            f"files): copy the whole checkpoint, or name another one under args as tokenizer"
        )
        yield Finding(where, text, missing=True)


def _read(found: LocalCheckpoint, arguments: Mapping[str, Any], to_run: bool) -> Checkpoint | None:
    """Return the checkpoint of an arm; ``None`` where it is not here, and need not be.

    :raises ModelError: when it cannot be had, or is damaged.
    """
    named = str(arguments.get("pretrained") or "")
    if not named:
        if found.gguf is None and to_run:
            raise ModelError(found.missing)
        return None
    try:
        if to_run or Path(named).expanduser().exists() or not _may_be_on_hub(named):
            return read_checkpoint(
                named,
                revision=str(arguments.get("revision") or "main"),
                subfolder=str(arguments.get("subfolder") or ""),
            )
    except ImportError:  # safetensors: the weights cannot be looked at without the hf extra
        return None
    try:
        return found.checkpoint if found.folder is not None else None
    except (ModelError, ImportError):  # not all of it was downloaded
        return None


def _may_be_on_hub(name: str) -> bool:
    return _HUB_NAME.fullmatch(name) is not None and not name.startswith(".")


def _has_tokenizer(folder: Path, arguments: Mapping[str, Any]) -> bool:
    if arguments.get("tokenizer"):
        return True
    return any(next(folder.glob(pattern), None) for pattern in _TOKENIZER_FILES)
