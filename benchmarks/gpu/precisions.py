"""What each precision costs on a GPU, by ``--model qrag`` and by lm_eval's own ``--model hf``.

``python benchmarks/gpu/precisions.py --data FOLDER --tokenizer FOLDER --out FILE``

Makes a model of Mistral-7B's shape with random weights, and from it 4-bit checkpoints in GPTQ's
and AWQ's layouts by rounding to the nearest, without calibration: speed and bytes do not depend
on the weights' values. Random weights never stop, so every answer runs to its limit. Each run is
a process of its own, and ``FILE`` is written anew after each; a run that fails is reported.

Beside the embeddings' size, which the tokenizer decides, these are the choices that count:

- the next run's process starts while the last one works, and waits for its turn with its
  imports done, before it touches the GPU; loading and answering never overlap;
- lm_eval indexes our task folder only, not its own ten thousand files;
- GPTQ and AWQ use gptqmodel's Marlin kernel where ``--marlin`` names its built library, else its
  Triton kernels, which need no compiler; each is first checked on a tiny model.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ARMS = ("fp16", "int4-nf4", "int4-gptq", "int4-awq", "int8", "bf16")
ENGINES = ("qrag", "hf")
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
HF_ARGUMENTS = {
    "fp16": "dtype=float16",
    "bf16": "dtype=bfloat16",
    "int8": "dtype=float16,load_in_8bit=True",
    "int4-nf4": "dtype=float16,load_in_4bit=True",
    "int4-gptq": "dtype=float16",
    "int4-awq": "dtype=float16",
}
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
RELATIVE_ERROR = 0.02
NO_TIME = "no time left"


# ------------------------------------------------------------------------------ checkpoints
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


def quantization(kind: str, kernel: str) -> dict[str, Any]:
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
    folders = ["fp16", *kinds, *(f"{kind}-meant" for kind in kinds if meant)]
    index: dict[str, dict[str, str]] = {folder: {} for folder in folders}
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for file in tokenizer.glob("*"):
            if file.name.startswith(("tokenizer", "special_tokens", "chat_template")):
                shutil.copy(file, root / folder)
        config = configuration(shape, vocabulary)
        if folder in kinds:
            config["quantization_config"] = quantization(folder, candidates(folder, device)[0])
        (root / folder / "config.json").write_text(json.dumps(config, indent=1))
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
            for kind, pack in (("gptq", gptq), ("awq", awq)):
                if kind not in kinds:
                    continue
                parts, stands_for = {"weight": weight}, weight
                if "_proj" in name:
                    parts, stands_for = pack(weight)
                stem = name.removesuffix("weight")
                for part, tensor in parts.items():
                    tensors[kind][stem + part] = tensor.contiguous().cpu()
                if meant:
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


# ------------------------------------------------------------------------------ one run
def child(record: Path, marlin: str | None, arguments: list[str]) -> None:
    """Run lm_eval's command line once told to on stdin; write what was measured to ``record``."""
    measured: dict[str, Any] = {}
    joules = energy_counter()

    import lm_eval.evaluator
    import lm_eval.models.huggingface as huggingface
    import lm_eval.tasks
    import torch
    from lm_eval.__main__ import cli_evaluate

    from qrag_tasks.locations import task_yamls

    with contextlib.suppress(Exception):
        import qrag_tasks.harness.model  # noqa: F401

    if torch.cuda.is_initialized():
        print("WARNING: the imports put the GPU in use", flush=True)
    sys.stdin.readline()
    gpu = torch.cuda.is_available()
    if marlin and gpu:
        load_kernels(marlin)
    pretrained = arguments[arguments.index("--model_args") + 1].partition(",")[0]
    if Path(pretrained).name in FOLDERS.values():
        import gptqmodel  # noqa: F401

    def now() -> float:
        if gpu:
            torch.cuda.synchronize()
        return time.perf_counter()

    manager, create = lm_eval.tasks.TaskManager, huggingface.HFLM._create_model
    evaluate = lm_eval.evaluator.evaluate
    index = manager.__init__

    def ours_only(self: Any, *args: Any, **kwargs: Any) -> None:
        index(self, *args, **{**kwargs, "include_defaults": False, "include_path": [task_yamls()]})

    def timed_create(self: Any, *args: Any, **kwargs: Any) -> None:
        start = now()
        create(self, *args, **kwargs)
        measured["load_seconds"] = now() - start
        kinds = {type(module).__name__ for module in self.model.modules()}
        measured["layers"] = sorted(name for name in kinds if "Linear" in name)
        measured["weight_bytes"] = bytes_of(self.model)
        if gpu:
            measured["loaded_bytes"] = torch.cuda.memory_allocated()

    def timed_evaluate(lm: Any, *args: Any, **kwargs: Any) -> Any:
        answer = lm.generate_until

        def generate_until(requests: Any, *more: Any, **options: Any) -> Any:
            before, start = joules(), now()
            answers = answer(requests, *more, **options)
            measured["generate_seconds"] = now() - start
            after = joules()
            measured["joules"] = None if before is None or after is None else after - before
            measured["answers"] = list(answers)
            write()
            return answers

        lm.generate_until = generate_until
        return evaluate(lm, *args, **{**kwargs, "bootstrap_iters": 0})

    def write() -> None:
        if gpu:
            measured["peak_bytes"] = torch.cuda.max_memory_allocated()
            measured["peak_reserved_bytes"] = torch.cuda.max_memory_reserved()
        record.write_text(json.dumps(measured))

    manager.__init__ = ours_only
    huggingface.HFLM._create_model = timed_create
    lm_eval.evaluator.evaluate = timed_evaluate
    sys.argv = ["lm_eval", *arguments]
    cli_evaluate()


