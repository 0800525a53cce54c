"""Generate the sample data set `mini`: `python -m qrag_tasks.tasks.lamp.mini.make [OUT_DIR]`."""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from qrag_tasks.tasks.lamp.mini import papers, reviews
from qrag_tasks.tasks.lamp.mini.citations import Citations
from qrag_tasks.tasks.lamp.mini.films import Films
from qrag_tasks.tasks.lamp.mini.mails import Mails
from qrag_tasks.tasks.lamp.mini.news import News
from qrag_tasks.tasks.lamp.mini.papers import Papers
from qrag_tasks.tasks.lamp.mini.reviews import Reviews
from qrag_tasks.tasks.lamp.mini.tweets import Tweets
from qrag_tasks.tasks.lamp.mini.users import FIRST_DAY, User, draw_changing, draw_steady

# Of the two data sets with users enough for a score: texts of one user, the question's included.
USERS = 40
SIZES = range(7, 16)

# Ids of users, questions and profile items come from separate ranges: no id names two things.
FIRST_USER_ID = 10
FIRST_QUESTION_ID = 100
FIRST_ITEM_ID = 1000

FIRST_YEAR = 1990


class DataSet(NamedTuple):
    """Where the users of a data set are written to, and how they are drawn."""

    task: str
    path: str  # LaMP's, below the data root
    seed: int  # one a data set, so that new wording in one leaves the other's files alone
    draw_users: Callable[[random.Random], list[User]]
    time: bool = False  # whether questions name their user, as in the time-based split
    years: bool = False  # whether its dates are a year, a number, as LaMP dates papers


DATA_SETS = (
    DataSet("LaMP_1", "LaMP_1", 1, partial(draw_steady, Citations)),
    DataSet("LaMP_2", "LaMP_2/new", 2, partial(draw_steady, Films)),
    DataSet("LaMP_3", "LaMP_3", 3, partial(reviews.draw_users, USERS, SIZES)),
    DataSet("LaMP_4", "LaMP_4", 4, partial(draw_steady, News)),
    DataSet("LaMP_5", "LaMP_5", 5, partial(papers.draw_users, USERS, SIZES)),
    DataSet("LaMP_6", "LaMP_6", 6, partial(draw_steady, Mails)),
    DataSet("LaMP_7", "LaMP_7", 7, partial(draw_steady, Tweets)),
    DataSet("LaMP_1", "time/LaMP_1", 11, partial(draw_changing, Citations), time=True, years=True),
    DataSet("LaMP_2", "time/LaMP_2/new", 12, partial(draw_changing, Films), time=True),
    DataSet("LaMP_3", "time/LaMP_3", 13, partial(draw_changing, Reviews), time=True),
    DataSet("LaMP_4", "time/LaMP_4", 14, partial(draw_changing, News), time=True),
    DataSet("LaMP_5", "time/LaMP_5", 15, partial(draw_changing, Papers), time=True, years=True),
    DataSet("LaMP_6", "time/LaMP_6", 16, partial(draw_changing, Mails), time=True),
    DataSet("LaMP_7", "time/LaMP_7", 17, partial(draw_changing, Tweets), time=True),
)


def write_json(path: Path, content: object) -> None:
    """Write the content with the same bytes on every platform."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)


def make(data_set: DataSet, out_dir: Path) -> None:
    """Write the questions and the golds of the data set below `out_dir`."""
    item_ids = itertools.count(FIRST_ITEM_ID)
    # First what each user is asked first: neighbors in the file are different people.
    in_turn: list[tuple[int, int, dict[str, object], str]] = []
    for user_id, user in enumerate(
        data_set.draw_users(random.Random(data_set.seed)), start=FIRST_USER_ID
    ):
        profile: list[dict[str, object]] = [
            {"id": str(next(item_ids)), **item} for item in user.profile
        ]
        if data_set.years:
            profile = [{**item, "date": year_of(str(item["date"]))} for item in profile]
        for turn, question in enumerate(user.questions):
            next(item_ids)  # the text asked about would have had this id
            entry: dict[str, object] = {"input": question.prompt, "profile": profile}
            if data_set.time:
                entry = {"user_id": str(user_id), **entry}
            in_turn.append((turn, user_id, entry, question.gold))
    in_turn.sort(key=lambda each: each[:2])
    questions: list[dict[str, object]] = []
    golds: list[dict[str, str]] = []
    for number, (_, _, entry, gold) in enumerate(in_turn, start=FIRST_QUESTION_ID):
        questions.append({"id": str(number), **entry})
        golds.append({"id": str(number), "output": gold})
    folder = out_dir / data_set.path / "dev"
    write_json(folder / "dev_questions.json", questions)
    write_json(folder / "dev_outputs.json", {"task": data_set.task, "golds": golds})


def year_of(day: str) -> int:
    """The year of a paper, of which a few come in a year: a third as often as other texts."""
    days = (datetime.date.fromisoformat(day) - FIRST_DAY).days
    return FIRST_YEAR + 3 * days // 365


def main() -> None:
    """Command line: one optional argument, the folder to write to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out_dir", nargs="?", type=Path, default=Path(__file__).parent)
    out_dir = parser.parse_args().out_dir
    for data_set in DATA_SETS:
        make(data_set, out_dir)


if __name__ == "__main__":
    main()
