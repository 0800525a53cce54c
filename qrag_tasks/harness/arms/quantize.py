"""Quantize a checkpoint into a folder that any arm can read; the work behind ``qrag quantize``."""

from __future__ import annotations

import gc
import hashlib
import io
import json
import logging
import os
import random
import re
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from traceback import extract_tb
from typing import Any, TextIO

from qrag_tasks.errors import ModelError, QragError, SettingsError
from qrag_tasks.harness.arms import loading
from qrag_tasks.harness.arms.calibration import Calibration, Wanted
from qrag_tasks.harness.arms.checkpoints import SIDECARS, check_checkpoint, read_checkpoint
from qrag_tasks.harness.arms.precisions import PRECISIONS, Precision
from qrag_tasks.harness.arms.precisions import precision as precision_named

logger = logging.getLogger("lm_eval.qrag_tasks")

PROVENANCE = "qrag-quantization.json"
GROUP_SIZES = (16, 32, 64, 128)
"""Those that every kernel of GPT-QModel has."""
DEFAULT_GROUP_SIZE = 128
AWQ_OUTPUTS = 64
"""Of a layer, a multiple of it: GPT-QModel's AWQ looks for clips in so many at once."""
BLOCK_SIZE = 64
"""Weights that share a scale in bitsandbytes' 4 bits."""

Report = Callable[[str, int, int], None]
"""Called with what is being done, how many steps are done, and of how many: 0 for unknown."""

_WEIGHTS = ("*.safetensors", "*.bin")
# Of a checkpoint, what is not copied: weights in whatever format, and what is written anew.
_NOT_COPIED = (
    *(".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx"),
    *(".index.json", "README.md"),
)


_BAR = re.compile(r"[█░]|\| \d+:\d\d|^INFO +[+|]")


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


def quantize(
    model: str,
    precision: str,
    out: Path,
    *,
    group_size: int | None = None,
    calibration: Wanted | None = None,
    seed: int = 0,
    device: str | None = None,
    report: Report = lambda *_: None,
) -> dict[str, Any]:
    """Quantize ``model``, verify what was written, and only then let it appear at ``out``.

    The work is done in a hidden folder beside ``out``, ``.NAME.quantizing-...``, which is renamed
    at the very end. Of a process that is killed only this folder is left.

    :param model: folder or hub name of a checkpoint that is not quantized.
    :param precision: name of a quantized one.
    :param group_size: weights that share a scale; by default 128, and with bitsandbytes fixed.
    :param calibration: for GPTQ and AWQ only.
    :param seed: of the choice of calibration texts, and of all random numbers.
    :param device: as torch names it; by default a GPU where there is one.
    :returns: the provenance, as it stands in ``out``.
    :raises QragError: for an impossible choice, or when the result is not what it should be.
    """
    row = _quantized(precision)
    group_size = _group_size(row, group_size)
    if row.method == "bitsandbytes" and calibration is not None:
        raise SettingsError(
            f"precision {row.name} takes no calibration: leave --calibration, --samples, "
            f"--max-tokens and --data out"
        )
    _check_free(out)
    loading.check_installed(row)
    place = _device(device)
    report(f"looking at {model}", 0, 0)
    source = _source(model)
    if row.method != "bitsandbytes":
        _check_shapes(source, row, group_size or DEFAULT_GROUP_SIZE)
        _check_dtype(source, row)
    with _work_folder(out) as work:
        started = time.monotonic()
        _seed_all(seed)
        provenance: dict[str, Any] = {
            "source": {
                "name": source.name,
                "revision": source.revision,
                "sha256": _fingerprint(source.folder, report),
            },
            "precision": row.name,
            "bits": row.bits,
            "group_size": group_size,
        }
        if row.method == "bitsandbytes":
            report("quantizing", 0, 0)
            provenance["options"] = _by_bitsandbytes(row, source, place, work)
            provenance["calibration"] = None
        else:
            report("making calibration texts", 0, 0)
            texts = (calibration or Wanted()).read(_text_of(source), seed)
            for note in texts.notes:
                logger.warning("%s", note)
            provenance |= _by_gptqmodel(
                row, source, group_size or DEFAULT_GROUP_SIZE, texts, place, work, report
            )
        _copy_other_files(source.folder, work)
        report("verifying what was written", 0, 0)
        _verify(work, row, None if row.method == "bitsandbytes" else group_size, place)
        provenance |= {
            "seed": seed,
            "versions": {
                name: version(name) for name in ("qrag-tasks", "torch", "transformers", *row.needs)
            },
            "device": _device_name(place),
            "seconds": round(time.monotonic() - started, 1),
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        text = json.dumps(provenance, indent=1, ensure_ascii=False)
        (work / PROVENANCE).write_text(f"{text}\n", encoding="utf-8")
    return provenance


# ---------------------------------------------------------------------- before anything is written
def _quantized(name: str) -> Precision:
    row = precision_named(name)
    if not row.quantized:
        known = ", ".join(each.name for each in PRECISIONS.values() if each.quantized)
        raise SettingsError(
            f"--precision {name}: that is {row.summary}, nothing to quantize to (known: {known}); "
            f"any arm loads a checkpoint in {name} as it is, with precision={name}"
        )
    return row


def _group_size(row: Precision, asked: int | None) -> int | None:
    if row.method == "bitsandbytes":
        fixed = BLOCK_SIZE if row.bits == 4 else None
        if asked not in (None, fixed):
            has = f"{BLOCK_SIZE}, fixed" if fixed else "no groups: a scale a row"
            raise SettingsError(
                f"--group-size {asked}: precision {row.name} of bitsandbytes has {has}. "
                f"Leave it out."
            )
        return fixed
    if asked is not None and asked not in GROUP_SIZES:
        raise SettingsError(
            f"--group-size {asked}: not every kernel has it; give one of "
            f"{', '.join(map(str, GROUP_SIZES))}"
        )
    return asked or DEFAULT_GROUP_SIZE


def _check_free(out: Path) -> None:
    if out.is_symlink() or out.exists():
        what = "a link" if out.is_symlink() else "a file" if out.is_file() else "a folder"
        if what == "a folder" and not any(out.iterdir()):
            what = "an empty folder"
        raise SettingsError(
            f"--out {out}: is there already, as {what}, and nothing is overwritten: name a folder "
            f"that is not there yet, or remove this one"
        )


def _device(asked: str | None) -> Any:
    import torch

    if asked is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(asked)
    except RuntimeError:
        raise SettingsError(
            f"--device {asked}: torch knows no such device; give cpu or cuda"
        ) from None
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise SettingsError(
            f"--device {asked}: torch finds {torch.cuda.device_count()} GPUs here; give --device "
            f"cpu, or install a torch that fits the GPU"
        )
    return found


def _device_name(device: Any) -> str:
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else "cpu"


def _source(model: str) -> Source:
    folder, revision = Path(model).expanduser(), None
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
            f"{model} is quantized already ({checkpoint.claim()}): quantize the checkpoint that it "
            f"was made from"
        )
    # Weights that are quantized without config.json saying so.
    check_checkpoint(checkpoint, PRECISIONS["fp32"])
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
        config = AutoConfig.from_pretrained(folder)
        with torch.device("meta"):
            empty = AutoModelForCausalLM.from_config(config)
    except Exception as error:
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