def bytes_of(model: Any) -> int:
    tensors = [*model.parameters(), *model.buffers()]
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in tensors}
    return sum(storage.nbytes() for storage in storages.values())


def energy_counter() -> Any:
    """Return a function for the joules the first GPU has used so far, or ``None`` always."""
    with contextlib.suppress(Exception):
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        return lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000
    return lambda: None


class MemoryWatch(threading.Thread):
    """Keeps the most memory in use on the first GPU, by all processes, until ``over`` is set."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak: int | None = None
        self.over = threading.Event()

    def run(self) -> None:
        """Look twenty times a second."""
        with contextlib.suppress(Exception):
            import pynvml

            pynvml.nvmlInit()
            handle = pynvml.nvmlDeviceGetHandleByIndex(0)
            while not self.over.wait(0.05):
                self.peak = max(self.peak or 0, pynvml.nvmlDeviceGetMemoryInfo(handle).used)


# ------------------------------------------------------------------------------ all runs
class Run:
    """One arm by one engine."""

    def __init__(self, arm: str, engine: str, options: argparse.Namespace) -> None:
        self.arm, self.engine, self.options = arm, engine, options
        self.folder = options.work / "runs" / f"{arm}-{engine}"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.log = self.folder / "log.txt"
        self.process: subprocess.Popen[str] | None = None

    def arguments(self) -> list[str]:
        """Return lm_eval's command line."""
        options = self.options
        pretrained = f"pretrained={options.work / FOLDERS.get(self.arm, 'fp16')}"
        if self.engine == "qrag":
            model = [pretrained + f",precision={self.arm}"]
        else:
            model = [pretrained + "," + HF_ARGUMENTS[self.arm], "--batch_size", str(options.batch)]
        return [
            *("run", "--model", self.engine, "--model_args", *model),
            *("--tasks", ",".join(options.tasks), "--limit", str(options.limit)),
            *("--metadata", json.dumps({"data": str(options.data.resolve())})),
            *("--output_path", str(self.folder / "results")),
        ]

    def start(self) -> None:
        """Start the process, which then waits for its turn."""
        command = [sys.executable, __file__, "child", str(self.folder / "record.json")]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, self.options.marlin or "", *self.arguments()],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def finish(self, seconds: float) -> dict[str, Any]:
        """Let it run, and return what it measured."""
        process, start, peak = self.process, time.perf_counter(), MemoryWatch()
        peak.start()
        if process is None or process.stdin is None:
            raise RuntimeError("start() comes first")
        problem = None
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write("go\n")
                process.stdin.close()
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            problem = f"stopped after {seconds:.0f} s"
        peak.over.set()
        found: dict[str, Any] = {"arm": self.arm, "engine": self.engine}
        found["wall_seconds"] = time.perf_counter() - start
        found["nvml_peak_bytes"] = peak.peak
        with contextlib.suppress(OSError):
            found |= json.loads((self.folder / "record.json").read_text())
        for file in (self.folder / "results").rglob("results_*.json"):
            written = json.loads(file.read_text())
            found["qrag"] = (written.get("config") or {}).get("qrag")
            found["scores"] = written.get("results")
        if process.returncode != 0 or "generate_seconds" not in found:
            lines = self.log.read_text(errors="replace").strip().splitlines()
            found["error"] = problem or (lines or ["no output"])[-1]
            found["log_end"] = lines[-25:]
        return found


