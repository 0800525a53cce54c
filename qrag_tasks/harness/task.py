"""The lm_eval task class behind every file in ``task_yamls/`` (see also ``guarded_task``)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask
from tqdm import tqdm

from qrag_tasks.engines.tokenizers import model_text
from qrag_tasks.errors import SettingsError
from qrag_tasks.harness import gen_kwargs
from qrag_tasks.harness.messages import as_text, check_form, refuse_messages
from qrag_tasks.harness.windows import check_nothing_is_cut, generation_limit, text_as_taken
from qrag_tasks.logs.schema import BLOCK
from qrag_tasks.prompting.continuations import Continuations, continuations
from qrag_tasks.prompting.filling import TokenBudget
from qrag_tasks.prompting.model_text import ModelText
from qrag_tasks.prompting.prompt_docs import Doc, PromptDocs, as_doc, put_shares, report
from qrag_tasks.prompting.prompt_source import PromptSource
from qrag_tasks.prompting.settings import Settings
from qrag_tasks.prompting.thinking import Thoughts, refuse_thoughts
from qrag_tasks.tasks.base import Depth
from qrag_tasks.tasks.catalog import as_row
from qrag_tasks.tasks.scoring.metrics import AGGREGATIONS

logger = logging.getLogger("lm_eval.qrag_tasks")


class LampRagTask(ConfigurableTask):  # type: ignore[misc]
    """One task at one k.

    ``dataset_kwargs`` of the task file fix the task, by a name of the catalog or as a row
    (``!function mine.ROW``), and k; lm_eval's ``--metadata`` carries
    the other choices (:class:`~qrag_tasks.prompting.settings.Settings`).

    :ivar given_metadata: the choices as lm_eval hands them over, model arguments among them.
    :ivar model: the ``LM`` that answers, while a run is going on.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        config = dict(config)
        config.pop("class", None)
        # Tells lm_eval that the metrics are our own and not to be looked up in its registry.
        config["process_results"] = "qrag_tasks.harness.task.LampRagTask.process_results"
        self._text: ModelText | None = None
        self._continuations: Continuations | None = None
        self._thoughts = Thoughts("")
        fixed = config.get("dataset_kwargs") or {}
        if set(fixed) != {"task", "k"}:
            raise SettingsError(
                f"{config.get('task')}: dataset_kwargs must hold 'task' and 'k', got "
                f"{sorted(fixed)}"
            )
        self.model: Any = None
        self.given_metadata = dict(config.get("metadata") or {})
        settings = Settings.from_metadata(self.given_metadata)
        row = as_row(fixed["task"])
        try:
            depth = Depth.parse(fixed["k"])
        except ValueError as error:
            raise SettingsError(f"{row}: k is {fixed['k']!r}, {error}") from None
        self.source = PromptSource.of(row, depth, settings)
        if self.source.task.name != row.name:
            # The data say what the task file cannot.
            row = self.source.task
            config["generation_kwargs"] = {
                **config["generation_kwargs"],
                "max_gen_toks": row.answer_tokens,
            }
            config["metadata"] = {**self.given_metadata, "version": row.version}
        # What lm_eval writes into its results.
        config["dataset_kwargs"] = {**fixed, "task": row.name}
        row.answer.check_scores()
        self._scores = self.source.scores
        config["metric_list"] = [
            {
                "metric": metric.name,
                "aggregation": AGGREGATIONS.get(metric.aggregation, metric.aggregation),
                "higher_is_better": metric.higher_is_better,
            }
            for metric in self._scores.metrics
        ]
        if settings.answer == "likelihood":
            config["output_type"] = "loglikelihood"
        if answer_tokens := settings.protocol.answer_tokens:
            limits = {"max_gen_toks": answer_tokens}
            config["generation_kwargs"] = {**config["generation_kwargs"], **limits}
        super().__init__(config=config)

    def set_config(self, key: str, value: Any, update: bool = False) -> None:
        """Set part of the task's configuration; ``--gen_kwargs`` comes here.

        :raises SettingsError: for generation arguments that cannot be.
        """
        if key == "generation_kwargs" and update:
            value = gen_kwargs.checked(value)
        super().set_config(key, value, update)

    # ------------------------------------------------------------------ data
    def download(self, dataset_kwargs: Any = None, **_: Any) -> None:
        """Say what the data are; they were read already, and nothing is downloaded."""
        source = self.source
        if source.retriever.sees_gold:
            logger.warning(
                "%s: retriever %r ranks by the right answer: its scores are an upper bound",
                self.config.task,
                source.retriever.spec,
            )
        for note in source.data.notes[:3]:
            logger.warning("%s", note)
        if more := source.data.notes[3:]:
            logger.warning("%s: %d more such notes", self.config.task, len(more))
        docs = PromptDocs(len(source.data.samples), self._make_docs)
        self.dataset = {self.config.test_split: docs}
        self.config.metadata = {
            **(self.config.metadata or {}),
            BLOCK: source.provenance().as_dict(),
        }

    def fewshot_docs(self) -> None:
        """No few-shot examples: the profile is what the prompt shows."""

    def _make_docs(self, indices: Sequence[int], budget: TokenBudget | None) -> list[Doc]:
        records = self.source.prompts(indices, budget, self._text)
        return [as_doc(record, self.source.retriever.spec, budget) for record in records]

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
        size = len(self.source.data.samples)
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
        """Return the gold answer as text; empty where it is not known."""
        return str(doc["target"] or "")

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
                "%s: --cache_requests is not used, prompts are made again", self.task_name
            )
        check_form(self.task_name, self.model, bool(options.get("apply_chat_template")))
        self._text = self.model_text()
        self._continuations = None
        budget = self._budget(self._text, options)
        self._thoughts = Thoughts(self.task_name)
        docs = self.eval_docs.make(self._wanted(limit, samples)[rank::world_size], budget)
        report(
            self.task_name, self.source.depth.documents, self.source.retriever.spec, docs, budget
        )
        super().build_all_requests(
            limit=limit, samples=samples, rank=rank, world_size=world_size, **options
        )
        self._thoughts.warn_of_short_answers(self._answer_limit, self.source.task.answer_tokens)
        if self.model is not None and not getattr(self.model, "refuses_long_prompts", False):
            check_nothing_is_cut(self.model, self.instances)

    def check_questions(
        self, *, limit: int | None, samples: Sequence[int] | None, **options: Any
    ) -> None:
        """Check that every question fits, without ranking anything.

        :param options: as lm_eval gives them to :meth:`build_all_requests`.
        :raises BudgetError: naming the first question that does not.
        """
        text = self.model_text()
        budget = self._budget(text, options)
        if budget is not None:
            self.source.check_questions(self._wanted(limit, samples), budget, text)

    def rank(self, *, limit: int | None, samples: Sequence[int] | None) -> None:
        """Rank what the run will ask for and is not kept yet, so that the run only reads it.

        :raises RetrieverError: when the retriever breaks its contract, or lacks a field.
        """
        if self.source.depth.documents == 0:
            return
        rankings = self.source.rankings
        missing = rankings.missing(self._wanted(limit, samples))
        name = f"{self.source.task.name}: ranking by {self.source.retriever.spec}"
        for chunk in tqdm(missing, desc=name, unit="chunk", disable=not missing):
            rankings.of(rankings.store.members(chunk)[:1], 1)

    def model_text(self) -> ModelText | None:
        """Return how the run's model reads text, or ``None`` where that is not known."""
        return text_as_taken(model_text(self.config.metadata), self.model)

    @property
    def _answer_limit(self) -> int:
        return generation_limit(self.config.generation_kwargs)

    def _budget(self, text: ModelText | None, options: Mapping[str, Any]) -> TokenBudget | None:
        """Return the room of a prompt, or ``None`` where the model's tokenizer is not known."""
        finish = partial(
            self.fewshot_context,
            num_fewshot=0,
            system_instruction=options.get("system_instruction"),
            apply_chat_template=options.get("apply_chat_template", False),
            fewshot_as_multiturn=options.get("fewshot_as_multiturn", False),
            chat_template=options.get("chat_template"),
        )

        def finished(prompt: str) -> str:
            given = finish({"prompt": prompt, "target": ""})
            return given if text is None else as_text(given, text.tokenizer)

        if self.OUTPUT_TYPE == "loglikelihood":
            empty = finish({"prompt": "", "target": ""})
            refuse_messages(self.config.task, empty)
            refuse_thoughts(self.config.task, empty)
        return self.source.budget(text, self._answer_limit, finished)

    # ------------------------------------------------------------------ answers
    def construct_requests(self, doc: Doc, ctx: str, **options: Any) -> Any:
        """Ask for an answer, or for the likelihood of every possible one."""
        if self.OUTPUT_TYPE != "loglikelihood":
            self._thoughts.note(doc, ctx)
            return super().construct_requests(doc, ctx, **options)
        templated = bool(options.pop("apply_chat_template", False))
        options.pop("chat_template", None)
        if "metadata" in options:  # later releases of lm_eval have no default for it
            options.setdefault("doc_id", options["metadata"][1])
        # The same for every doc of a run, and some dozen calls of the tokenizer.
        if self._continuations is None:
            answers, delimiter = self.source.task.answer.values or (), self.config.target_delimiter
            self._continuations = continuations(answers, self._text, str(delimiter), templated)
        context = ctx + self._continuations.shared
        return [
            Instance(
                request_type="loglikelihood",
                doc=doc,
                arguments=(context, text),
                idx=index,
                **options,
            )
            for index, text in enumerate(self._continuations.each)
        ]

    def apply_filters(self) -> list[Instance] | None:
        """Take the first answer; with likelihoods, put each answer's share beside it."""
        filtered: list[Instance] | None = super().apply_filters()
        if self.OUTPUT_TYPE != "loglikelihood":
            return filtered
        put_shares(self.instances, self.source.task.answer.values or ())
        return filtered

    # ------------------------------------------------------------------ scores
    def process_results(self, doc: Doc, results: Sequence[Any]) -> dict[str, Any]:
        """Score one answer."""
        asked_for = self.aggregation()
        if "bypass" in asked_for:  # --predict_only
            return dict(super().process_results(doc, results))
        gold = doc["target"]
        if self.OUTPUT_TYPE == "loglikelihood":
            logprobs = [share["logprob"] for share in results]
            scores = self._scores.of_likelihoods(logprobs, gold)
        else:
            (answer,) = results
            tokens = None if self._text is None else self._text.count_answer(answer)
            limit = self._answer_limit
            unfinished = self._thoughts.unfinished(doc, answer, tokens, limit, self.model)
            scores = self._scores.of_text(answer, gold, unfinished, tokens, limit)
        return {name: value for name, value in scores.items() if name in asked_for}
