"""The plan of a grid, typed: models x precisions x caches x retrievers x tasks x k x orders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from qrag_tasks.arms.engine_choice import loads_checkpoint
from qrag_tasks.arms.kv_caches import AUTO
from qrag_tasks.experiment.plan.cells import Arm, Cell
from qrag_tasks.experiment.plan.fields import K, MetricName, Name, PrecisionName, TaskName
from qrag_tasks.experiment.plan.findings import FINDINGS, findings_of
from qrag_tasks.experiment.plan.planned_fidelity import Fidelity, chosen_fidelity
from qrag_tasks.experiment.plan.planned_model import Model, Strict
from qrag_tasks.tasks.catalog import TASKS

Margin = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Plan(Strict):
    """A grid: every model in every precision over every task, by every retriever, at every k.

    Each with keys and values kept in each of the ways that ``kv_caches`` names.

    At k = 0 no retriever is asked, and there is one cell for all of them; one document has no
    order.

    :ivar data: folder with LaMP's files, or with somebody's own; or ``mini``.
    :ivar kv_caches: how keys and values are kept: as the model argument ``kv_cache``. The first is
        the base's.
    :ivar answer_tokens: the longest answer; the task's own or the protocol's by default.
    :ivar limit: samples of each task; all of them by default.
    :ivar base: precision that the others are compared with; the first by default.
    :ivar margins: metric -> difference that does not matter, for the comparison.
    :ivar fidelity: what its arms read of answers, token by token; ``None`` for nothing.

    The other fields are those of lm_eval's ``--metadata`` and of its command.
    """

    name: Name
    data: str = "mini"
    models: tuple[Model, ...] = Field(min_length=1)
    precisions: tuple[PrecisionName, ...] = Field(min_length=1)
    kv_caches: tuple[Name, ...] = Field(default=(AUTO,), min_length=1)
    retrievers: tuple[str, ...] = Field(default=("bm25",), min_length=1)
    tasks: tuple[TaskName, ...] = Field(min_length=1)
    k: tuple[K, ...] = Field(min_length=1)
    orders: tuple[str, ...] = Field(default=("best-first",), min_length=1)
    protocol: str = "qrag"
    prompt: str | None = None
    fill: str | None = None
    oversized: str | None = None
    answer: str | None = None
    split: str | None = None
    filter: str | None = None
    index: str | None = None
    context_tokens: int | None = Field(default=None, ge=1, strict=True)
    answer_tokens: int | None = Field(default=None, ge=1, strict=True)
    chat_template: bool = Field(default=False, strict=True)
    system_instruction: str | None = None
    limit: int | None = Field(default=None, ge=1, strict=True)
    seed: int = Field(default=0, ge=0, strict=True)
    base: PrecisionName | None = None
    margins: Mapping[MetricName, Margin] = Field(default_factory=dict)
    fidelity: Annotated[Fidelity | None, BeforeValidator(chosen_fidelity)] = None

    @model_validator(mode="after")
    def _whole(self, info: ValidationInfo) -> Plan:
        findings = findings_of(self)
        if info.context is not None and FINDINGS in info.context:
            info.context[FINDINGS].extend(findings)
        elif findings:
            raise ValueError("; ".join(each.text for each in findings))
        return self

    def choices(self) -> dict[str, Any]:
        """Return what all cells have in common of lm_eval's ``--metadata``."""
        return {
            name: getattr(self, name)
            for name in (
                *("data", "protocol", "prompt", "fill", "oversized", "answer", "split", "filter"),
                *("index", "context_tokens"),
            )
        }

    def metadata_of(self, cell: Cell) -> dict[str, Any]:
        """Return what lm_eval's ``--metadata`` would say for a cell."""
        said = {**self.choices(), "retriever": cell.retriever, "order": cell.order}
        return {key: value for key, value in said.items() if value is not None}

    def precisions_of(self, model: Model) -> tuple[str, ...]:
        """Return the precisions of one model."""
        return model.precisions or self.precisions

    def kv_caches_of(self, model: Model) -> tuple[str, ...]:
        """Return how one model is to keep keys and values."""
        return model.kv_caches or self.kv_caches

    def k_of(self, model: Model) -> tuple[str, ...]:
        """Return the k of one model."""
        return model.k or self.k

    def base_of(self, model: Model) -> str:
        """Return the precision that the others of a model are compared with."""
        return self.base or self.precisions_of(model)[0]

    def base_arm(self, model: Model) -> Arm:
        """Return the arm that the others of a model are compared with."""
        return self._arm(model, self.base_of(model), self.kv_caches_of(model)[0])

    def arms(self) -> tuple[Arm, ...]:
        """Return all arms, in running order."""
        return tuple(
            self._arm(model, precision, kv_cache)
            for model in self.models
            for precision in self.precisions_of(model)
            for kv_cache in self.kv_caches_of(model)
        )

    def loads(self, model: Model, precision: str) -> bool:
        """Tell whether an arm loads a checkpoint in this process."""
        return loads_checkpoint({**model.args, **model.args_of.get(precision, {})})

    def _arm(self, model: Model, precision: str, kv_cache: str) -> Arm:
        arguments = self.arguments(model, precision)
        if kv_cache != AUTO:
            arguments["kv_cache"] = kv_cache
        return Arm(model.name, precision, arguments, kv_cache)

    def arguments(self, model: Model, precision: str) -> dict[str, Any]:
        """Return the model arguments of an arm without those of its cache."""
        pretrained = model.checkpoints.get(precision, model.pretrained)
        if not self.loads(model, precision):
            pretrained = None
        named = {} if pretrained is None else {"pretrained": pretrained}
        own = model.args_of.get(precision, {})
        return {**named, "precision": precision, **model.args, **own}

    def cells(self) -> tuple[Cell, ...]:
        """Return all cells, in running order: by arm, then retriever, task, k and order."""
        cells: dict[Cell, None] = {}
        k_of = {model.name: self.k_of(model) for model in self.models}
        for arm in self.arms():
            for retriever in self.retrievers:
                for task in self.tasks:
                    # A task that takes no documents has one cell, whatever k there are.
                    for k in k_of[arm.model] if TASKS[task].takes_documents else ("0",):
                        for order in self.orders:
                            cells[
                                Cell(
                                    arm,
                                    task,
                                    k,
                                    None if k == "0" else retriever,
                                    None if k in ("0", "1") else order,
                                )
                            ] = None
        return tuple(cells)

    def generation(self) -> dict[str, int]:
        """Return what lm_eval's ``--gen_kwargs`` would say."""
        return {} if self.answer_tokens is None else {"max_gen_toks": self.answer_tokens}

    def fingerprint(self) -> str:
        """Return the sha256 of everything in the plan that answers depend on."""
        left_out = {"base", "margins", "fidelity"}
        if self.answer_tokens is None:  # as in the plans of versions that had no such field
            left_out.add("answer_tokens")
        if self.kv_caches == (AUTO,):
            left_out.add("kv_caches")
        answers = self.model_dump(mode="json", exclude=left_out)
        for model in answers["models"]:
            for name in ("args_of", "kv_caches"):
                if not model[name]:  # the same
                    del model[name]
        body = json.dumps(answers, sort_keys=True)
        return hashlib.sha256(body.encode()).hexdigest()
