"""Advice for a name that nobody knows: the nearest, and never one of another meaning."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from qrag_tasks.errors import did_you_mean
from qrag_tasks.prompting.protocols import CHOICES
from qrag_tasks.tasks.base import DEPTHS
from qrag_tasks.tasks.lamp.table import LAMP_TASKS

K = [*map(str, DEPTHS)]
ORDERS = CHOICES["order"]
ARGUMENTS = ["max_length", "top_k", "load_in_8bit", "bnb_4bit_quant_type"]
METRICS = ["mae", "rmse", "rouge1", "rougeL", "accuracy"]


@pytest.mark.parametrize(
    ("given", "known", "nearest"),
    [
        ("max4", K, ["max4k"]),
        ("k5", K, ["5"]),
        ("max", K, ["max4k", "max8k"]),
        ("lamp3", LAMP_TASKS, ["lamp3u", "lamp3t"]),
        ("LaMP_3", LAMP_TASKS, ["lamp3u", "lamp3t"]),
        ("lamp33u", LAMP_TASKS, ["lamp3u"]),
        ("bm52", ["bm25", "bm25-word"], ["bm25"]),
        ("best_first", ORDERS, ["best-first"]),
        ("shufled-before-filing", ORDERS, ["shuffled-before-filling"]),
        ("max_lenght", ARGUMENTS, ["max_length"]),
        ("maxlength", ARGUMENTS, ["max_length"]),
        ("rougel", METRICS, ["rougeL"]),
        ("mea", METRICS, ["mae"]),
        ("f16", ["fp32", "fp16", "bf16"], ["fp16", "bf16"]),
    ],
)
def test_the_nearest_names(given: str, known: Sequence[str], nearest: list[str]) -> None:
    told = " or ".join(map(repr, nearest))
    assert did_you_mean(given, known) == f" Did you mean {told}?"


@pytest.mark.parametrize(
    ("given", "known"),
    [
        *((k, K) for k in ("-1", "50", "100", "11", "01", "max16k")),
        ("lamp8u", LAMP_TASKS),
        ("lamp", LAMP_TASKS),  # any of them
        *((order, ORDERS) for order in ("worst-first", "best-last", "unshuffled")),
        ("inexact", CHOICES["fill"]),
        *((name, ARGUMENTS) for name in ("min_length", "top_p", "load_in_4bit")),
        *((name, METRICS) for name in ("mse", "rouge2")),
        ("k2", ["k1", "b", "epsilon"]),
    ],
)
def test_what_means_something_else_is_not_advised(given: str, known: Sequence[str]) -> None:
    assert did_you_mean(given, known) == ""
