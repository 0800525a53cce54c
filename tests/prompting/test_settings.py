"""The run-time choices in lm_eval's ``--metadata``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from qrag_tasks.errors import SettingsError
from qrag_tasks.prompting.protocols import CHOICES, PROTOCOLS
from qrag_tasks.prompting.settings import Settings

MODEL_ARGS = {"pretrained": "somewhere", "load_in_4bit": True, "dtype": "bfloat16"}


def test_defaults_and_values() -> None:
    settings = Settings.from_metadata({})
    assert settings == Settings()
    assert settings.protocol == PROTOCOLS["qrag"]
    given = {"data": "mini", "retriever": "first", "prompt": "x", "context_tokens": "512"}
    settings = Settings.from_metadata({**given, "version": 1.0})
    assert (settings.data, settings.context_tokens) == ("mini", 512)
    assert settings.protocol == replace(PROTOCOLS["qrag"], retriever="first", prompt="x")


def test_a_protocol_makes_all_choices_and_each_can_be_made_otherwise() -> None:
    named = Settings.from_metadata({"protocol": "yazan2024"}).protocol
    assert named == PROTOCOLS["yazan2024"]
    better = {
        "retriever": "bm25",
        "prompt": "lamp",
        "filter": "none",
        "index": "lamp",
        "order": "shuffled",
        "fill": "exact",
    }
    for key, value in better.items():
        assert getattr(named, key) != value
        changed = Settings.from_metadata({"protocol": "yazan2024", key: value}).protocol
        assert changed == replace(named, **{key: value})


def test_lamp_trims_where_it_is_told_how_long_a_prompt_may_be() -> None:
    assert Settings.from_metadata({"protocol": "lamp"}).protocol.fill == "exact"
    told = {"protocol": "lamp", "context_tokens": 512}
    assert Settings.from_metadata(told).protocol.fill == "trimmed"
    assert Settings.from_metadata({**told, "fill": "exact"}).protocol.fill == "exact"
    assert Settings.from_metadata({"context_tokens": 512}).protocol.fill == "exact"
    with pytest.raises(SettingsError, match="'trimmed' needs context_tokens"):
        Settings.from_metadata({"fill": "trimmed"})


@pytest.mark.parametrize("key", sorted(CHOICES))
def test_the_values_of_a_choice_are_listed_where_one_is_unknown(key: str) -> None:
    for value in CHOICES[key]:
        Settings.from_metadata({key: value, "context_tokens": 512})
    wrong = CHOICES[key][0] + "x"
    with pytest.raises(
        SettingsError,
        match=rf"'{key}': unknown value '{wrong}' .known: {CHOICES[key][0]}.*Did you mean",
    ):
        Settings.from_metadata({key: wrong})


def test_an_unknown_protocol() -> None:
    with pytest.raises(SettingsError, match=r"unknown protocol 'yazan' .*Did you mean 'yazan2024'"):
        Settings.from_metadata({"protocol": "yazan"})


def test_model_arguments_are_not_taken_for_choices() -> None:
    merged = {**MODEL_ARGS, "data": "mini"}
    expected = Settings(data="mini")
    assert Settings.from_metadata(merged, MODEL_ARGS) == expected
    assert Settings.from_metadata(merged) == expected


@pytest.mark.parametrize("key", ["retreiver", "retrievers", "context_token", "Data"])
@pytest.mark.parametrize("model_args", [None, MODEL_ARGS])
def test_a_misspelt_key_is_an_error(key: str, model_args: Any) -> None:
    with pytest.raises(SettingsError, match=f"unknown metadata key '{key}' .known: data, split"):
        Settings.from_metadata({**MODEL_ARGS, key: "x"}, model_args)


def test_any_unknown_key_is_an_error_where_the_model_arguments_are_known() -> None:
    with pytest.raises(SettingsError, match=r"'foo' \(known: data, split, protocol, .*answer\)"):
        Settings.from_metadata({**MODEL_ARGS, "foo": 1}, MODEL_ARGS)
    with pytest.raises(SettingsError, match="'foo'"):
        Settings.from_metadata({"foo": 1}, {})


def test_k_cannot_be_overridden() -> None:
    with pytest.raises(SettingsError, match="k is fixed by the task's name"):
        Settings.from_metadata({"k": 3})


@pytest.mark.parametrize(
    "metadata",
    [
        {"context_tokens": 0},
        {"context_tokens": -5},
        {"context_tokens": 1.5},
        {"context_tokens": True},
        {"context_tokens": "many"},
        {"data": 7},
        {"data": " "},
        {"retriever": ["bm25"]},
    ],
)
def test_impossible_values(metadata: dict[str, Any]) -> None:
    (key,) = metadata
    with pytest.raises(SettingsError, match=f"metadata key '{key}'"):
        Settings.from_metadata(metadata)