def _check_shapes(source: Source, row: Precision, group_size: int) -> None:
    sizes = source.layers.values()
    for name, (inputs, outputs) in source.layers.items():
        if inputs % group_size:
            fitting = [size for size in GROUP_SIZES if not any(n % size for n, _ in sizes)]
            advice = f"give {' or '.join(map(str, fitting))}" if fitting else "none of ours does"
            raise SettingsError(
                f"--group-size {group_size} does not divide the {inputs} inputs of layer {name} of "
                f"{source.name}: {advice}"
            )
        if row.method == "awq" and outputs % AWQ_OUTPUTS:
            raise ModelError(
                f"layer {name} of {source.name} has {outputs} outputs, no multiple of "
                f"{AWQ_OUTPUTS}, which {row.name} needs: take --precision int4-gptq"
            )


def _check_dtype(source: Source, row: Precision) -> None:
    import torch

    if row.method == "awq" and source.dtype not in (torch.float16, torch.bfloat16):
        raise ModelError(
            f"{source.name} is in {source.dtype}, and {row.name} keeps what it does not quantize "
            f"in float16 or bfloat16 only: save a copy of it in one of these "
            f'(from_pretrained(..., dtype="bfloat16").save_pretrained(...)), and give that to the '
            f"arms you compare, too"
        )


# ---------------------------------------------------------------------- quantizing
def _by_bitsandbytes(row: Precision, source: Source, device: Any, work: Path) -> dict[str, Any]:
    """Load in ``row`` and save at once: a forward pass packs the weights anew, and saves wrong."""
    from transformers import AutoModelForCausalLM, GenerationConfig

    wanted: dict[str, Any] = {f"load_in_{row.bits}bit": True}
    if row.quant_type:
        wanted["bnb_4bit_quant_type"] = row.quant_type
    config = loading.bitsandbytes_config(wanted, source.dtype)
    with _quiet() as said, _explained("bitsandbytes", said):
        model = AutoModelForCausalLM.from_pretrained(
            source.folder, quantization_config=config, dtype=source.dtype, device_map={"": device}
        )
        # The source's own file is copied, whatever it says; some, transformers 4 refuses to save.
        model.generation_config = GenerationConfig()
        model.save_pretrained(work)
    return {key: str(value) for key, value in config.to_diff_dict().items()}


