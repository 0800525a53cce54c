"""A model that reads the history in its prompts, and forgets what lies far back in it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import lm_eval
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.loggers import EvaluationTracker

from qrag_personamem.prompts import INSTRUCTION
from qrag_personamem.question import options_of


class HistoryReader(LM):  # type: ignore[misc]
    """Chooses the option whose thing the history names last as the one that is liked best.

    :param remembers: how many sessions before the question it reads; ``None`` for all.
    :param slips: share of the questions that it guesses, wherever the answer is.
    """

    def __init__(self, remembers: int | None, slips: float, seed: int) -> None:
        super().__init__()
        self._remembers, self._slips = remembers, slips
        self._rng = random.Random(seed)

    def generate_until(self, requests: list[Instance], **_: Any) -> list[str]:
        return [f"<final_answer>{self._answer(str(one.args[0]))}" for one in requests]

    def _answer(self, prompt: str) -> str:
        history, _, listed = prompt.partition(INSTRUCTION)
        sessions = history.split("[System]: ")[1:]
        read = "".join(sessions[-self._remembers :] if self._remembers else sessions)
        places = [
            read.rfind(option.partition("that you like ")[2].partition(" best")[0])
            for option in options_of(listed.strip())
        ]
        guess = self._rng.randrange(4)
        if max(places) < 0 or self._rng.random() < self._slips:
            return f"({'abcd'[guess]})"
        return f"({'abcd'[places.index(max(places))]})"

    def loglikelihood(self, requests: list[Instance], **_: Any) -> list[tuple[float, bool]]:
        raise NotImplementedError

    def loglikelihood_rolling(self, requests: list[Instance], **_: Any) -> list[float]:
        raise NotImplementedError


def run(model: LM, task: str, data: Path, out: Path) -> Path:
    """Have lm_eval ask a model, and write results and samples as its command does."""
    tracker = EvaluationTracker(output_path=str(out))
    results = lm_eval.simple_evaluate(
        model=model,
        tasks=[task],
        metadata={"data": str(data)},
        log_samples=True,
        evaluation_tracker=tracker,
        bootstrap_iters=0,
    )
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for name, of_task in samples.items():
        tracker.save_results_samples(task_name=name, samples=of_task)
    return out
