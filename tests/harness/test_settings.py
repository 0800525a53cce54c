"""The run-time choices in lm_eval's ``--metadata``."""

from __future__ import annotations

from typing import Any

import pytest

from qrag_tasks.errors import SettingsError
from qrag_tasks.harness.settings import Settings

MODEL_ARGS = {"pretrained": "somewhere", "load_in_4bit": True, "dtype": "bfloat16"}


def test_defaults_and_values() -> None:
    assert Settings.from_metadata({}) == Settings(None, "bm25", "lamp", None)
    given = {"data": "mini", "retriever": "first", "prompt": "x", "context_tokens": "512"}
    assert Settings.from_metadata({**given, "version": 1.0}) == Settings("mini", "first", "x", 512)


def test_model_arguments_are_not_taken_for_choices() -> None:
    merged = {**MODEL_ARGS, "data": "mini"}
    expected = Settings(data="mini")
    assert Settings.from_metadata(merged, MODEL_ARGS) == expected
    assert Settings.from_metadata(merged) == expected


@pytest.mark.parametrize("key", ["retreiver", "retrievers", "context_token", "Data"])
@pytest.mark.parametrize("model_args", [None, MODEL_ARGS])
def test_a_misspelt_key_is_an_error(key: str, model_args: Any) -> None:
    with pytest.raises(
        SettingsError, match=f"unknown metadata key '{key}' .known: data, retriever"
    ):
        Settings.from_metadata({**MODEL_ARGS, key: "x"}, model_args)


def test_any_unknown_key_is_an_error_where_the_model_arguments_are_known() -> None:
    with pytest.raises(
        SettingsError, match=r"'foo' \(known: data, retriever, prompt, context_tokens\)"
    ):
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
