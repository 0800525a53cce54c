"""Make checkpoints of random weights: in 16 bits, in GPTQ's and AWQ's 4-bit layouts, and others."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

GROUP = 128
SHAPES: Mapping[str, dict[str, int]] = {
    "mistral-7b": {
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "max_position_embeddings": 32768,
    },
    "tiny": {
        "hidden_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 512,
        "max_position_embeddings": 8192,
    },
}
FOLDERS = {"int4-gptq": "gptq", "int4-awq": "awq"}
_GROUPS = {"type": "int", "symmetric": True, "strategy": "group", "group_size": GROUP}
_ROWS = {"num_bits": 8, "symmetric": True, "strategy": "channel", "dynamic": False}
_TOKENS = {"num_bits": 8, "symmetric": True, "strategy": "token", "dynamic": True}
COMPRESSED: Mapping[str, tuple[dict[str, Any], dict[str, Any] | None, str]] = {
    "w4a16": ({"num_bits": 4, **_GROUPS}, None, "pack-quantized"),
    "w8a16": ({"num_bits": 8, **_GROUPS}, None, "pack-quantized"),
    "w8a8-int8": ({"type": "int", **_ROWS}, {"type": "int", **_TOKENS}, "int-quantized"),
    "w8a8-fp8": ({"type": "float", **_ROWS}, {"type": "float", **_TOKENS}, "float-quantized"),
    "w8a16-fp8": ({"type": "float", **_ROWS}, None, "naive-quantized"),
}
"""Precision of compressed-tensors -> weights, activations, layout; its folder has its name."""
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
RELATIVE_ERROR = 0.02


def weight_shapes(
    shape: Mapping[str, int], vocabulary: int
) -> Iterator[dict[str, tuple[int, ...]]]:
    """Yield the weights of each file: name -> shape."""
    hidden, inner = shape["hidden_size"], shape["intermediate_size"]
    narrow = hidden // shape["num_attention_heads"] * shape["num_key_value_heads"]
    yield {"model.embed_tokens.weight": (vocabulary, hidden)}
    for start in range(0, shape["num_hidden_layers"], 8):
        names: dict[str, tuple[int, ...]] = {}
        for layer in range(start, min(start + 8, shape["num_hidden_layers"])):
            at = f"model.layers.{layer}"
            names |= {
                f"{at}.self_attn.q_proj.weight": (hidden, hidden),
                f"{at}.self_attn.k_proj.weight": (narrow, hidden),
                f"{at}.self_attn.v_proj.weight": (narrow, hidden),
                f"{at}.self_attn.o_proj.weight": (hidden, hidden),
                f"{at}.mlp.gate_proj.weight": (inner, hidden),
                f"{at}.mlp.up_proj.weight": (inner, hidden),
                f"{at}.mlp.down_proj.weight": (hidden, inner),
                f"{at}.input_layernorm.weight": (hidden,),
                f"{at}.post_attention_layernorm.weight": (hidden,),
            }
        yield names
    yield {"model.norm.weight": (hidden,), "lm_head.weight": (vocabulary, hidden)}


def gptq(weight: Any) -> tuple[dict[str, Any], Any]:
    """Return a weight in GPTQ's layout, version 1, and what it stands for."""
    import torch

    rows, columns = weight.shape
    groups = weight.float().view(rows, -1, GROUP)
    scales = (groups.abs().amax(-1) / 7).clamp_min(1e-6).half()
    wide = scales.float().unsqueeze(-1)
    levels = (groups / wide).round().add(8).clamp(0, 15)
    meant = ((levels - 8) * wide).view(rows, columns).half()
    levels = levels.to(torch.int32).view(rows, columns).t()
    packed = torch.zeros(columns // 8, rows, dtype=torch.int32, device=weight.device)
    for i in range(8):
        packed |= levels[i::8] << 4 * i
    return {
        "qweight": packed,
        # Version 1 stores the zero point, 8, less one.
        "qzeros": torch.full_like(packed[: columns // GROUP, : rows // 8], 0x77777777),
        "scales": scales.t(),
        "g_idx": torch.arange(columns, dtype=torch.int32, device=weight.device) // GROUP,
    }, meant


def awq(weight: Any) -> tuple[dict[str, Any], Any]:
    """Return a weight in AWQ's GEMM layout, and what it stands for."""
    import torch

    rows, columns = weight.shape
    groups = weight.float().view(rows, -1, GROUP)
    low, high = groups.amin(-1).clamp_max(0), groups.amax(-1).clamp_min(0)
    scales = ((high - low) / 15).clamp_min(1e-6).half()
    wide = scales.float()
    zeros = (-low / wide).round().clamp(0, 15)
    levels = ((groups / wide.unsqueeze(-1)).round() + zeros.unsqueeze(-1)).clamp(0, 15)
    meant = ((levels - zeros.unsqueeze(-1)) * wide.unsqueeze(-1)).view(rows, columns).half()

    def packed(values: Any) -> Any:
        words = torch.zeros(
            values.shape[0], values.shape[1] // 8, dtype=torch.int32, device=values.device
        )
        for i, column in enumerate(AWQ_ORDER):
            words |= values[:, column::8] << 4 * i
        return words

    return {
        "qweight": packed(levels.to(torch.int32).view(rows, columns).t()),
        "qzeros": packed(zeros.to(torch.int32).t()),
        "scales": scales.t(),
    }, meant


def configuration(shape: Mapping[str, int], vocabulary: int) -> dict[str, Any]:
    return {
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        **shape,
        "head_dim": shape["hidden_size"] // shape["num_attention_heads"],
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 1000000.0,
        "sliding_window": None,
        "tie_word_embeddings": False,
        "vocab_size": vocabulary,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
        "dtype": "float16",
    }


def compressed(kind: str) -> Any:
    """Return what stores a weight in a scheme of compressed-tensors; see :func:`gptq`."""
    weights, _, layout = COMPRESSED[kind]

    def packed(weight: Any) -> tuple[dict[str, Any], Any]:
        import torch

        rows, columns = weight.shape
        bits = weights["num_bits"]
        half = 2 ** (bits - 1)
        groups = weight.float().view(rows, -1, GROUP)
        scales = (groups.abs().amax(-1) / (half - 1)).clamp_min(1e-6).half()
        codes = (groups / scales.float().unsqueeze(-1)).round().clamp(-half, half - 1) + half
        levels = codes.to(torch.int32).view(rows, columns)
        words = torch.zeros(rows, columns * bits // 32, dtype=torch.int32, device=weight.device)
        for i in range(32 // bits):
            words |= levels[:, i :: 32 // bits] << bits * i
        shape = torch.tensor([rows, columns])
        return {"weight_packed": words, "weight_scale": scales, "weight_shape": shape}, weight

    def by_row(weight: Any) -> tuple[dict[str, Any], Any]:
        import torch

        is_int = weights["type"] == "int"
        largest = 127 if is_int else 448
        scale = (weight.float().abs().amax(1, keepdim=True) / largest).clamp_min(1e-8)
        codes = weight.float() / scale
        stored = codes.round().to(torch.int8) if is_int else codes.to(torch.float8_e4m3fn)
        return {"weight": stored, "weight_scale": scale.half()}, weight

    return packed if layout == "pack-quantized" else by_row


def quantization(kind: str, kernel: str) -> dict[str, Any]:
    if kind in COMPRESSED:
        weights, inputs, layout = COMPRESSED[kind]
        group = {
            "targets": ["Linear"],
            "weights": weights,
            "input_activations": inputs,
            "output_activations": None,
            "format": layout,
        }
        return {
            "quant_method": "compressed-tensors",
            "format": layout,
            "quantization_status": "compressed",
            "config_groups": {"group_0": group},
            "ignore": ["lm_head"],
        }
    common = {"bits": 4, "group_size": GROUP, "backend": kernel}
    if kind == "gptq":
        return {
            **common,
            "quant_method": "gptq",
            "checkpoint_format": "gptq",
            "sym": True,
            "desc_act": False,
        }
    return {**common, "quant_method": "awq", "version": "gemm", "zero_point": True}


def write_checkpoints(
    root: Path, shape: Mapping[str, int], kinds: Sequence[str], tokenizer: Path, device: str
) -> dict[str, int]:
    """Write ``root/fp16`` and a folder of each of ``kinds``; return the bytes of each.

    For a check, ``root/gptq-meant`` and ``root/awq-meant`` hold, in 16 bits, what the 4 bits of a
    tiny model stand for.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import AutoTokenizer

    vocabulary = -(-len(AutoTokenizer.from_pretrained(tokenizer)) // 64) * 64
    meant = shape["num_hidden_layers"] <= 2
    checked = [kind for kind in kinds if meant and kind not in COMPRESSED]
    folders = ["fp16", *kinds, *(f"{kind}-meant" for kind in checked)]
    index: dict[str, dict[str, str]] = {folder: {} for folder in folders}
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for file in tokenizer.glob("*"):
            if file.name.startswith(("tokenizer", "special_tokens", "chat_template")):
                shutil.copy(file, root / folder)
        config = configuration(shape, vocabulary)
        if folder in kinds:
            kernel = "" if folder in COMPRESSED else candidates(folder, device)[0]
            config["quantization_config"] = quantization(folder, kernel)
        (root / folder / "config.json").write_text(json.dumps(config, indent=1))
    packs = {kind: {"gptq": gptq, "awq": awq}.get(kind) or compressed(kind) for kind in kinds}
    generator = torch.Generator(device).manual_seed(0)
    for number, names in enumerate(weight_shapes(shape, vocabulary)):
        tensors: dict[str, dict[str, Any]] = {folder: {} for folder in folders}
        for name, size in names.items():
            if len(size) == 1:
                weight = torch.ones(size, dtype=torch.float16, device=device)
            else:
                weight = torch.empty(size, dtype=torch.float16, device=device)
                weight.normal_(0, 0.02, generator=generator)
            tensors["fp16"][name] = weight.cpu()
            for kind, pack in packs.items():
                parts, stands_for = {"weight": weight}, weight
                if "_proj" in name:
                    parts, stands_for = pack(weight)
                stem = name.removesuffix("weight")
                for part, tensor in parts.items():
                    tensors[kind][stem + part] = tensor.contiguous().cpu()
                if kind in checked:
                    tensors[f"{kind}-meant"][name] = stands_for.cpu()
        for folder in folders:
            file = f"model-{number:05}.safetensors"
            save_file(tensors[folder], root / folder / file, metadata={"format": "pt"})
            index[folder] |= dict.fromkeys(tensors[folder], file)
    sizes = {}
    for folder, names in index.items():
        written = {"metadata": {}, "weight_map": names}
        (root / folder / "model.safetensors.index.json").write_text(json.dumps(written))
        sizes[folder] = sum(file.stat().st_size for file in (root / folder).glob("*.safetensors"))
    return sizes


def choose_kernels(
    work: Path, kinds: Sequence[str], tokenizer: Path, marlin: bool, device: str
) -> dict[str, Any]:
    """Return kind -> the first kernel that computes what the weights stand for, on a tiny model."""
    import torch
    from transformers import AutoModelForCausalLM

    chosen: dict[str, Any] = {}
    write_checkpoints(work, SHAPES["tiny"], kinds, tokenizer, device)
    ids = torch.arange(4 * 96, device=device).view(4, 96) % 4096 + 100

    def logits(folder: Path) -> Any:
        dtype = torch.bfloat16 if device == "cpu" else torch.float16
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, device_map={"": device})
        layer = type(model.model.layers[0].mlp.up_proj).__name__
        with torch.inference_mode():
            return model(ids).logits.float(), layer

    for kind in kinds:
        expected, _ = logits(work / f"{kind}-meant")
        for kernel in ["marlin"] * marlin + candidates(kind, device):
            set_kernel(work / kind, kernel)
            try:
                found, layer = logits(work / kind)
                error = ((found - expected).norm() / expected.norm()).item()
            except Exception as problem:
                traceback.print_exc()
                print(f"{kind}: {kernel} cannot be used: {problem}", flush=True)
                continue
            print(f"{kind}: {kernel} ({layer}), relative error {error:.4f}", flush=True)
            if error < RELATIVE_ERROR:
                chosen[kind] = {"kernel": kernel, "layer": layer, "relative_error": error}
                break
    return chosen


def candidates(kind: str, device: str) -> list[str]:
    """Return the names of gptqmodel's kernels that need no compiler."""
    if device != "cuda":
        return ["auto"]
    return {"gptq": ["gptq_triton", "gptq_torch"], "awq": ["gemm_triton", "torch_awq"]}[kind]


def set_kernel(folder: Path, kernel: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"]["backend"] = kernel
    (folder / "config.json").write_text(json.dumps(config, indent=1))


def make(options: argparse.Namespace) -> None:
    """Write the checkpoints into ``--work``, and what they are into ``made.json`` there."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    kinds = [FOLDERS[arm] for arm in options.arms if arm in FOLDERS]
    start = time.perf_counter()
    sizes = write_checkpoints(options.work, SHAPES[options.shape], kinds, options.tokenizer, device)
    made: dict[str, Any] = {"bytes": sizes, "seconds": time.perf_counter() - start, "kernels": {}}
    print(f"checkpoints: {sizes} in {made['seconds']:.0f} s", flush=True)
    (options.work / "made.json").write_text(json.dumps(made))
    if kinds:
        marlin = device == "cuda" and bool(options.marlin) and load_kernels(options.marlin)
        tiny = Path(tempfile.mkdtemp(dir=options.work))
        made["kernels"] = choose_kernels(tiny, kinds, options.tokenizer, marlin, device)
        for kind, found in made["kernels"].items():
            set_kernel(options.work / kind, found["kernel"])
    (options.work / "made.json").write_text(json.dumps(made))


def load_kernels(library: str) -> bool:
    """Register Marlin's built operators, which gptqmodel then does not build itself."""
    import torch

    try:
        torch.ops.load_library(library)
    except Exception as problem:
        print(f"{library} cannot be used: {problem}", flush=True)
        return False
    return True
