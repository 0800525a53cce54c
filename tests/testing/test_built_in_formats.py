"""The built-in formats, held to the contract that formats of third parties are held to."""

from __future__ import annotations

from pathlib import Path

import pytest
from compressed_files import compressed_config, compressed_folder
from quantized_files import awq_config, gptq_config, quantized_folder

from qrag_tasks.registry import FORMATS
from qrag_tasks.testing import FORMAT_CHECKS, FormatConformance

pytest.importorskip("torch", reason="the hf extra is not installed")


class TestPlain(FormatConformance):
    spec = "none"


class TestBitsAndBytes(FormatConformance):
    spec = "bitsandbytes"


class TestFp8(FormatConformance):
    spec = "fp8"


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # GPT-QModel's own temporary folders
class TestGptq(FormatConformance):
    spec = "gptq"

    def write_checkpoint(self, precision: str, plain: Path, folder: Path) -> None:
        bits = int(precision.removeprefix("int").removesuffix("-gptq"))
        quantized_folder(plain, folder, gptq_config(128, bits))


@pytest.mark.filterwarnings("ignore::ResourceWarning")
class TestAwq(FormatConformance):
    spec = "awq"

    def write_checkpoint(self, precision: str, plain: Path, folder: Path) -> None:
        quantized_folder(plain, folder, awq_config(128))


class TestTorchAo(FormatConformance):
    spec = "torchao"


class TestHqq(FormatConformance):
    spec = "hqq"


class TestQuanto(FormatConformance):
    spec = "quanto"


class TestCompressedTensors(FormatConformance):
    spec = "compressed-tensors"

    def write_checkpoint(self, precision: str, plain: Path, folder: Path) -> None:
        compressed_folder(plain, folder, compressed_config(precision))


class TestGguf(FormatConformance):
    spec = "gguf"


def test_every_built_in_format_is_held_to_it() -> None:
    held = {kind.spec for kind in FormatConformance.__subclasses__()}
    known = FORMATS.all().items()
    assert {name for name, f in known if f.origin.distribution == "qrag-tasks"} <= held


def test_every_check_says_what_it_is_for() -> None:
    assert len({check.name for check in FORMAT_CHECKS}) == len(FORMAT_CHECKS)
    assert all(check.summary.endswith(".") for check in FORMAT_CHECKS)