def main() -> None:
    options = parse()
    options.work.mkdir(parents=True, exist_ok=True)
    deadline = time.perf_counter() + options.seconds
    engines = [engine for engine in ENGINES if engine in options.engines]
    runs = [Run(arm, engine, options) for arm in options.arms for engine in engines]
    report: dict[str, Any] = {
        "machine": machine(),
        "shape": {"name": options.shape, **SHAPES[options.shape]},
        "tokenizer": str(options.tokenizer),
        "tasks": options.tasks,
        "limit": options.limit,
        "hf_batch_size": options.batch,
        "runs": [],
    }
    if runs:
        runs[0].start()
    command = [sys.executable, __file__, "make", *sys.argv[1:], "--work", str(options.work)]
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(command, check=False, timeout=options.seconds / 2)
    made = options.work / "made.json"
    report["made"] = json.loads(made.read_text()) if made.is_file() else None
    for run, following in zip(runs, [*runs[1:], None], strict=True):
        left = deadline - time.perf_counter()
        if left < options.least:
            found: dict[str, Any] = {"arm": run.arm, "engine": run.engine, "error": NO_TIME}
            if run.process:
                run.process.kill()
        else:
            if following:
                # Its imports would disturb the loading that they coincide with only a little.
                following.start()
            found = run.finish(left)
        report["runs"].append(found)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(report, indent=1))
        said = found.get("error") or f"{found['generate_seconds']:.1f} s"
        print(
            f"{run.arm:10} {run.engine:5} {said}  (of {found.get('wall_seconds', 0):.0f} s wall)",
            flush=True,
        )
        if "error" in found:
            print("\n".join(found.get("log_end", [])), flush=True)
    print(f"\n{heading(report)}\n\n{table(report['runs'])}")


def machine() -> dict[str, Any]:
    names = ("torch", "transformers", "lm_eval", "bitsandbytes", "gptqmodel", "optimum", "triton")
    versions = {}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    gpu = None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        asked = "--query-gpu=name,driver_version"
        gpu = subprocess.check_output(["nvidia-smi", asked, "--format=csv,noheader"], text=True)
    return {"gpu": gpu.strip() if gpu else None, "versions": versions}


def heading(report: Mapping[str, Any]) -> str:
    kernels = (report["made"] or {}).get("kernels", {})
    used = ", ".join(f"{kind} by {found['layer']}" for kind, found in kernels.items())
    return (
        f"{report['machine']['gpu'] or 'CPU'}; {report['shape']['name']} with random weights "
        f"(answers never stop before their limit); tasks {', '.join(report['tasks'])}, "
        f"limit {report['limit']}; hf: batch size {report['hf_batch_size']}. {used}"
    )


