"""What is advised where a precision is not known."""

from __future__ import annotations

import pytest

from qrag_tasks.arms.precisions import precision, precisions
from qrag_tasks.errors import SettingsError


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        (
            "int4",
            " For 4 bits take int4-nf4 or int4-hqq or int4-quanto, made on loading, or int4-gptq "
            "or int4-awq, from a ",
        ),
        ("int3", " For 3 bits take int3-hqq, made on loading, or int3-gptq, from a "),
        (
            "2bit",
            " For 2 bits take int2-hqq or int2-quanto, made on loading, or int2-gptq, from a ",
        ),
        ("hqq", " Did you mean 'int4-hqq'?"),
        ("nf4", " Did you mean 'int4-nf4'?"),
        ("GPTQ", " Did you mean 'int4-gptq'?"),
        ("float16", " Did you mean 'fp16'?"),
        ("bfloat16", " Did you mean 'bf16'?"),
        ("8bit", " Did you mean 'int8'?"),
        ("int4-gtpq", " Did you mean 'int4-gptq'?"),
        ("fp61", ""),
        ("int5", ""),
    ],
)
def test_advice_is_never_another_meaning(name: str, advice: str) -> None:
    with pytest.raises(SettingsError, match="unknown precision") as caught:
        precision(name)
    told = str(caught.value).partition(").")[2]
    assert told.startswith(advice) if advice else told == ""


def test_a_line_is_what_differs_in_bits_alone() -> None:
    lines: dict[str, list[int]] = {}
    for row in precisions().values():
        if row.quantized and not row.mixed and row.method != "gguf":
            lines.setdefault(row.line, []).append(row.bits)
    assert all(len(bits) == len(set(bits)) for bits in lines.values()), lines
    names = ("int3-gptq", "int4-nf4", "w4a16", "w8a8-int8", "int8", "gguf-q4_k_m", "fp8-channel")
    assert [precision(name).line for name in names] == [
        *("gptq", "nf4", "wNa16", "wNa8-int8", "LLM.int8()", "gguf", "fp8-channel"),
    ]
