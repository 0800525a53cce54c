"""The main job as users run it: the lm_eval command, real models, both arms, every way in."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lamp_files import REVIEW_INPUT, reviews, write_flat
from lm_eval_logs import results_of, samples_of

from qrag_tasks.arms import embedded
from qrag_tasks.errors import BudgetError
from qrag_tasks.locations import embedded_model, task_yamls
from qrag_tasks.tasks.catalog import CATALOG, GROUPS, TAGS
from qrag_tasks.tasks.lamp.table import LAMP_TASKS

pytest.importorskip("torch", reason="the hf extra is not installed")

Command = Callable[..., subprocess.CompletedProcess[str]]
Arms = dict[str, dict[str, list[dict[str, Any]]]]


def metadata(**choices: Any) -> str:
    return json.dumps({key: str(value) for key, value in choices.items()})


def test_the_embedded_default(lm_eval_command: Command, tmp_path: Path) -> None:
    done = lm_eval_command(
        *("--tasks", "lamp_rag_k5", "--model", "hf", "--model_args", "load_in_4bit=True"),
        *("--limit", 2, "--log_samples", "--output_path", tmp_path),
        cold=True,
        QRAG_DATA="mini",
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"NO pretrained= GIVEN: using the embedded {embedded.NAME}") == 1
    assert "data: mini, the embedded sample of made-up users" in done.stderr
    assert "42 linear layers in 4 bits NF4" in done.stderr
    for name in ("lamp3u_rag_k5", "lamp5u_rag_k5", "mae", "rougeL", "runaway_rate"):
        assert name in done.stdout
    for task in ("lamp3u_rag_k5", "lamp5u_rag_k5"):
        for sample in samples_of(tmp_path, task):
            assert len(sample["doc"]["kept"]) == 5
    assert results_of(tmp_path)["config"]["model_args"]["pretrained"] == str(embedded_model())


def test_every_task_of_every_split_runs_on_mini(lm_eval_command: Command, tmp_path: Path) -> None:
    done = lm_eval_command(
        *("--tasks", ",".join(f"{name}_rag_k1" for name in LAMP_TASKS)),
        *("--model", "hf", "--model_args", "dtype=bfloat16"),
        *("--apply_chat_template", "--limit", 1, "--log_samples", "--output_path", tmp_path),
        *("--gen_kwargs", "max_gen_toks=2"),
        QRAG_DATA="mini",
    )
    assert done.returncode == 0, done.stderr
    results = results_of(tmp_path)["results"]
    for task in LAMP_TASKS.values():
        name = f"{task.name}_rag_k1"
        (sample,) = samples_of(tmp_path, name)
        assert len(sample["doc"]["kept"]) == 1
        assert isinstance(sample["resps"][0][0], str)
        for metric in task.answer.metrics:
            assert f"{metric.name},none" in results[name]


@pytest.fixture(scope="module")
def arms(tiny_model: Path) -> Arms:
    """The same run in bfloat16 and in NF4, through lm_eval's own Python entry."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    samples = {}
    for arm, arguments in {"bf16": {}, "nf4": {"load_in_4bit": True}}.items():
        model_args = {"pretrained": str(tiny_model), **arguments}
        manager = TaskManager(
            include_path=str(task_yamls()),
            include_defaults=False,
            metadata={**model_args, "data": "mini", "context_tokens": 600},
        )
        results = simple_evaluate(
            model="hf",
            model_args=model_args,
            tasks=["lamp_rag_k5"],
            task_manager=manager,
            limit=4,
            device="cpu",
            bootstrap_iters=100,
        )
        assert results is not None
        samples[arm] = results["samples"]
    return samples


def test_both_arms_get_identical_prompts(arms: Arms) -> None:
    for task in ("lamp3u_rag_k5", "lamp5u_rag_k5"):
        one, other = arms["bf16"][task], arms["nf4"][task]
        assert [s["prompt_hash"] for s in one] == [s["prompt_hash"] for s in other]
        assert [s["doc"] for s in one] == [s["doc"] for s in other]
        for sample in one:
            assert sample["doc"]["prompt_tokens"] <= 600 - sample["doc"]["answer_tokens"]
            assert sample["doc"]["kept"]


def test_the_arms_are_not_the_same_model(arms: Arms) -> None:
    answers = [[sample["resps"] for sample in arm["lamp5u_rag_k5"]] for arm in arms.values()]
    assert answers[0] != answers[1]


