"""What a model computes, computed by transformers in 32 bits: the reference of the engines' kit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path


def next_log_probabilities(folder: Path) -> Callable[[Sequence[int]], list[float]]:
    """Return token ids -> log-probabilities of the next token, over the whole vocabulary."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def logprobs(tokens: Sequence[int]) -> list[float]:
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([list(tokens)])).logits[0, -1]
        values: list[float] = torch.log_softmax(logits, dim=-1).tolist()
        return values

    return logprobs
