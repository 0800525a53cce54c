"""The noise floor of an arm: how much its answers depend on nothing but the batches.

Sums in 16 bits depend on the order in which a kernel adds, and kernels choose that order by the
shape of the batch. LLM.int8() (arXiv 2208.07339) depends on more than its shape: a feature is
computed in 16 bits for a whole batch where one token of the batch is an outlier. So the same arm,
run twice on the same prompts in other batches, answers some of them otherwise. A difference
between two arms means something only where it is larger.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from qrag_tasks.arms.engine_choice import TRANSFORMERS, engine_name
from qrag_tasks.arms.kv_caches import AUTO
from qrag_tasks.errors import SettingsError
from qrag_tasks.experiment.statistics import SCORES, standard_error
from qrag_tasks.logs.model_facts import arm_called
from qrag_tasks.logs.reported_metrics import aggregations
from qrag_tasks.prompting.settings import Settings
from qrag_tasks.tasks.catalog import explain_unknown, requested


@dataclass(frozen=True)
class TaskNoise:
    """Two runs of one arm over one task.

    :ivar equal: share of samples with the same answer, to the letter; with likelihoods, with the
        same likeliest answer.
    :ivar scores: metric -> its value in the first run and in the second.
    :ivar changed: metric -> number of samples that score otherwise.
    :ivar errors: metric -> standard error of the difference between the two, where the score is a
        known function of the samples' values.
    :ivar logprob: with likelihoods: the largest difference between two of one answer, in nats.
    """

    task: str
    samples: int
    equal: float
    scores: Mapping[str, tuple[float, float]]
    changed: Mapping[str, int]
    logprob: float | None = None
    errors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Noise:
    """What ``qrag noise`` measured.

    :ivar precision: of the arm; with that of its keys and values, where one was asked for.
    :ivar identity: digest of the arm.
    :ivar batching: how the two runs were batched.
    """

    precision: str
    identity: str
    batching: tuple[str, str]
    tasks: Sequence[TaskNoise]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def measure_noise(
    tasks: Sequence[str],
    model_args: str | Mapping[str, Any],
    metadata: Mapping[str, Any],
    *,
    batch_size: int = 1,
    limit: int | None = None,
    apply_chat_template: bool = False,
) -> Noise:
    """Run one arm twice over the same prompts, first in batches by tokens, then in other batches.

    :param tasks: names of tasks or groups of ours.
    :param model_args: of ``--model qrag``, as its command takes them or as a mapping.
    :param metadata: as for lm_eval's ``--metadata``.
    :param batch_size: sequences a batch in the second run.
    :param limit: samples of each task.
    :raises QragError: when a task, the arm or the data cannot be had.
    """
    from qrag_tasks.arms.loading import check_libraries

    check_libraries("qrag noise")
    from qrag_tasks.arms import embedded
    from qrag_tasks.harness.evaluation import evaluate, model_arguments
    from qrag_tasks.harness.model import QragLM

    if unknown := [name for name in tasks if not requested([name])]:
        explain_unknown(unknown, f"unknown: {', '.join(unknown)}")
        raise SettingsError(
            f"no such task: {', '.join(map(repr, unknown))}. Name tasks or groups that "
            f"`qrag tasks` lists"
        )
    entries = requested(tasks)
    arguments = model_arguments(model_args)
    if "batch_size" in arguments:
        raise SettingsError("batch_size: the two runs differ in it; give the second's own option")
    if engine_name("qrag", arguments) == TRANSFORMERS and "pretrained" not in arguments:
        arguments["pretrained"] = embedded.instead_of_none()
    Settings.from_metadata(metadata, ())
    model = QragLM(**arguments)

    def run() -> dict[str, list[dict[str, Any]]]:
        results = evaluate(
            model,
            [entry.name for entry in entries],
            {**arguments, **metadata},
            limit=limit,
            apply_chat_template=apply_chat_template,
            bootstrap_iters=0,
        )
        scores.append(results["results"])
        return dict(results["samples"])

    scores: list[dict[str, dict[str, Any]]] = []
    first = run()
    by_tokens = model.batching()
    model.batch_otherwise(batch_size)
    # Or the second run would take keys and values of whole prompts from the first.
    model.engine.forget()
    second = run()
    kv_cache = AUTO if model.engine.kv_cache is None else model.engine.kv_cache.name
    return Noise(
        arm_called(model.engine.precision.name, None if kv_cache == AUTO else kv_cache),
        model.identity.digest,
        (by_tokens, model.batching()),
        [
            compare(task, first[task], second[task], scores[0][task], scores[1][task])
            for task in first
        ],
    )


def compare(
    task: str,
    first: Sequence[Mapping[str, Any]],
    second: Sequence[Mapping[str, Any]],
    scores: Mapping[str, Any],
    other_scores: Mapping[str, Any],
) -> TaskNoise:
    """Compare the logged samples of two runs over the same prompts.

    :param scores: of the first run, as lm_eval reports them: ``"mae,none"`` -> value.
    """
    pairs = list(zip(_by_doc(first), _by_doc(second), strict=True))
    for one, other in pairs:
        if one["prompt_hash"] != other["prompt_hash"]:
            raise AssertionError(f"{task}: doc {one['doc_id']} had two prompts")
    metrics = {key.partition(",")[0]: key for key in scores if not _is_error(key)}
    metrics = {name: key for name, key in metrics.items() if isinstance(scores[key], float)}
    differences = [abs(a - b) for one, other in pairs for a, b in _logprobs(one, other)]
    return TaskNoise(
        task,
        len(pairs),
        sum(_answer(one) == _answer(other) for one, other in pairs) / max(len(pairs), 1),
        {name: (scores[key], other_scores[key]) for name, key in metrics.items()},
        {name: sum(one.get(name) != other.get(name) for one, other in pairs) for name in metrics},
        max(differences, default=None) if differences else None,
        dict(_errors(pairs, {name: scores[key] for name, key in metrics.items()})),
    )


def _errors(
    pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], scores: Mapping[str, float]
) -> Iterator[tuple[str, float]]:
    for name, score in scores.items():
        values = [(one[name], other[name]) for one, other in pairs if name in one and name in other]
        if len(values) < max(len(pairs), 2):
            continue
        first, second = ([*arm] for arm in zip(*values, strict=True))
        known = aggregations(name, first, score)
        if known and not isinstance(first[0], list):
            error = standard_error(first, second, score=SCORES[known[0]])
            if error is not None:
                yield name, error


def _is_error(key: str) -> bool:
    return key.partition(",")[0].endswith("_stderr") or "," not in key


def _by_doc(samples: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(samples, key=lambda sample: int(sample["doc_id"]))


def _answer(sample: Mapping[str, Any]) -> Any:
    answers = sample["filtered_resps"]
    if isinstance(answers[0], Mapping):
        return max(answers, key=lambda share: share["logprob"])["answer"]
    return answers[0]


def _logprobs(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[float, float]]:
    pairs = zip(one["filtered_resps"], other["filtered_resps"], strict=True)
    return [(a["logprob"], b["logprob"]) for a, b in pairs if isinstance(a, Mapping)]
