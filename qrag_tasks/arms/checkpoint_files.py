"""The files of a checkpoint: where they are, and what configuration and headers say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qrag_tasks.errors import ModelError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
FLOATS = ("F64", "F32", "F16", "BF16")
"""safetensors' names of the dtypes that weights are not quantized in."""
SIDECARS = ("quantize_config.json", "quant_config.json")
"""Where AutoGPTQ and AutoAWQ write what transformers has in config.json."""
_FEW = 4
_OTHER_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack")


@dataclass(frozen=True)
class TensorFacts:
    """What a header says about one tensor.

    :ivar dtype: as safetensors names it: ``F16``, ``BF16``, ``F32``, ``I32``, ``U8``, ...
    :ivar values: what it holds, where that is a few integers of 64 bits, as a shape is; else empty.
    """

    dtype: str
    shape: tuple[int, ...]
    values: tuple[int, ...] = ()


@dataclass(frozen=True)
class CheckpointFiles:
    """What the files of a checkpoint say, weights aside.

    :ivar folder: where config.json lies.
    :ivar config: config.json.
    :ivar quantization: what it, or a file beside it, says about quantization, if anything.
    :ivar tensors: name -> dtype and shape; ``None`` where no safetensors are on this machine.
    """

    folder: Path
    config: Mapping[str, Any]
    quantization: Mapping[str, Any] | None
    tensors: Mapping[str, TensorFacts] | None


def read_files(
    local: Path | None, pretrained: str, revision: str | None = None, subfolder: str = ""
) -> CheckpointFiles:
    """Read the files of a checkpoint.

    :param local: the folder with them; ``None`` for a name on the hub, from which config.json is
        fetched.
    :raises ModelError: when the hub has no such checkpoint, or a file is damaged.
    """
    if local is not None and not has_weights(local):
        raise ModelError(
            f"pretrained={pretrained} holds no weights ({SINGLE}, {INDEX} with its parts, or "
            f"pytorch_model.bin): copy or download the whole checkpoint"
        )
    folder = local or _of_hub(pretrained, revision, subfolder)
    config = read_json(folder / "config.json")
    quantization = declared_in(config)
    if quantization is None:
        if local is None:
            _fetch_sidecars(pretrained, revision, subfolder)
        sidecars = [folder / name for name in SIDECARS if (folder / name).is_file()]
        quantization = read_json(sidecars[0]) if sidecars else None
    try:
        tensors = read_headers(folder)
    except ModelError:
        # Of a hub's checkpoint, some files may not be here yet.
        if local is not None:
            raise
        tensors = None
    return CheckpointFiles(folder, config, quantization, tensors)


def declared_in(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what a config.json says about quantization; ``None`` where it says nothing."""
    nested = config.get("text_config")
    inner = nested.get("quantization_config") if isinstance(nested, dict) else None
    return config.get("quantization_config") or inner


def tensor_files(folder: Path) -> dict[str, Path] | None:
    """Return which file each tensor of a folder is in; ``None`` where it has no safetensors.

    :raises ModelError: when a file is missing or damaged.
    """
    if (folder / SINGLE).is_file():
        return dict.fromkeys(_header(folder / SINGLE), folder / SINGLE)
    if (folder / INDEX).is_file():
        return {name: folder / file for name, file in _index(folder / INDEX).items()}
    return None


def read_headers(folder: Path) -> dict[str, TensorFacts] | None:
    """Return the tensors of a folder; ``None`` where it has no safetensors.

    The weights themselves are not read.

    :raises ModelError: when a file is missing or damaged.
    """
    files = tensor_files(folder)
    if files is None:
        return None
    tensors: dict[str, TensorFacts] = {}
    for path in dict.fromkeys(files.values()):
        if not path.is_file():
            raise ModelError(f"{folder}: {INDEX} names {path.name}, which is not there")
        tensors |= _header(path)
    if lacking := [name for name in files if name not in tensors]:
        raise ModelError(
            f"{folder}: {INDEX} names {lacking[0]}, which is in none of the files "
            f"({len(lacking)} of {len(files)} tensors are not)"
        )
    return tensors


def read_tensor(path: Path, name: str) -> Any:
    """Return one tensor of a safetensors file, as a ``torch.Tensor`` on the CPU."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return file.get_tensor(name)


def read_parts(folder: Path, name: str, parts: Sequence[str]) -> dict[str, Any]:
    """Return tensors that a folder stores for one module, on the CPU, by their last names.

    :param name: of the module in the model; in the file it may begin otherwise.
    :param parts: last names of tensors, as ``qweight``; the first must be there.
    :returns: nothing where the folder has no such module, or more than one.
    """
    files, last = tensor_files(folder) or {}, name.split(".")
    first = f".{parts[0]}"
    stored = [key.removesuffix(first) for key in files if key.endswith(first)]
    here = [key for key in stored if key == name] or [
        # The text part of a larger model has another beginning.
        key
        for key in stored
        if any(key.endswith("." + ".".join(last[i:])) for i in (1, 2))
    ]
    if len(here) != 1:
        return {}
    keys = {part: f"{here[0]}.{part}" for part in parts}
    return {part: read_tensor(files[key], key) for part, key in keys.items() if key in files}


def has_weights(folder: Path) -> bool:
    """Tell whether a folder holds weights of any format."""
    return any(path.suffix in _OTHER_WEIGHTS for path in folder.iterdir())


def read_json(path: Path) -> Mapping[str, Any]:
    """Return the JSON object of a file.

    :raises ModelError: when it holds none.
    """
    try:
        content = json.loads(path.read_bytes())  # which json reads with a byte order mark, too
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: holds a {type(content).__name__}, and not a JSON object")
    return content


def _of_hub(pretrained: str, revision: str | None, subfolder: str) -> Path:
    from transformers.utils import cached_file

    try:
        path = cached_file(
            pretrained, "config.json", revision=revision or "main", subfolder=subfolder
        )
    except (OSError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(
            f"pretrained={pretrained}: no such folder, and the hub does not give its config.json "
            f"({type(error).__name__}: {reason})"
        ) from error
    return Path(path).parent


def _fetch_sidecars(pretrained: str, revision: str | None, subfolder: str) -> None:
    from transformers.utils import cached_file

    for name in SIDECARS:
        cached_file(
            pretrained,
            name,
            revision=revision or "main",
            subfolder=subfolder,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )


def _index(path: Path) -> Mapping[str, str]:
    files = read_json(path).get("weight_map")
    if not isinstance(files, dict):
        raise ModelError(f"{path}: has no weight_map, which says where each tensor is")
    return files


def _few_integers(part: Any) -> tuple[int, ...]:
    shape = part.get_shape()
    if part.get_dtype() != "I64" or len(shape) != 1 or shape[0] > _FEW:
        return ()
    return tuple(map(int, part[:]))


def _header(path: Path) -> dict[str, TensorFacts]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return {
                name: TensorFacts(part.get_dtype(), tuple(part.get_shape()), _few_integers(part))
                for name, part in slices.items()
            }
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"{path}: is no whole safetensors file ({error}); copy or download it again"
        ) from error
