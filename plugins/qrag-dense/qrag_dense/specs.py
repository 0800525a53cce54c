"""What is asked of an encoder: how it makes vectors, and on which device."""

from __future__ import annotations

from dataclasses import dataclass

from qrag_dense.devices import check_options

BATCH_TOKENS = 8192
"""How many tokens are encoded at once, unless the user says otherwise."""


@dataclass(frozen=True)
class EncoderSpec:
    """What makes vectors of a model, beside its weights.

    :ivar architecture: the class of transformers to load; ``auto``: as the model's config says.
    :ivar pooling: ``mean`` over the attention mask, ``cls`` (the first token), ``pooler`` (the
        model's own pooler output), or ``auto``: the modules of a sentence-transformers model, and
        the mean where it has none.
    :ivar max_tokens: texts are cut after so many tokens; 0: as many as the model takes, and
        ``at_most`` so many.
    """

    architecture: str = "auto"
    pooling: str = "auto"
    max_tokens: int = 0
    at_most: int = 512

    def __post_init__(self) -> None:
        if self.max_tokens < 0:
            raise ValueError(f"max_tokens is {self.max_tokens}, expected 0 (the model's) or more")

    def as_dict(self) -> dict[str, str]:
        """Return the settings as texts."""
        return {
            "architecture": self.architecture,
            "pooling": self.pooling,
            "max_tokens": str(self.max_tokens),
            "at_most": str(self.at_most),
        }


@dataclass(frozen=True)
class Hardware:
    """How to run an encoder.

    :ivar device: ``auto``, ``cpu``, ``cuda`` or ``cuda:NUMBER``.
    :ivar dtype: ``auto`` (float16 on CUDA, float32 on a CPU) or the name of a torch dtype.
    :ivar batch_tokens: how many tokens to encode at once.
    """

    device: str = "auto"
    dtype: str = "auto"
    batch_tokens: int = BATCH_TOKENS

    def __post_init__(self) -> None:
        check_options(self.device, self.dtype)
        if self.batch_tokens < 1:
            raise ValueError(f"batch_tokens is {self.batch_tokens}, expected at least 1")
