"""The checkpoint that is quantized: where it is, that it can be, and what it is made of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qrag_tasks.arms.checkpoints import check_checkpoint, read_checkpoint
from qrag_tasks.arms.places import whole_place
from qrag_tasks.arms.precisions import precision
from qrag_tasks.errors import ModelError
from qrag_tasks.quantizing.progress import Report

_WEIGHTS = ("*.safetensors", "*.bin")


@dataclass(frozen=True)
class Source:
    """The checkpoint to quantize.

    :ivar revision: the hub's commit; ``None`` for a folder.
    :ivar layers: linear layers in the model's blocks -> their numbers of inputs and outputs.
    """

    name: str
    folder: Path
    revision: str | None
    config: Any
    layers: Mapping[str, tuple[int, int]]

    @property
    def dtype(self) -> Any:
        """The ``torch.dtype`` of its weights, which those that are not quantized keep."""
        import torch

        return getattr(self.config, "dtype", None) or torch.float32


def read_source(model: str) -> Source:
    """Find a checkpoint, download it where it is a hub name, and read its configuration.

    :raises ModelError: when there is none, or none that can be quantized.
    """
    folder, revision = Path(whole_place(model)), None
    if folder.is_file():
        raise ModelError(
            f"{model} is a file: give the folder of a transformers checkpoint, the one with its "
            f"config.json"
        )
    if not folder.is_dir():
        folder = _from_hub(model)
        revision = folder.name
    if not (folder / "config.json").is_file():
        raise ModelError(f"{model}: has no config.json: give a transformers checkpoint")
    if not _weight_files(folder):
        raise ModelError(
            f"{model}: has no weights ({' or '.join(_WEIGHTS)}): give a whole transformers "
            f"checkpoint"
        )
    checkpoint = read_checkpoint(str(folder))
    if checkpoint.quantization is not None:
        raise ModelError(
            f"{model} is quantized already ({checkpoint.declared}): quantize the checkpoint that "
            f"it was made from"
        )
    # Weights that are quantized without config.json saying so.
    check_checkpoint(checkpoint, precision("fp32"))
    config, layers = _config_and_layers(model, folder)
    return Source(model, folder, revision, config, layers)


def _from_hub(model: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    if Path(model).is_absolute() or model.startswith((".", "~")):
        raise ModelError(f"{model}: no such folder")
    patterns = ["*.json", "*.jinja", "*.model", "*.txt", "additional_chat_templates/*"]
    try:
        folder = Path(snapshot_download(model, allow_patterns=[*patterns, "*.safetensors"]))
        if not _weight_files(folder):
            folder = Path(snapshot_download(model, allow_patterns=[*patterns, "*.bin"]))
    except HFValidationError:
        raise ModelError(f"{model}: no such folder, and no name that a hub model can have") from (
            None
        )
    except Exception as error:
        # The hub's client raises many kinds: no such model, no licence accepted, no network.
        reason = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(
            f"{model}: no such folder, and the hub does not give a model of that name "
            f"({type(error).__name__}: {reason}). Check the name; a gated model needs `hf auth "
            f"login`."
        ) from error
    return folder


def _config_and_layers(model: str, folder: Path) -> tuple[Any, dict[str, tuple[int, int]]]:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.pytorch_utils import Conv1D

    try:
        # Where it is not told, transformers asks on the terminal.
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        with torch.device("meta"):
            empty = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except Exception as error:
        if "trust_remote_code" in str(error):
            raise ModelError(
                f"{model}: brings code of its own, which qrag quantize does not run"
            ) from error
        # transformers raises many kinds for a configuration that it does not know.
        reason = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(
            f"{model}: transformers builds no decoder-only model from its config.json: "
            f"{type(error).__name__}: {reason}"
        ) from error
    layers = {}
    for name, module in empty.named_modules():
        # Those of a block have its number in their name.
        if isinstance(module, torch.nn.Linear | Conv1D) and any(
            part.isdecimal() for part in name.split(".")
        ):
            outputs, inputs = module.weight.shape
            if isinstance(module, Conv1D):
                inputs, outputs = outputs, inputs
            layers[name] = (int(inputs), int(outputs))
    return config, layers


def fingerprint(folder: Path, report: Report) -> str:
    """Return the sha256 over names and contents of configuration and weight files."""
    digest = hashlib.sha256()
    files = [folder / "config.json", *_weight_files(folder)]
    for done, path in enumerate(files):
        report("reading the source", done, len(files))
        content = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                content.update(block)
        digest.update(f"{path.name} {content.hexdigest()}\n".encode())
    return digest.hexdigest()


def _weight_files(folder: Path) -> list[Path]:
    return next((files for p in _WEIGHTS if (files := sorted(folder.glob(p)))), [])
