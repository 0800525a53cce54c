"""Writes ``task_yamls/`` from the catalog: ``python -m qrag_tasks.tasks.task_files``.

Every task has one template with all that its files share, which they include: lm_eval's own
custom for a family of tasks.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp

from qrag_tasks.errors import StoreError
from qrag_tasks.locations import plugin_task_yamls, share, task_yamls
from qrag_tasks.tasks.base import DescribingSource, Task
from qrag_tasks.tasks.catalog import Listing, rows_of_plugins
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


def render(rows: Listing | None = None) -> dict[str, str]:
    """Return every file of some rows, the core's by default: path in their folder -> text."""
    rows = rows or rows_of_plugins(built_in=True)
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
        for task in rows.tasks.values()
    }
    for entry in rows.catalog.values():
        files[f"{entry.task.name}/{entry.name}.yaml"] = _HEADER + _TASK.format(
            template=_template_name(entry.task),
            name=entry.name,
            row=entry.task.name,
            k=entry.depth,
        )
    for group, members in rows.groups.items():
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


def written_for_plugins() -> Path | None:
    """Return a folder with the task files of plugins' rows; ``None`` where there are none.

    It is made once for each set of rows, in the cache folder, and is whole or not there.

    :raises StoreError: when it cannot be written.
    """
    rows = rows_of_plugins(built_in=False)
    if not rows.tasks:
        return None
    files = render(rows)
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    folder = plugin_task_yamls() / digest[:16]
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(mkdtemp(dir=folder.parent))
        _put(files, temporary)
        share(temporary)
        try:
            temporary.rename(folder)
        except OSError:  # another process was faster
            shutil.rmtree(temporary, ignore_errors=True)
            if not folder.is_dir():
                raise
    except OSError as error:
        raise StoreError(
            f"task files of plugins cannot be kept in {folder}: {error.strerror or error}. Make "
            f"room there, or name another folder in QRAG_CACHE."
        ) from error
    return folder


def write(folder: Path) -> None:
    """Write every file below ``folder``, and remove those of ours that are no longer rendered."""
    files = render()
    for old in folder.rglob("*yaml"):
        stale = old.relative_to(folder).as_posix() not in files
        if stale and old.read_text(encoding="utf-8").startswith(_HEADER):
            old.unlink()
    _put(files, folder)


def _put(files: Mapping[str, str], folder: Path) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else task_yamls())
