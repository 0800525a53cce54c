"""Every name of the table is taken away, and what the table says is lost is all that is lost."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from planted_lm_eval import plant, run_with
from warm_python import WarmPython

from qrag_tasks.arms import argument_names
from qrag_tasks.errors import ModelError, SettingsError
from qrag_tasks.harness import autoload
from qrag_tasks.locations import task_yamls
from qrag_tasks.upstream import name_checks
from qrag_tasks.upstream.inner_names import INNER_NAMES, InnerName

TORCH = importlib.util.find_spec("torch") is not None

# ---------------------------------------------------------------------- lm_eval, replaced
CREATORS = ("create_from_arg_obj", "create_from_arg_string")
TAKEN_OVER = (
    *("tok_encode", "tok_decode", "apply_chat_template", "tokenizer_name", "eot_token_id"),
    *("prefix_token_id", "max_gen_toks", "loglikelihood_rolling"),
)
OF_HFLM = ("_create_model", "_loglikelihood_tokens", "_model", "_rank", "_world_size")
AROUND_HFLM = (
    *("MODEL_MAPPING", "model_registry", "process_tasks", "from_cli", "task_dict"),
    *("stderr_for_metric", "make_table", "cache_db", "dbdict"),
)
"""What is called otherwise in the planted lm_eval: names, and parameters of theirs."""

OTHERWISE_MADE = """

_made_once = TaskManager.__init__


def _made(self, *folders, **more):
    _made_once(self, *folders, **more)


TaskManager.__init__ = _made
"""
"""What its users give ``TaskManager`` is documented; which parameters it names is not."""


def other(word: str) -> str:
    return f"{word}_as_it_is_called_now"


TESTS = f"import sys; sys.path.append({str(Path(__file__).parents[1])!r})\n"
IN_PROCESS = """
import contextlib, io, json, logging, sys
from pathlib import Path
from lm_eval.__main__ import cli_evaluate

seen = {}

def command(*words):
    sys.argv = ["lm_eval", *map(str, words)]
    out, log = io.StringIO(), io.StringIO()
    error, handler = "", logging.StreamHandler(log)
    logging.getLogger("lm_eval").addHandler(handler)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(log):
        try:
            cli_evaluate()
        except (Exception, SystemExit) as raised:
            error = f"{type(raised).__name__}: {raised}"
    logging.getLogger("lm_eval").removeHandler(handler)
    return {"out": out.getvalue(), "error": error, "log": log.getvalue()}

def keys(file):
    import sqlite3
    files = list(Path(file).parent.glob(Path(file).name + "*"))
    return [key for f in files for (key,) in sqlite3.connect(f).execute("select key from unnamed")]
"""

AROUND = """
tiny, ours, folder = sys.argv[1:]
folder = Path(folder)
mini = json.dumps({"data": "mini"})
own = ("--tasks", "lamp3u_rag_k1", "--include_path", ours, "--limit", "2", "--metadata")

from lm_eval.tasks import TaskManager
places = [None, ours]
seen["found"] = ["lamp3u_rag_k1" in TaskManager(include_path=place).all_tasks for place in places]
seen["dummy"] = command(*own, mini, "--model", "dummy", "--use_cache", folder / "answers")
seen["kept"] = keys(folder / "answers")
seen["misspelt"] = command(*own, json.dumps({"data": "mini", "kk": 1}), "--model", "dummy")
seen["qrag"] = command(*own, mini, "--model", "qrag")

import argparse
from lm_eval.config.evaluate_config import EvaluatorConfig
config = EvaluatorConfig.from_cli_as_it_is_called_now(argparse.Namespace(
    model="qrag", tasks=["lamp3u_rag_k1"], metadata={}, model_args={}))
seen["told to qrag"] = [config.batch_size, config.device]

from lm_eval import simple_evaluate
from lm_eval.models.dummy import DummyLM
class Cutting(DummyLM):
    max_length = 40
