"""How often answers stand in their own prompts: ``python benchmarks/copied.py FOLDER...``.

A model that is asked for a title and repeats one of its documents' has not written one. Prints,
for every task in lm_eval output folders with sample logs, the share of answers whose words stand
in their prompt in one piece. Words are ROUGE's: runs of the letters a to z and digits, in lower
case. A rating always stands there: count texts.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from qrag_tasks.logs.sample_logs import SampleLog, find_logs


def words(text: str) -> str:
    return f" {' '.join(re.findall('[a-z0-9]+', text.lower()))} "


def copied(log: SampleLog) -> tuple[int, int]:
    """Return how many of a log's answers are copied, and how many there are."""
    pairs = [(words(a), words(sample.prompt)) for sample in log for a in sample.answers if a]
    return sum(bool(a.strip()) and a in prompt for a, prompt in pairs), len(pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="+", metavar="FOLDER", type=Path)
    for folder in parser.parse_args().folders:
        for log in find_logs(folder):
            found, total = copied(log)
            print(f"{found / total:.3f}  {found:5} of {total:5}  {log.path.parent}  {log.task}")


if __name__ == "__main__":
    main()
