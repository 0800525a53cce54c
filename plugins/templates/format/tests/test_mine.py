"""``mine``: the contract of a format, and what is its own."""

from __future__ import annotations

import torch
from qrag_mine.layers import MineLinear

from qrag_tasks.testing import FormatConformance


class TestConformance(FormatConformance):
    spec = "mine"


def test_no_weight_is_off_by_more_than_half_a_step() -> None:
    linear = torch.nn.Linear(64, 32)
    made = MineLinear.of(linear)
    weight = made.codes.float() * made.scales[:, None]
    steps = (weight - linear.weight).abs() / made.scales[:, None]
    assert steps.max() <= 0.5 + 1e-4