metadata = {"data": "mini"} | ({"tokenizer": tiny} if tiny else {})
found = simple_evaluate(Cutting(), tasks=["lamp3u_rag_k1"], limit=1, bootstrap_iters=0,
    task_manager=TaskManager(include_path=ours, metadata=metadata))
seen["prompt behind a window of 40"] = found["samples"]["lamp3u_rag_k1"][0]["doc"]["prompt_tokens"]

if tiny:
    seen["hf"] = command(*own, mini, "--model", "hf")
    from lm_eval.utils import make_table_as_it_is_called_now as make_table
    from click.testing import CliRunner
    from in_process_arms import InProcess
    from qrag_tasks.cli import main
    from qrag_tasks.experiment.running import launchers
    launchers.Here = InProcess  # and no process that would import all of it again
    plan = folder / "plan.yaml"
    plan.write_text(json.dumps({"name": "p", "data": "mini", "precisions": ["fp32"],
        "models": [{"name": "m", "pretrained": tiny}], "tasks": ["lamp3u"], "k": [1], "limit": 2}))
    seen["run"] = CliRunner().invoke(main, ["run", str(plan), "--out", str(folder / "grid")]).output
    (file,) = (folder / "grid").rglob("results_*.json")
    results = json.loads(file.read_text())
    seen["cost"] = results["config"]["qrag"]["cost"]
    seen["table"] = make_table(results)
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def around(
    bare_python: WarmPython,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Any:
    """What is seen with an lm_eval in which all is other but what is inside ``HFLM``."""
    folder = tmp_path_factory.mktemp("around")
    site = plant(folder / "site", {word: other(word) for word in AROUND_HFLM})
    with (site / "lm_eval" / "tasks" / "manager.py").open("a", encoding="utf-8") as file:
        file.write(OTHERWISE_MADE)
    tiny = str(request.getfixturevalue("tiny_model")) if TORCH else ""
    code = TESTS + IN_PROCESS + AROUND
    done = run_with(bare_python, site, code, tiny, str(task_yamls()), str(folder))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) | {"warnings": done.stderr}


INSIDE = """
tiny, ours, folder = sys.argv[1:]
folder = Path(folder)
mini = {"data": "mini"}
own = ("--tasks", "lamp3u_rag_k1", "--include_path", ours, "--limit", "2", "--metadata")
hf = ("--model", "hf", "--model_args", f"pretrained={tiny}")

from qrag_tasks.harness.autoload import STEPPED_ASIDE
from qrag_tasks.upstream.name_checks import look
seen["doctor"] = [each.row.name for each in look(STEPPED_ASIDE) if each.there is False]
try:
    from qrag_tasks.harness.model import QragLM
    QragLM(tiny)
except Exception as error:
    seen["qrag"] = f"{type(error).__name__}: {error}"
seen["4bit"] = command(*own, json.dumps(mini), *hf[:3], hf[3] + ",load_in_4bit=True")
answers = folder / "hf"
seen["likelihood"] = command(
    *own, json.dumps({**mini, "answer": "likelihood"}), *hf, "--use_cache", answers)
seen["kept of hf"] = keys(answers)
seen["dummy"] = command(*own, json.dumps(mini), "--model", "dummy", "--use_cache", folder / "dummy")
seen["kept of dummy"] = keys(folder / "dummy")
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def inside(
    bare_python: WarmPython,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Any:
    """What is seen with an lm_eval whose ``HFLM``, and way of creating a model, are other."""
    if not TORCH:
        pytest.skip("the hf extra is not installed")
    folder = tmp_path_factory.mktemp("inside")
    site = plant(folder / "site", {word: other(word) for word in (*OF_HFLM, *CREATORS)})
    tiny = str(request.getfixturevalue("tiny_model"))
    done = run_with(bare_python, site, IN_PROCESS + INSIDE, tiny, str(task_yamls()), str(folder))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) | {"warnings": done.stderr}


def rows_of(table: str) -> dict[str, list[str]]:
    """Return the rows of lm_eval's table: metric -> (value, standard error)."""
    cells = [[cell.strip() for cell in line.split("|")] for line in table.splitlines()]
    return {row[5]: [row[7], row[9]] for row in cells if len(row) > 9}


