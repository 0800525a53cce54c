"""Loads models in HQQ: transformers 5 names the method, and its class for it loads nothing.

``HqqHfQuantizer`` has lost what quantized a weight, and says with the first one that this "is not
available yet". What stands here puts the library's own layers into a model, once its weights are
there, and reads checkpoints as the library and transformers 4 wrote them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from hqq.core.quantize import HQQLinear, Quantizer
from safetensors import safe_open
from transformers.quantizers import HfQuantizer
from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING
from transformers.quantizers.quantizers_utils import should_convert_module

from qrag_tasks.errors import ModelError

_NAME = "hqq"
_CODES = ".W_q"


class HqqLoading(HfQuantizer):  # type: ignore[misc]
    """Makes HQQ's layers of a plain checkpoint, or fills them from one that was saved."""

    requires_calibration = False

    def _process_model_before_weight_loading(
        self, model: Any, checkpoint_files: Sequence[str] | None = None, **_: Any
    ) -> None:
        if self.pre_quantized:
            for name, tensors in _stored(checkpoint_files or ()).items():
                plain = model.get_submodule(name)
                model.set_submodule(name, _Stored(tensors, plain.in_features, plain.out_features))

    def _process_model_after_weight_loading(self, model: Any, **_: Any) -> Any:
        """Put HQQ's layers in place of torch's, one after the other, so that each makes room."""
        settings = self.quantization_config.quant_config
        skipped = self.get_modules_to_not_convert(
            model,
            self.quantization_config.skip_modules,
            model._keep_in_fp32_modules,
            add_default_skips=True,
        )
        for name, module in list(model.named_modules()):
            if isinstance(module, _Stored):
                model.set_submodule(name, module.filled(settings, model.dtype))
            elif (
                not self.pre_quantized
                and isinstance(module, torch.nn.Linear)
                and should_convert_module(name, skipped)
            ):
                model.set_submodule(
                    name,
                    HQQLinear(
                        module,
                        settings,
                        compute_dtype=model.dtype,
                        device=str(module.weight.device),
                    ),
                )
        return model

    def is_serializable(self) -> bool:
        """Tell that HQQ's layers save themselves."""
        return True

    @property
    def is_trainable(self) -> bool:
        """Tell that nothing here trains."""
        return False


class _Stored(torch.nn.Module):  # type: ignore[misc]
    """What a file holds of one of HQQ's layers, until it has been read.

    :param tensors: last name -> dtype and shape.
    """

    def __init__(
        self, tensors: dict[str, tuple[torch.dtype, list[int]]], inputs: int, outputs: int
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = inputs, outputs
        for name, (dtype, shape) in tensors.items():
            self.register_buffer(name, torch.empty(shape, dtype=dtype, device="meta"))

    def filled(self, settings: dict[str, Any], dtype: torch.dtype) -> HQQLinear:
        """Return HQQ's layer with these tensors.

        Settings are the checkpoint's: the library would decode those stored beside the tensors by
        ``eval()``, and so run what a file says.

        :raises ModelError: when the tensors are not those of such a layer.
        """
        weight = settings["weight_quant_params"]
        shape = torch.Size((self.out_features, self.in_features))
        packing = Quantizer.bit_to_packing[weight["nbits"]]
        meta = {
            **{key: weight[key] for key in ("nbits", "group_size", "axis")},
            "view_as_float": weight.get("view_as_float", False),
            "shape": shape,
            "scale": self.scale,
            "zero": self.zero,
            "packing": packing,
            "unpack_view_dtype": Quantizer.unpack_view_dtype[packing],
            "quant_scale": False,
            "quant_zero": False,
        }
        codes = torch.nn.Parameter(self.W_q, requires_grad=False)
        layer = HQQLinear(
            None, settings, compute_dtype=dtype, device=str(codes.device), initialize=False
        )
        layer.load_state_dict({"W_q": codes, "bias": getattr(self, "bias", None), "meta": meta})
        return layer


def register() -> None:
    """Have transformers load HQQ by :class:`HqqLoading`, unless its own class can by now."""
    own = AUTO_QUANTIZER_MAPPING.get(_NAME)
    if own is None or own.get_quantize_ops is HfQuantizer.get_quantize_ops:
        AUTO_QUANTIZER_MAPPING[_NAME] = HqqLoading


def _stored(files: Sequence[str]) -> dict[str, dict[str, tuple[torch.dtype, list[int]]]]:
    """Return the layers that files hold in HQQ: their tensors' last names, dtypes and shapes."""
    layers: dict[str, dict[str, tuple[torch.dtype, list[int]]]] = {}
    for path in files:
        if not str(path).endswith(".safetensors"):
            raise ModelError(f"{path}: HQQ's layers are read from safetensors alone")
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            own = {name.removesuffix(_CODES) for name in names if name.endswith(_CODES)}
            for name in names:
                module, _, last = name.rpartition(".")
                if module in own:
                    part = file.get_slice(name)
                    first = part[:1] if part.get_shape() else file.get_tensor(name)
                    layers.setdefault(module, {})[last] = first.dtype, part.get_shape()
    return layers
