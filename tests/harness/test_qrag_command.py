"""``lm_eval --model qrag`` as users run it: results, cost, clear errors, two processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from lm_eval_logs import results_of, samples_of
from warm_python import WarmPython

from qrag_tasks.errors import SettingsError
from qrag_tasks.locations import task_yamls

torch = pytest.importorskip("torch", reason="the hf extra is not installed")
from qrag_tasks.harness import preflight  # noqa: E402
from qrag_tasks.harness.model import QragLM  # noqa: E402

Done = subprocess.CompletedProcess[str]
Command = Callable[..., Done]
MINI = json.dumps({"data": "mini", "context_tokens": 600})


def options(model: Path, precision: str, out: Path, *more: object) -> list[object]:
    return [
        *("--model", "qrag", "--model_args", f"pretrained={model},precision={precision}"),
        *("--tasks", "lamp_rag_k3", "--metadata", MINI, "--limit", 4),
        *("--log_samples", *more, "--output_path", out),
    ]


def test_a_run_says_what_the_arm_is_and_what_it_cost(
    lm_eval_command: Command, tiny_model: Path, tmp_path: Path
) -> None:
    done = lm_eval_command(*options(tiny_model, "int4-nf4", tmp_path))
    assert done.returncode == 0, done.stderr
    config = results_of(tmp_path)["config"]
    assert config["batch_size"] == "auto"
    block = config["qrag"]
    assert block["precision"] == "int4-nf4"
    assert len(block["identity"]) == 64
    cost = block["cost"]
    prompts = [s["doc"]["prompt_tokens"] for t in ("3u", "5u") for s in task(tmp_path, t)]
    assert cost["prompt_tokens"] == sum(prompts)
    assert 8 <= cost["generated_tokens"] <= 4 * 16 + 4 * 32
    assert 0 < cost["prefill_seconds"] < cost["run_seconds"]
    assert 0 < cost["decode_seconds"] < cost["run_seconds"]
    scores, costs = done.stdout.index("rougeL"), done.stdout.rindex("tokens/s")
    assert scores < costs


def task(folder: Path, name: str) -> list[dict[str, Any]]:
    return samples_of(folder, f"lamp{name}_rag_k3")


def evaluated(model: Path, precision: str, **options: Any) -> dict[str, Any]:
    """Run the same through lm_eval's Python entry, in this process."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    arguments = {"pretrained": str(model), "precision": precision}
    manager = TaskManager(
        include_path=str(task_yamls()),
        include_defaults=False,
        metadata={**arguments, **json.loads(MINI)},
    )
    results = simple_evaluate(
        model="qrag",
        model_args=arguments,
        tasks=["lamp_rag_k3"],
        task_manager=manager,
        limit=4,
        device="cpu",
        bootstrap_iters=0,
        **options,
    )
    assert results is not None
    return dict(results)


def test_arms_get_the_same_prompts_and_a_batch_size_is_obeyed(tiny_model: Path) -> None:
    one, other = (evaluated(tiny_model, arm, batch_size=3) for arm in ("bf16", "int4-fp4"))
    for found in (one, other):
        assert found["config"]["qrag"]["cost"]["largest_batch"] == 3
    for name in ("lamp3u_rag_k3", "lamp5u_rag_k3"):
        hashes = [[s["prompt_hash"] for s in found["samples"][name]] for found in (one, other)]
        assert hashes[0] == hashes[1]


def configured(*arguments: object, tasks: str = "lamp_rag_k1") -> Any:
    """Return what the lm_eval command makes of its arguments."""
    from lm_eval._cli.harness import HarnessCLI
    from lm_eval.config.evaluate_config import EvaluatorConfig

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["lm_eval", "--tasks", tasks, *map(str, arguments)])
        return EvaluatorConfig.from_cli(HarnessCLI().parse_args())


def test_only_what_was_asked_for_is_given_to_the_model(tmp_path: Path) -> None:
    def choices(*arguments: object) -> tuple[Any, Any]:
        config = configured(*arguments)
        return config.batch_size, config.device

    file = tmp_path / "run.yaml"
    file.write_text("batch_size: 4\ndevice: cpu\nmodel: qrag\ntasks: lamp_rag_k1\n")
    assert choices("--model", "qrag") == ("auto", None)
    assert choices("--model", "qrag", "--batch_size", 1, "--device", "cpu") == ("1", "cpu")
    assert choices("--model", "qrag", "--config", file) == (4, "cpu")
    assert choices("--model", "hf") == (1, "cuda:0")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_on_a_cpu_a_batch_has_as_many_tokens_as_a_cpu_takes(tiny_model: Path) -> None:
    # As the command creates it, with what it makes of its arguments.
    config = configured("--model", "qrag", "--model_args", f"pretrained={tiny_model}")
    model = QragLM.create_from_arg_obj(
        config.model_args, {"batch_size": config.batch_size, "device": config.device}
    )
    assert (model.device.type, model.batching()) == ("cpu", "8192 tokens a batch")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:7", "mps"])
