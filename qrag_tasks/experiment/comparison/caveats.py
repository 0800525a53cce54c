"""What somebody who reads a comparison has to know beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from qrag_tasks.experiment.arm_identities import mixed_arms
from qrag_tasks.experiment.comparison.batch_noise import MEASURED
from qrag_tasks.experiment.comparison.notes import folded
from qrag_tasks.experiment.comparison.rows import CellRow, MetricRow
from qrag_tasks.experiment.comparison.sample_arrays import Values
from qrag_tasks.experiment.comparison.verdicts import ALPHA
from qrag_tasks.experiment.mixed_prompts import mixed_prompts
from qrag_tasks.wording import counted

_UNTESTED = (
    "has no interval and no test: it is not the mean, the root mean square or the macro F1 of what "
    "is logged of the samples in both arms",
    "scores have no interval and no test: they are not the mean, the root mean square or the macro "
    "F1 of what is logged of the samples in both arms",
)
_INCOMPLETE = (
    "is left out: it is not logged for every sample in both arms",
    "scores are left out: they are not logged for every sample in both arms",
)
_UNDEFINED = (
    "is left out: it is not a finite number in both arms",
    "scores are left out: they are not finite numbers in both arms",
)


def caveats(values: Sequence[Values], cells: Sequence[CellRow]) -> list[str]:
    """Return what was not tested, or left out, and what a test could not have shown.

    :param values: the samples of the cells.
    """
    untested = (
        f"{cell.task}: {row.metric}" for cell in cells for row in cell.metrics if row.units is None
    )
    sides = [side for cell in values for side in (cell.base, cell.other)]
    # The prompts of the other side are the same, or differ by design.
    tasks = [cell.base.task for cell in values]
    return [
        *mixed_arms((side.run.label, side.run.logged) for side in sides),
        *mixed_prompts((str(task.lamp_task), task.prompts) for task in tasks if task.prompts),
        *_imported(values),
        *_other_prompts(cells),
        *_other_dtypes(values),
        *_other_engines(values),
        *_other_caches(values),
        *_batch_noise(values, cells),
        *_no_answers(values),
        *folded(untested, *_UNTESTED),
        *folded(_named(values, lambda cell: cell.incomplete), *_INCOMPLETE),
        *folded(_named(values, lambda cell: cell.undefined), *_UNDEFINED),
        *_floors(cells),
    ]


def _named(values: Sequence[Values], metrics: Callable[[Values], Sequence[str]]) -> Iterator[str]:
    for cell in values:
        yield from (f"{cell.base.task.task}: {name}" for name in metrics(cell))


def _imported(values: Sequence[Values]) -> Iterator[str]:
    """Tell whose answers came out of files that no lm_eval wrote."""
    runs = {run.label: run for cell in values for run in (cell.base.run, cell.other.run)}
    imported = {label: run.logged.imported for label, run in runs.items() if run.logged.imported}
    if not imported:
        return
    arms = [
        f"{label} (from {', '.join(map(str, about.get('files') or ('a file',)))})"
        for label, about in imported.items()
    ]
    hashed = any(about.get("prompts") == "sha256" for about in imported.values())
    yield (
        f"imported: {', '.join(arms)}. What these arms are, and what they were asked, is what the "
        f"files say; that the prompts of all arms are the same was checked"
        + (", by the digests that the files give" if hashed else ", to the letter")
    )


def _other_prompts(cells: Sequence[CellRow]) -> Iterator[str]:
    """Tell in what the prompts differ where that is what is compared."""
    designs = dict.fromkeys(", ".join(cell.by_design) for cell in cells if cell.by_design)
    for design in designs:
        yield (
            f"the prompts differ by design, in {design}: samples are paired by question, and data, "
            f"golds, protocol, chat template and generation settings are the same"
        )


def _other_dtypes(values: Sequence[Values]) -> Iterator[str]:
    """Find arms that computed in another dtype than their base.

    bfloat16 keeps 8 bits of a logit: ratings that are near each other tie, and a tie goes to the
    token of the lower number.
    """
    seen = set()
    for cell in values:
        one, two = cell.base.run, cell.other.run
        arms = (one.label, two.label)
        if one.dtype and two.dtype and one.dtype != two.dtype and arms not in seen:
            seen.add(arms)
            yield (
                f"{one.label} computed in {one.dtype} and {two.label} in {two.dtype}: the "
                f"difference is of both; for that of the weights alone, run both in one dtype"
            )


_EVIDENCE = {
    "layers": "read off every loaded layer",
    "headers": "read off its checkpoint, and for the rest its engine's word",
    "stated": "a server's word",
}
"""Evidence of a precision -> what it is, in words."""


def _other_engines(values: Sequence[Values]) -> Iterator[str]:
    """Find arms that another engine ran than their base, and whose precision is known otherwise."""
    seen = set()
    for cell in values:
        runs = cell.base.run, cell.other.run
        (one, two), names = (run.label for run in runs), [run.logged.engine_name for run in runs]
        if None in names or names[0] == names[1] or (one, two) in seen:
            continue
        seen.add((one, two))
        yield (
            f"{one} was run by {names[0]} and {two} by {names[1]}, so the difference has two "
            f"causes; to part them, run {one} by {names[1]}, too: compared with that run, {two} "
            f"shows what the precision does, and {one} what the engine does"
        )
        kinds = [_EVIDENCE.get(run.logged.evidence or "") for run in runs]
        if None not in kinds and kinds[0] != kinds[1]:
            yield f"the precision of {one} is {kinds[0]}, that of {two} {kinds[1]}"


def _other_caches(values: Sequence[Values]) -> Iterator[str]:
    """Find arms that differ from their base in the precision of weights and of the cache alike."""
    seen = set()
    for cell in values:
        one, two = cell.base.run, cell.other.run
        if one.kv_cache == two.kv_cache or one.precision == two.precision:
            continue
        if (one.label, two.label) in seen:
            continue
        seen.add((one.label, two.label))
        yield (
            f"{one.label} and {two.label} differ in the precision of their weights "
            f"({one.precision} and {two.precision}) and of their keys and values "
            f"({one.kv_cache or 'auto'} and {two.kv_cache or 'auto'}), so the difference has two "
            f"causes; to part them, run {one.precision} with kv_cache={two.kv_cache or 'auto'}, too"
        )


def _batch_noise(values: Sequence[Values], cells: Sequence[CellRow]) -> Iterator[str]:
    """Tell whether the batches of an arm may have changed its answers, and by how much."""
    runs = {run.label: run for cell in values for run in (cell.base.run, cell.other.run)}
    fixed = [label for label, run in runs.items() if run.logged.deterministic]
    free = [label for label in runs if label not in fixed]
    replicas = {label: runs[label].logged.replicas for label in fixed}
    states = [cell.batch_noise for cell in cells]
    if len(set(replicas.values())) > 1:
        shared = ", ".join(f"{label} ({counted(n, 'replica')})" for label, n in replicas.items())
        yield (
            f"the answers of {shared} did not depend on their batch (deterministic=True), but the "
            f"prompts were not shared out alike, for which one answer of a thousand may differ: "
            f"give every arm the same data_parallel_size"
        )
    elif fixed and not free:
        yield (
            "no answer of any arm depended on its batch (deterministic=True), so the noise of "
            "batches is excluded"
        )
    if fixed and free:
        yield (
            f"the answers of {counted(len(fixed), 'arm')} did not depend on their batch "
            f"(deterministic=True), those of {', '.join(free[:3])}"
            f"{', ...' if len(free) > 3 else ''} may have: run every arm with it to exclude the "
            f"noise of batches"
        )
    if MEASURED in states:
        yield (
            f"the noise of batches was measured for {states.count(MEASURED)} of "
            f"{counted(len(states), 'comparison')}: a difference that batches alone would make is "
            f"called within noise"
        )
    elif not fixed and any(run.logged.engine_name for run in runs.values()):
        yield (
            "how much of a difference the batches alone make is not known: measure it by `qrag "
            "noise --out`, and name that file by --noise"
        )


def _no_answers(values: Sequence[Values]) -> Iterator[str]:
    """Tell of samples to which an arm gave no text, as a server may."""
    missing: dict[str, int] = {}
    for cell in values:
        for number, side in enumerate((cell.base, cell.other)):
            count = sum(None in both[number].answers for both in cell.pairs)
            name = f"{side.run.label} on {side.called}"
            missing[name] = max(count, missing.get(name, 0))
    for name, count in missing.items():
        if count:
            yield (
                f"{name}: {counted(count, 'sample')} without an answer in the log, which is "
                f"compared as an empty text"
            )


def _floors(cells: Sequence[CellRow]) -> Iterator[str]:
    """Tell of tests that the correction for their number leaves without a chance."""
    families: dict[str, list[MetricRow]] = {}
    for cell in cells:
        for row in cell.metrics:
            if row.smallest_p is not None and row.differing:
                families.setdefault(row.metric, []).append(row)
    for metric, rows in families.items():
        tests = sum(
            row.metric == metric and row.p is not None for cell in cells for row in cell.metrics
        )
        lost = [row for row in rows if (row.smallest_p or 0) * tests >= ALPHA > (row.p or 0)]
        if lost:
            lowest = max(row.smallest_p or 0 for row in lost)
            yield (
                f"{metric}: corrected for {tests} comparisons, the p of {len(lost)} of them could "
                f"not fall below {ALPHA}, however the arms differ: as few units differ there, the "
                f"smallest p is up to {lowest:.2g}"
            )
