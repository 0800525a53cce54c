"""What one sequence does to another in an 8-bit layer: ``python benchmarks/int8_batches.py``.

LLM.int8() (arXiv 2208.07339, section 3.2) multiplies in 16 bits the features in which some input
reaches a threshold, and all others in 8. bitsandbytes looks for them over the whole batch, so the
features that are outliers in one sequence leave the 8 bits in its neighbours too. Printed is how
far the output of a sequence moves when another stands beside it, as a share of the output's size.
"""

from __future__ import annotations

import torch
from bitsandbytes.nn import Int8Params, Linear8bitLt

FEATURES, TOKENS, OUTLIERS = 896, 64, (0, 1, 8, 64)
DEFAULT_THRESHOLD = 6.0


def layer(threshold: float) -> Linear8bitLt:
    torch.manual_seed(0)
    made = Linear8bitLt(FEATURES, FEATURES, bias=False, has_fp16_weights=False, threshold=threshold)
    weights = torch.randn(FEATURES, FEATURES, dtype=torch.float16) / FEATURES**0.5
    made.weight = Int8Params(weights, has_fp16_weights=False, requires_grad=False)
    return made.to("cuda" if torch.cuda.is_available() else "cpu").eval()


@torch.inference_mode()
def main() -> None:
    for threshold in (DEFAULT_THRESHOLD, 0.0):
        tested = layer(threshold)
        device = tested.weight.device
        sequence = torch.randn(1, TOKENS, FEATURES, dtype=torch.float16, device=device)
        # A feature of its own that is large: in no batch is it without outliers.
        sequence[..., -1] = 20.0
        alone = tested(sequence)[0].float()
        for outliers in OUTLIERS:
            neighbour = torch.randn_like(sequence)
            neighbour[..., :outliers] = 20.0
            beside = tested(torch.cat([sequence, neighbour]))[0].float()
            moved = (beside - alone).abs().mean() / alone.abs().mean()
            print(
                f"threshold {threshold:3.1f}, {outliers:2} outlying features of the neighbour's: "
                f"moved by {100 * moved.item():.3f} %"
            )


if __name__ == "__main__":
    main()
