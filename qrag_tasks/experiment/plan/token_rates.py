"""How many tokens a text comes to for a model, told from a few texts and without torch."""

from __future__ import annotations

import datetime
import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from qrag_tasks.arms.checkpoint_files import read_json
from qrag_tasks.errors import ModelError
from qrag_tasks.experiment.plan.checkpoints import LocalCheckpoint

CHARACTERS = 4.0
"""Characters of English that a token stands for, about, where no tokenizer is here to ask."""


@dataclass(frozen=True)
class TokenRate:
    """Tokens of a text, told from its length.

    :ivar each: tokens a character.
    :ivar around: tokens of what stands around a prompt: chat template, system instruction.
    :ivar source: what that was told from.
    :ivar measured: whether by the model's own tokenizer.
    """

    each: float = 1 / CHARACTERS
    around: float = 0.0
    source: str = f"characters / {CHARACTERS:g}"
    measured: bool = False

    def tokens(self, prompt: str) -> int:
        """Return the tokens of a prompt and of what stands around it."""
        return round(self.around + len(prompt) * self.each)

    def count(self, text: str) -> int:
        """Return the tokens of a text alone."""
        return round(len(text) * self.each)

    def cut(self, text: str, limit: int) -> tuple[str, int]:
        """Return the first ``limit`` tokens of a text, and how many there were."""
        length = min(self.count(text), limit)
        return text[: int(length / self.each)], length


def token_rate(
    checkpoint: LocalCheckpoint, prompts: Sequence[str], chat: bool, system: str | None
) -> TokenRate:
    """Measure a model's tokenizer on some prompts; where it is not here, count characters.

    :param checkpoint: the checkpoint whose tokenizer is to be asked.
    :param prompts: before any chat template.
    :param chat: whether the chat template is put around them.
    :param system: the system instruction.
    """
    path = None if checkpoint.folder is None else checkpoint.folder / "tokenizer.json"
    if path is None or not path.is_file() or not any(prompts):
        missing = checkpoint.missing or f"{checkpoint.name}: no tokenizer.json here"
        return TokenRate(source=f"characters / {CHARACTERS:g} ({missing})")
    try:
        read = read_tokenizer(path)
        finish = _finish(path.parent, system) if chat else lambda text: f"{system or ''}{text}"
        around, bare = (
            len(read.encode(finish(""), add_special_tokens=added).ids)
            for added in (not chat, False)
        )
        finished = read.encode_batch([finish(text) for text in prompts], add_special_tokens=False)
    except ImportError as error:
        return TokenRate(source=f"characters / {CHARACTERS:g} ({error})")
    except (ModelError, TemplateError, ValueError, TypeError) as error:
        reason = (str(error).splitlines() or [""])[0]
        return TokenRate(source=f"characters / {CHARACTERS:g} ({checkpoint.name}: {reason})")
    inside = sum(len(each.ids) for each in finished) - bare * len(finished)
    return TokenRate(
        inside / sum(map(len, prompts)),
        around,
        f"the tokenizer of {checkpoint.name} on {len(prompts)} prompts of each task",
        measured=True,
    )


@cache
def read_tokenizer(path: Path) -> Any:
    """Return the tokenizer in a file of that library's, whole texts at a time.

    :raises ModelError: when it cannot be read.
    :raises ImportError: without the library.
    """
    module = importlib.import_module("tokenizers")
    try:
        tokenizer = module.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises no kind of its own
        raise ModelError(f"{path.name} cannot be read: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _finish(folder: Path, system: str | None) -> Callable[[str], str]:
    """Return what puts the chat template of a checkpoint around a prompt.

    In an environment like that of transformers, which documents what templates may use.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = lambda value, **options: json.dumps(
        value, ensure_ascii=False, **options
    )
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    text, special = chat_template(folder)
    template = environment.from_string(text)
    before = [] if system is None else [{"role": "system", "content": system}]

    def finish(prompt: str) -> str:
        user = [{"role": "user", "content": prompt}]
        try:
            return template.render(messages=[*before, *user], add_generation_prompt=True, **special)
        except TemplateError:
            # As lm_eval does it with templates that know no system role.
            return template.render(messages=user, add_generation_prompt=True, **special)

    return finish


def _refuse(message: str) -> str:
    raise TemplateError(message)


def chat_template(folder: Path) -> tuple[str, Mapping[str, str]]:
    """Return a checkpoint's chat template, and the special tokens that it may name.

    :raises ModelError: when it has none, or a file is damaged.
    """
    path = folder / "tokenizer_config.json"
    config = read_json(path) if path.is_file() else {}
    special = {
        key: str(value["content"] if isinstance(value, dict) else value)
        for key, value in config.items()
        if key.endswith("_token") and isinstance(value, (str, dict))
    }
    own = folder / "chat_template.jinja"
    template = own.read_text(encoding="utf-8-sig") if own.is_file() else config.get("chat_template")
    if isinstance(template, list):  # several, by name
        template = {each["name"]: each["template"] for each in template}.get("default")
    if not isinstance(template, str):
        raise ModelError("it has no chat template")
    return template, special
