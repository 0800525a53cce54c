"""Which tokenizer and which context window a run's model has, known before the model is loaded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from lm_eval.models.utils import has_bos_prefix

from qrag_tasks.arms.places import whole_place
from qrag_tasks.errors import ModelError, SettingsError

# The arguments that lm_eval's models pass on to the tokenizer.
_TOKENIZER_ARGUMENTS = ("revision", "subfolder", "trust_remote_code", "gguf_file")
# transformers' model_max_length of a tokenizer that does not say: some 1e30.
_NO_LIMIT = 10**20
# lm_eval's window of a model that does not say.
_UNTOLD_WINDOW = 2048
# What a chat template writes around turns, where it is no token of its own: [INST], <<SYS>>.
_TEMPLATE_MARKER = re.compile(r"\[/?[A-Z_]{2,}\]|<</?\w+>>|</?\|?\w+\|?>")


@dataclass(frozen=True)
class ModelText:
    """How a model reads text.

    :ivar window: tokens that prompt and answer may have together.
    :ivar add_bos_token: lm_eval's model argument of that name.
    :ivar answer_apart: whether the answer takes no room of the prompt's, as with an
        encoder-decoder.
    :ivar kept_back: tokens of the model argument ``max_length`` that the model's class in lm_eval
        keeps for itself: they are not part of ``window``.
    """

    tokenizer: Any
    window: int
    add_bos_token: bool | None = None
    answer_apart: bool = False
    kept_back: int = 0

    def encode(self, text: str) -> list[int]:
        """Return the tokens of ``text`` as lm_eval's HFLM encodes a generation request."""
        options: dict[str, bool] = {}
        if has_bos_prefix(text, getattr(self.tokenizer, "bos_token", None)):
            options = {"add_special_tokens": False}
        elif self.add_bos_token is not None:
            options = {"add_special_tokens": self.add_bos_token}
        return list(self.tokenizer(text, **options)["input_ids"])

    def count(self, text: str) -> int:
        """Return how many tokens a generation request has."""
        return len(self.encode(text))

    def count_answer(self, text: str) -> int:
        """Return the tokens of a generated text, encoded again."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    @cached_property
    def markers(self) -> frozenset[str]:
        """What closes or opens a turn for this model: special tokens, and its template's marks."""
        tokenizer = self.tokenizer
        template = getattr(tokenizer, "chat_template", None) or ""
        template = " ".join(template.values()) if isinstance(template, Mapping) else str(template)
        added = getattr(tokenizer, "added_tokens_decoder", {}).values()
        return frozenset(
            {
                *getattr(tokenizer, "all_special_tokens", ()),
                *(str(t) for t in added if getattr(t, "special", False) or str(t) in template),
                *_TEMPLATE_MARKER.findall(template),
            }
        )

    def first_pieces(self, before: str, texts: Sequence[str]) -> tuple[str, ...] | None:
        """Return the part of each text that is its first token, where it stands behind ``before``.

        ``None`` where that cannot be told, or two texts begin with the same token.
        """
        pieces = []
        for text in texts:
            whole = before + text
            try:
                found = self.tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
            except NotImplementedError:  # a tokenizer written in Python
                return None
            end = next((end for _, end in found["offset_mapping"] if end > len(before)), 0)
            piece = whole[len(before) : end]
            alone = len(self.tokenizer(before, add_special_tokens=False)["input_ids"])
            if len(self.tokenizer(before + piece, add_special_tokens=False)["input_ids"]) != (
                alone + 1
            ):
                return None
            pieces.append(piece)
        return tuple(pieces) if len(set(pieces)) == len(pieces) else None


@dataclass(frozen=True)
class PlainTokens:
    """A tokenizer as LaMP's code calls it; see :class:`~qrag_tasks.tasks.lamp.prompts.Tokens`."""

    tokenizer: Any

    def count(self, text: str) -> int:
        """Return the tokens of ``text``, with the special tokens that the tokenizer adds."""
        return len(self.tokenizer(text)["input_ids"])

    def cut(self, text: str, limit: int) -> tuple[str, int]:
        """Return what the first ``limit`` tokens of ``text`` say, and how many there were."""
        found = self.tokenizer(text)["input_ids"]
        length = min(len(found), limit)
        if length < len(found):
            room = limit - self.tokenizer.num_special_tokens_to_add()
            if room < 0:
                raise ValueError(f"{limit} tokens leave no room for the special ones")
            found = self.tokenizer(text, add_special_tokens=False)["input_ids"][:room]
        return str(self.tokenizer.decode(found, skip_special_tokens=True)), length