def test_chat_template(lm_eval_command: Command, tiny_model: Path, tmp_path: Path) -> None:
    done = lm_eval_command(
        *("--tasks", "lamp3u_rag_k3", "--model", "hf", "--model_args", f"pretrained={tiny_model}"),
        *("--metadata", metadata(data="mini"), "--limit", 3, "--apply_chat_template"),
        *("--system_instruction", "Be brief.", "--log_samples", "--output_path", tmp_path),
    )
    assert done.returncode == 0, done.stderr
    for sample in samples_of(tmp_path, "lamp3u_rag_k3"):
        prompt = sample["arguments"]["gen_args_0"]["arg_0"]
        assert prompt.startswith("<|system|>Be brief.<|end|><|user|>")
        assert prompt.endswith(sample["doc"]["prompt"] + "<|end|><|assistant|>")
        assert sample["doc"]["prompt_tokens"] + 16 <= 1024


def test_without_autoload(lm_eval_command: Command, few_tasks: str) -> None:
    done = lm_eval_command(
        *("--tasks", "lamp_rag_k1", "--model", "dummy", "--limit", 2),
        *("--metadata", metadata(data="mini"), "--include_path", task_yamls()),
        cold=True,
        QRAG_AUTOLOAD="0",
        PYTHONPATH=few_tasks,
    )
    assert done.returncode == 0, done.stderr
    assert "lamp5u_rag_k1" in done.stdout
    (rmse,) = [line for line in done.stdout.splitlines() if "|rmse " in line]
    assert "N/A" not in rmse
    assert "rmse_stderr" not in done.stdout


