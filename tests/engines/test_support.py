"""What rows of precisions and engines say of where they run is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qrag_tasks.arms.engine_choice import chosen_engine
from qrag_tasks.arms.formats.facts import DEVICES, Precision
from qrag_tasks.arms.precisions import precision, precisions
from qrag_tasks.engines.base import Abilities, Support
from qrag_tasks.errors import SettingsError
from qrag_tasks.registry import ENGINES

ROOT = Path(__file__).parents[2]
FACTORIES = {
    name: supplied.value
    for name, supplied in ENGINES.all().items()
    if supplied.origin.distribution == "qrag-tasks"
}
SUPPORTS = [
    (name, row.name, support)
    for name, factory in FACTORIES.items()
    for row in precisions().values()
    if (support := factory.abilities.support_of(row)) is not None
]


def test_an_environment_that_is_named_is_run_by_continuous_integration() -> None:
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    jobs = re.findall(r"^(?:jobs=|for environment ).*", run, re.MULTILINE)
    lanes = set(re.findall(r"[\w-]+", " ".join(jobs)))
    named = {support.ci for _, _, support in SUPPORTS} - {""}
    assert named
    assert named <= lanes


def test_devices_are_known_ones() -> None:
    assert {device for _, _, support in SUPPORTS for device in support.devices} <= set(DEVICES)
    assert all(support.devices for _, _, support in SUPPORTS)


def test_engines_support_nothing_that_they_cannot_load() -> None:
    for factory in FACTORIES.values():
        abilities = factory.abilities
        assert set(abilities.support) <= set(abilities.precisions or precisions())


def test_an_engine_has_its_own_say() -> None:
    row = precision("int4-nf4")
    abilities = Abilities(evidence="stated", precisions=frozenset({"int4-nf4", "bf16"}))
    assert abilities.support_of(row) == Support(devices=row.devices, needs=row.needs, ci=row.ci)
    assert abilities.support_of(precision("fp32")) is None
    only = Support(devices=("cuda",))
    told = Abilities(evidence="stated", support={"int4-nf4": only})
    assert told.support_of(row) is only


@pytest.mark.parametrize("name", ["vllm", "llama_cpp", "transformers"])
def test_an_engine_that_needs_packages_says_how_to_have_them(name: str) -> None:
    abilities = FACTORIES[name].abilities
    assert abilities.needs
    extra = re.fullmatch(r"pip install 'qrag-tasks\[([\w-]+)\]'", abilities.install)
    assert extra is not None
    extras = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(rf"^{extra[1]} = \[", extras, re.MULTILINE)


@pytest.mark.parametrize("name", FACTORIES)
def test_an_engine_shares_a_run_among_processes_or_says_what_does(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    abilities = FACTORIES[name].abilities
    monkeypatch.setenv("WORLD_SIZE", "2")
    chosen_engine({"engine": name})  # no launcher has set it: there would be a rank
    monkeypatch.setenv("RANK", "1")
    if abilities.shares_ranks:
        chosen_engine({"engine": name})
        return
    assert abilities.side_by_side
    with pytest.raises(SettingsError) as raised:
        chosen_engine({"engine": name})
    assert str(raised.value).endswith(f"once; {abilities.side_by_side}")
    assert "has started 2 processes" in str(raised.value)
    monkeypatch.setenv("WORLD_SIZE", "1")
    chosen_engine({"engine": name})


def test_rows_of_plugins_run_anywhere_by_default() -> None:
    row = Precision("int8-row", 8, "row8", "a plugin's")
    assert (row.devices, row.ci) == (DEVICES, "")
