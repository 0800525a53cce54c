"""Generate the sample data set `mini`: `python -m qrag_tasks.benchmark.mini.make [OUT_DIR]`."""

from __future__ import annotations

import argparse
import itertools
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from qrag_tasks.benchmark.mini import papers, reviews

USERS = 40
# Texts of one user: the last is asked about, the others are the profile.
SIZES = range(7, 16)

# Ids of questions and of profile items come from separate ranges: no id names two things.
FIRST_QUESTION_ID = 100
FIRST_ITEM_ID = 1000


class Task(NamedTuple):
    """How the texts of one task are drawn, and what is asked about them."""

    folder: str
    seed: int  # one a task, so that new wording in one leaves the other's files alone
    draw_users: Callable[[int, Sequence[int], random.Random], list[list[dict[str, str]]]]
    prompt: str
    asked_field: str
    gold_field: str


TASKS = (
    Task(
        folder="LaMP_3",
        seed=3,
        draw_users=reviews.draw_users,
        prompt="What is the score of the following review on a scale of 1 to 5? just answer with "
        "1, 2, 3, 4, or 5 without further explanation. review: ",
        asked_field="text",
        gold_field="score",
    ),
    Task(
        folder="LaMP_5",
        seed=5,
        draw_users=papers.draw_users,
        prompt="Generate a title for the following abstract of a paper: ",
        asked_field="abstract",
        gold_field="title",
    ),
)


def write_json(path: Path, content: object) -> None:
    """Write the content with the same bytes on every platform."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)


def make(task: Task, out_dir: Path) -> None:
    """Write the questions and the golds of the task below `out_dir`."""
    questions: list[dict[str, object]] = []
    golds: list[dict[str, str]] = []
    item_ids = itertools.count(FIRST_ITEM_ID)
    users = task.draw_users(USERS, SIZES, random.Random(task.seed))
    for number, texts in enumerate(users, start=FIRST_QUESTION_ID):
        *profile, held_out = [{"id": str(next(item_ids)), **text} for text in texts]
        prompt = task.prompt + held_out[task.asked_field]
        questions.append({"id": str(number), "input": prompt, "profile": profile})
        golds.append({"id": str(number), "output": held_out[task.gold_field]})
    write_json(out_dir / task.folder / "dev" / "dev_questions.json", questions)
    write_json(
        out_dir / task.folder / "dev" / "dev_outputs.json", {"task": task.folder, "golds": golds}
    )


def main() -> None:
    """Command line: one optional argument, the folder to write to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out_dir", nargs="?", type=Path, default=Path(__file__).parent)
    out_dir = parser.parse_args().out_dir
    for task in TASKS:
        make(task, out_dir)


if __name__ == "__main__":
    main()
