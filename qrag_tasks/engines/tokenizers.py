"""Which tokenizer and which context window a run's model has, known before the model is loaded."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from qrag_tasks.arms.gguf_files import names_gguf, read_gguf
from qrag_tasks.arms.places import whole_place
from qrag_tasks.errors import ModelError, SettingsError
from qrag_tasks.prompting.model_text import ModelText

# The arguments that lm_eval's models pass on to the tokenizer.
_TOKENIZER_ARGUMENTS = ("revision", "subfolder", "trust_remote_code", "gguf_file")
# transformers' model_max_length of a tokenizer that does not say: some 1e30.
_NO_LIMIT = 10**20
# lm_eval's window of a model that does not say.
_UNKNOWN_WINDOW = 2048


def model_text(arguments: Mapping[str, Any]) -> ModelText | None:
    """Return how the model reads text; ``None`` where nothing tells its tokenizer.

    :param arguments: the model arguments (lm_eval merges them into a task's metadata):
        ``tokenizer``, else ``pretrained``, a path, a name or an object.
    :raises ModelError: when the tokenizer or the configuration cannot be loaded.
    """
    source = arguments.get("tokenizer") or arguments.get("pretrained")
    if source is None:
        return None
    if names_gguf(arguments.get("pretrained")):
        return _text_of_gguf(arguments)
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


def _text_of_gguf(arguments: Mapping[str, Any]) -> ModelText:
    from qrag_tasks.engines.llama_cpp.arguments import Settings, window_of
    from qrag_tasks.engines.llama_cpp.vocabulary import tokenizer_of

    settings = Settings(max_length=arguments.get("max_length"))
    window = window_of(read_gguf(arguments["pretrained"]), settings)
    return ModelText(tokenizer_of(arguments), window, arguments.get("add_bos_token"))


def load_tokenizer(arguments: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Return what an engine that does not load them itself needs of a checkpoint of transformers.

    :param arguments: the model arguments: ``pretrained``, and ``tokenizer``, where it is another's.
    :returns: the tokenizer, of the caller's own and with a pad token; the configuration; and the
        checkpoint's ``GenerationConfig``.
    :raises ModelError: when one of them cannot be loaded.
    """
    from transformers import GenerationConfig

    given = {"trust_remote_code": False, **arguments}
    options = tuple(
        (name, given[name]) for name in _TOKENIZER_ARGUMENTS if given.get(name) is not None
    )
    pretrained = given["pretrained"]
    tokenizer = copy.deepcopy(_tokenizer(given.get("tokenizer") or pretrained, options))
    config = _config(pretrained, options)
    _put_pad_token(tokenizer)
    where = {name: given[name] for name in ("revision", "subfolder") if given.get(name)}
    try:
        generation_config = GenerationConfig.from_pretrained(whole_place(pretrained), **where)
    except OSError:  # it has none of its own
        generation_config = GenerationConfig.from_model_config(config)
    return tokenizer, config, generation_config


def _put_pad_token(tokenizer: Any) -> None:
    """Give a tokenizer a pad token, where it has none, as lm_eval's HFLM does."""
    if tokenizer.pad_token_id is not None:
        return
    for token in (getattr(tokenizer, "unk_token", None), getattr(tokenizer, "eos_token", None)):
        if token:
            tokenizer.pad_token = token
            return
    tokenizer.add_special_tokens({"pad_token": "<|pad|>"})


def model_window(config: Any, tokenizer: Any) -> int:
    """Return the tokens of a model's window, as lm_eval's HFLM finds them.

    :param config: of transformers; of a model that reads more than text, that of its text model
        counts. ``None`` where there is none.
    """
    text = getattr(config, "text_config", None) or config
    for name in ("n_positions", "max_position_embeddings", "n_ctx"):
        if (size := getattr(text, name, None)) is not None:
            return int(size)
    size = getattr(tokenizer, "model_max_length", None)
    return int(size) if size is not None and size < _NO_LIMIT else _UNKNOWN_WINDOW


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
                f"{source}: its {what} is code of its own, which is run only if you "
                f"trust it: read it, and give trust_remote_code=True in the model arguments"
            ) from error
        # transformers raises many kinds here: no such folder, no network, a broken file.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise ModelError(
            f"{source}: its {what} cannot be loaded: {type(error).__name__}: {reason}"
        ) from error
