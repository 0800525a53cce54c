"""The plan of a grid, typed: models x precisions x retrievers x tasks x k x orders."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from qrag_tasks.benchmark.tasks import LAMP_TASKS
from qrag_tasks.catalog import K_VALUES
from qrag_tasks.errors import QragError, did_you_mean
from qrag_tasks.experiment.plan.cells import Arm, Cell
from qrag_tasks.harness.arms.precisions import PRECISIONS
from qrag_tasks.harness.settings import Settings

_MADE_BEFOREHAND = ("int4-gptq", "int4-awq")
_SAFE = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"


def _file_safe(name: str) -> str:
    if not re.fullmatch(_SAFE, name):
        raise ValueError(
            f"{name!r} names a folder: letters, digits, '.', '_' and '-' alone, no more than 100"
        )
    return name


def _one_of(known: Sequence[str], what: str) -> BeforeValidator:
    def check(value: object) -> str:
        # YAML reads `0` as a number, and so would have anybody.
        name = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if name not in known:
            raise ValueError(
                f"unknown {what} {value!r} (known: {', '.join(known)})."
                + (did_you_mean(name, known) if isinstance(name, str) else "")
            )
        return str(name)

    return BeforeValidator(check)


Name = Annotated[
    str, BeforeValidator(lambda value: _file_safe(value) if isinstance(value, str) else value)
]
PrecisionName = Annotated[str, _one_of(list(PRECISIONS), "precision")]
TaskName = Annotated[str, _one_of(list(LAMP_TASKS), "task")]
K = Annotated[str, _one_of([str(k) for k in K_VALUES], "k")]
Argument = str | int | float | bool


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Model(_Strict):
    """One model of the grid.

    :ivar name: in tables and folders.
    :ivar pretrained: folder or hub name of its 16-bit checkpoint; without one, the embedded model.
    :ivar checkpoints: precision -> folder or hub name of a checkpoint that holds it. GPTQ and AWQ
        need one.
    :ivar args: further ``--model_args`` of ``--model qrag``.
    :ivar precisions: its own, in place of the plan's.
    """

    name: Name
    pretrained: str | None = None
    checkpoints: Mapping[PrecisionName, str] = Field(default_factory=dict)
    args: Mapping[str, Argument] = Field(default_factory=dict)
    precisions: tuple[PrecisionName, ...] | None = Field(default=None, min_length=1)

    @field_validator("args")
    @classmethod
    def _no_fields_of_ours(cls, args: Mapping[str, Argument]) -> Mapping[str, Argument]:
        for name in ("pretrained", "precision"):
            if name in args:
                raise ValueError(f"{name!r} has a field of its own; leave it out of args")
        return args


class Plan(_Strict):
    """A grid: every model in every precision over every task, by every retriever, at every k.

    At k = 0 no retriever is asked, and there is one cell for all of them; one document has no
    order.

    :ivar data: folder with LaMP's files, or ``mini``.
    :ivar limit: samples of each task; all of them by default.
    :ivar base: precision that the others are compared with; the first by default.
    :ivar margins: metric -> difference that does not matter, for the comparison.

    The other fields are those of lm_eval's ``--metadata`` and of its command.
    """

    name: Name
    data: str = "mini"
    models: tuple[Model, ...] = Field(min_length=1)
    precisions: tuple[PrecisionName, ...] = Field(min_length=1)
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
    context_tokens: int | None = Field(default=None, ge=1)
    chat_template: bool = False
    system_instruction: str | None = None
    limit: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)
    base: PrecisionName | None = None
    margins: Mapping[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> Plan:
        problems = [*self._twice(), *self._impossible_choices(), *self._missing_checkpoints()]
        if self.base is not None:
            problems += [
                f"base {self.base!r} is no precision of model {model.name!r}"
                for model in self.models
                if self.base not in self.precisions_of(model)
            ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _twice(self) -> list[str]:
        lists: dict[str, Sequence[str]] = {
            "models": [model.name for model in self.models],
            **{name: getattr(self, name) for name in ("precisions", "retrievers", "tasks", "k")},
            "orders": self.orders,
        }
        return [
            f"{field}: {value!r} is there twice"
            for field, values in lists.items()
            for value in dict.fromkeys(values)
            if values.count(value) > 1
        ]

    def _impossible_choices(self) -> list[str]:
        problems = []
        for order in self.orders:
            try:
                Settings.from_metadata(
                    {k: v for k, v in (self.choices() | {"order": order}).items() if v is not None},
                    (),
                )
            except QragError as error:
                problems.append(str(error))
        return list(dict.fromkeys(problems))

    def _missing_checkpoints(self) -> list[str]:
        return [
            f"model {model.name!r} has no checkpoint for {precision}: name one under "
            f"checkpoints, made by `qrag quantize --precision {precision}` or found ready"
            for model in self.models
            for precision in self.precisions_of(model)
            if precision in _MADE_BEFOREHAND and precision not in model.checkpoints
        ]

    def choices(self) -> dict[str, Any]:
        """Return what all cells have in common of lm_eval's ``--metadata``."""
        return {
            name: getattr(self, name)
            for name in (
                *("data", "protocol", "prompt", "fill", "oversized", "answer", "split", "filter"),
                *("index", "context_tokens"),
            )
        }

    def precisions_of(self, model: Model) -> tuple[str, ...]:
        """Return the precisions of one model."""
        return model.precisions or self.precisions

    def base_of(self, model: Model) -> str:
        """Return the precision that the others of a model are compared with."""
        return self.base or self.precisions_of(model)[0]

    def arms(self) -> tuple[Arm, ...]:
        """Return all arms, in running order."""
        return tuple(
            Arm(model.name, precision, self._arguments(model, precision))
            for model in self.models
            for precision in self.precisions_of(model)
        )

    @staticmethod
    def _arguments(model: Model, precision: str) -> dict[str, Any]:
        pretrained = model.checkpoints.get(precision, model.pretrained)
        named = {} if pretrained is None else {"pretrained": pretrained}
        return {**named, "precision": precision, **model.args}

    def cells(self) -> tuple[Cell, ...]:
        """Return all cells, in running order: by arm, then retriever, task, k and order."""
        found: dict[Cell, None] = {}
        for arm in self.arms():
            for retriever in self.retrievers:
                for task in self.tasks:
                    for k in self.k:
                        for order in self.orders:
                            found[
                                Cell(
                                    arm,
                                    task,
                                    k,
                                    None if k == "0" else retriever,
                                    None if k in ("0", "1") else order,
                                )
                            ] = None
        return tuple(found)

    def fingerprint(self) -> str:
        """Return the sha256 of the plan."""
        body = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(body.encode()).hexdigest()
