"""The plan of a grid, typed: models x precisions x caches x retrievers x tasks x k x orders."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from qrag_tasks.arms.engine_choice import abilities_of, engine_name, loads_checkpoint
from qrag_tasks.arms.kv_caches import AUTO
from qrag_tasks.arms.precisions import precision as precision_named
from qrag_tasks.errors import QragError, SettingsError
from qrag_tasks.experiment.plan.cells import Arm, Cell
from qrag_tasks.experiment.plan.fields import K, MetricName, Name, PrecisionName, TaskName
from qrag_tasks.experiment.plan.planned_fidelity import Fidelity, chosen_fidelity
from qrag_tasks.experiment.plan.planned_model import Model, Strict
from qrag_tasks.prompting.prompt_source import no_likelihoods
from qrag_tasks.prompting.protocols import PROTOCOLS
from qrag_tasks.prompting.settings import Settings
from qrag_tasks.tasks.base import Depth
from qrag_tasks.tasks.catalog import TASKS

Place = tuple[str | int, ...]
"""A field of a plan, as a path of names and positions: ``("models", 0, "pretrained")``."""
FINDINGS = "findings"
"""Key of pydantic's validation context whose value is a list, which then takes what is wrong with
a plan as a whole; without it, that is an error."""


class Finding(NamedTuple):
    """Something that is wrong with a plan.

    :ivar place: the field.
    :ivar missing: whether it is only not on this machine; else the plan itself is wrong.
    """

    place: Place
    text: str
    missing: bool = False


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
        findings = [
            *self._twice(),
            *self._impossible_choices(),
            *self._impossible_tasks(),
            *self._missing_checkpoints(),
            *self._idle_fields(),
            *self._missing_bases(),
            *self._unreadable(),
        ]
        if info.context is not None and FINDINGS in info.context:
            info.context[FINDINGS].extend(findings)
        elif findings:
            raise ValueError("; ".join(each.text for each in findings))
        return self

    def _twice(self) -> Iterator[Finding]:
        lists: dict[Place, Sequence[str]] = {
            (name,): getattr(self, name)
            for name in ("precisions", "kv_caches", "retrievers", "tasks", "k", "orders")
        }
        lists["models",] = [model.name for model in self.models]
        for place, model in enumerate(self.models):
            lists["models", place, "precisions"] = model.precisions or ()
            lists["models", place, "kv_caches"] = model.kv_caches or ()
            lists["models", place, "k"] = model.k or ()
        for field, values in lists.items():
            for place, value in enumerate(values):
                if value in values[:place]:
                    yield Finding((*field, place), f"{value!r} is there twice")

    def _impossible_choices(self) -> Iterator[Finding]:
        choices = {key: value for key, value in self.choices().items() if value is not None}
        wrong = []
        # Each by itself, as an error names the first alone.
        for key, value in choices.items():
            try:
                Settings.from_metadata({"context_tokens": self.context_tokens, key: value}, ())
            except QragError as error:
                wrong.append(key)
                yield Finding((key,), _of_plan(error))
        sound = {key: value for key, value in choices.items() if key not in wrong}
        for place, order in enumerate(self.orders):
            try:
                Settings.from_metadata({**sound, "order": order}, ())
            except QragError as error:
                yield Finding(("orders", place), _of_plan(error))

    def _impossible_tasks(self) -> Iterator[Finding]:
        """Find what a :class:`~qrag_tasks.prompting.prompt_source.PromptSource` would refuse."""
        if self.answer == "likelihood" and self.answer_tokens is not None:
            yield Finding(
                ("answer_tokens",),
                "answer 'likelihood' generates nothing: leave answer_tokens out",
            )
        for place, name in enumerate(self.tasks):
            named = PROTOCOLS.get(self.protocol)
            try:
                task = TASKS[name].described(self.data)
            except QragError:
                continue  # told where the data are looked for
            try:
                if named is not None:
                    named.published(task)
            except SettingsError as error:
                yield Finding(("tasks", place), str(error))
            if self.answer == "likelihood" and not task.answer.likelihood_metrics:
                yield Finding(("tasks", place), no_likelihoods(task))
        for field, values in self._lists_of_k():
            for place, k in enumerate(values):
                window = Depth.parse(k).window
                if window and self.context_tokens not in (None, window):
                    yield Finding(
                        (*field, place),
                        f"{k!r} fixes the window to {window} tokens, but context_tokens is "
                        f"{self.context_tokens}: leave one of them out",
                    )

    def _lists_of_k(self) -> Iterator[tuple[Place, Sequence[str]]]:
        yield ("k",), self.k
        for place, model in enumerate(self.models):
            yield ("models", place, "k"), model.k or ()

    def _missing_checkpoints(self) -> Iterator[Finding]:
        for place, model in enumerate(self.models):
            for precision in self.precisions_of(model):
                if precision in model.checkpoints or not self._loads(model, precision):
                    continue
                if not precision_named(precision).made_on_loading:
                    yield Finding(
                        ("models", place, "checkpoints", precision),
                        f"model {model.name!r} has no checkpoint for {precision}: name one under "
                        f"checkpoints, made by `qrag quantize --precision {precision}` or found "
                        f"ready",
                    )
                elif model.pretrained is None and model.checkpoints:
                    yield Finding(
                        ("models", place, "pretrained"),
                        f"model {model.name!r} has nothing to make {precision} of, but "
                        f"checkpoints of other precisions: name its 16-bit checkpoint as "
                        f"pretrained (without either, it would be the embedded model)",
                    )

    def _idle_fields(self) -> Iterator[Finding]:
        """Find what no arm looks at."""
        for place, model in enumerate(self.models):
            precisions = self.precisions_of(model)
            for precision in model.args_of:
                if precision not in precisions:
                    yield Finding(
                        ("models", place, "args_of", precision),
                        f"{precision!r} is no precision of model {model.name!r}",
                    )
            elsewhere = [each for each in precisions if not self._loads(model, each)]
            idle: dict[Place, str] = {
                ("models", place, "checkpoints", precision): precision
                for precision in elsewhere
                if precision in model.checkpoints
            }
            if model.pretrained is not None and len(elsewhere) == len(precisions):
                idle["models", place, "pretrained"] = precisions[0]
            for field, precision in idle.items():
                engine = engine_name("qrag", self._arguments(model, precision))
                yield Finding(
                    field, f"engine {engine!r} loads no checkpoint in this process: leave it out"
                )

    def _loads(self, model: Model, precision: str) -> bool:
        return loads_checkpoint({**model.args, **model.args_of.get(precision, {})})

    def _missing_bases(self) -> Iterator[Finding]:
        for model in self.models:
            if self.base is not None and self.base not in self.precisions_of(model):
                yield Finding(("base",), f"{self.base!r} is no precision of model {model.name!r}")

    def _unreadable(self) -> Iterator[Finding]:
        """Find what has no distributions to read."""
        if self.fidelity is None:
            return
        if self.answer == "likelihood":
            yield Finding(
                ("fidelity",),
                "answer 'likelihood' generates nothing that could be read: leave fidelity out",
            )
        silent = [
            arm
            for arm in self.arms()
            if (abilities := abilities_of(arm.arguments)) is not None and not abilities.readings
        ]
        if silent:
            engines = ", ".join(dict.fromkeys(engine_name("qrag", arm.arguments) for arm in silent))
            yield Finding(
                ("fidelity",),
                f"engine {engines} tells no distributions, and is to run "
                f"{', '.join(arm.name for arm in silent)}: leave fidelity out, and have `qrag "
                f"fidelity --arm` read the other arms after the run",
            )

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

    def _arm(self, model: Model, precision: str, kv_cache: str) -> Arm:
        arguments = self._arguments(model, precision)
        if kv_cache != AUTO:
            arguments["kv_cache"] = kv_cache
        return Arm(model.name, precision, arguments, kv_cache)

    def _arguments(self, model: Model, precision: str) -> dict[str, Any]:
        pretrained = model.checkpoints.get(precision, model.pretrained)
        if not self._loads(model, precision):
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
                    for k in k_of[arm.model]:
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


def _of_plan(error: QragError) -> str:
    """Return a message without the name that the key has in lm_eval's ``--metadata``."""
    return re.sub(r"^metadata key '\w+': ", "", str(error))
