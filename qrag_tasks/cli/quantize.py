"""``qrag quantize``: a checkpoint in, the same model with 4-bit or 8-bit weights out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from qrag_tasks.cli.group import console, main
from qrag_tasks.cli.outputs import OutFolder


@main.command()
@click.argument("model", metavar="MODEL")
@click.option(
    "--precision",
    required=True,
    metavar="PRECISION",
    help="What to make: w4a16, w8a8-fp8, int4-gptq, int4-awq, or another that can be saved.",
)
@click.option(
    "--out",
    required=True,
    metavar="DIR",
    type=OutFolder(),
    help="Folder to be made; one that is there already is refused.",
)
@click.option(
    "--group-size",
    type=click.IntRange(min=1),
    help="Weights that share a scale.  [default: 128; fixed with bitsandbytes]",
)
@click.option(
    "--calibration",
    metavar="SOURCE",
    help="For GPTQ and AWQ: `mini`; LaMP tasks joined by commas, whose train splits are read; or "
    "a file of texts, in UTF-8, with an empty line between them.  [default: mini]",
)
@click.option("--samples", type=click.IntRange(min=1), help="Calibration texts.  [default: 128]")
@click.option(
    "--max-tokens", type=click.IntRange(min=16), help="Tokens of a text.  [default: 2048]"
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--device", help="As torch names it.  [default: cuda where there is one, else cpu]")
@click.option("--data", help="Folder with LaMP's files to calibrate with. Default: as for lm_eval.")
def quantize(
    model: str,
    precision: str,
    out: Path,
    group_size: int | None,
    seed: int,
    device: str | None,
    **choices: Any,
) -> None:
    """Quantize MODEL, the folder or hub name of a checkpoint, into the folder DIR.

    DIR appears when all is done and verified. It is read by --model qrag --model_args
    pretrained=DIR, and holds qrag-quantization.json, which says how it was made.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from qrag_tasks.quantizing.calibration import Wanted
    from qrag_tasks.quantizing.quantize import quantize as work

    given = {name: value for name, value in choices.items() if value is not None}
    if "calibration" in given:
        given["source"] = given.pop("calibration")
    calibration = Wanted(**given) if given else None
    # Bound to the output of now: while libraries are kept quiet, sys.stderr is another one.
    terminal = Console(file=sys.stderr, highlight=False)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
    )
    bars = Progress(
        *columns,
        console=terminal,
        disable=not terminal.is_terminal,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with bars:
        line = bars.add_task(model, total=None)

        def report(what: str, done: int, total: int) -> None:
            bars.update(line, description=what, completed=done, total=total or None)

        made = work(
            model,
            precision,
            out,
            group_size=group_size,
            calibration=calibration,
            seed=seed,
            device=device,
            report=report,
        )
    groups = f", group size {made['group_size']}" if made["group_size"] else ""
    texts = made["calibration"]
    calibrated = (
        f", calibrated with {texts['samples']} texts of {texts['source']} ({texts['tokens']:,} "
        f"tokens)"
        if texts
        else ""
    )
    console().print(
        Text(f"{out}: {precision}{groups}{calibrated}; {made['seconds']} s on {made['device']}"),
        soft_wrap=True,
    )
    click.echo(f"lm_eval --model qrag --model_args pretrained={out},precision={precision} ...")