def _by_gptqmodel(
    row: Precision,
    source: Source,
    group_size: int,
    texts: Calibration,
    device: Any,
    work: Path,
    report: Report,
) -> dict[str, Any]:
    """Quantize with GPT-QModel; return what the provenance says about method and calibration."""
    # With one worker it fails at import, and one is its default on two cores.
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", str(max(2, (os.cpu_count() or 1) // 2)))
    # Of rows of unequal lengths its AWQ uses the last one only.
    rows = texts.rows
    if row.method == "awq":
        rows = texts.even_rows(max(map(len, rows)))
    report("loading GPT-QModel", 0, 0)
    with _quiet() as said, _explained("GPT-QModel", said), _tamed(work, said):
        from gptqmodel import BACKEND, GPTQModel, QuantizeConfig
        from gptqmodel.quantization import FORMAT, METHOD

        if row.method == "awq":
            # Zero points, as in the paper and in nearly all published checkpoints.
            options = {"method": METHOD.AWQ, "format": FORMAT.GEMM, "sym": False}
            backend = BACKEND.AWQ_TORCH
        else:
            options = {"method": METHOD.GPTQ, "format": FORMAT.GPTQ, "sym": True, "desc_act": False}
            backend = BACKEND.GPTQ_TORCH
        scratch = work / "scratch"
        config = QuantizeConfig(
            bits=row.bits,
            group_size=group_size,
            device=str(device),
            # Else layers that see few tokens are rounded instead, which is another method.
            fallback=None,
            offload_to_disk_path=str(scratch),
            **options,
        )
        model = GPTQModel.load(str(source.folder), config, backend=backend, dtype=source.dtype)
        model.layer_callback = _LayerReport(report, int(source.config.num_hidden_layers))
        log = model.quantize(
            [{"input_ids": list(each), "attention_mask": [1] * len(each)} for each in rows],
            calibration_sort=None,
            batch_size=1,
            backend=backend,
        )
        report("saving", 0, 0)
        model.save(str(work))
        del model
        gc.collect()
        shutil.rmtree(scratch, ignore_errors=True)
    _forget_scratch(work)
    seen = [
        int(entry.get("activation_retained_tokens", entry.get("samples", 0)))
        for entries in log.values()
        for entry in entries
    ]
    given = sum(map(len, rows))
    if min(seen, default=0) < given:
        logger.warning(
            "a layer was calibrated with %d of %d tokens, as the experts of a mixture are",
            min(seen, default=0),
            given,
        )
    return {
        "options": {name: getattr(value, "value", value) for name, value in options.items()},
        "calibration": {
            **texts.as_dict(),
            "rows": len(rows),
            "tokens_in_rows": given,
            "fewest_tokens_of_a_layer": min(seen, default=0),
        },
    }


@contextmanager
def _tamed(work: Path, said: _Said) -> Iterator[None]:
    """Keep GPT-QModel from writing logs into the current folder, and from ending without a word.

    When one of its threads fails it ends the process at once. This cannot be turned into an
    exception, for not every failure reaches the thread that waits; but the user is told why, and
    nothing is left.
    """
    from gptqmodel.looper import loop_processor
    from gptqmodel.utils.threadx import _DeviceWorker

    def tell_and_end(_worker: Any, error: BaseException) -> None:
        shutil.rmtree(work, ignore_errors=True)
        said.is_quiet = False
        said.write(f"Error: {_failed('GPT-QModel', error, said)}\n")
        said.flush()
        os._exit(1)

    abort, logs = _DeviceWorker._abort_process, loop_processor._PROJECT_LOG_DIR
    _DeviceWorker._abort_process = tell_and_end
    loop_processor._PROJECT_LOG_DIR = work / "scratch" / "logs"
    try:
        yield
    finally:
        _DeviceWorker._abort_process = abort
        loop_processor._PROJECT_LOG_DIR = logs


class _LayerReport:
    """Tells how far GPT-QModel has come; it calls this after every block."""

    def __init__(self, report: Report, blocks: int) -> None:
        self._report = report
        self._blocks = blocks
        report("quantizing blocks", 0, blocks)

    def layer_complete(self, layer_idx: int, submodule_finalized: bool) -> None:
        if submodule_finalized:
            self._report("quantizing blocks", layer_idx + 1, self._blocks)


