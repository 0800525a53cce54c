"""Small models of random weights, saved as transformers saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def save_random_model(
    kind: str, tokenizer: Any, folder: Path, seed: int, dtype: Any = None, **sizes: Any
) -> Path:
    """Save a model with its tokenizer; window 1024.

    :param kind: of transformers: ``Llama``, ``Qwen2``.
    :param tokenizer: of transformers, or the folder of one.
    :param dtype: ``torch.dtype`` of the weights; float32 where none is given.
    :param sizes: of the configuration, and what else is to differ from its defaults.
    """
    import torch
    import transformers

    if isinstance(tokenizer, Path):
        tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer),
        max_position_embeddings=1024,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        **sizes,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(transformers, f"{kind}ForCausalLM")(config)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):  # which would begin as zeros, and show nothing
                torch.nn.init.normal_(parameter, std=0.1)
    model.to(dtype or torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
