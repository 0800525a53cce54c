"""The format under examination, and the small models that its checks load."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from qrag_tasks.arms import loading
from qrag_tasks.arms.checkpoints import Checkpoint, read_checkpoint
from qrag_tasks.arms.formats.base import Format
from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.errors import ModelError
from qrag_tasks.registry import FORMATS
from qrag_tasks.testing.check import CheckFailed, CheckSkipped

WriteCheckpoint = Callable[[str, Path, Path], None]
"""Is given a precision's name, the folder of a plain checkpoint, and a folder to write into."""
HIDDEN, INNER, BLOCKS, VOCABULARY = 128, 256, 2, 128
"""The sizes of the model that the checks load: a Llama in bfloat16 with random weights."""
LAYERS = 7 * BLOCKS
"""Linear layers in its blocks."""


class FormatSubject:
    """A format under examination.

    :param name: that it is registered by.
    :param write: writes a checkpoint of one of the format's precisions. Not needed for those that
        are made on loading: what was loaded is saved.
    :ivar format: the format.
    :raises SettingsError: when there is none of that name.
    """

    def __init__(self, name: str, write: WriteCheckpoint | None = None) -> None:
        supplied = FORMATS.get(name)
        self.format: Format = supplied.value
        self.origin = supplied.origin
        self._write = write
        self._folder = Path(tempfile.mkdtemp(prefix="qrag-format-"))
        self._models: dict[str, Any] = {}
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    @cached_property
    def rows(self) -> tuple[Precision, ...]:
        """The precisions that can be loaded here.

        :raises CheckSkipped: when what they need is not installed, or transformers loads none.
        """
        if self.format.engine:
            raise CheckSkipped(
                f"engine={self.format.engine} alone loads its precisions, and has a kit of its own"
            )
        missing = ""
        rows = []
        for row in self.format.precisions:
            try:
                loading.check_installed(row)
                rows.append(row)
            except ModelError as error:
                missing = str(error)
        if not rows:
            raise CheckSkipped(missing)
        return tuple(rows)

    def dtype(self, row: Precision) -> Any:
        """Return the ``torch.dtype`` that the model computes in."""
        import torch

        return getattr(torch, row.dtype or "bfloat16")

    @cached_property
    def plain(self) -> Path:
        """The folder of a checkpoint that is not quantized."""
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        config = LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=HIDDEN,
            intermediate_size=INNER,
            num_hidden_layers=BLOCKS,
            num_attention_heads=4,
            num_key_value_heads=4,
            dtype="bfloat16",
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = LlamaForCausalLM(config)
        model.to(torch.bfloat16).save_pretrained(self._folder / "plain")
        return self._folder / "plain"

    def checkpoint_of_plain(self) -> Checkpoint:
        """Return the checkpoint that is not quantized, as its files say."""
        return read_checkpoint(str(self.plain))

    def shape_of(self, name: str) -> tuple[int, int]:
        """Return the inputs and outputs that a linear layer of the model has."""
        facts = (self.checkpoint_of_plain().tensors or {})[f"{name}.weight"]
        outputs, inputs = facts.shape
        return inputs, outputs

    def checkpoint(self, row: Precision) -> Checkpoint:
        """Return a checkpoint in a precision, as its files say.

        :raises CheckSkipped: when nothing here makes one.
        """
        if not self.format.has_checkpoints:
            raise CheckSkipped(f"there are no checkpoints in {row.name}")
        folder = self._folder / row.name
        if not folder.is_dir():
            if self._write is not None:
                self._write(row.name, self.plain, folder)
            elif row.made_on_loading:
                self._load(row, self.plain).save_pretrained(folder)
            else:
                raise CheckSkipped(f"write_checkpoint writes none in {row.name}: write one there")
        return read_checkpoint(str(folder))

    def config(self, row: Precision) -> Mapping[str, Any]:
        """Return the ``quantization_config`` of such a checkpoint."""
        config = self.checkpoint(row).quantization
        if row.quantized and not config:
            raise CheckFailed(f"a checkpoint in {row.name} has no quantization_config")
        return config or {}

    def model(self, row: Precision) -> Any:
        """Return a model in a precision: made on loading, where it can be. It must not be run."""
        if row.name not in self._models:
            self._models[row.name] = self.fresh_model(row)
        return self._models[row.name]

    def fresh_model(self, row: Precision) -> Any:
        """Return such a model that nobody else has: some pack their weights again when run."""
        return self._load(row, self.plain if row.made_on_loading else self.checkpoint(row).folder)

    def read_again(self, row: Precision) -> Any:
        """Return a model that is read from a checkpoint in a precision."""
        return self._load(row, self.checkpoint(row).folder)

    def _load(self, row: Precision, folder: Path | None) -> Any:
        from transformers import AutoConfig, AutoModelForCausalLM

        self.format.prepare()
        dtype, config = self.dtype(row), AutoConfig.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            device_map={"": "cpu"},
            **loading.loading_arguments(row, config, dtype),
        )
        self.format.settle(model)
        return model