def table(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return the runs as a table, an arm a row."""
    head = (
        *("arm", "weights GB (x of fp16)", "peak GB", "load s", "prefill tok/s", "decode tok/s"),
        *("seconds qrag", "seconds hf", "hf peak GB", "energy kJ", "hf energy kJ"),
        "same answers",
    )
    rows = [head, ("---",) + ("---:",) * (len(head) - 1)]
    by = {(run["arm"], run["engine"]): run for run in runs}
    base = weights(by.get(("fp16", "qrag"), {})) or weights(by.get(("fp16", "hf"), {}))
    for arm in dict.fromkeys(run["arm"] for run in runs):
        ours, theirs = by.get((arm, "qrag"), {}), by.get((arm, "hf"), {})
        cost = (ours.get("qrag") or {}).get("cost") or {}
        size = weights(ours) or weights(theirs)
        share = f" (x{size / base:.2f})" if size and base else ""
        rows.append(
            (
                arm,
                number(size, 1e9, 2) + share,
                number(cost.get("peak_device_bytes") or ours.get("peak_bytes"), 1e9, 1),
                number(cost.get("load_seconds") or ours.get("load_seconds"), 1, 1),
                number(cost.get("prefill_tokens_per_second"), 1, 0),
                number(cost.get("decode_tokens_per_second"), 1, 0),
                seconds(ours),
                seconds(theirs),
                number(theirs.get("peak_bytes"), 1e9, 1),
                number(cost.get("energy_joules") or ours.get("joules"), 1000, 2),
                number(theirs.get("joules"), 1000, 2),
                alike(ours.get("answers"), theirs.get("answers")),
            )
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def weights(run: Mapping[str, Any]) -> float | None:
    """Return the bytes of a run's weights, by whoever knows them best."""
    arm = (run.get("qrag") or {}).get("arm") or {}
    return (
        (arm.get("weights") or {}).get("bytes")
        or run.get("loaded_bytes")
        or run.get("weight_bytes")
    )


def seconds(run: Mapping[str, Any]) -> str:
    """Return the seconds of answering; of a run that failed later, too."""
    missing = "not run" if run.get("error") == NO_TIME else "failed" if run else ""
    return number(run.get("generate_seconds"), 1, 1) or missing


def alike(ours: Sequence[str] | None, theirs: Sequence[str] | None) -> str:
    if not ours or not theirs:
        return ""
    same = sum(a.strip() == b.strip() for a, b in zip(ours, theirs, strict=False))
    return f"{same / len(ours):.0%}"


def number(value: float | None, unit: float, digits: int) -> str:
    return "" if value is None else f"{value / unit:,.{digits}f}"


def work_folder() -> Path:
    """Return a folder with room, in main memory where there is some."""
    for place in (Path("/dev/shm"), Path(tempfile.gettempdir())):  # noqa: S108
        if place.is_dir() and shutil.disk_usage(place).free > 40e9:
            return place / "qrag-precisions"
    return Path(tempfile.gettempdir()) / "qrag-precisions"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="data root with lamp3u and lamp5u")
    add("--tokenizer", type=Path, required=True, help="folder of a tokenizer's files")
    add("--out", type=Path, required=True, help="JSON file for all that was measured")
    add("--work", type=Path, default=work_folder(), help="folder for 24 GB of checkpoints")
    add("--shape", choices=SHAPES, default="mistral-7b")
    add("--arms", type=lambda text: text.split(","), default=list(ARMS), help=",".join(ARMS))
    add("--engines", type=lambda text: text.split(","), default=list(ENGINES))
    add("--only-hf", dest="engines", action="store_const", const=["hf"])
    add("--tasks", type=lambda text: text.split(","), default=["lamp_rag_k5", "lamp_rag_k10"])
    add("--limit", type=int, default=64, help="samples a task")
    add("--batch", type=int, default=32, help="of --model hf")
    add("--marlin", help="built library of gptqmodel's Marlin kernels for 16-bit floats")
    add("--seconds", type=float, default=540, help="runs are stopped when these are over")
    add("--least", type=float, default=20, help="seconds that must be left to begin a run")
    options = parser.parse_args(arguments)
    if unknown := [arm for arm in options.arms if arm not in ARMS]:
        parser.error(f"unknown arms {', '.join(unknown)} (known: {', '.join(ARMS)})")
    return options


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(Path(sys.argv[2]), sys.argv[3] or None, sys.argv[4:])
    elif sys.argv[1:2] == ["make"]:
        make(parse(sys.argv[2:]))
    else:
        main()
