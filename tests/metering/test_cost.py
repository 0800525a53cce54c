from __future__ import annotations

import builtins
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the hf extra is not installed")
transformers = pytest.importorskip("transformers", reason="the hf extra is not installed")

from qrag_tasks.engines.transformers.generation import FirstToken  # noqa: E402
from qrag_tasks.metering.cost import Cost, cost_table, seconds_of  # noqa: E402
from qrag_tasks.metering.meter import Elsewhere, Meter  # noqa: E402
from qrag_tasks.metering.usage import Usage, spread_over  # noqa: E402

CPU = torch.device("cpu")


class Clock:
    """Seconds that pass only when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meter(clock: Clock) -> Meter:
    return Meter(CPU, clock=clock)


def generate(
    meter: Meter,
    clock: Clock,
    prompts: list[int],
    answers: list[int],
    prefill: float = 2.0,
    step: float = 1.0,
) -> None:
    """A batch of left-padded prompts, a step for each token of the longest answer."""
    rows, width = len(prompts), max(prompts)
    with meter.batch(prompt_tokens=prompts, padded=rows * width, kind="generate") as batch:
        clock.wait(prefill)
        batch.first_token()
        for _ in range(1, max(answers)):
            clock.wait(step)
            batch.first_token()
        batch.generated(answers)


def test_nothing_measured_is_none_and_no_division_by_zero(meter: Meter) -> None:
    cost = meter.cost()
    assert (cost.batches, cost.prompt_tokens, cost.run_seconds) == (0, 0, 0.0)
    for name in (
        *("padding_share", "prefill_tokens_per_second", "decode_tokens_per_second"),
        *("peak_device_bytes", "peak_device_reserved_bytes", "energy_joules", "too_large_batch"),
    ):
        assert cost.as_dict()[name] is None, name


def test_loading_and_answering_are_wall_seconds_that_add_up(meter: Meter, clock: Clock) -> None:
    with meter.loading():
        clock.wait(7)
    clock.wait(1000)
    for seconds in (3, 4):
        with meter.answering():
            clock.wait(seconds)
    assert (meter.cost().load_seconds, meter.cost().run_seconds) == (7, 7)


def test_prefill_ends_at_the_first_token(meter: Meter, clock: Clock) -> None:
    generate(meter, clock, prompts=[10, 6], answers=[4, 1], prefill=2, step=1)
    generate(meter, clock, prompts=[20], answers=[3], prefill=4, step=0.5)
    cost = meter.cost()
    assert (cost.prefill_seconds, cost.decode_seconds) == (6, 4)
    assert (cost.batches, cost.largest_batch) == (2, 2)
    assert (cost.prompt_tokens, cost.padded_tokens) == (36, 40)
    assert cost.padding_share == pytest.approx(0.1)
    # Each answer's first token is chosen by prefill.
    assert (cost.generated_tokens, cost.decode_tokens) == (8, 5)
    assert cost.prefill_tokens_per_second == 6
    assert cost.decode_tokens_per_second == 1.25


def test_what_comes_out_of_a_prefix_cache_is_counted(meter: Meter, clock: Clock) -> None:
    generate(meter, clock, prompts=[10, 6], answers=[4, 1])
    assert meter.cost().cached_prompt_tokens is None
    with meter.batch([10, 6], padded=16, kind="generate") as batch:
        batch.cached(4)
    cost = meter.cost()
    assert (cost.prompt_tokens, cost.cached_prompt_tokens) == (32, 4)
    assert "12.5% out of the prefix cache" in cost_table(cost, None, "fp16")
    meter.restart([batch.cost, batch.cost])
    assert meter.cost().cached_prompt_tokens == 8
    assert Cost.together([meter.cost(), rank()]).cached_prompt_tokens == 8


def test_an_answer_of_no_tokens_takes_none_from_the_others(meter: Meter, clock: Clock) -> None:
    generate(meter, clock, prompts=[5, 5], answers=[0, 3])
    assert meter.cost().decode_tokens == 2


def test_answers_of_one_token_have_no_decoding_rate(meter: Meter, clock: Clock) -> None:
    with meter.batch([5], padded=5, kind="generate") as batch:
        clock.wait(1)
        batch.first_token()
        clock.wait(0.01)  # what follows the token
        batch.generated([1])
    assert meter.cost().decode_tokens_per_second is None


def test_likelihoods_are_all_prefill(meter: Meter, clock: Clock) -> None:
    with meter.batch([8, 4], padded=16, kind="likelihood") as batch:
        clock.wait(1)
        batch.first_token()
        clock.wait(2)
    cost = meter.cost()
    assert (cost.prefill_seconds, cost.decode_seconds, cost.prompt_tokens) == (3, 0, 12)
    assert cost.prefill_tokens_per_second == 4


def test_a_batch_that_generates_nothing_is_all_prefill(meter: Meter, clock: Clock) -> None:
    with meter.batch([8], padded=8, kind="generate"):
        clock.wait(3)
    assert (meter.cost().prefill_seconds, meter.cost().decode_seconds) == (3, 0)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, KeyboardInterrupt])
def test_a_batch_that_fails_is_lost_time_and_nothing_else(
    meter: Meter, clock: Clock, error: type[BaseException]
) -> None:
    with meter.answering():
        with pytest.raises(error), meter.batch([9] * 8, padded=72, kind="generate") as batch:
            clock.wait(2)
            batch.first_token()
            clock.wait(1)
            batch.generated([5] * 8)
            raise error
        meter.out_of_memory(8)
        generate(meter, clock, prompts=[9] * 4, answers=[2] * 4)
    cost = meter.cost()
    assert (cost.lost_seconds, cost.out_of_memory, cost.too_large_batch) == (3, 1, 8)
    assert (cost.batches, cost.largest_batch, cost.prompt_tokens) == (1, 4, 36)
    assert (cost.generated_tokens, cost.padded_tokens) == (8, 36)
    assert (cost.prefill_seconds, cost.decode_seconds, cost.run_seconds) == (2, 1, 6)


def test_the_smallest_batch_that_was_too_large_is_kept(meter: Meter) -> None:
    for rows in (32, 16, 24):
        meter.out_of_memory(rows)
    assert (meter.cost().out_of_memory, meter.cost().too_large_batch) == (3, 16)


def test_answering_counts_when_it_fails(meter: Meter, clock: Clock) -> None:
    with pytest.raises(ValueError, match="broken"), meter.answering():
        clock.wait(5)
        raise ValueError("broken")
    assert meter.cost().run_seconds == 5


def test_the_first_token_never_stops_a_batch_and_is_one_tensor(meter: Meter, clock: Clock) -> None:
    ids = torch.zeros(3, 5, dtype=torch.long)
    with meter.batch([5] * 3, padded=15, kind="generate") as batch:
        criteria = FirstToken(batch)
        first = criteria(ids, None, some="argument")
        clock.wait(4)
        second = criteria(ids, None, some="argument")
    assert (first.shape, first.dtype, first.device) == ((3,), torch.bool, ids.device)
    assert not first.any()
    assert second is first
    assert (meter.cost().prefill_seconds, meter.cost().decode_seconds) == (0, 4)


@pytest.fixture
def model(tiny_model: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(tiny_model).eval()


@pytest.mark.parametrize("beams", [1, 2])
def test_a_real_model_generates_the_same_while_it_is_metered(model: Any, beams: int) -> None:
    torch.manual_seed(0)
    ids = torch.randint(5, 900, (3, 40))
    mask = torch.ones_like(ids)
    mask[1, :15] = 0
    arguments = {
        "attention_mask": mask,
        "max_new_tokens": 8,
        "do_sample": False,
        "num_beams": beams,
        "eos_token_id": None,
    }
    alone = model.generate(ids, **arguments)
    meter = Meter(CPU)
    with (
        meter.answering(),
        meter.batch([40, 25, 40], padded=ids.numel(), kind="generate") as batch,
    ):
        metered = model.generate(ids, stopping_criteria=[FirstToken(batch)], **arguments)
        batch.generated([8, 8, 8])
    assert torch.equal(metered, alone)
    cost = meter.cost()
    assert cost.prefill_seconds > 0
    assert cost.decode_seconds > 0
    assert cost.prefill_seconds + cost.decode_seconds <= cost.run_seconds
    assert (cost.prompt_tokens, cost.padded_tokens, cost.decode_tokens) == (105, 120, 21)


def test_prefill_of_a_real_model_is_its_first_forward_pass(model: Any) -> None:
    """Seconds are counted in forward passes: the clock ticks once a pass."""
    clock = Clock()
    model.register_forward_hook(lambda *_: clock.wait(1))
    meter = Meter(CPU, clock=clock)
    ids = torch.randint(5, 900, (2, 30))
    with meter.batch([30, 30], padded=60, kind="generate") as batch:
        model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=6,
            do_sample=False,
            eos_token_id=None,
            stopping_criteria=transformers.StoppingCriteriaList([FirstToken(batch)]),
        )
    assert (meter.cost().prefill_seconds, meter.cost().decode_seconds) == (1, 5)


def test_the_machine_is_named_and_its_memory_known(meter: Meter) -> None:
    cost = meter.cost()
    assert cost.device
    assert cost.threads == torch.get_num_threads()
    if sys.platform != "win32":
        # torch alone takes more than 50 MB; a wrong unit is off by 1024.
        assert cost.peak_rss_bytes is not None
        assert 50e6 < cost.peak_rss_bytes < 1e12


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' /proc")
def test_peak_main_memory_is_not_that_of_the_process_that_started_this_one() -> None:
    child = (
        "import torch; from qrag_tasks.metering.meter import Meter; "
        "print(Meter(torch.device('cpu')).cost().peak_rss_bytes)"
    )
    parent = (
        "import subprocess, sys; big = b'1' * 1_500_000_000; "
        f"subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    )
    output = subprocess.run(
        [sys.executable, "-c", parent], capture_output=True, text=True, check=True
    ).stdout
    assert 50e6 < int(output) < 1.2e9


def test_without_proc_and_resource_main_memory_is_unknown(
    meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(self: Path, *args: Any, **kwargs: Any) -> str:
        raise FileNotFoundError(self)

    known = meter.cost().peak_rss_bytes
    monkeypatch.setattr(Path, "read_text", unreadable)
    pytest.importorskip("resource", reason="not on Windows")
    cost = meter.cost()
    # A wrong unit is off by 1024; the process that started this one may have been larger.
    assert known is not None
    assert cost.peak_rss_bytes is not None
    assert known / 2 < cost.peak_rss_bytes < known * 100
    assert cost.device
    real_import = builtins.__import__

    def on_windows(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "resource":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", on_windows)
    assert meter.cost().peak_rss_bytes is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_work_counts_in_the_phase_that_asked_for_it() -> None:
    device = torch.device("cuda")
    matrix = torch.randn(8192, 8192, device=device)

    def seconds(times: int) -> float:
        start = time.perf_counter()
        for _ in range(times):
            matrix @ matrix
        return time.perf_counter() - start

    seconds(2)
    meter = Meter(device)
    with meter.answering(), meter.batch([4], padded=4, kind="generate") as batch:
        queued = seconds(60)
        batch.first_token()
        queued += seconds(20)
        batch.generated([3])
    cost = meter.cost()
    assert queued < cost.decode_seconds / 2, "the work was not queued"
    assert 2 < cost.prefill_seconds / cost.decode_seconds < 4
    assert cost.device == torch.cuda.get_device_name()
    assert cost.threads is None
    # A second or two at some hundred watts, where NVML can tell.
    assert cost.energy_joules is None or 10 < cost.energy_joules < 5000
    assert cost.peak_device_bytes is not None
    assert 2 * matrix.nbytes <= cost.peak_device_bytes <= 4 * matrix.nbytes
    assert cost.peak_device_reserved_bytes is not None
    assert cost.peak_device_reserved_bytes >= cost.peak_device_bytes


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_meter_on_a_gpu_forgets_earlier_peaks() -> None:
    device = torch.device("cuda")
    torch.zeros(1_000_000_000, dtype=torch.uint8, device=device)
    meter = Meter(device)
    torch.zeros(1_000_000, dtype=torch.uint8, device=device)
    peak = meter.cost().peak_device_bytes
    assert peak is not None
    assert 1_000_000 <= peak < 900_000_000


def rank(**changes: Any) -> Cost:
    values = {
        "device": "GPU X",
        "load_seconds": 10.0,
        "run_seconds": 50.0,
        "prefill_seconds": 30.0,
        "decode_seconds": 20.0,
        "lost_seconds": 1.0,
        "batches": 3,
        "out_of_memory": 1,
        "too_large_batch": 16,
        "largest_batch": 8,
        "prompt_tokens": 900,
        "padded_tokens": 1000,
        "generated_tokens": 110,
        "decode_tokens": 100,
        "peak_device_bytes": 5_000_000_000,
        "peak_device_reserved_bytes": 6_000_000_000,
        "peak_rss_bytes": 2_000_000_000,
        "energy_joules": 1500.0,
    }
    return Cost(**{**values, **changes})


def test_ranks_side_by_side() -> None:
    slow = rank(
        run_seconds=70.0,
        prefill_seconds=60.0,
        decode_seconds=10.0,
        prompt_tokens=2100,
        padded_tokens=2200,
        largest_batch=12,
        too_large_batch=24,
        peak_device_bytes=4_000_000_000,
        peak_rss_bytes=3_000_000_000,
    )
    cost = Cost.together([rank(), slow])
    assert (cost.ranks, cost.device) == (2, "GPU X")
    assert (cost.load_seconds, cost.run_seconds, cost.lost_seconds) == (10, 70, 1)
    assert (cost.batches, cost.out_of_memory, cost.largest_batch) == (6, 2, 12)
    assert cost.too_large_batch == 16
    assert (cost.prompt_tokens, cost.padded_tokens) == (3000, 3200)
    assert (cost.generated_tokens, cost.decode_tokens) == (220, 200)
    # Of all ranks, over the slowest's time of each phase.
    assert (cost.prefill_tokens_per_second, cost.decode_tokens_per_second) == (50, 10)
    assert cost.peak_device_bytes == 5_000_000_000
    assert cost.peak_device_reserved_bytes == 6_000_000_000
    assert cost.peak_rss_bytes == 3_000_000_000
    assert cost.energy_joules == 3000


def test_one_rank_together_is_itself() -> None:
    assert Cost.together([rank()]) == rank()
    bare = Cost(device="CPU Y", threads=4)
    assert Cost.together([bare]) == bare


def test_ranks_of_which_something_is_unknown() -> None:
    cost = Cost.together(
        [
            rank(),
            rank(device="GPU Z", energy_joules=None, peak_rss_bytes=None, too_large_batch=None),
        ]
    )
    assert cost.energy_joules is None
    assert cost.peak_rss_bytes == 2_000_000_000
    assert cost.too_large_batch == 16
    assert cost.device == "GPU X, GPU Z"


def test_no_rank_is_no_cost() -> None:
    with pytest.raises(ValueError, match="no cost"):
        Cost.together([])


def test_a_cost_survives_json(meter: Meter, clock: Clock) -> None:
    generate(meter, clock, prompts=[10, 6], answers=[4, 1])
    values = meter.cost().as_dict()
    assert json.loads(json.dumps(values)) == values
    assert values["decode_tokens_per_second"] == 1
    assert values["padding_share"] == 0.2


def cells(table: str) -> dict[str, tuple[str, str]]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {name: (number, remark) for name, number, remark in rows if name}


def test_the_table_is_in_human_units() -> None:
    table = cost_table(rank(), {"bytes": 4_800_000_000}, "int4-nf4")
    assert cells(table) == {
        "Cost": ("int4-nf4", ""),
        "-" * 18: ("-" * 7 + ":", cells(table)["-" * 18][1]),
        "ranks": ("1", "GPU X"),
        "weights": ("4.80", "GB"),
        "peak device memory": ("5.00", "GB, 6.00 reserved"),
        "peak main memory": ("2.00", "GB"),
        "loading": ("10.0", "s"),
        "answering": ("50.0", "s"),
        "prefill": ("30.0", "tokens/s in 30.0 s"),
        "decode": ("5.0", "tokens/s in 20.0 s"),
        "prompts": ("900", "tokens, 10.0% padding"),
        "answers": ("110", "tokens"),
        "batches": (
            "3",
            "of up to 8 sequences; 1 more, of 16 or above, ran out of memory: 1.0 s lost",
        ),
        "energy": ("1.50", "kJ"),
    }


def test_the_table_leaves_out_what_was_not_measured() -> None:
    shown = cells(cost_table(Cost(device="CPU Y", threads=4), None, "fp32"))
    assert [name for name in shown if "-" not in name] == ["Cost", "ranks", "loading", "answering"]
    assert shown["ranks"] == ("1", "CPU Y, threads: 4")


def test_the_table_of_a_cost_that_was_saved_is_the_same() -> None:
    saved = json.loads(json.dumps(rank().as_dict()))
    assert cost_table(saved, None, "fp16") == cost_table(rank(), None, "fp16")


def test_the_table_looks_like_lm_evals() -> None:
    utils = pytest.importorskip("lm_eval.utils", reason="lm_eval is not installed")
    results = {
        "results": {"task": {"alias": "task", "acc,none": 0.5, "acc_stderr,none": 0.1}},
        "versions": {"task": 1},
        "n-shot": {"task": 0},
    }
    theirs = utils.make_table(results).splitlines()
    ours = cost_table(rank(), None, "fp16").splitlines()
    assert {line[0] + line[-1] for line in (*theirs, *ours)} == {"||"}
    assert set(theirs[1]) == set(ours[1]) == {"|", "-", ":"}
    assert len({len(line) for line in ours}) == 1


# ---------------------------------------------------------------------- side by side, elsewhere
def test_answers_side_by_side_share_the_time_that_passes(clock: Clock, meter: Meter) -> None:
    clock.wait(7)
    metered = meter.side_by_side()
    clock.wait(3)
    first = metered.answered(100, 4, cached=60)
    clock.wait(0.5)
    second = metered.answered(50, 0)
    assert [seconds_of(each) for each in (first, second)] == [3, 0.5]
    cost = meter.cost()
    assert (cost.undivided_seconds, cost.prefill_seconds, cost.decode_seconds) == (3.5, 0, 0)
    assert (cost.prompt_tokens, cost.generated_tokens, cost.decode_tokens) == (150, 4, 3)
    assert (cost.batches, cost.largest_batch, cost.cached_prompt_tokens) == (2, 1, 60)
    shown = cells(cost_table(cost, None, "fp16"))
    assert shown["prefill and decode"] == ("44.0", "tokens/s in 3.5 s")
    assert not {"prefill", "decode"} & shown.keys()
    again = Meter(CPU, clock=clock)
    again.restart([first, second])
    assert again.cost().run_seconds == again.cost().undivided_seconds == 3.5


def test_answers_that_come_together_cost_as_one(clock: Clock, meter: Meter) -> None:
    metered = meter.side_by_side(at_once=64)
    clock.wait(2)
    metered.answered(300, 12, cached=100, answers=3)
    cost = meter.cost()
    assert (cost.generated_tokens, cost.decode_tokens, cost.largest_batch) == (12, 9, 64)


def test_a_model_on_several_devices_and_models_side_by_side(meter: Meter) -> None:
    begun: list[bool] = []

    def usages(begin: bool) -> list[list[Usage]]:
        begun.append(begin)
        one = [Usage("", rss_bytes=1), *(Usage("A", f"GPU-{n}", None, 10, 20, 5) for n in "12")]
        other = [Usage("B", "GPU-3", None, 30, 50, 4)]
        return [one, other]

    meter.usages = usages
    cost = meter.cost()
    assert (cost.device, cost.ranks, cost.threads) == ("2 x A, B", 2, None)
    assert (cost.peak_device_bytes, cost.peak_device_reserved_bytes) == (30, 50)
    assert cost.peak_rss_bytes == 11
    meter.restart(())
    assert begun == [False, True]


def test_a_model_that_one_process_has_on_several_devices(meter: Meter) -> None:
    alone = meter.cost()
    meter.usages = spread_over([CPU, CPU])
    cost = meter.cost()
    assert (cost.device, cost.ranks) == (f"2 x {alone.device}", 1)
    assert (cost.peak_rss_bytes or 0) < 1.5 * (alone.peak_rss_bytes or 0)


def test_of_another_machine_only_time_is_measured(clock: Clock, meter: Meter) -> None:
    meter.device = Elsewhere("a server at http://host/v1")
    with meter.answering():
        clock.wait(2)
    meter.restart([])
    with meter.answering():
        clock.wait(3)
    cost = meter.cost()
    assert (cost.device, cost.run_seconds) == ("a server at http://host/v1", 3)
    assert (cost.threads, cost.peak_rss_bytes, cost.peak_device_bytes) == (None, None, None)
    assert cost.energy_joules is None
