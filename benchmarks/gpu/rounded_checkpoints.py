"""Writes 4-bit and 8-bit checkpoints of a real model, each weight rounded to the nearest step.

``python benchmarks/gpu/rounded_checkpoints.py MODEL --out FOLDER --kinds awq,gptq,w8a8-int8``

For measurements on a machine where nothing can calibrate: ``FOLDER/awq`` and the others hold the
linear layers of the model's blocks in the layouts of :mod:`random_models`, in groups of 128 or by
row, and all else as it is. Rounding is what methods with calibration start from, so that what such
an arm loses is more than theirs would.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from random_models import COMPRESSED, GROUP, awq, compressed, gptq, quantization

PACKS = {"gptq": gptq, "awq": awq, **{kind: compressed(kind) for kind in COMPRESSED}}


def write_rounded(model: Path, out: Path, kind: str, device: str) -> None:
    """Write one checkpoint into ``out``.

    :raises SystemExit: when a weight's rows do not divide into groups.
    """
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    index: dict[str, str] = {}
    for file in sorted(model.glob("*.safetensors")):
        stored: dict[str, Any] = {}
        with safe_open(file, "pt", device=device) as tensors:
            for name in sorted(tensors.keys()):
                weight = tensors.get_tensor(name)
                if not name.endswith("_proj.weight"):
                    stored[name] = weight.half().cpu()
                    continue
                if weight.shape[1] % GROUP:
                    raise SystemExit(f"{name}: {weight.shape[1]} columns are not groups of {GROUP}")
                for part, tensor in PACKS[kind](weight)[0].items():
                    stored[name.removesuffix("weight") + part] = tensor.contiguous().cpu()
        save_file(stored, out / file.name, metadata={"format": "pt"})
        index |= dict.fromkeys(stored, file.name)
        if device != "cpu":
            torch.cuda.empty_cache()
    written = {"metadata": {}, "weight_map": index}
    (out / "model.safetensors.index.json").write_text(json.dumps(written))
    for file in model.iterdir():
        if file.is_file() and file.name != "config.json" and "safetensors" not in file.name:
            shutil.copy(file, out)
    config = json.loads((model / "config.json").read_text())
    config["quantization_config"] = quantization(kind, "auto")
    # GPT-QModel's choice of a kernel is nothing to other libraries.
    config["quantization_config"].pop("backend", None)
    (out / "config.json").write_text(json.dumps({**config, "dtype": "float16"}, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("model", type=Path, help="folder of a model in safetensors, 16 or 32 bits")
    add("--out", type=Path, required=True, help="folder of the checkpoints' folders")
    add("--kinds", type=lambda text: text.split(","), default=list(PACKS))
    options = parser.parse_args()
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    for kind in options.kinds:
        write_rounded(options.model, options.out / kind, kind, device)
        print(f"{options.out / kind}", flush=True)


if __name__ == "__main__":
    main()
