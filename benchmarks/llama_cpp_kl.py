"""Our figures of fidelity beside those of llama.cpp's own tool, on the same model and text.

``python benchmarks/llama_cpp_kl.py --tool llama-perplexity --base F16.gguf --other Q4_K_M.gguf
--tokenizer FOLDER --text FILE``

``llama-perplexity --kl-divergence`` takes the text in chunks, and looks at the tokens in the second
half of each, behind the first. Here the first half is the prompt and the second the answer, read by
``engine=llama_cpp`` (:mod:`qrag_tasks.engines.readings`). The tool compares whole distributions,
the base's stored in 16 bits; ours are of the ``--top`` likeliest tokens, the others as one.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qrag_tasks.arms.devices import checked_device
from qrag_tasks.engines.readings import Reading, ReadingRequest
from qrag_tasks.experiment.fidelity.divergence import divergence
from qrag_tasks.experiment.fidelity.figures import PERCENTILES
from qrag_tasks.metering.meter import Meter
from qrag_tasks.registry import ENGINES

# What the tool prints, by the names that it gives it.
PRINTED = {
    "perplexity of the base": r"Mean PPL\(base\)\s*:\s+(\S+)",
    "mean KL": r"Mean\s+KLD:\s+(\S+)",
    "largest KL": r"Maximum KLD:\s+(\S+)",
    **{
        f"KL, {p:g} %": rf"(?<!\d){p:.1f}%\s+KLD:\s+(\S+)"
        for p in PERCENTILES
        if p not in (50, 100)
    },
    "KL, 50 %": r"Median\s+KLD:\s+(\S+)",
    "mean change of p": r"Mean\s+Δp:\s+(\S+)",
    "RMS change of p": r"RMS Δp\s*:\s+(\S+)",
    "same likeliest token": r"Same top p:\s+(\S+)",
    "ratio of perplexities": r"Mean PPL\(Q\)/PPL\(base\)\s*:\s+(\S+)",
}
IN_PERCENT = ("mean change of p", "RMS change of p", "same likeliest token")


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        printed = theirs(options, Path(folder))
    found = ours(options)
    print(f"{'':24} {'llama.cpp':>12} {'here':>12}")
    for name, pattern in PRINTED.items():
        match = re.search(pattern, printed)
        told = float(match.group(1).rstrip("%")) if match else float("nan")
        told /= 100 if name in IN_PERCENT else 1
        print(f"{name:24} {told:12.6f} {found[name]:12.6f}")


def theirs(options: argparse.Namespace, folder: Path) -> str:
    """Run the tool on both files, and return what it prints of the second."""
    common = [*("-f", options.text, "-c", options.context, "--chunks", options.chunks)]
    common += ["-t", options.threads, "--kl-divergence-base", folder / "base.kld"]
    run(options.tool, "-m", options.base, *common)
    return run(options.tool, "-m", options.other, *common, "--kl-divergence")


def run(*command: Any) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr[-2000:]}")
    return done.stdout + done.stderr


def ours(options: argparse.Namespace) -> dict[str, float]:
    """Read the same chunks by the two arms, and return the same figures."""
    base = read(options, options.base, requests=None)
    wanted = [reading.tokens.tolist() for reading in base]
    other = read(options, options.other, requests=wanted)
    both = [divergence(one, two) for one, two in zip(base, other, strict=True)]
    kl = np.concatenate([each.kl for each in both])
    given = np.concatenate([reading.given for reading in base]).astype(np.float64)
    other_given = np.concatenate([reading.given for reading in other]).astype(np.float64)
    change = np.exp(other_given) - np.exp(given)
    likeliest = [reading.likeliest for reading in base], [reading.likeliest for reading in other]
    same = np.concatenate(likeliest[0]) == np.concatenate(likeliest[1])
    return {
        "perplexity of the base": float(np.exp(-given.mean())),
        "mean KL": float(kl.mean()),
        "largest KL": float(kl.max()),
        **{f"KL, {p:g} %": float(np.percentile(kl, p)) for p in PERCENTILES if p != 100},
        "mean change of p": float(change.mean()),
        "RMS change of p": float(np.sqrt((change**2).mean())),
        "same likeliest token": float(same.mean()),
        "ratio of perplexities": float(np.exp(-(other_given - given).mean())),
    }


def read(
    options: argparse.Namespace, file: Path, requests: Sequence[Sequence[Sequence[int]]] | None
) -> list[Reading]:
    """Read all chunks by one arm.

    :param requests: the tokens to keep, as another arm kept them; ``None`` for the likeliest.
    """
    arguments = {
        "pretrained": str(file),
        "tokenizer": str(options.tokenizer),
        "max_length": options.context,
        "n_threads": options.threads,
    }
    engine = ENGINES.get("llama_cpp").value.load(arguments, Meter(checked_device("cpu")))
    tokens = engine.tokenizer(options.text.read_text(encoding="utf-8"))["input_ids"]
    size, half = options.context, options.context // 2
    chunks = [tokens[at : at + size] for at in range(0, len(tokens) - size + 1, size)]
    asked = [
        ReadingRequest(
            *(f"chunk {number}", chunk[: half + 1], chunk[half + 1 :], options.top),
            None if requests is None else requests[number],
        )
        for number, chunk in enumerate(chunks[: options.chunks])
    ]
    readings: dict[int, Reading] = {}
    engine.read(asked, lambda answers, _cost: readings.update(answers))
    return [readings[number] for number in range(len(asked))]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--tool", type=Path, required=True, help="llama-perplexity, of the same llama.cpp")
    add("--base", type=Path, required=True, help="GGUF file of the base")
    add("--other", type=Path, required=True, help="GGUF file of the arm")
    add("--tokenizer", type=Path, required=True, help="folder of its tokenizer")
    add("--text", type=Path, required=True)
    add("--context", type=int, default=512, help="tokens of a chunk")
    add("--chunks", type=int, default=16)
    add("--top", type=int, default=127, help="tokens of each distribution that are kept")
    add("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
