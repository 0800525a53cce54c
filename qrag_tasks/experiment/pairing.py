"""Pairs the samples of two arms: the same question and, to the letter, the same prompt.

Where prompts differ by design, as by retriever or k, the question is the same, and all the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from qrag_tasks.errors import ComparisonError
from qrag_tasks.logs.runs import Run, TaskRun
from qrag_tasks.logs.samples import Sample

_AROUND = 60
# What decides our tasks' prompts, and how a message calls it.
_DECIDING = {
    "data_sha256": "data",
    **{name: name for name in ("protocol", "retriever", "order", "prompt", "filter", "index")},
    **{name: name for name in ("fill", "oversized", "split")},
    "answer": "answer mode",
}


def pair(
    base: TaskRun,
    other: TaskRun,
    base_run: Run,
    other_run: Run,
    *,
    common: bool = False,
    by_design: Collection[str] = (),
) -> list[tuple[Sample, Sample]]:
    """Pair the samples of one task under two arms.

    :param common: leave out the samples that only one of them has.
    :param by_design: in what the prompts differ: of ``k``, ``retriever`` and ``order``. Their texts
        are not compared then; data, question, gold, settings and the rest still are.
    :returns: in the order of the data set; a pair for each of lm_eval's filters.
    :raises ComparisonError: when the arms were not asked the same, with the first difference.
    """
    refusal = f"{base.task}: {base_run.path} and {other_run.path} cannot be compared"
    # Of answers that no lm_eval wrote, prompts and golds are all that is known.
    imported = bool(base_run.logged.imported or other_run.logged.imported)
    for what, one, two in () if imported else _settings(base, other, base_run, other_run):
        if what in by_design:
            continue
        texts = [run.texts.get(what) for run in (base_run, other_run)]
        # By the text rather than by its sha256, where both are logged.
        one, two = (text or setting for text, setting in zip(texts, (one, two), strict=True))
        shown = _apart(*map(str, texts)) if all(texts) else f"{_shown(one)} and {_shown(two)}"
        raise ComparisonError(f"{refusal}: they differ in {what}: {shown}")
    firsts, seconds = _by_key(base), _by_key(other)
    missing = [key for key in firsts if key not in seconds]
    more = [key for key in seconds if key not in firsts]
    if (missing or more) and not common:
        raise ComparisonError(
            f"{refusal}: of their samples, the first alone has {len(missing)}{_some(missing)}, the "
            f"second alone {len(more)}{_some(more)}. Run both with the same --limit, or "
            f"compare what they have in common by --common"
        )
    pairs = [(one, seconds[key]) for key, one in firsts.items() if key in seconds]
    if not pairs:
        raise ComparisonError(f"{refusal}: they have no sample in common")
    for one, two in pairs:
        if imported and not by_design and not _same_prompt(one, two):
            where = _apart(one.prompt, two.prompt)
            raise ComparisonError(f"{refusal}: sample {one.key}: its prompts differ {where}")
        if (
            not imported
            and one.requests != two.requests
            and not (by_design and _asked_alike(one, two))
        ):
            message = f"{refusal}: sample {one.key}: {_first_difference(one, two)}"
            raise ComparisonError(message + _other_retriever(base, other))
        if one.target != two.target:
            raise ComparisonError(
                f"{refusal}: sample {one.key}: its golds differ: {_shown(one.target)} and "
                f"{_shown(two.target)}"
            )
    return pairs


def _asked_alike(one: Sample, two: Sample) -> bool:
    """Whether two samples differ in nothing but the texts of their prompts."""
    first, second = ([request[1:] for request in each.requests] for each in (one, two))
    return one.user == two.user and first == second


def _same_prompt(one: Sample, two: Sample) -> bool:
    """Tell whether two samples have one prompt, of which one may have the digest alone."""
    if one.prompt == two.prompt:
        return True
    both = one.prompt, two.prompt
    digests = {f"sha256:{hashlib.sha256(prompt.encode()).hexdigest()}" for prompt in both}
    return any(prompt in digests for prompt in both)


def _other_retriever(base: TaskRun, other: TaskRun) -> str:
    """Name a retriever of another version or build: no matter where prompts are equal."""
    one, two = (task.prompts and task.prompts.retriever_sha256 for task in (base, other))
    if one == two:
        return ""
    return ". Their retrievers differ in options, version or code: rank both by the same"


def _settings(
    base: TaskRun, other: TaskRun, base_run: Run, other_run: Run
) -> Iterator[tuple[str, Any, Any]]:
    """Yield what the two runs' settings differ in: what explains a difference in the prompts."""
    if base.prompts and other.prompts:
        for name, what in _DECIDING.items():
            one, two = getattr(base.prompts, name), getattr(other.prompts, name)
            if one != two:
                yield what, one, two
    for what, one in base_run.settings.items():
        two = other_run.settings.get(what)
        # End tokens are known of --model qrag alone, and are a tokenizer's own.
        if what == "end tokens" and (one is None or two is None or base_run.name != other_run.name):
            continue
        if one != two and not (what == "chat template" and base_run.name != other_run.name):
            yield what, one, two


def _by_key(task: TaskRun) -> dict[tuple[str, str], Sample]:
    samples: dict[tuple[str, str], Sample] = {}
    for sample in task.samples:
        key = (sample.key, sample.filter)
        if key in samples:
            raise ComparisonError(f"{task.log.path}: sample {sample.key} appears twice")
        samples[key] = sample
    return samples


def _first_difference(one: Sample, two: Sample) -> str:
    for name in sorted({*one.settings, *two.settings}):
        if one.settings.get(name) != two.settings.get(name):
            called = "stop strings" if name == "until" else name
            return (
                f"its {called} differ: {_shown(one.settings.get(name))} and "
                f"{_shown(two.settings.get(name))}"
            )
    if one.prompt == two.prompt:
        return "the answers whose likelihoods were measured differ"
    return f"its prompts differ {_apart(one.prompt, two.prompt)}"


def _apart(one: str, two: str) -> str:
    """Say from where on two texts differ, and show what is around."""
    pairs = enumerate(zip(one, two, strict=False))
    place = next((i for i, (a, b) in pairs if a != b), min(len(one), len(two)))
    around = slice(max(0, place - _AROUND // 2), place + _AROUND)
    return f"from character {place:,} on: {one[around]!r} and {two[around]!r}"


def _shown(value: Any) -> str:
    text = repr(dict(value) if isinstance(value, Mapping) else value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _some(keys: Sequence[tuple[str, str]]) -> str:
    named = ", ".join(key for key, _ in keys[:3])
    return f" ({named}{', ...' if len(keys) > 3 else ''})" if keys else ""
