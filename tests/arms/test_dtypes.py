"""Dtypes by name."""

from __future__ import annotations

import pytest

from qrag_tasks.arms.dtypes import named_dtype
from qrag_tasks.errors import SettingsError

torch = pytest.importorskip("torch", reason="the hf extra is not installed")


@pytest.mark.parametrize("value", ["float16", "bfloat16", "float32", "auto", torch.float16, None])
def test_they_are_read_as_lm_eval_reads_them(value: object) -> None:
    get_dtype = pytest.importorskip("lm_eval.models.utils_hf").get_dtype
    assert named_dtype("dtype", value) == get_dtype(value)


@pytest.mark.parametrize("value", ["float17", "Tensor", "nn", "torch.float16", ""])
def test_what_names_none_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match=f"softmax_dtype={value}: torch has no such dtype"):
        named_dtype("softmax_dtype", value)
