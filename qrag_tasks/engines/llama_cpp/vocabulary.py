"""The tokenizer of a GGUF file: out of the file, or one that has the same tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from qrag_tasks.arms.gguf_files import UNUSED, GgufFile, read_gguf
from qrag_tasks.arms.places import whole_place
from qrag_tasks.errors import ModelError

PROBES = (
    "Rated 12,345 of 100 stars: isn't it GREAT?\n\n  It's  we'll\tsee...  ",
    "def f(x): return x**2 != 007  # naïve Größe, ça va? Ещё раз; 日本語 ✓",
)
"""Texts that rules for parting text part in different ways."""
_SPACE = "▁"
"""What SentencePiece writes for a space; llama.cpp's converter has the space itself in some."""


def tokenizer_of(arguments: Mapping[str, Any]) -> Any:
    """Return the tokenizer of transformers for a GGUF file.

    :param arguments: ``pretrained``, the file; ``tokenizer``, a folder or a name of a tokenizer,
        where it is not to be the one in the file.
    :raises ModelError: when it cannot be loaded, or its tokens are not the file's.
    """
    return _tokenizer(
        str(arguments["pretrained"]),
        arguments.get("tokenizer"),
        bool(arguments.get("trust_remote_code")),
    )


@lru_cache(maxsize=4)
def _tokenizer(pretrained: str, named: str | None, trusted: bool) -> Any:
    from transformers import AutoTokenizer

    file = read_gguf(pretrained)
    source: dict[str, Any] = (
        {"pretrained_model_name_or_path": whole_place(named)}
        if named
        else {"pretrained_model_name_or_path": file.path.parent, "gguf_file": file.path.name}
    )
    try:
        tokenizer = AutoTokenizer.from_pretrained(**source, trust_remote_code=trusted)
    except Exception as error:  # transformers raises many kinds here
        reason = (str(error).strip().splitlines() or [""])[0]
        where = (
            f"tokenizer={named}: it cannot be loaded"
            if named
            else f"pretrained={pretrained}: transformers cannot read the tokenizer in the file; "
            f"give tokenizer=, the folder or name of the model that it was made from"
        )
        raise ModelError(f"{where} ({type(error).__name__}: {reason})") from error
    if named is None:
        tokenizer = _without_strangers(tokenizer, len(file.pieces))
    if tokenizer.pad_token_id is None:
        # As lm_eval's HFLM does; nothing is ever padded here.
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token or file.pieces[0]
    check_vocabulary(tokenizer, file, named or pretrained)
    if named is None:
        _check_splitting(tokenizer, file)
    return tokenizer


def _without_strangers(tokenizer: Any, size: int) -> Any:
    """Return a tokenizer without the tokens beyond the file's, which no model was trained on.

    transformers gives one out of a file the special tokens of its class where the file has none.
    """
    if len(tokenizer) <= size:
        return tokenizer
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    content = json.loads(tokenizer.backend_tokenizer.to_str())
    content["added_tokens"] = [each for each in content["added_tokens"] if each["id"] < size]
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(content)),
        chat_template=tokenizer.chat_template,
        name_or_path=tokenizer.name_or_path,
        **{
            name: text
            for name, text in tokenizer.special_tokens_map.items()
            if isinstance(text, str) and tokenizer.convert_tokens_to_ids(text) < size
        },
    )


def _check_splitting(tokenizer: Any, file: GgufFile) -> None:
    """Check that a tokenizer out of a file parts text as llama.cpp does with the same file.

    A file only names the rule by which its vocabulary parts text before tokens are made, and
    transformers takes that of GPT-2 for a name that it does not know.

    :raises ModelError: when it does not, with the text.
    """
    from qrag_tasks.engines.llama_cpp.native import own_tokens

    for text, expected in zip(PROBES, own_tokens(file, PROBES), strict=True):
        tokens = list(tokenizer(text, add_special_tokens=False)["input_ids"])
        if tokens != expected:
            rule = file.metadata.get("tokenizer.ggml.pre", "none named")
            raise ModelError(
                f"pretrained={file.path}: transformers does not read the tokenizer in the file as "
                f"llama.cpp does (its rule: {rule}): {text!r} is {tokens} and not {expected}. Give "
                f"tokenizer=, the folder or name of the model that the file was made from"
            )


def check_vocabulary(tokenizer: Any, file: GgufFile, name: str) -> None:
    """Check that every token of a tokenizer is the file's token of that number.

    :param name: of the tokenizer, for the error.
    :raises ModelError: when one is not, with the first.
    """
    size = len(tokenizer)
    own = tokenizer.convert_ids_to_tokens(list(range(size)))
    pieces = file.pieces
    for token in range(max(size, len(pieces))):
        one = own[token] if token < size else None
        other = pieces[token] if token < len(pieces) else None
        if one is None and token < len(file.piece_kinds) and file.piece_kinds[token] == UNUSED:
            continue
        if _plain(one) != _plain(other):
            raise ModelError(
                f"tokenizer {name}: its token {token} is {one!r}, and that of {file.path} is "
                f"{other!r}: give tokenizer=, the one of the model that the file was made from"
            )


def _plain(piece: str | None) -> str | None:
    return None if piece is None else piece.replace(_SPACE, " ")
