"""What metering a run costs: ``python benchmarks/metering.py [--device cuda]``.

A tiny Llama generates batches with and without a meter, in turn. Printed are the medians and their
ratio, then what the meter itself takes a batch and a step, and its share of the metered run: the
bar is 1 %. The ratio holds the noise of the machine, the share does not.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import transformers

from qrag_tasks.metering.meter import Meter

SEQUENCES, PROMPT, ANSWER, ROUNDS, REPEATS = 8, 128, 32, 25, 2000
LENGTHS = [PROMPT] * SEQUENCES


def tiny_llama(device: torch.device) -> Any:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=1024,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=1024,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    return transformers.LlamaForCausalLM(config).to(device).eval()


def generate(model: Any, ids: torch.Tensor, *criteria: Any) -> None:
    # What the run does anyway: one criterion that looks at each step, and answers read as a list.
    never = torch.zeros(SEQUENCES, dtype=torch.bool, device=ids.device)
    model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=ANSWER,
        do_sample=False,
        stopping_criteria=[lambda *_, **__: never, *criteria],
    ).tolist()


def metered(model: Any, ids: torch.Tensor, meter: Meter) -> None:
    with meter.batch(LENGTHS, padded=ids.numel(), kind="generate") as batch:
        generate(model, ids, batch.first_token)
        batch.generated([ANSWER] * SEQUENCES)


def seconds(function: Callable[[], None]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def own_seconds(ids: torch.Tensor) -> tuple[float, float]:
    """Return what the meter takes (a batch, a step), both without a model."""
    meter = Meter(ids.device)

    def batches() -> None:
        for _ in range(REPEATS):
            with meter.batch(LENGTHS, padded=ids.numel(), kind="generate") as batch:
                batch.first_token(ids, None)
                batch.generated([ANSWER] * SEQUENCES)

    done = torch.zeros(SEQUENCES, dtype=torch.bool, device=ids.device)
    with meter.batch(LENGTHS, padded=ids.numel(), kind="generate") as open_batch:
        open_batch.first_token(ids, None)

        def steps() -> None:
            for _ in range(REPEATS):
                # transformers joins every criterion's word to that of the others.
                _ = done | open_batch.first_token(ids, None)

        a_batch = statistics.median(seconds(batches) for _ in range(5)) / REPEATS
        a_step = statistics.median(seconds(steps) for _ in range(5)) / REPEATS
    return a_batch, a_step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    device = torch.device(parser.parse_args().device)
    # Threads that wait for each other on a busy machine are all one would measure.
    torch.set_num_threads(1)
    model = tiny_llama(device)
    ids = torch.randint(1, 1024, (SEQUENCES, PROMPT), device=device)
    meter = Meter(device)
    ways: dict[str, Callable[[], None]] = {
        "bare": lambda: generate(model, ids),
        "metered": lambda: metered(model, ids, meter),
    }
    for run in ways.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in ways}
    with meter.answering():
        for turn in range(ROUNDS):
            for name in sorted(ways, reverse=turn % 2 == 1):
                times[name].append(seconds(ways[name]))
    medians = {name: statistics.median(found) for name, found in times.items()}
    for name, median in medians.items():
        print(f"{name:8} {median * 1e3:8.2f} ms a batch of {SEQUENCES} x ({PROMPT} + {ANSWER})")
    print(f"ratio {medians['metered'] / medians['bare']:.3f}")
    a_batch, a_step = own_seconds(ids)
    share = (a_batch + (ANSWER - 1) * a_step) / medians["metered"]
    print(f"the meter takes {a_batch * 1e6:.1f} us a batch and {a_step * 1e6:.2f} us a step")
    print(f"its share of the run {share:.3%}")


if __name__ == "__main__":
    main()
