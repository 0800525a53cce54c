"""Whether what vLLM has loaded is the arm that was asked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from qrag_tasks.arms.checkpoint_files import read_tensor, tensor_files
from qrag_tasks.arms.components import digest_of, tensor_content
from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.arms.layers import WeightBytes
from qrag_tasks.arms.module_names import is_norm
from qrag_tasks.arms.verification import VerifiedArm, check_quantized, kinds_of, some_names
from qrag_tasks.engines.vllm.layers import Loaded
from qrag_tasks.errors import ModelError


def verify(
    workers: Sequence[Loaded],
    precision: Precision,
    *,
    group_size: int | None = None,
    declared: Collection[str] = (),
) -> VerifiedArm:
    """Check every linear layer that vLLM has loaded, as those of transformers are checked.

    :param workers: what each worker has loaded: of tensors that are spread over several, a part.
        Layers are counted in the first, bytes in all.
    :raises ModelError: when the model is not what the precision says, with the layers that are
        not.
    """
    for loaded in workers:
        if precision.quantized:
            check_quantized(loaded.layers, precision, group_size, declared)
        else:
            _check_plain(loaded, precision)
    first = workers[0]
    kept = [layer.name for layer in first.layers if not layer.quantized]
    return VerifiedArm(
        precision.name,
        kinds_of(first.layers),
        {},
        (*first.embeddings, *kept) if precision.quantized else (),
        _together([loaded.weights for loaded in workers]),
    )


def _check_plain(loaded: Loaded, precision: Precision) -> None:
    other = [str(layer) for layer in loaded.layers if layer.dtype != precision.dtype]
    other += [
        f"{name} ({dtype})"
        for name, dtype in loaded.dtypes.items()
        if dtype != precision.dtype
        and not (dtype == "float32" and any(map(is_norm, name.split("."))))
    ]
    other += [str(layer) for layer in loaded.layers if layer.quantized and str(layer) not in other]
    if other:
        raise ModelError(
            f"precision={precision.name} was asked for, but {len(other)} of "
            f"{len(loaded.layers) + len(loaded.dtypes)} weights are of another kind: "
            f"{some_names(other)}. This arm would not be what it claims."
        )


def _together(weights: Sequence[WeightBytes]) -> WeightBytes:
    names = [field.name for field in fields(WeightBytes)]
    return WeightBytes(**{name: sum(getattr(one, name) for one in weights) for name in names})


def stored_digest(folder: Path | None) -> Any:
    """Return a digest of a checkpoint's weights, for where the loaded ones cannot be read.

    Of safetensors it is the tensors' content, whatever files they are in.

    :raises ModelError: when the folder holds no weights in safetensors, or a file is damaged.
    """
    files = None if folder is None else tensor_files(folder)
    if files is None:
        raise ModelError(
            f"{folder or 'the checkpoint'} holds no safetensors: vLLM keeps weights on a CPU where "
            f"nobody can read them, so those of the checkpoint must be read; save it again with "
            f"save_pretrained"
        )
    tensors = [[name, tensor_content(read_tensor(files[name], name))] for name in sorted(files)]
    return digest_of(tensors)
