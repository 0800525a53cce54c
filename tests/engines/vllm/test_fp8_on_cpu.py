"""FP8 on a CPU whose AMX has no FP16: vLLM's kernels multiply with a scale for every row."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from vllm_models import DEVICE, load, torch

from qrag_tasks.engines.vllm import environment, fp8_on_cpu
from qrag_tasks.engines.vllm.fp8_on_cpu import has_only_reference, multiply_by_rows
from qrag_tasks.testing.engine_requests import generate, sample_requests

pytestmark = pytest.mark.skipif(DEVICE != "cpu", reason="a GPU multiplies FP8 itself")
ROWS, WIDTH, COLUMNS = 5, 64, 48
KERNELS = ("PerTensorTorchFP8ScaledMMLinearKernel", "ChannelWiseTorchFP8ScaledMMLinearKernel")


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Any:
    """vLLM's module; its methods are themselves again after the test."""
    environment.prepare(invariant=False)
    from vllm.model_executor.kernels.linear.scaled_mm import pytorch

    for name in KERNELS:
        own = getattr(pytorch, name)
        monkeypatch.setattr(own, "apply_scaled_mm", vars(own)["apply_scaled_mm"])
    return pytorch


@pytest.mark.parametrize(
    ("flags", "only"),
    [
        ("fpu amx_bf16 amx_tile avx512_fp16", True),
        ("fpu amx_bf16 amx_tile amx_fp16", False),
        ("fpu avx512_bf16", False),
    ],
)
def test_which_processors_have_only_the_reference(tmp_path: Path, flags: str, only: bool) -> None:
    cpu = tmp_path / "cpuinfo"
    cpu.write_text(f"model name\t: a CPU\nflags\t\t: {flags}\n\nflags\t\t: {flags}\n")
    assert has_only_reference(cpu) is only
    cpu.write_text("")
    assert not has_only_reference(cpu)
    assert not has_only_reference(tmp_path / "none")


@pytest.mark.parametrize("padding", [0, 12])
@pytest.mark.parametrize("name", KERNELS)
def test_it_multiplies_what_the_numbers_stand_for(kernels: Any, name: str, padding: int) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b, bias = (
        torch.randn(shape, generator=generator)
        for shape in ((ROWS + padding, WIDTH), (COLUMNS, WIDTH), (COLUMNS,))
    )
    each = name == KERNELS[1]
    given: dict[str, Any] = {
        "A": a.to(torch.float8_e4m3fn),
        "B": b.to(torch.float8_e4m3fn).t(),
        "As": torch.rand((ROWS, 1) if each else (), generator=generator) + 0.5,
        "Bs": torch.rand((COLUMNS, 1) if each else (), generator=generator) + 0.5,
        "bias": bias.to(torch.bfloat16),
        "out_dtype": torch.bfloat16,
        "output_shape": [1, ROWS, COLUMNS],
    }
    kernel = getattr(kernels, name)
    left = given["A"][:ROWS].float() * given["As"]
    right = given["B"].float() * given["Bs"].reshape(1, -1)
    expected = (left @ right + given["bias"].float()).to(torch.bfloat16).view(1, ROWS, COLUMNS)
    multiply_by_rows()
    assert kernel.apply_scaled_mm is fp8_on_cpu._by_rows
    product = kernel.apply_scaled_mm(SimpleNamespace(), **given)
    torch.testing.assert_close(product, expected, rtol=0.01, atol=0.01)


def test_a_model_answers_by_it(
    vllm_model: Path, kernels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fp8_on_cpu, "has_only_reference", lambda: True)
    scales: set[int] = set()
    scaled_mm = torch._scaled_mm

    def note(*tensors: Any, scale_a: Any, **options: Any) -> Any:
        scales.add(scale_a.shape[0] - tensors[0].shape[0])
        return scaled_mm(*tensors, scale_a=scale_a, **options)

    monkeypatch.setattr(torch, "_scaled_mm", note)
    engine, _ = load(vllm_model, precision="fp8-channel", dtype="bfloat16")
    assert all(generate(engine, sample_requests(engine)))
    assert scales == {0}


def test_a_vllm_whose_kernels_have_other_names(
    kernels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in KERNELS:
        monkeypatch.delattr(kernels, name)
    multiply_by_rows()
    monkeypatch.setattr(fp8_on_cpu, "_KERNELS", "vllm.no_such_module")
    multiply_by_rows()
