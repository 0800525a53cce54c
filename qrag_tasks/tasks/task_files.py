"""Writes ``task_yamls/`` from the catalog: ``python -m qrag_tasks.tasks.task_files``.

Every task has one template with all that its files share, which they include: lm_eval's own
custom for a family of tasks.
"""

from __future__ import annotations

import sys
from pathlib import Path

from qrag_tasks.locations import task_yamls
from qrag_tasks.tasks.base import DescribingSource, Task
from qrag_tasks.tasks.catalog import CATALOG, GROUPS, TASKS
from qrag_tasks.tasks.scoring.metrics import AGGREGATIONS

_HEADER = "# Written by `python -m qrag_tasks.tasks.task_files`; a test holds it to the catalog.\n"

_TEMPLATE = """\
# {family}, {official_name}, {setting}: {summary}.
class: !function qrag_tasks.harness.guarded_task.LampRagTask
{tag}output_type: generate_until
test_split: dev
num_fewshot: 0
generation_kwargs:
  until: []
  do_sample: false
  max_gen_toks: {answer_tokens}
{metrics}metadata:
  version: {version}
"""

_METRIC = """\
  - metric: {name}
    aggregation: {aggregation}
    higher_is_better: {higher_is_better}
"""

_TASK = """\
include: {template}
task: {name}
dataset_kwargs:
  task: {row}
  k: {k}
"""

_GROUP = """\
group: {name}
task:
{members}metadata:
  version: 1.0
"""

_AGGREGATIONS = {
    "mean": "mean",
    **{name: f"!function {f.__module__}.{f.__name__}" for name, f in AGGREGATIONS.items()},
}


def render() -> dict[str, str]:
    """Return every file: path below ``task_yamls/`` -> text."""
    files = {
        f"{task.name}/{_template_name(task)}": _HEADER
        + _TEMPLATE.format(
            family=task.family,
            official_name=task.official_name,
            setting=task.setting,
            summary=task.summary,
            tag=f"tag: {task.tag}\n" if task.tag else "",
            version=task.version,
            answer_tokens=task.answer_tokens,
            metrics=_metric_list(task),
        )
        for task in TASKS.values()
    }
    for entry in CATALOG.values():
        files[f"{entry.task.name}/{entry.name}.yaml"] = _HEADER + _TASK.format(
            template=_template_name(entry.task),
            name=entry.name,
            row=entry.task.name,
            k=entry.depth,
        )
    for group, members in GROUPS.items():
        files[f"groups/{group}.yaml"] = _HEADER + _GROUP.format(
            name=group, members="".join(f"  - {member}\n" for member in members)
        )
    return files


def _metric_list(task: Task) -> str:
    """Return the list of scores; nothing where the data say which they are."""
    if isinstance(task.source, DescribingSource):
        return ""
    return "metric_list:\n" + "".join(
        _METRIC.format(
            name=metric.name,
            aggregation=_AGGREGATIONS[metric.aggregation],
            higher_is_better=str(metric.higher_is_better).lower(),
        )
        for metric in task.answer.metrics
        if task.metrics is None or metric.name in task.metrics
    )


def _template_name(task: Task) -> str:
    # Without the suffix .yaml: lm_eval would take it for a task.
    return f"_{task.name}_yaml"


def write(folder: Path) -> None:
    """Write every file below ``folder``, and remove those of ours that are no longer rendered."""
    files = render()
    for old in folder.rglob("*yaml"):
        stale = old.relative_to(folder).as_posix() not in files
        if stale and old.read_text(encoding="utf-8").startswith(_HEADER):
            old.unlink()
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else task_yamls())
