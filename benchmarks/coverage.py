"""Do the intervals cover, and do the tests keep their size?

Simulated pairs with a known effect, of the kinds that two arms of one model give: ratings where
nine of ten answers are alike, ROUGE-like scores, root mean squared errors, single samples and users
with several. For each: the share of samples for which an interval is told, as enough units differ,
and of these 95 % intervals the share that holds the true difference; the share of permutation tests
below 0.05 where the arms are interchangeable; and the share of equivalence tests below 0.05 where
the true difference lies on the margin. The second should be 0.93 to 0.97, or more where not every
sample tells an interval; the others at most 0.055, give or take the noise (0.005 with 2,000
simulations).
`differ` is the mean number of units whose two values differ.

    python benchmarks/coverage.py [--simulations 2000] [--resamples 599] [--units 100 200 500]
        [--kinds "ratings, MAE" ...] [--fewest | --pooled [KIND ...] | --mcnemar]

Measured with 2,000 simulations of 399 resamples, with 100 and with 500 units, while every sample
was given an interval, however few units differed: every kind covers in
0.943 to 0.963, permutation sizes are at most 0.054, and equivalence sizes at most 0.052, except
two with 100 units: accuracy (8 differ), which covers in 0.973, and "ratings by user", whose
equivalence size is 0.059. In 10,000 simulations these are 0.970 and 0.049.

KL by user, 2,000 simulations of 399 resamples: 0.939 with 30 users, 0.945 with 100.

With --pooled: the same of several cells that are one comparison, as for rows over all cells of an
arm, with the intervals of the mean recovery. With --mcnemar: the share of McNemar's tests, exact
and mid-p, below 0.05 where the arms are interchangeable.

With --fewest: what would be told if fewer than `FEWEST` units that differ were enough. For each
least number of them, the share of all simulations in which an interval is told and misses, and in
which equivalence is told at the margin.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from qrag_tasks.experiment.statistics import (
    SCORES,
    Bootstrap,
    PooledCell,
    Units,
    difference_interval,
    encode,
    equivalence_p,
    mcnemar,
    permutation_p,
    permutation_test,
    pooled_loss,
    pooled_recovery,
)

LEVEL, ALPHA = 0.95, 0.05


def ratings(units: int, rng: np.random.Generator) -> tuple[Any, ...]:
    gold = rng.choice(5, units, p=[0.05, 0.05, 0.1, 0.25, 0.55])
    base = np.clip(gold + rng.choice([-1, 0, 1], units, p=[0.15, 0.7, 0.15]), 0, 4)
    moved = np.clip(base + rng.choice([-1, 1, -2], units, p=[0.5, 0.4, 0.1]), 0, 4)
    other = np.where(rng.random(units) < 0.1, moved, base)
    return np.abs(base - gold).astype(float), np.abs(other - gold).astype(float), None


def squares(units: int, rng: np.random.Generator) -> tuple[Any, ...]:
    base, other, _ = ratings(units, rng)
    return base**2, other**2, None


def rouge(units: int, rng: np.random.Generator) -> tuple[Any, ...]:
    base = rng.beta(1.2, 3, units)
    moved = np.clip(base + rng.normal(0.02, 0.2, units), 0, 1)
    return base, np.where(rng.random(units) < 0.5, moved, base), None


def by_user(draw: Callable[..., tuple[Any, ...]], spread: float) -> Callable[..., tuple[Any, ...]]:
    """Questions of users with one to six each, and an effect that is the user's."""

    def drawn(units: int, rng: np.random.Generator) -> tuple[Any, ...]:
        user = np.repeat(np.arange(units), rng.integers(1, 7, units))
        base, other, _ = draw(len(user), rng)
        return base, other + rng.normal(0, spread, units)[user], user

    return drawn


def right(units: int, rng: np.random.Generator) -> tuple[Any, ...]:
    base = rng.random(units) < 0.6
    flipped = rng.random(units) < np.where(base, 0.1, 0.06)
    return base.astype(float), (base ^ flipped).astype(float), None


def labels(units: int, rng: np.random.Generator) -> tuple[Any, ...]:
    """Answers with one of 8 labels, or none."""
    gold = rng.integers(0, 8, units)
    base = np.where(rng.random(units) < 0.6, gold, rng.integers(0, 8, units))
    other = np.where(rng.random(units) < 0.2, rng.integers(-1, 8, units), base)
    one, two = (
        encode([(int(answered), int(known), 8) for answered, known in zip(arm, gold, strict=True)])
        for arm in (base, other)
    )
    return one, two, None


def changed_by_user(units: int, rng: np.random.Generator) -> tuple[Any, ...]:
    """Ratings of users with one to six each; how often the arms differ is the user's."""
    user = np.repeat(np.arange(units), rng.integers(1, 7, units))
    base = rng.choice(5, len(user), p=[0.5, 0.25, 0.15, 0.06, 0.04]).astype(float)
    moved = np.clip(base + rng.choice([-1, 1, 2], len(user), p=[0.35, 0.45, 0.2]), 0, 4)
    return (
        base,
        np.where(rng.random(len(user)) < rng.beta(0.4, 3.6, units)[user], moved, base),
        user,
    )