def tasks_are_found_by_include_path(seen: Any) -> None:
    assert seen["found"] == [False, True]


def qrag_is_unknown_to_the_command_alone(seen: Any) -> None:
    assert "no model for this name found" in seen["qrag"]["error"]
    if TORCH:
        assert "1 of 1 cells complete" in seen["run"]


def pretrained_has_to_be_given(seen: Any) -> None:
    assert "Initializing dummy model" in seen["dummy"]["log"]
    if TORCH:
        assert "missing 1 required positional argument: 'pretrained'" in seen["hf"]["error"]


def qrag_is_given_what_nobody_asked_for(seen: Any) -> None:
    assert seen["told to qrag"] == [1, "cuda:0"]
    if TORCH:
        from qrag_tasks.arms.devices import checked_device

        with pytest.raises(SettingsError, match="give --device cpu"):
            checked_device("cuda:99")


def nothing_is_checked_in_a_run(seen: Any) -> None:
    assert seen["misspelt"]["error"] == ""
    if TORCH:
        assert seen["prompt behind a window of 40"] > 40


def our_standard_errors_are_unknown(seen: Any) -> None:
    table = rows_of(seen["dummy"]["out"])
    assert table["rmse"] == [table["rmse"][0], "N/A"]
    assert float(table["mae"][1]) > 0


def the_cost_stands_in_the_results_alone(seen: Any) -> None:
    if TORCH:
        assert seen["cost"]["generated_tokens"] > 0
        assert list(rows_of(seen["table"])) == list(rows_of(seen["table"].split("\n\n")[0]))
        assert "prefill" not in seen["table"]


def the_table_has_one_row_more(seen: Any) -> None:
    assert rows_of(seen["dummy"]["out"])["unfinished_thought_rate"][0] == "0.0000"


def answers_are_kept_without_their_arm(seen: Any) -> None:
    assert len(seen["kept"]) == 2
    assert not any(":" in key for key in seen["kept"])


AROUND_CHECKS: Mapping[str, Callable[[Any], None]] = {
    "add_task_folder": tasks_are_found_by_include_path,
    "register_model": qrag_is_unknown_to_the_command_alone,
    "check_before_the_model_loads": pretrained_has_to_be_given,
    "read_the_command_line": qrag_is_given_what_nobody_asked_for,
    "check_every_run": nothing_is_checked_in_a_run,
    "add_standard_errors": our_standard_errors_are_unknown,
    "add_cost_table": the_cost_stands_in_the_results_alone,
    "hide_what_never_happened": the_table_has_one_row_more,
    "keep_answers_apart": answers_are_kept_without_their_arm,
}


def four_bits_fail(seen: Any) -> None:
    assert "load_in_4bit" in seen["4bit"]["error"]
    assert seen["qrag"].startswith("ModelError: ")


def likelihoods_are_measured_as_lm_eval_does(seen: Any) -> None:
    assert seen["likelihood"]["error"] == ""
    assert float(rows_of(seen["likelihood"]["out"])["nll"][0]) > 0


def answers_of_transformers_alone_are_kept(seen: Any) -> None:
    assert seen["dummy"]["error"] == ""
    assert "cannot be told from those of another model" in seen["dummy"]["log"]
    assert [key for key in seen["kept of dummy"] if not key.startswith("qrag-arm:")] == []
    assert len(seen["kept of hf"]) > 2
    assert all(":" in key for key in seen["kept of hf"])


