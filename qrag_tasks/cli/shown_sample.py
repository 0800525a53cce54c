"""One sample with all that goes into its prompt, made as a run would make it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qrag_tasks.engines.tokenizers import model_text
from qrag_tasks.errors import SettingsError
from qrag_tasks.prompting import pipeline
from qrag_tasks.prompting.filling import TokenBudget
from qrag_tasks.prompting.pipeline import PromptRecord
from qrag_tasks.prompting.prompt_source import PromptSource
from qrag_tasks.prompting.settings import Settings
from qrag_tasks.tasks.catalog import CatalogEntry, entry


@dataclass(frozen=True)
class ShownSample:
    """One sample with all that went into its prompt.

    :ivar summary: what the model is asked to do.
    :ivar retriever: its spec, and whether it is an upper bound.
    :ivar texts: document id -> text that the retriever read.
    """

    entry: CatalogEntry
    summary: str
    size: int
    source: Path
    retriever: str
    record: PromptRecord
    budget: TokenBudget | None
    texts: Mapping[str, str]


def show_sample(
    task_name: str, index: int, metadata: Mapping[str, Any], tokenizer: str | None
) -> ShownSample:
    """Make the prompt of one sample as lm_eval would get it, before any chat template.

    :param metadata: the choices, as for lm_eval's ``--metadata``.
    :param tokenizer: of the model, to count and fit with; without one, all k documents are kept.
    :raises QragError: for an unknown task, retriever or index, missing data, or no room.
    """
    listed = entry(task_name)
    source = PromptSource.of(listed.task, listed.depth, Settings.from_metadata(metadata, ()))
    samples = source.data.samples
    if index >= len(samples):
        raise SettingsError(f"--index {index} is outside 0 to {len(samples) - 1}")
    text = None
    if tokenizer is None and (source.depth.window or source.settings.context_tokens):
        limit = listed.name if source.depth.window else "--context-tokens"
        raise SettingsError(f"{limit} needs --tokenizer, to count with")
    if tokenizer is not None:
        text = model_text({"pretrained": tokenizer})
    answer_tokens = source.settings.protocol.answer_tokens or source.task.answer_tokens
    budget = source.budget(text, answer_tokens, finish=lambda prompt: prompt)
    sample = samples[index]
    ranking = source.rankings.look(index, source.depth.documents)
    (record,) = pipeline.make_prompts(
        source.task, [sample], source.depth.documents, [ranking], budget, source.layout(text)
    )
    texts = {item["id"]: source.task.indexed_text(item) for item in sample.profile}
    upper_bound = " (an upper bound: it sees the gold)" if source.retriever.sees_gold else ""
    return ShownSample(
        listed,
        source.task.summary,
        len(samples),
        source.data.questions,
        source.retriever.spec + upper_bound,
        record,
        budget,
        texts,
    )
