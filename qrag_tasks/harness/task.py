"""The lm_eval task class behind every file in ``task_yamls/``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

from lm_eval.api.task import ConfigurableTask
from lm_eval.models.utils import normalize_gen_kwargs
from tqdm import tqdm

from qrag_tasks import pipeline
from qrag_tasks.benchmark import data, metrics
from qrag_tasks.benchmark.tasks import RUNAWAY_RATE, lamp_task
from qrag_tasks.errors import SettingsError
from qrag_tasks.harness.settings import Settings
from qrag_tasks.harness.tokens import ModelText, model_text
from qrag_tasks.pipeline import PromptRecord, TokenBudget
from qrag_tasks.plugins import build_retriever, prompt_style
from qrag_tasks.rankings import Rankings

logger = logging.getLogger("lm_eval.qrag_tasks")

Doc = dict[str, Any]


def generation_limit(generation_kwargs: Mapping[str, Any]) -> int:
    """Return the most tokens that an answer may have, under whichever name it was given."""
    return int(normalize_gen_kwargs(dict(generation_kwargs))["max_gen_toks"])


class PromptDocs(Sequence[Doc]):
    """The docs of a task: one a sample, its prompt made when it is first needed.

    :meth:`make` makes many at once, which is what a retriever wants; a doc that is asked for
    before that has its prompt made alone and without a budget.
    """

    features: Mapping[str, None]

    def __init__(
        self, samples: int, make: Callable[[Sequence[int], TokenBudget | None], list[Doc]]
    ):
        self._samples = samples
        self._make = make
        self._docs: dict[int, Doc] = {}
        self.features = dict.fromkeys(self[0])

    def make(self, indices: Sequence[int], budget: TokenBudget | None) -> list[Doc]:
        """Make the docs at ``indices`` anew, replacing those made before."""
        docs = self._make(indices, budget)
        self._docs = dict(zip(indices, docs, strict=True))
        return docs

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._samples))]
        if not -self._samples <= index < self._samples:
            raise IndexError(index)
        index %= self._samples
        if index not in self._docs:
            self._docs[index] = self._make([index], None)[0]
        return self._docs[index]


class LampRagTask(ConfigurableTask):  # type: ignore[misc]
    """One LaMP task at one k.

    ``dataset_kwargs`` of the task file fix the LaMP task and k; lm_eval's ``--metadata`` carries
    the other choices (:class:`~qrag_tasks.harness.settings.Settings`).
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._text: ModelText | None = None
        config = dict(config)
        config.pop("class", None)
        # Tells lm_eval that the metrics are our own and not to be looked up in its registry.
        config["process_results"] = "qrag_tasks.harness.task.LampRagTask.process_results"
        super().__init__(config=config)
        for name, aggregation in list(self._aggregation_list.items()):
            if aggregation is metrics.root_mean:
                # lm_eval knows no standard error for an aggregation of ours; a metric of this
                # name lands where its own would stand.
                self._aggregation_list[f"{name}_stderr"] = metrics.root_mean_stderr
                self._higher_is_better[f"{name}_stderr"] = False

    # ------------------------------------------------------------------ data
    def download(self, dataset_kwargs: Any = None, **_: Any) -> None:
        """Read the data and build the retriever; nothing is downloaded."""
        fixed = self.config.dataset_kwargs or {}
        if set(fixed) != {"task", "k"}:
            raise SettingsError(
                f"{self.config.task}: dataset_kwargs must hold 'task' and 'k', got {sorted(fixed)}"
            )
        metadata = self.config.metadata or {}
        settings = Settings.from_metadata(metadata)
        self.lamp_task = lamp_task(fixed["task"])
        self.k = int(fixed["k"])
        self.settings = settings
        self.data = data.load(self.lamp_task, settings.data)
        self.retriever = build_retriever(settings.retriever)
        self.rankings = Rankings(self.data, self.retriever)
        self.prompt_style = prompt_style(settings.prompt)
        if self.retriever.sees_gold:
            logger.warning(
                "%s: retriever %r ranks by the right answer: its scores are an upper bound",
                self.config.task,
                self.retriever.spec,
            )
        for note in self.data.notes[:3]:
            logger.warning("%s", note)
        if more := self.data.notes[3:]:
            logger.warning("%s: %d more such notes", self.config.task, len(more))
        docs = PromptDocs(len(self.data.samples), self._make_docs)
        self.dataset = {self.config.test_split: docs}
        self.config.metadata = {
            **metadata,
            "qrag": {
                "version": version("qrag-tasks"),
                "data": str(self.data.questions),
                "data_sha256": self.data.fingerprint,
                "retriever": self.retriever.spec,
                "retriever_from": str(self.retriever.fingerprint.origin),
                "retriever_options": dict(self.retriever.fingerprint.options),
                "retriever_identity": dict(self.retriever.fingerprint.identity),
                "retriever_sha256": self.retriever.fingerprint.digest,
                "retriever_sees_gold": self.retriever.sees_gold,
                "prompt": self.prompt_style.name,
                "prompt_from": str(self.prompt_style.origin),
            },
        }

    def fewshot_docs(self) -> None:
        """No few-shot examples: the profile is what the prompt shows."""

    def _make_docs(self, indices: Sequence[int], budget: TokenBudget | None) -> list[Doc]:
        samples = [self.data.samples[i] for i in indices]
        records = pipeline.make_prompts(
            self.lamp_task,
            samples,
            self.k,
            self.rankings.of(indices, self.k),
            budget,
            self.prompt_style.style,
        )
        return [self._doc(record, budget) for record in records]

    def _doc(self, record: PromptRecord, budget: TokenBudget | None) -> Doc:
        return {
            "id": record.sample.id,
            "target": record.sample.target,
            "retriever": self.retriever.spec,
            "requested": record.requested,
            "profile_size": record.profile_size,
            "ranked": list(record.ranking.ids),
            "scores": list(record.ranking.scores),
            "kept": list(record.kept),
            "dropped": list(record.dropped),
            "shortfall": record.shortfall,
            "question_tokens": record.question_tokens,
            "prompt_tokens": record.prompt_tokens,
            "context_tokens": budget.context_tokens if budget else None,
            "answer_tokens": budget.answer_tokens if budget else None,
            "prompt": record.prompt,
            "prompt_hash": record.prompt_hash,
        }

    def doc_iterator(
        self,
        *,
        rank: int = 0,
        limit: int | None = None,
        world_size: int = 1,
        samples: Sequence[int] | None = None,
    ) -> Iterator[tuple[int, Doc]]:
        """Yield (position, doc) as lm_eval's own iterator does, making only this rank's docs.

        ``samples`` are taken in the order given: lm_eval looks a position up in that very list
        when it logs the doc's id.
        """
        wanted = self._wanted(limit, samples)
        for position in range(rank, len(wanted), world_size):
            yield position, self.eval_docs[wanted[position]]

    def _wanted(self, limit: int | None, samples: Sequence[int] | None) -> Sequence[int]:
        size = len(self.data.samples)
        if samples:
            outside = [i for i in samples if not 0 <= i < size]
            if outside:
                raise SettingsError(
                    f"{self.config.task}: --samples {outside[0]} is outside 0 to {size - 1}"
                )
            return samples
        return range(min(int(limit), size) if limit else size)

    # ------------------------------------------------------------------ prompts
    def doc_to_text(self, doc: Doc, doc_to_text: Any = None) -> str:
        """Return the finished prompt; no template touches it, so braces in a text stay braces."""
        return str(doc["prompt"])

    def doc_to_target(self, doc: Doc, doc_to_target: Any = None) -> str:
        """Return the gold answer as text."""
        return str(doc["target"])

    def build_all_requests(
        self,
        *,
        limit: int | None = None,
        samples: Sequence[int] | None = None,
        rank: int = 0,
        world_size: int = 1,
        cache_requests: bool = False,
        rewrite_requests_cache: bool = False,
        **options: Any,
    ) -> None:
        """Rank, fit and write the prompts of this rank, then hand them to lm_eval.

        ``cache_requests`` is not honoured: lm_eval keys that cache by task and tokenizer name, so
        it would serve the prompts of another retriever or data set.
        """
        if cache_requests or rewrite_requests_cache:
            logger.warning(
                "%s: --cache_requests is not used, prompts are made anew", self.task_name
            )
        budget = self._budget(options)
        docs = self.eval_docs.make(self._wanted(limit, samples)[rank::world_size], budget)
        self._report(docs, budget)
        super().build_all_requests(
            limit=limit, samples=samples, rank=rank, world_size=world_size, **options
        )

    def check_questions(
        self, *, limit: int | None, samples: Sequence[int] | None, **options: Any
    ) -> None:
        """Check that every question fits, without ranking anything.

        :param options: as lm_eval gives them to :meth:`build_all_requests`.
        :raises BudgetError: naming the first question that does not.
        """
        budget = self._budget(options)
        if budget is not None:
            wanted = [self.data.samples[i] for i in self._wanted(limit, samples)]
            pipeline.check_questions(self.lamp_task, wanted, budget, self.prompt_style.style)

    def rank(self, *, limit: int | None, samples: Sequence[int] | None) -> None:
        """Rank what the run will ask for and is not kept yet, so that the run only reads it.

        :raises RetrieverError: when the retriever breaks its contract, or lacks a field.
        """
        if self.k == 0:
            return
        missing = self.rankings.missing(self._wanted(limit, samples))
        name = f"{self.lamp_task.name}: ranking by {self.retriever.spec}"
        for chunk in tqdm(missing, desc=name, unit="chunk", disable=not missing):
            self.rankings.of(self.rankings.store.members(chunk)[:1], 1)

    def model_text(self, chat_template: Callable[..., str] | None = None) -> ModelText | None:
        """Return how the run's model reads text, or ``None`` where that is not known."""
        return model_text(self.config.metadata, chat_template)

    def _budget(self, options: Mapping[str, Any]) -> TokenBudget | None:
        """Return the room of a prompt, or ``None`` where the model's tokenizer is not known."""
        chat_template = options.get("chat_template")
        text = self._text = self.model_text(chat_template)
        asked = self.settings.context_tokens
        if text is None:
            if asked is not None:
                raise SettingsError(
                    "context_tokens needs the model's tokenizer, and nothing names it: give "
                    "tokenizer=... in --model_args or --metadata"
                )
            return None
        if asked is not None and asked > text.window:
            raise SettingsError(
                f"context_tokens is {asked}, but the model's window is {text.window} tokens: "
                f"prompts would be cut. Ask for {text.window} or less."
            )
        finish = partial(
            self.fewshot_context,
            num_fewshot=0,
            system_instruction=options.get("system_instruction"),
            apply_chat_template=options.get("apply_chat_template", False),
            fewshot_as_multiturn=options.get("fewshot_as_multiturn", False),
            chat_template=chat_template,
        )
        return TokenBudget(
            count=lambda prompt: text.count(finish({"prompt": prompt, "target": ""})),
            context_tokens=asked or text.window,
            answer_tokens=generation_limit(self.config.generation_kwargs),
        )

    def _report(self, docs: Sequence[Doc], budget: TokenBudget | None) -> None:
        """Log what went into the prompts: nothing is left out silently."""
        kept = sum(len(doc["kept"]) for doc in docs)
        small = sum(doc["profile_size"] < self.k for doc in docs)
        empty = sum(doc["profile_size"] == 0 for doc in docs)
        cut = sum(bool(doc["dropped"]) for doc in docs)
        parts = [f"{len(docs)} prompts, {kept} documents by {self.retriever.spec}"]
        if small:
            parts.append(f"{small} profiles hold fewer than {self.k}")
        if empty:
            parts.append(f"{empty} profiles are empty (asked without documents)")
        if budget is None:
            parts.append(
                "nothing counted or fitted: no tokenizer= or pretrained= names the model's"
            )
        else:
            lengths = [doc["prompt_tokens"] for doc in docs]
            parts.append(
                f"{min(lengths, default=0)} to {max(lengths, default=0)} tokens of "
                f"{budget.prompt_tokens}"
            )
            parts.append(f"{cut} prompts lost documents to the budget")
        level = logging.WARNING if cut or budget is None else logging.INFO
        logger.log(level, "%s: %s", self.task_name, "; ".join(parts))

    # ------------------------------------------------------------------ scores
    def process_results(self, doc: Doc, results: Sequence[str]) -> dict[str, Any]:
        """Score one answer."""
        if "bypass" in self._aggregation_list:  # --predict_only
            return dict(super().process_results(doc, results))
        answer = results[0]
        scores = self.lamp_task.score(answer, doc["target"])
        if self._text is not None:
            limit = generation_limit(self.config.generation_kwargs)
            scores[RUNAWAY_RATE.name] = float(self._text.count_answer(answer) >= limit)
        for name in list(scores):
            if f"{name}_stderr" in self._aggregation_list:
                scores[f"{name}_stderr"] = scores[name]
        return {name: value for name, value in scores.items() if name in self._aggregation_list}
