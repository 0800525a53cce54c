"""The energy that answering takes: what the GPU's counter rose by, or unknown."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

torch = pytest.importorskip("torch", reason="the hf extra is not installed")

from qrag_tasks.metering.energy import nvml_counter, together_counted  # noqa: E402
from qrag_tasks.metering.meter import Meter  # noqa: E402

CPU = torch.device("cpu")


def readings(*values: float | None) -> Callable[[], float | None]:
    left: Iterator[float | None] = iter(values)
    return lambda: next(left)


def test_energy_is_what_the_counter_rose_while_answering() -> None:
    meter = Meter(CPU, joules=readings(1000, 1040, 5000, 5002.5))
    for _ in range(2):
        with meter.answering():
            pass
    assert meter.cost().energy_joules == 42.5


def test_energy_that_is_known_in_part_is_unknown() -> None:
    meter = Meter(CPU, joules=readings(1000, 1040, 5000, None))
    for _ in range(2):
        with meter.answering():
            pass
    assert meter.cost().energy_joules is None


def test_a_cpu_has_no_energy_counter() -> None:
    meter = Meter(CPU)
    with meter.answering():
        pass
    assert meter.cost().energy_joules is None


class NVML(ModuleType):
    """NVIDIA's module, as far as it is used, of a machine with two GPUs."""

    class NVMLError(Exception):
        pass

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.millijoules = {"GPU-aaaa": 1_500, "GPU-bbbb": 2_000_250}
        self.ready = False
        self.driver = True
        self.old = False

    def nvmlInit(self) -> None:  # noqa: N802
        if not self.driver:
            raise self.NVMLError("Driver Not Loaded")
        self.ready = True

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if not self.ready or uuid not in self.millijoules:
            raise self.NVMLError("Not Found")
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:  # noqa: N802
        if self.old:
            raise self.NVMLError("Not Supported")
        return self.millijoules[handle]


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> NVML:
    module = NVML()
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return module


def test_the_energy_counter_is_that_of_the_gpu_with_the_uuid(nvml: NVML) -> None:
    # torch writes a UUID without the prefix that NVML wants.
    assert nvml_counter("bbbb")() == 2000.25
    assert nvml_counter("GPU-aaaa")() == 1.5


@pytest.mark.parametrize("trouble", ["no driver", "too old", "unknown GPU"])
def test_without_a_counter_energy_is_unknown_and_no_error(nvml: NVML, trouble: str) -> None:
    nvml.driver = trouble != "no driver"
    nvml.old = trouble == "too old"
    assert nvml_counter("cccc" if trouble == "unknown GPU" else "aaaa")() is None


def test_without_nvidias_package_energy_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvml_counter("aaaa")() is None


def test_the_energy_of_several_gpus_is_added_up_and_each_counted_once(nvml: NVML) -> None:
    assert together_counted(["aaaa", "bbbb", "bbbb"])() == 2001.75
    assert together_counted(["aaaa", None])() is None
    assert together_counted(["aaaa", "cccc"])() is None
    assert together_counted([])() is None
