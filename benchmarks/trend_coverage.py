"""Does the trend over an attribute of the questions keep its size, and find an arm that forgets?

Simulated users, each with some questions whose answers lie 0 to 30,000 tokens back, right or wrong
under two arms. Users differ in how much the other arm loses; that loss is the same wherever the
answer is, or, for the last column, a tenth more of the questions from the middle on are lost. For
each row: the share of simulations in which a trend is tested; of these, the share below 0.05 where
there is no trend; and the share of all in which one is found where there is one. The second should
be at most 0.055, give or take the noise (0.005 with 2,000 simulations).

    python benchmarks/trend_coverage.py [--simulations 2000]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from qrag_tasks.experiment.statistics import Trend, trend_among

ALPHA, REACH = 0.05, 30_000
ROWS = ((20, 30, 0.04), (20, 30, 0.15), (20, 6, 0.15), (10, 30, 0.1), (60, 10, 0.04))
"""Users, mean number of questions of each, and share of the questions that differ."""


def trends(users: int, each: int, differ: float, lost: float, count: int) -> Iterator[Trend]:
    """Yield simulated trends.

    :param lost: share of the questions from the middle on that the other arm loses beside.
    """
    for seed in range(count):
        rng = np.random.default_rng(seed)
        labels = np.repeat(np.arange(users), np.maximum(1, rng.poisson(each, users)))
        distance = rng.integers(0, REACH, len(labels))
        own = rng.normal(0, 0.03, users)[labels]
        losing = np.clip(0.7 * differ + own + lost * (distance >= REACH // 2), 0, 1)
        drawn = rng.random(len(labels))
        moved = np.where(drawn < losing, -1.0, np.where(drawn > 1 - 0.3 * differ, 1.0, 0.0))
        yield trend_among(distance, moved, clusters=labels)


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulate; print a table.")
    parser.add_argument("--simulations", type=int, default=2000)
    count = parser.parse_args().simulations
    print("| users | questions of each | differ | tested | no trend: below 0.05 | found |")
    print("|---|---|---|---|---|---|")
    for users, each, differ in ROWS:
        p = [line.p for line in trends(users, each, differ, 0.0, count)]
        known = [value for value in p if value is not None]
        found = [line.p for line in trends(users, each, differ, 0.1, count)]
        print(
            f"| {users} | {each} | {differ} | {len(known) / count:.3f} | "
            f"{sum(value < ALPHA for value in known) / max(1, len(known)):.3f} | "
            f"{sum(value is not None and value < ALPHA for value in found) / count:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
