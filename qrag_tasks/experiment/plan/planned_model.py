"""One model of a plan, typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from qrag_tasks.experiment.plan.fields import Argument, K, Name, PrecisionName


class Strict(BaseModel):
    """Refuses fields that it does not know, and changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


_FIELDS = {"pretrained": "", "precision": "", "kv_cache": ", kv_caches"}
"""Model arguments that fields of a plan give -> what its name is, where that is another."""


class Model(Strict):
    """One model of the grid.

    :ivar name: in tables and folders.
    :ivar pretrained: folder or hub name of its 16-bit checkpoint; without one, the embedded model.
    :ivar checkpoints: precision -> folder or hub name of a checkpoint that holds it. GPTQ and AWQ
        need one.
    :ivar args: further ``--model_args`` of ``--model qrag``, ``engine`` among them.
    :ivar args_of: precision -> further arguments of that precision alone, before ``args``.
    :ivar precisions: its own, in place of the plan's.
    :ivar kv_caches: its own, in place of the plan's.
    :ivar k: its own, in place of the plan's: windows differ.
    """

    name: Name
    pretrained: str | None = None
    checkpoints: Mapping[PrecisionName, str] = Field(default_factory=dict)
    args: Mapping[str, Argument] = Field(default_factory=dict)
    args_of: Mapping[PrecisionName, Mapping[str, Argument]] = Field(default_factory=dict)
    precisions: tuple[PrecisionName, ...] | None = Field(default=None, min_length=1)
    kv_caches: tuple[Name, ...] | None = Field(default=None, min_length=1)
    k: tuple[K, ...] | None = Field(default=None, min_length=1)

    @field_validator("args", "args_of")
    @classmethod
    def _no_fields_of_ours(cls, args: Mapping[str, Any], info: ValidationInfo) -> Mapping[str, Any]:
        for given in args.values() if info.field_name == "args_of" else (args,):
            for name, instead in _FIELDS.items():
                if name in given:
                    raise ValueError(
                        f"{name!r} has a field of its own{instead}; leave it out of "
                        f"{info.field_name}"
                    )
        return args
