"""Which tokenizer and which context window a run's model has, known before the model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lm_eval.models.utils import has_bos_prefix, resolve_max_length

from qrag_tasks.errors import ModelError, SettingsError

# The arguments that lm_eval's models pass on to the tokenizer.
_TOKENIZER_ARGUMENTS = ("revision", "subfolder", "trust_remote_code", "gguf_file")


@dataclass(frozen=True)
class ModelText:
    """How a model reads text.

    :ivar window: tokens that prompt and answer may have together.
    :ivar add_bos_token: lm_eval's model argument of that name.
    """

    tokenizer: Any
    window: int
    add_bos_token: bool | None = None

    def count(self, text: str) -> int:
        """Return the tokens of ``text`` as lm_eval's HFLM encodes a generation request."""
        options: dict[str, bool] = {}
        if has_bos_prefix(text, getattr(self.tokenizer, "bos_token", None)):
            options = {"add_special_tokens": False}
        elif self.add_bos_token is not None:
            options = {"add_special_tokens": self.add_bos_token}
        return len(self.tokenizer(text, **options)["input_ids"])

    def count_answer(self, text: str) -> int:
        """Return the tokens of a generated text, encoded again."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def model_text(
    arguments: Mapping[str, Any], chat_template: Callable[..., str] | None = None
) -> ModelText | None:
    """Return how the model reads text; ``None`` where nothing tells its tokenizer.

    :param arguments: the model arguments (lm_eval merges them into a task's metadata):
        ``tokenizer``, else ``pretrained``, a path, a name or an object.
    :param chat_template: lm_eval's, a method of the loaded model: its tokenizer is taken where
        the arguments name none.
    :raises ModelError: when the tokenizer or the configuration cannot be loaded.
    """
    source = arguments.get("tokenizer") or arguments.get("pretrained")
    if source is None:
        model: Any = getattr(chat_template, "__self__", None)
        if hasattr(model, "tokenizer") and hasattr(model, "max_length"):
            return ModelText(model.tokenizer, model.max_length)
        return None
    window = arguments.get("max_length") or arguments.get("max_model_len")
    options = tuple(
        (name, arguments[name]) for name in _TOKENIZER_ARGUMENTS if arguments.get(name) is not None
    )
    tokenizer = _tokenizer(source, options)
    if window is None:
        window = resolve_max_length(_config(arguments.get("pretrained"), options), tokenizer)
    return ModelText(tokenizer, int(window), arguments.get("add_bos_token"))


def chat_template_of(
    tokenizer: Any, name: bool | str, options: Mapping[str, Any]
) -> Callable[..., str]:
    """Return what lm_eval's HFLM will do for ``--apply_chat_template``, without the model.

    :param name: ``True``, or the name of one of the tokenizer's templates.
    :param options: model argument ``chat_template_args``.
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
        return loader.from_pretrained(source, **dict(options))
    except Exception as error:
        # transformers raises many kinds here: no such folder, no network, a broken file.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise ModelError(
            f"pretrained={source}: its {what} cannot be loaded: {type(error).__name__}: {reason}"
        ) from error
