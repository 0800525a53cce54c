"""How large the page of `qrag report` is, and how long it takes to be written and to be seen.

Writes the runs of benchmarks/comparing.py, of which every word is drawn at random, so that little
of it can be compressed: 204 cells of 962 samples by default. Then the page is written, and opened
in headless Chromium, which takes playwright and a Chromium on the PATH.

    python benchmarks/page_size.py [--samples 962] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from comparing import OTHERS, write_runs


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the page of qrag report.")
    parser.add_argument("--samples", type=int, default=962)
    parser.add_argument("--folder", type=Path, help="Where the page is left.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        cells = write_runs(root, asked.samples) * len(OTHERS)
        page = (asked.folder or root) / "report.html"
        begun = time.perf_counter()
        subprocess.run(
            [
                *(sys.executable, "-m", "qrag_tasks.cli", "report"),
                *(str(root / arm) for arm in ("fp16", *OTHERS)),
                *("--out", str(page)),
            ],
            env={**os.environ, "QRAG_CACHE": str(root / "cache")},
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        written = time.perf_counter() - begun
        size = page.stat().st_size / 1e6
        print(f"{cells} cells of {asked.samples} samples: {size:.1f} MB in {written:.1f} s")
        for name, seconds in seen(page).items():
            print(f"{name}: {seconds:.1f} s")


def seen(page: Path) -> dict[str, float]:
    """Return the seconds until the first screen and until the samples are seen."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        tab = browser.new_page()
        begun = time.perf_counter()
        tab.goto(page.as_uri(), wait_until="commit")
        tab.wait_for_selector("table.verdicts")
        first = time.perf_counter() - begun
        tab.wait_for_selector("#map button.cell")
        drawn = time.perf_counter() - begun
        tab.wait_for_selector("#list > *")
        listed = time.perf_counter() - begun
        browser.close()
    return {"verdicts": first, "map of all cells": drawn, "first samples": listed}


if __name__ == "__main__":
    main()