def test_a_device_that_is_not_there_is_told_before_anything_is_loaded(
    tiny_model: Path, device: str
) -> None:
    message = f"--device {device}: torch finds 0 "
    for model in ("hf", "qrag"):
        with pytest.raises(SettingsError, match=message):
            configured("--model", model, "--device", device)
    with pytest.raises(SettingsError, match=message):
        configured("--model", "qrag", "--device", device, tasks="wikitext")
    # Other tasks' models are lm_eval's own business.
    assert configured("--model", "hf", "--device", device, tasks="wikitext").device == device
    with pytest.raises(SettingsError, match=message):
        QragLM(str(tiny_model), device=device)


def test_what_the_command_gives_itself_is_no_model_argument(tiny_model: Path) -> None:
    for model, name, value in (("hf", "device", "cpu"), ("qrag", "batch_size", 4)):
        arguments = f"pretrained={tiny_model},{name}={value}"
        config = configured("--model", model, "--model_args", arguments, "--metadata", MINI)
        with pytest.raises(SettingsError, match=f"write --{name} {value}"):
            preflight.prepare(config)


def test_the_tasks_know_every_model_argument_and_a_home_folder(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tiny_model.parent))
    place = f"~/{tiny_model.name}"
    for model in ("hf", "qrag"):
        config = configured(
            *("--model", model, "--model_args", f"pretrained={place}", "--trust_remote_code"),
            *("--metadata", json.dumps({"data": "mini", "tokenizer": place})),
        )
        preflight.prepare(config)
        assert config.model_args == {"pretrained": str(tiny_model), "trust_remote_code": True}
        assert config.metadata == {
            **config.model_args,
            "data": "mini",
            "tokenizer": str(tiny_model),
        }
    assert QragLM(place).engine.config._name_or_path == str(tiny_model)


def launch(out: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run ``lm_eval`` in two processes, as ``accelerate launch`` does with several GPUs."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc_per_node", "2", "-m", "lm_eval", *map(str, arguments)),
            *("--output_path", str(out)),
        ],
        env={**os.environ, "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def launch_warm(warm: WarmPython, out: Path, *arguments: object) -> list[Done]:
    """Run ``lm_eval`` in two processes, with what the launcher tells each of them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(rank: int) -> Done:
        told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
        told |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
        return warm.run(
            ["-m", "lm_eval", *map(str, arguments), "--output_path", str(out)],
            {**os.environ, **{name: str(value) for name, value in told.items()}},
        )

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(run, range(2)))


def test_two_processes_share_the_work(
    warm_python: WarmPython, tiny_model: Path, tmp_path: Path
) -> None:
    alone = evaluated(tiny_model, "fp32")
    cached = (*options(tiny_model, "fp32", tmp_path)[:-2], "--use_cache", tmp_path / "answers")
    done = launch(tmp_path / "together", *cached)
    assert done.returncode == 0, done.stderr
    # One process has all its answers, the other none.
    (tmp_path / "answers_rank1.db").unlink()
    for each in launch_warm(warm_python, tmp_path / "again", *cached):
        assert each.returncode == 0, each.stderr
    together, again = (results_of(tmp_path / name) for name in ("together", "again"))
    costs = [found["config"]["qrag"]["cost"] for found in (alone, together, again)]
    assert [cost["ranks"] for cost in costs] == [1, 2, 2]
    assert costs[0]["prompt_tokens"] == costs[1]["prompt_tokens"] > costs[2]["prompt_tokens"] > 0
    for other in (together, again):
        for name, scores in alone["results"].items():
            for score in ("mae,none", "rougeL,none", "runaway_rate,none"):
                assert other["results"][name].get(score) == scores.get(score)
        assert other["config"]["qrag"]["identity"] == alone["config"]["qrag"]["identity"]
    for name in ("3u", "5u"):
        answers = [
            {s["doc_id"]: s["resps"] for s in samples}
            for samples in (
                alone["samples"][f"lamp{name}_rag_k3"],
                task(tmp_path / "together", name),
                task(tmp_path / "again", name),
            )
        ]
        assert len(answers[0]) == 4
        assert answers[0] == answers[1] == answers[2]


def test_an_engine_that_shares_nothing_is_refused_in_two_processes(
    warm_python: WarmPython, tiny_model: Path, tmp_path: Path
) -> None:
    arguments = f"engine=server,base_url=http://localhost:1/v1,tokenizer={tiny_model}"
    message = "engine=server: accelerate launch (or torchrun) has started 2 processes"
    for done in launch_warm(
        *(warm_python, tmp_path, "--model", "qrag", "--model_args", arguments),
        *("--tasks", "lamp_rag_k3", "--metadata", MINI, "--limit", 4),
    ):
        assert done.returncode != 0
        assert message in done.stderr
    assert not list(tmp_path.iterdir())