INSIDE_CHECKS: Mapping[str, Callable[[Any], None]] = {
    "repair_hflm": four_bits_fail,
    "measure_behind_the_prompt": likelihoods_are_measured_as_lm_eval_does,
    "remember_creation": answers_of_transformers_alone_are_kept,
}

PATCHES = [patch for patches in autoload.PATCHES.values() for patch in patches]


@pytest.mark.parametrize("patch", PATCHES)
def test_without_a_patch_is_lost_what_its_row_says(
    patch: str, request: pytest.FixtureRequest
) -> None:
    """The rest of a run goes on; one warning says what is lost."""
    where = "around" if patch in AROUND_CHECKS else "inside"
    seen = request.getfixturevalue(where)
    {**AROUND_CHECKS, **INSIDE_CHECKS}[patch](seen)
    told = seen["warnings"] + "".join(
        each["log"] for each in seen.values() if isinstance(each, dict) and "log" in each
    )
    assert told.count(f", so {name_checks.lost_without(patch)}. `qrag doctor` says more") == 1
    assert "circular import" not in told


@pytest.mark.parametrize("name", OF_HFLM)
def test_what_qrag_needs_of_hflm_is_missed_by_name(name: str, inside: Any) -> None:
    assert f"lm_eval.models.huggingface.HFLM.{name}" in inside["doctor"]


def test_qrag_is_refused(inside: Any) -> None:
    (names,) = re.findall(
        r"ModelError: lm_eval 0\.\S+ has no lm_eval\S+HFLM\.(\S+),", inside["qrag"]
    )
    assert names in OF_HFLM
    assert "docs/upstream.md says which releases" in inside["qrag"]