def divergences(units: int, rng: np.random.Generator) -> tuple[Any, ...]:
    """KL of users' answers, one to six each, beside a base's none: skewed, and the user's."""
    user = np.repeat(np.arange(units), rng.integers(1, 7, units))
    typical = np.exp(rng.normal(-3.2, 0.5, units))[user]
    return np.zeros(len(user)), typical * rng.gamma(2.0, 0.5, len(user)), user


KINDS: dict[str, tuple[Callable[..., tuple[Any, ...]], str]] = {
    "ratings, MAE": (ratings, "mean"),
    "ratings, RMSE": (squares, "root_mean"),
    "ROUGE": (rouge, "mean"),
    "ratings by user": (by_user(ratings, 0.08), "mean"),
    "ROUGE by user": (by_user(rouge, 0.05), "mean"),
    "accuracy": (right, "mean"),
    "macro F1": (labels, "macro_f1"),
    "changes by user": (changed_by_user, "mean"),
    "KL by user": (divergences, "mean"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulate; print a table.")
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=599)
    parser.add_argument("--units", type=int, nargs="+", default=[100, 200, 500])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--fewest", action="store_true", help="Try fewer units than are allowed.")
    parser.add_argument("--pooled", nargs="*", choices=list(POOLED), help="Several cells as one.")
    parser.add_argument("--mcnemar", action="store_true", help="McNemar's test alone.")
    asked = parser.parse_args()
    if asked.pooled is not None:
        print_pooled(asked.pooled or list(POOLED), asked.units, asked.simulations, asked.resamples)
        return
    if asked.mcnemar:
        print_mcnemar(asked.units, asked.simulations)
        return
    if asked.fewest:
        print_fewest(asked.kinds, asked.simulations, asked.resamples)
        return
    print(
        "| kind | units | differ | true difference | told | covered | permutation | equivalence |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for kind in asked.kinds:
        draw, name = KINDS[kind]
        score = SCORES[name]
        base, other, _ = draw(1_000_000, np.random.default_rng(0))
        truth = score.of(other) - score.of(base)
        for units in asked.units:
            counts = np.zeros(5)
            for number in range(asked.simulations):
                counts += one(draw, units, score, truth, number + 1, asked.resamples)
            differ, told, held, swapped, equivalent = counts / asked.simulations
            print(
                f"| {kind} | {units} | {differ:.0f} | {truth:+.4f} | {told:.3f} | "
                f"{held / max(told, 1e-9):.3f} | {swapped:.3f} | {equivalent:.3f} |",
                flush=True,
            )


def one(draw: Any, units: int, score: Any, truth: float, seed: int, resamples: int) -> Any:
    rng = np.random.default_rng(seed)
    base, other, user = draw(units, rng)
    options = {"clusters": user, "score": score, "resamples": resamples, "seed": seed}
    interval = difference_interval(base, other, level=LEVEL, **options)
    member = np.arange(units) if user is None else user
    swap = (rng.random(units) < 0.5)[member]
    null = permutation_p(np.where(swap, other, base), np.where(swap, base, other), **options)
    same = equivalence_p(base, other, abs(truth), **options)
    return np.array(
        [
            len(np.unique(member[base != other])),
            interval is not None,
            interval is not None and interval.low <= truth <= interval.high,
            null is not None and null < ALPHA,
            same is not None and same < ALPHA,
        ],
        dtype=float,
    )


Cells = tuple[list[PooledCell], Any]
"""Cells, and the unit of every sample of each."""


def over_k(draw: Any, user: Any, spread: float, kind: tuple[bool, float], rng: Any) -> Cells:
    """Three k of the same questions: how an arm does depends on user, question and k."""
    effect = rng.normal(0.0, spread, user.max() + 1)[user] if len(user) else np.zeros(0)
    cells = []
    for _ in range(3):
        base, other, _ = draw(len(user), rng)
        cells.append(PooledCell(base, other + effect, user.tolist(), *kind))
    return cells, [user] * 3


def one_task(units: int, rng: np.random.Generator) -> Cells:
    """Single questions, rated at three k."""
    return over_k(ratings, np.arange(units), 0.0, (False, 0.05), rng)


def one_task_by_user(units: int, rng: np.random.Generator) -> Cells:
    """Users with one to six questions each, rated at three k."""
    user = np.repeat(np.arange(units), rng.integers(1, 7, units))
    return over_k(ratings, user, 0.08, (False, 0.05), rng)


def worse_titles(units: int, rng: np.random.Generator) -> tuple[Any, ...]:
    other, base, _ = rouge(units, rng)
    return base, other, None


def two_tasks(units: int, rng: np.random.Generator) -> Cells:
    """A third of the users rate, the others have titles written; each at three k."""
    few = units // 3
    first = np.repeat(np.arange(few), rng.integers(1, 4, few))
    second = np.repeat(np.arange(few, units), rng.integers(1, 4, units - few))
    one, its = over_k(ratings, first, 0.08, (False, 0.05), rng)
    two, others = over_k(worse_titles, second, 0.05, (True, 0.01), rng)
    return one + two, its + others


def right_and_wrong(units: int, rng: np.random.Generator) -> Cells:
    """Accuracy at three k, where one answer in thirteen differs."""
    return over_k(right, np.arange(units), 0.0, (True, 0.02), rng)


POOLED: dict[str, Callable[..., Cells]] = {
    "one task, 3 k": one_task,
    "one task by user, 3 k": one_task_by_user,
    "two tasks by user, 3 k": two_tasks,
    "accuracy, 3 k": right_and_wrong,
}


def print_pooled(kinds: list[str], sizes: list[int], simulations: int, resamples: int) -> None:
    print(
        "| kind | units | true effect | covered | permutation | equivalence | true recovery | "
        "covered |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for kind in kinds:
        draw = POOLED[kind]
        cells, _ = draw(300_000, np.random.default_rng(0))
        loss, recovery = pooled_loss(cells).observed(), pooled_recovery(cells).observed()
        for units in sizes:
            counts = np.zeros(6)
            for number in range(simulations):
                counts += one_pool(draw, units, loss, recovery, number + 1, resamples)
            told, held, swapped, equivalent, known, within = counts / simulations
            print(
                f"| {kind} | {units} | {loss:+.4f} | {held / max(told, 1e-9):.3f} | {swapped:.3f} "
                f"| {equivalent:.3f} | {recovery:.4f} | {within / max(known, 1e-9):.3f} |",
                flush=True,
            )


def one_pool(draw: Any, units: int, loss: float, recovery: float, seed: int, resamples: int) -> Any:
    rng = np.random.default_rng(seed)
    cells, members = draw(units, rng)
    bootstrap = Bootstrap(pooled_loss(cells), resamples, seed)
    interval, same = bootstrap.interval(LEVEL), bootstrap.equivalence_p(abs(loss))
    left = Bootstrap(pooled_recovery(cells), resamples, seed).interval(LEVEL)
    swap = rng.random(units) < 0.5
    swapped = [
        replace(
            cell,
            base=np.where(swap[member], cell.other, cell.base),
            other=np.where(swap[member], cell.base, cell.other),
        )
        for cell, member in zip(cells, members, strict=True)
    ]
    null = permutation_test(pooled_loss(swapped), resamples, seed=seed)
    return np.array(
        [
            interval is not None,
            interval is not None and interval.low <= loss <= interval.high,
            null is not None and null.p < ALPHA,
            same is not None and same < ALPHA,
            left is not None,
            left is not None and left.low <= recovery <= left.high,
        ],
        dtype=float,
    )


def print_mcnemar(sizes: list[int], simulations: int) -> None:
    print("| units | differ | exact | mid-p |")
    print("|---|---|---|---|")
    for units in sizes:
        counts = np.zeros(3)
        for number in range(simulations):
            rng = np.random.default_rng(number + 1)
            base, other, _ = right(units, rng)
            differ = int((base != other).sum())
            better = int(rng.binomial(differ, 0.5))
            test = mcnemar(better, differ - better)
            counts += differ, test.p < ALPHA, test.mid_p < ALPHA
        differ, exact, mid = counts / simulations
        print(f"| {units} | {differ:.0f} | {exact:.4f} | {mid:.4f} |", flush=True)


class Ungated(Units):
    """Units that are measured however few they are."""

    @property
    def measurable(self) -> bool:
        """Whether there is any spread at all."""
        return len(self) > 1 and self.deviating > 0


LEAST = (1, 2, 3, 4, 5, 6, 8)


def print_fewest(kinds: list[str], simulations: int, resamples: int) -> None:
    print("| kind | units |", *[f"missed / equivalent from {few} |" for few in LEAST])
    print("|---|---|" + "---|" * len(LEAST))
    for kind in kinds:
        draw, name = KINDS[kind]
        score = SCORES[name]
        base, other, _ = draw(1_000_000, np.random.default_rng(0))
        truth = score.of(other) - score.of(base)
        for units in (2, 3, 4, 5, 6, 8, 12, 24, 48):
            told = []
            for number in range(simulations):
                base, other, user = draw(units, np.random.default_rng(number + 1))
                found = Ungated.of(base, other, user, score)
                bootstrap = Bootstrap(found, resamples, number + 1)
                if not found.measurable or not len(bootstrap.drawn):
                    continue
                interval, same = bootstrap.interval(LEVEL), bootstrap.equivalence_p(abs(truth))
                missed = interval is not None and not interval.low <= truth <= interval.high
                told.append((found.deviating, missed, same is not None and same < ALPHA))
            deviating, missed, same = np.array(told).T
            shares = [
                f"{missed[deviating >= few].sum() / simulations:.3f} / "
                f"{same[deviating >= few].sum() / simulations:.3f} |"
                for few in LEAST
            ]
            print(f"| {kind} | {units} |", *shares, flush=True)


if __name__ == "__main__":
    main()
