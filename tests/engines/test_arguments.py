"""What the model arguments of every engine have in common."""

from __future__ import annotations

import pytest

from qrag_tasks.engines.arguments import refuse_unknown, switched_on
from qrag_tasks.errors import SettingsError


def test_unknown_arguments_are_all_named() -> None:
    refuse_unknown("mine", {"engine": "mine", "window": 8, "left_out": None}, {"window"})
    with pytest.raises(SettingsError) as error:
        refuse_unknown("mine", {"widnow": 8, "colour": "red"}, {"window", "device"})
    assert str(error.value).splitlines() == [
        "widnow=8: unknown to engine=mine (known: device, window). Did you mean 'window'?",
        "colour=red: unknown to engine=mine (known: device, window).",
    ]


@pytest.mark.parametrize("value", [True, False])
def test_a_switch_is_on_or_off(value: bool) -> None:
    assert switched_on({"deterministic": value}, "deterministic") is value
    assert switched_on({}, "deterministic") is False


@pytest.mark.parametrize("value", [1, 0, "yes", 0.5])
def test_a_switch_is_nothing_else(value: object) -> None:
    with pytest.raises(SettingsError, match=f"deterministic={value}: give True or False"):
        switched_on({"deterministic": value}, "deterministic")
