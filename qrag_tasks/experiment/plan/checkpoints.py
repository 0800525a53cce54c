"""What is on this machine of an arm's checkpoint, found without torch and without a network."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from qrag_tasks.arms import embedded
from qrag_tasks.arms.checkpoint_files import TensorFacts, declared_in, read_headers, read_json
from qrag_tasks.arms.checkpoints import Checkpoint
from qrag_tasks.arms.engine_choice import TRANSFORMERS, engine_name
from qrag_tasks.arms.places import whole_place
from qrag_tasks.locations import embedded_model

# Where configurations say how long a text may be; lm_eval's order.
_WINDOWS = ("n_positions", "max_position_embeddings", "n_ctx")


@dataclass(frozen=True)
class LocalCheckpoint:
    """A checkpoint as far as it is on this machine.

    :ivar name: as the plan has it; the embedded model's own where it names none.
    :ivar folder: with its files; ``None`` where it is not here.
    :ivar missing: why it is not here.
    """

    name: str
    folder: Path | None = None
    missing: str = ""

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """config.json; empty where there is none.

        :raises ModelError: when it cannot be read.
        """
        path = None if self.folder is None else self.folder / "config.json"
        return read_json(path) if path is not None and path.is_file() else {}

    @cached_property
    def tensors(self) -> Mapping[str, TensorFacts] | None:
        """Name -> dtype and shape of what is stored; ``None`` where that cannot be told.

        :raises ModelError: when a file is missing or damaged.
        """
        return None if self.folder is None else read_headers(self.folder)

    @property
    def checkpoint(self) -> Checkpoint:
        """What its files say of its precision."""
        quantization = declared_in(self.config)
        return Checkpoint(self.name, self.config, quantization, self.tensors, self.folder)


def window_of(arguments: Mapping[str, Any], config: Mapping[str, Any]) -> int | None:
    """Return the tokens that prompt and answer of a model may have together.

    ``None`` where neither its arguments nor its configuration say so.

    :param arguments: of ``--model qrag``.
    :param config: its config.json.
    """
    names = ("max_length", "max_model_len", "n_ctx")
    given = next((arguments[name] for name in names if arguments.get(name)), None)
    if given is not None:
        return int(given) if str(given).isdecimal() else None
    nested = config.get("text_config") or {}
    windows = [part[key] for part in (config, nested) for key in _WINDOWS if key in part]
    return next((value for value in windows if isinstance(value, int)), None)


def local_checkpoint(arguments: Mapping[str, Any], key: str = "pretrained") -> LocalCheckpoint:
    """Return what is here of the checkpoint that a model argument names.

    A folder, or what lies in the local cache of the hub; without the argument, the embedded model,
    where the engine is transformers'.

    :param arguments: of ``--model qrag``.
    :param key: ``pretrained`` or ``tokenizer``.
    """
    name = arguments.get(key) or arguments.get("pretrained")
    engine = engine_name("qrag", arguments)
    if not name and engine != TRANSFORMERS:
        return LocalCheckpoint("", missing=f"engine {engine!r} loads no checkpoint here")
    if not name:
        return LocalCheckpoint(embedded.NAME, embedded_model())
    name = str(name)
    path = Path(whole_place(name))
    subfolder = str(arguments.get("subfolder") or "")
    if path.is_dir():
        return LocalCheckpoint(name, path / subfolder)
    if path.is_file():
        return LocalCheckpoint(name, missing=f"{name}: a file, which its engine reads")
    if path.is_absolute() or name.startswith("."):
        return LocalCheckpoint(name, missing=f"{name}: there is no such folder")
    folder = _of_hub(name, subfolder, arguments.get("revision"))
    missing = "" if folder else f"{name}: not known before it is downloaded"
    return LocalCheckpoint(name, folder, missing)


def _of_hub(name: str, subfolder: str, revision: Any) -> Path | None:
    try:
        hub = importlib.import_module("huggingface_hub")
        file = f"{subfolder}/config.json" if subfolder else "config.json"
        path = hub.try_to_load_from_cache(name, file, revision=revision and str(revision))
    except (ImportError, ValueError):  # a name that no repository can have
        return None
    return Path(path).parent if isinstance(path, str) else None