@pytest.mark.skipif(not TORCH, reason="the hf extra is not installed")
@pytest.mark.parametrize("name", TAKEN_OVER)
def test_what_qrag_takes_over_from_hflm_is_missed_by_name(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lm_eval.models.huggingface import HFLM

    from qrag_tasks.harness import tokenized_lm

    for kind in HFLM.__mro__:
        if name in vars(kind):
            monkeypatch.delattr(kind, name)
    monkeypatch.delitem(sys.modules, tokenized_lm.__name__)
    with pytest.raises(ModelError, match=rf"has no lm_eval\S+HFLM\.{name}, which qrag_tasks"):
        importlib.import_module(tokenized_lm.__name__)


# ---------------------------------------------------------------------- lm_eval, read
def row_of(name: str) -> InnerName:
    (row,) = (row for row in INNER_NAMES if row.name == name and row.use == "read")
    return row


OF_LM_EVAL = [
    row.name for row in INNER_NAMES if (row.distribution, row.guard) == ("lm_eval", "fails")
]


@pytest.mark.parametrize("name", OF_LM_EVAL)
def test_a_function_of_lm_eval_that_is_gone_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, (place, _, function) = row_of(name), name.rpartition(".")
    if not TORCH and (place.endswith("utils_hf") or row.by.startswith("engines")):
        pytest.skip("the hf extra is not installed")
    user = importlib.import_module(f"qrag_tasks.{row.by}")
    monkeypatch.delattr(importlib.import_module(place), function)
    with pytest.raises(ImportError, match=rf"cannot import name '{function}' from '{place}'"):
        monkeypatch.delitem(sys.modules, user.__name__)
        importlib.import_module(user.__name__)


def test_the_command_says_in_one_line_what_it_lacks(
    bare_python: WarmPython, tmp_path: Path
) -> None:
    site = plant(tmp_path / "site", {"normalize_gen_kwargs": other("normalize_gen_kwargs")})
    done = run_with(
        *(bare_python, site),
        "import sys; from lm_eval.__main__ import cli_evaluate; cli_evaluate()",
        *("--tasks", "lamp3u_rag_k1", "--model", "dummy", "--metadata", '{"data": "mini"}'),
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert re.match(
        r"qrag-tasks: error: lm_eval 0\.\S+ has no lm_eval\.models\.utils\.normalize_gen_kwargs, "
        r"which qrag_tasks\.harness\.windows needs: the tasks cannot be had\. docs/upstream",
        line,
    )


# ---------------------------------------------------------------------- the model's libraries
OF_LAYERS = ("_save_to_state_dict", "_forward_hooks", "_forward_pre_hooks")
OF_ARMS = ("_keep_in_fp32_modules", "_keep_in_fp32_modules_strict")
KERNEL = "torch.ops.aten._flash_attention_forward"
ATTENTION = "transformers.PretrainedConfig._attn_implementation"
LOADER = "transformers.models.auto.auto_factory._BaseAutoModelClass"
MACHINE = "torch.utils.collect_env.get_pretty_env_info"
OFFLOADED = "accelerate.hooks.add_hook_to_module._hf_hook"
PACKING = "bitsandbytes.nn.Linear4bit.support_avx512bf16_for_cpu"


@pytest.fixture(scope="module")
def hf(request: pytest.FixtureRequest) -> Any:
    """An arm of ``--model hf``, which every test leaves as it was."""
    huggingface = pytest.importorskip(
        "lm_eval.models.huggingface", reason="the hf extra is not installed"
    )
    return huggingface.HFLM(str(request.getfixturevalue("tiny_model")), device="cpu")


@pytest.mark.parametrize("name", OF_LAYERS)
def test_without_what_a_layer_holds_an_arm_has_no_identity(
    name: str, hf: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from qrag_tasks.arms.identity import arm_identity

    assert arm_identity(hf).known
    owner = torch.nn.Module if hasattr(torch.nn.Module, name) else hf.model.lm_head
    monkeypatch.delattr(owner, name)
    with pytest.raises(AttributeError, match=rf"no attribute '{name}'"):
        arm_identity(hf)
    assert row_of(f"torch.nn.Module.{name}").guard == "fails"


def test_without_its_attention_an_arm_is_known_all_the_same(
    hf: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import PretrainedConfig

    from qrag_tasks.arms.identity import arm_identity

    before = arm_identity(hf)
    monkeypatch.delattr(PretrainedConfig, "_attn_implementation")
    after = arm_identity(hf)
    assert after.known
    changed = {name for name in before.parts if before.parts[name] != after.parts[name]}
    assert changed == {"attention"}
    assert after.parts["attention"] is None
    assert row_of(ATTENTION).guard == "does without"


@pytest.mark.parametrize("name", OF_ARMS)
def test_without_its_list_float32_in_a_16_bit_arm_is_refused(
    name: str, hf: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from qrag_tasks.arms.precisions import precision
    from qrag_tasks.arms.verification import verify

    model = type(hf.model)(hf.model.config).to(torch.bfloat16)
    model.model.layers[0].mlp.up_proj.float()
    monkeypatch.setattr(model, name, ["up_proj"])
    assert verify(model, precision("bf16")).precision == "bf16"
    monkeypatch.undo()
    for kind in type(model).__mro__:
        if name in vars(kind):
            monkeypatch.delattr(kind, name)
    with pytest.raises(ModelError, match="up_proj"):
        verify(model, precision("bf16"))
    assert row_of(f"transformers.PreTrainedModel.{name}").guard == "does without"


def test_without_its_hook_what_is_offloaded_has_no_identity(
    hf: Any, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelerate import cpu_offload

    from qrag_tasks.arms.identity import arm_identity

    other = type(hf)(str(tiny_model), device="cpu")
    cpu_offload(other.model)
    assert arm_identity(other).known
    for layer in other.model.modules():
        monkeypatch.delattr(layer, "_hf_hook", raising=False)
    assert not arm_identity(other).known
    assert row_of(OFFLOADED).guard == "does without"


def test_without_its_switch_4_bits_stay_as_bitsandbytes_packs_them() -> None:
    pytest.importorskip("torch", reason="the hf extra is not installed")
    from bitsandbytes.nn import Linear4bit

    from qrag_tasks.arms.formats.bitsandbytes import unpack_for_every_pass

    _, _, switch = PACKING.rpartition(".")
    layer = Linear4bit(64, 64)
    delattr(layer, switch)
    unpack_for_every_pass(layer)
    assert not hasattr(layer, switch)
    (row,) = (row for row in INNER_NAMES if row.name == PACKING)
    assert row.guard == "does without"


def test_without_its_flash_kernel_continuous_batching_takes_another_attention(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch = pytest.importorskip("torch", reason="the hf extra is not installed")
    from qrag_tasks.engines.transformers import packed_attention

    model = SimpleNamespace(device=torch.device("cuda"), dtype=torch.float16)
    assert packed_attention.name_for(model) is not None
    lacking = SimpleNamespace(ops=SimpleNamespace(aten=SimpleNamespace()), float16=torch.float16)
    monkeypatch.setattr(packed_attention, "torch", lacking)
    assert packed_attention.name_for(model) is None
    assert row_of(KERNEL).guard == "does without"


def test_without_a_class_of_transformers_some_of_its_arguments_are_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transformers = pytest.importorskip("transformers", reason="the hf extra is not installed")
    known = argument_names.of_transformers()
    (folder,) = map(Path, transformers.__path__)
    for file in ("__init__.py", "modeling_utils.py", "models/auto/auto_factory.py"):
        copy = tmp_path / "transformers" / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / file, copy)
    text = copy.read_text(encoding="utf-8")
    copy.write_text(text.replace("_BaseAutoModelClass", other("_BaseAutoModelClass")), "utf-8")
    planted = ModuleType("transformers")
    planted.__spec__ = importlib.util.spec_from_file_location(
        "transformers", tmp_path / "transformers" / "__init__.py"
    )
    monkeypatch.setitem(sys.modules, "transformers", planted)
    monkeypatch.setattr(argument_names, "_taken_by", argument_names._taken_by.__wrapped__)
    names = argument_names.of_transformers()
    assert "device_map" in names
    assert names < known
    assert row_of(LOADER).guard == "does without"


def test_what_is_pinned_is_so() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    for name in {row.distribution for row in INNER_NAMES if row.guard == "pinned"}:
        assert re.findall(rf'"{name}([^"]*)"', text)[0].startswith("==")


OF_EXTRAS = {
    "arms.formats.quanto",
    "engines.transformers.cache_layers",
    "engines.vllm.fp8_on_cpu",
    "engines.vllm.kv_cache",
    "engines.vllm.loading",
}
"""Whose names their own tests show, with the extra's package in an environment of its own."""


@pytest.mark.skipif(not TORCH, reason="the hf extra is not installed")
def test_without_what_describes_the_machine_a_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from lm_eval.models.dummy import DummyLM
    from torch.utils import collect_env

    from qrag_tasks.harness.evaluation import evaluate

    monkeypatch.delattr(collect_env, "get_pretty_env_info")
    found = evaluate(DummyLM(), ["lamp3u_rag_k0"], {"data": "mini"}, limit=1)
    assert "get_pretty_env_info" in found["pretty_env_info"]


def test_every_row_is_taken_away_here() -> None:
    taken = {
        *OF_LM_EVAL,
        *(f"torch.nn.Module.{name}" for name in OF_LAYERS),
        *(f"transformers.PreTrainedModel.{name}" for name in OF_ARMS),
        *(f"lm_eval.models.huggingface.HFLM.{name}" for name in (*OF_HFLM, *TAKEN_OVER)),
        *(KERNEL, ATTENTION, LOADER, OFFLOADED, MACHINE, PACKING),
    }
    for row in INNER_NAMES:
        known = row.patch in PATCHES or row.guard == "pinned" or row.name in taken
        assert known or row.by in OF_EXTRAS, row
    assert {*AROUND_CHECKS, *INSIDE_CHECKS} == set(PATCHES)