def _forget_scratch(work: Path) -> None:
    """Take the path of a folder that is gone out of the configuration: equal runs, equal files."""
    for name in ("config.json", "quantize_config.json"):
        path = work / name
        content = json.loads(path.read_text(encoding="utf-8"))
        inner = content.get("quantization_config", content)
        inner["meta"] = {**inner.get("meta", {}), "offload_to_disk_path": None}
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _copy_other_files(source: Path, work: Path) -> None:
    """Put the source's tokenizer, template and generation config in place, to the byte.

    Quantizers write their own: GPT-QModel turns sampling on and changes the tokenizer's settings.
    """
    written = ("config.json", *SIDECARS)
    for path in work.iterdir():
        if path.suffix in (".json", ".jinja", ".model", ".txt") and not (
            path.name in written or path.name.endswith(".index.json")
        ):
            path.unlink()
    for path in source.iterdir():
        if path.name.startswith(".") or path.name == "config.json":
            continue
        if path.is_file() and not path.name.endswith(_NOT_COPIED):
            shutil.copyfile(path, work / path.name)
        elif path.name == "additional_chat_templates":
            shutil.copytree(path, work / path.name, dirs_exist_ok=True)


def _verify(work: Path, row: Precision, group_size: int | None, device: Any) -> None:
    """Load what was written, and check that every linear layer of a block is as claimed."""
    from transformers import AutoModelForCausalLM

    from qrag_tasks.harness.arms.verification import verify

    checkpoint = read_checkpoint(str(work))
    check_checkpoint(checkpoint, row, group_size)
    if row.method in ("gptq", "awq"):
        # Some kernels that GPT-QModel would choose on a GPU build themselves first, some take
        # no layers of these shapes; on a CPU there is one for all.
        device = "cpu"
    with _quiet() as said, _explained("transformers", said):
        model = AutoModelForCausalLM.from_pretrained(work, device_map={"": device}, dtype="auto")
    verify(model, row, group_size=group_size, declared=checkpoint.declared_unquantized)


# ---------------------------------------------------------------------- around it
@contextmanager
def _work_folder(out: Path) -> Iterator[Path]:
    """Give a folder beside ``out`` that becomes ``out`` at the end, and is removed on an error."""
    prefix = f".{out.name}.quantizing-"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if others := sorted(out.parent.glob(f"{prefix}*")):
            logger.warning(
                "%s: of a run with the same --out that is at work now, or was killed; in the "
                "latter case it can be removed",
                ", ".join(map(str, others)),
            )
        work = Path(tempfile.mkdtemp(prefix=prefix, dir=out.parent))
    except OSError as error:
        raise SettingsError(f"--out {out}: cannot be written: {error}") from error
    try:
        yield work
        work.chmod(0o755)
        try:
            work.rename(out)
        except OSError as error:
            raise ModelError(
                f"--out {out}: appeared while this run was at work, and is left as it is "
                f"({error.strerror}). Run again with another --out."
            ) from error
    except QragError:
        raise
    except OSError as error:
        raise ModelError(f"--out {out}: cannot be written: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _weight_files(folder: Path) -> list[Path]:
    return next((found for p in _WEIGHTS if (found := sorted(folder.glob(p)))), [])


def _fingerprint(folder: Path, report: Report) -> str:
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


def _text_of(source: Source) -> Any:
    from qrag_tasks.harness.tokens import model_text

    return model_text({"pretrained": str(source.folder)})


def _seed_all(seed: int) -> None:
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


class _Said(io.TextIOBase):
    """Stands in for an output; what is written is kept while it is quiet, and passed on later.

    Libraries keep the output that they found, in handlers and threads: it must work afterwards.
    """

    def __init__(self, behind: TextIO) -> None:
        self.lines: deque[str] = deque(maxlen=400)
        self.is_quiet = True
        self._behind = behind

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if not self.is_quiet:
            return self._behind.write(text)
        self.lines.append(text)
        return len(text)

    def flush(self) -> None:
        if not self.is_quiet:
            self._behind.flush()

    def last(self, count: int) -> str:
        """Return the last lines that were written, without those of progress bars."""
        text = "".join(self.lines).replace("\r", "\n")
        lines = [line.strip() for line in text.splitlines() if not _BAR.search(line)]
        return "\n".join(f"  | {line}" for line in [line for line in lines if line][-count:])


@contextmanager
def _quiet() -> Iterator[_Said]:
    """Keep what libraries print; both outputs, as some write logs to either."""
    import sys

    said = _Said(sys.stderr)
    try:
        with redirect_stdout(said), redirect_stderr(said):
            yield said
    finally:
        said.is_quiet = False


@contextmanager
def _explained(who: str, said: _Said) -> Iterator[None]:
    """Turn whatever a library raises into an error that says who raised it, and its last words."""
    try:
        yield
    except Exception as error:
        raise ModelError(_failed(who, error, said)) from error


def _failed(who: str, error: BaseException, said: _Said) -> str:
    reason = (str(error).strip().splitlines() or [""])[0]
    if not reason and (frames := extract_tb(error.__traceback__)):
        reason = f"{frames[-1].line} in {frames[-1].filename}, line {frames[-1].lineno}"
    return f"{who} failed: {type(error).__name__}: {reason}\n{said.last(8)}".rstrip()