def test_lm_eval_finds_every_task_and_group_valid(lm_eval_command: Command, tmp_path: Path) -> None:
    names = ",".join([*CATALOG, *GROUPS, *TAGS])
    # Valid without any data.
    done = lm_eval_command("validate", "--tasks", names, QRAG_CACHE=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "All tasks found and valid" in done.stdout


def failing(done: subprocess.CompletedProcess[str]) -> str:
    """Check that a run failed as a user should see it, and return what it said."""
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Loading weights" not in done.stderr
    (line,) = [at for at in done.stderr.split("\n") if at.startswith("qrag-tasks: error: ")]
    return done.stderr[done.stderr.index(line) :]


def test_an_impossible_budget_fails_before_the_model_is_loaded(
    lm_eval_command: Command, tiny_model: Path
) -> None:
    done = lm_eval_command(
        *("--tasks", "lamp_rag_k5", "--model", "hf", "--model_args", f"pretrained={tiny_model}"),
        *("--metadata", metadata(data="mini", context_tokens=40), "--limit", 2),
    )
    assert "lamp3u, sample" in failing(done)
    assert "Initializing hf model" not in done.stderr


def test_missing_data_fails_with_instructions(lm_eval_command: Command, tmp_path: Path) -> None:
    done = lm_eval_command(
        *("--tasks", "lamp_rag_k5", "--model", "dummy"), QRAG_CACHE=str(tmp_path)
    )
    message = failing(done)
    assert str(tmp_path / "lamp" / "LaMP_3" / "dev" / "dev_questions.json") in message
    assert "mini" in message


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"metadata": {"data": "mini", "foo": 1}}, "unknown metadata key 'foo'"),
        ({"metadata": {"data": "mini", "retriever": "bm52"}}, "unknown retriever 'bm52'"),
        ({"metadata": {"data": "mini", "k": 3}}, "k is fixed by the task's name"),
        ({"metadata": {"data": "/nowhere"}}, "no such folder"),
        (
            {"metadata": {"data": "mini"}, "model": "hf", "model_args": {"pretrained": "/nowhere"}},
            "pretrained=/nowhere: no such folder",
        ),
        (
            {
                "metadata": {"data": "mini"},
                "model": "hf",
                "model_args": {"pretrained": "x", "autogptq": True},
            },
            "autogptq=True: AutoGPTQ is no longer maintained",
        ),
        (
            {
                "metadata": {"data": "mini"},
                "model": "qrag",
                "model_args": {"pretrained": __file__, "precision": "bf16"},
            },
            "test_main_job.py is a file: name the folder",
        ),
        (
            {
                "metadata": {"data": "mini"},
                "model": "qrag",
                "model_args": {"pretrained": "x", "load_in_4bit": True},
            },
            "with --model qrag, give precision=int4-nf4",
        ),
        ({"metadata": {"data": "mini"}, "limit": -1.0}, "--limit -1: give a number of samples"),
        (
            {"metadata": {"data": "mini"}, "samples": '{"lamp3u_rag_k5": ["0"]}'},
            "lamp3u_rag_k5: '0' is not a whole number",
        ),
        ({"metadata": {"data": "mini"}, "samples": "nowhere.json"}, "neither a file that is there"),
        (
            {"metadata": {"data": "mini"}, "samples": {"lamp_rag_k1": [0]}},
            "run, which has lamp3u_rag_k5$",
        ),
        (
            {"metadata": {"data": "mini"}, "tasks": ["lamp3u_rag_k5", "lamp5u_rag_k4,LaMP_3"]},
            "unknown tasks 'lamp5u_rag_k4', 'LaMP_3' ",
        ),
    ],
)
def test_bad_input_is_refused_before_the_model_is_loaded(
    choices: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qrag_tasks.errors import QragError

    config = configured(monkeypatch, **choices)
    with pytest.raises(QragError, match=message):
        config.process_tasks(config.metadata)


def configured(monkeypatch: pytest.MonkeyPatch, **choices: Any) -> Any:
    """Return lm_eval's ``EvaluatorConfig`` of a command line."""
    import lm_eval.tasks
    from lm_eval.config.evaluate_config import EvaluatorConfig

    # lm_eval's own thousands of task files take half a minute to index, and are not wanted here.
    class OurTasks(lm_eval.tasks.TaskManager):
        def __init__(self, include_path: Any = None, metadata: Any = None) -> None:
            super().__init__(
                include_path=str(task_yamls()), include_defaults=False, metadata=metadata
            )

    monkeypatch.setattr(lm_eval.tasks, "TaskManager", OurTasks)
    config = EvaluatorConfig(**{"model": "dummy", "tasks": ["lamp3u_rag_k5"], **choices})
    config._process_arguments()
    return config


def test_a_pattern_is_every_task_of_ours_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(monkeypatch, tasks=["lamp[1-7][ut]_rag_k1"], metadata={"data": "mini"})
    config.process_tasks(config.metadata)
    assert sorted(config.tasks) == sorted(f"{name}_rag_k1" for name in LAMP_TASKS)


def test_samples_of_a_group_and_blanks_on_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(
        monkeypatch,
        tasks=" lamp3u_rag_k5, lamp5u_rag_k5 ",
        metadata={"data": "mini"},
        samples='{"lamp_rag_k5": [0]}',
    )
    config.process_tasks(config.metadata)
    assert config.tasks == ["lamp3u_rag_k5", "lamp5u_rag_k5"]
    assert config.samples == {"lamp3u_rag_k5": [0], "lamp5u_rag_k5": [0]}


def test_a_run_without_our_tasks_is_left_alone_whatever_its_files_are_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QRAG_DATA", "/nowhere")
    (tmp_path / "lamp3u_rag_k5.yaml").write_text("task: mine\n", encoding="utf-8")
    config = configured(monkeypatch, tasks=[f"{tmp_path}/*.yaml"], metadata={"foo": 1})
    config.process_tasks(config.metadata)
    assert [task["task"] for task in config.tasks] == ["mine"]


def test_a_file_of_samples_that_is_not_json_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lm_eval._cli.harness import HarnessCLI
    from lm_eval.config.evaluate_config import EvaluatorConfig

    from qrag_tasks.errors import SettingsError

    file = tmp_path / "samples.json"
    file.write_text("{bad", encoding="utf-8")
    command = ["lm_eval", "--samples", str(file), "--tasks"]
    monkeypatch.setattr("sys.argv", [*command, "lamp3u_rag_k1"])
    with pytest.raises(SettingsError, match=r"samples.json: is not valid JSON: Expecting property"):
        EvaluatorConfig.from_cli(HarnessCLI().parse_args())
    monkeypatch.setattr("sys.argv", [*command, "hellaswag"])
    with pytest.raises(json.JSONDecodeError):
        EvaluatorConfig.from_cli(HarnessCLI().parse_args())


def test_a_tokenizer_without_chat_template_is_named(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from qrag_tasks.engines.tokenizers import chat_template_of
    from qrag_tasks.errors import SettingsError

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    assert chat_template_of(tokenizer, True, {})([{"role": "user", "content": "Hi"}]) == (
        "<|user|>Hi<|end|><|assistant|>"
    )
    tokenizer.chat_template = None
    with pytest.raises(SettingsError, match="tiny-llama has no such template"):
        chat_template_of(tokenizer, True, {})


def test_a_model_built_in_python_cannot_be_given_a_prompt_that_is_cut(
    tiny_model: Path, tmp_path: Path
) -> None:
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    questions, outputs = reviews(1, profile=10)
    questions[0]["input"] = REVIEW_INPUT + "kettle " * 1200
    write_flat(tmp_path, "lamp3u", questions, outputs)
    manager = TaskManager(
        include_path=str(task_yamls()), include_defaults=False, metadata={"data": str(tmp_path)}
    )
    model = HFLM(pretrained=str(tiny_model), device="cpu")
    with pytest.raises(BudgetError, match="question alone is 4842 tokens, but only 1008 are free"):
        simple_evaluate(model=model, tasks=["lamp3u_rag_k5"], task_manager=manager)