def model_text(arguments: Mapping[str, Any]) -> ModelText | None:
    """Return how the model reads text; ``None`` where nothing tells its tokenizer.

    :param arguments: the model arguments (lm_eval merges them into a task's metadata):
        ``tokenizer``, else ``pretrained``, a path, a name or an object.
    :raises ModelError: when the tokenizer or the configuration cannot be loaded.
    """
    source = arguments.get("tokenizer") or arguments.get("pretrained")
    if source is None:
        return None
    window = arguments.get("max_length") or arguments.get("max_model_len")
    # transformers asks on the terminal where it is not told.
    given = {"trust_remote_code": False, **arguments}
    options = tuple(
        (name, given[name]) for name in _TOKENIZER_ARGUMENTS if given.get(name) is not None
    )
    tokenizer = _tokenizer(source, options)
    config = None
    if window is None or arguments.get("pretrained"):
        config = _config(arguments.get("pretrained"), options)
    return ModelText(
        tokenizer,
        int(model_window(config, tokenizer) if window is None else window),
        arguments.get("add_bos_token"),
        answer_apart=bool(getattr(config, "is_encoder_decoder", False)),
    )


def model_window(config: Any, tokenizer: Any) -> int:
    """Return the tokens of a model's window, as lm_eval's HFLM finds them.

    :param config: of transformers; of a model that reads more than text, that of its text model
        counts. ``None`` where there is none.
    """
    text = getattr(config, "text_config", None) or config
    for name in ("n_positions", "max_position_embeddings", "n_ctx"):
        if (found := getattr(text, name, None)) is not None:
            return int(found)
    found = getattr(tokenizer, "model_max_length", None)
    return int(found) if found is not None and found < _NO_LIMIT else _UNTOLD_WINDOW


def template_options(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what lm_eval's HFLM gives the chat template, of the model arguments."""
    options = dict(arguments.get("chat_template_args") or {})
    if (thinking := arguments.get("enable_thinking")) is not None:
        options["enable_thinking"] = thinking
    return options


def chat_template_of(
    tokenizer: Any, name: bool | str, options: Mapping[str, Any]
) -> Callable[..., str]:
    """Return what lm_eval's HFLM will do for ``--apply_chat_template``, without the model.

    :param name: ``True``, or the name of one of the tokenizer's templates.
    :param options: as :func:`template_options` has them.
    :raises SettingsError: when the tokenizer has no such template.
    """
    from jinja2 import TemplateError

    try:
        template = tokenizer.get_chat_template(name if isinstance(name, str) else None)
    except ValueError as error:
        raise SettingsError(
            f"--apply_chat_template: the tokenizer of {tokenizer.name_or_path} has no such "
            f"template: {str(error).splitlines()[0]}"
        ) from None

    def render(messages: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return str(
            tokenizer.apply_chat_template(
                messages,
                chat_template=template,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
                **options,
            )
        )

    def apply(messages: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        try:
            return render(messages, add_generation_prompt)
        except TemplateError:
            # HFLM's own way with templates that know no system role.
            users = [message for message in messages if message["role"] != "system"]
            return render(users, add_generation_prompt)

    return apply


def _tokenizer(source: Any, options: tuple[tuple[str, Any], ...]) -> Any:
    if isinstance(source, str):
        return _load("tokenizer", source, options)
    if hasattr(source, "name_or_path") and hasattr(source, "config"):  # a model
        return _load("tokenizer", source.name_or_path, ())
    return source


def _config(pretrained: Any, options: tuple[tuple[str, Any], ...]) -> Any:
    if isinstance(pretrained, str):
        return _load("config", pretrained, options)
    return getattr(pretrained, "config", None)


@lru_cache(maxsize=8)
def _load(what: str, source: str, options: tuple[tuple[str, Any], ...]) -> Any:
    try:
        from transformers import AutoConfig, AutoTokenizer
    except ImportError as error:
        raise ModelError(
            f"the tokenizer of {source!r} needs transformers ({error}): "
            f"pip install 'qrag-tasks[hf]'"
        ) from None
    loader = AutoTokenizer if what == "tokenizer" else AutoConfig
    try:
        return loader.from_pretrained(whole_place(source), **dict(options))
    except Exception as error:
        if "trust_remote_code" in str(error):
            raise ModelError(
                f"pretrained={source}: its {what} is code of its own, which is run only if you "
                f"trust it: read it, and give trust_remote_code=True in the model arguments"
            ) from error
        # transformers raises many kinds here: no such folder, no network, a broken file.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise ModelError(
            f"pretrained={source}: its {what} cannot be loaded: {type(error).__name__}: {reason}"
        ) from error
