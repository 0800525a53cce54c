"""How arms decode: end tokens from all that knows one, and no settings of the checkpoint's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")
from transformers import AutoConfig, AutoTokenizer, GenerationConfig

from qrag_tasks.engines.decoding import decide
from qrag_tasks.engines.transformers.generation import generation_config
from qrag_tasks.errors import SettingsError


@pytest.fixture
def parts(tiny_model: Path) -> tuple[Any, Any]:
    return AutoTokenizer.from_pretrained(tiny_model), AutoConfig.from_pretrained(tiny_model)


def test_end_tokens_are_gathered(parts: tuple[Any, Any]) -> None:
    tokenizer, config = parts
    end, user = tokenizer.convert_tokens_to_ids(["<|end|>", "<|user|>"])
    decoding = decide(tokenizer, config, GenerationConfig(eos_token_id=[end, user]))
    assert decoding.end_tokens == tuple(sorted((end, user)))
    assert decoding.sources["generation_config"] == (end, user)
    assert decoding.sources["tokenizer"] == decoding.sources["chat_template"] == (end,)
    assert decoding.pad_token == tokenizer.pad_token_id


def test_the_template_tells_the_end_of_a_turn_that_the_checkpoint_has_lost(
    parts: tuple[Any, Any],
) -> None:
    tokenizer, config = parts
    tokenizer.eos_token = "<|system|>"
    config.eos_token_id = None
    tokenizer.chat_template = (
        "{% for m in messages %}<|{{ m.role }}|> {{ m.content }} <|end|>\n{% endfor %}"
    )
    decoding = decide(tokenizer, config, None)
    end, other = tokenizer.convert_tokens_to_ids(["<|end|>", "<|system|>"])
    assert decoding.sources == {"tokenizer": (other,), "chat_template": (end,)}
    assert decoding.end_tokens == tuple(sorted((end, other)))


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{{ m.content }} and more{% endfor %}",
        "{{ raise_exception('no assistant, please') }}",
        "{% for m in messages %}{{ m.content }}{% endfor %}",
    ],
)
def test_templates_that_tell_nothing(parts: tuple[Any, Any], template: str) -> None:
    tokenizer, config = parts
    tokenizer.chat_template = template
    assert "chat_template" not in decide(tokenizer, config, None).sources


def test_settings_of_the_checkpoint_are_set_aside_and_told(
    parts: tuple[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer, config = parts
    own = GenerationConfig(do_sample=True, temperature=0.6, repetition_penalty=1.1, eos_token_id=0)
    with caplog.at_level("WARNING", logger="lm_eval"):
        decoding = decide(tokenizer, config, own)
    assert decoding.set_aside == {"do_sample": True, "temperature": 0.6, "repetition_penalty": 1.1}
    assert "repetition_penalty=1.1" in caplog.text
    settings = generation_config(
        decoding, {"do_sample": False, "temperature": 0.0}, max_new_tokens=5
    )
    assert settings.repetition_penalty in (None, 1.0)
    assert not settings.do_sample
    assert settings.max_new_tokens == 5
    asked = generation_config(decoding, {"do_sample": True, "temperature": 0.7, "top_p": 0.9}, 5)
    assert (asked.do_sample, asked.temperature, asked.top_p) == (True, 0.7, 0.9)


def test_an_argument_that_there_is_not(parts: tuple[Any, Any]) -> None:
    decoding = decide(*parts, None)
    with pytest.raises(SettingsError, match=r"temprature=0\.5: .*Did you mean 'temperature'"):
        generation_config(decoding, {"do_sample": True, "temprature": 0.5}, 5)


def test_what_is_only_reported_is_not_set_aside(parts: tuple[Any, Any]) -> None:
    own = GenerationConfig(output_attentions=True, use_cache=False, bos_token_id=1)
    assert decide(*parts, own).set_aside == {}


def test_what_decoding_is_alike_for_two_arms(parts: tuple[Any, Any]) -> None:
    tokenizer, config = parts
    one = decide(tokenizer, config, GenerationConfig(repetition_penalty=1.1))
    other = decide(tokenizer, config, None)
    assert one.as_dict() == other.as_dict()
