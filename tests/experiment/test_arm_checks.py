"""What a plan's arms need, looked for before the first of them is run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from quantized_files import gptq_config, quantized_folder

from qrag_tasks.experiment.plan import check_plan

pytest.importorskip("torch", reason="the hf extra is not installed")


def mistakes_in(tmp_path: Path, models: Any, to_run: bool = False, **fields: Any) -> list[str]:
    """Return all that is wrong with a plan, without the name of its file and the line."""
    plan = {"name": "p", "precisions": ["bf16"], "tasks": ["lamp3u"], "k": [0]}
    path = tmp_path / "plan.yaml"
    path.write_text(json.dumps({**plan, "models": models, **fields}), encoding="utf-8")
    mistakes = check_plan(path, to_run=to_run)
    return [line.removeprefix(f"{path}:1: ") for line in (*mistakes.mistakes, *mistakes.missing)]


@pytest.mark.parametrize("to_run", [False, True])
def test_a_sound_arm(tiny_model: Path, tmp_path: Path, to_run: bool) -> None:
    model = {"name": "a", "pretrained": str(tiny_model), "args": {"max_length": 512}}
    assert mistakes_in(tmp_path, [model], to_run, precisions=["bf16", "int8", "int4-nf4"]) == []


def test_files_that_are_not_there(tiny_model: Path, tmp_path: Path) -> None:
    lacking = {
        "no-config": "config.json",
        "no-weights": "model.safetensors",
        "no-tokenizer": "tokenizer*",
    }
    for name, files in lacking.items():
        folder = shutil.copytree(tiny_model, tmp_path / name)
        for file in folder.glob(files):
            file.unlink()
    names = ["nowhere", *lacking]
    mistakes = mistakes_in(tmp_path, [{"name": name, "pretrained": f"./{name}"} for name in names])
    assert len(mistakes) == len(names)
    assert mistakes[0] == f"models[0].pretrained: {tmp_path}/nowhere: there is no such folder"
    assert "no-config has no config.json" in mistakes[1]
    assert "no-weights holds no weights" in mistakes[2]
    assert "no-tokenizer holds no tokenizer (tokenizer.json," in mistakes[3]
    # Another folder's will do, and has to be there.
    model = {"name": "a", "pretrained": "./no-tokenizer"}
    assert not mistakes_in(tmp_path, [{**model, "args": {"tokenizer": str(tiny_model)}}])
    (lone,) = mistakes_in(tmp_path, [{**model, "args": {"tokenizer": "./gone"}}])
    assert lone == f"models[0].args.tokenizer: {tmp_path}/gone: there is no such folder"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_lenght": 512}, "max_lenght=512: unknown to --model qrag, .*'max_length'"),
        ({"load_in_4bit": True}, "load_in_4bit=True: .*give precision=int4-nf4"),
        ({"dtype": "float17"}, "dtype=float17: torch has no such dtype"),
        ({"max_length": "long"}, "max_length=long: give a whole number above 0"),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_arguments(
    tiny_model: Path, tmp_path: Path, arguments: dict[str, Any], message: str, named: bool
) -> None:
    """Of a checkpoint that is here, and of one that is perhaps on the hub."""
    pretrained = str(tiny_model) if named else "owner/name"
    mistakes = mistakes_in(tmp_path, [{"name": "a", "pretrained": pretrained, "args": arguments}])
    assert len(mistakes) == 1, mistakes
    (name,) = arguments
    assert mistakes[0].startswith(f"models[0].args.{name}: ")
    assert re.search(message, mistakes[0])


def test_a_precision_that_the_checkpoint_cannot_have(tiny_model: Path, tmp_path: Path) -> None:
    packed = quantized_folder(tiny_model, tmp_path / "packed", gptq_config(32))
    mistakes = mistakes_in(
        tmp_path,
        [
            {"name": "a", "pretrained": str(packed), "precisions": ["int8"]},
            {
                "name": "b",
                "pretrained": str(tiny_model),
                "checkpoints": {"int4-gptq": str(tiny_model)},
                "precisions": ["bf16", "int4-gptq"],
            },
        ],
    )
    assert len(mistakes) == 2
    assert mistakes[0].startswith(
        f"models[0].pretrained: precision=int8: pretrained={packed} is qu"
    )
    assert mistakes[1].startswith(
        f"models[1].checkpoints.int4-gptq: precision=int4-gptq: pretrained={tiny_model} is not qu"
    )


def test_a_prompt_longer_than_the_window(tiny_model: Path, tmp_path: Path) -> None:
    """The model's own window has 1024 tokens."""
    one = {"name": "a", "pretrained": str(tiny_model)}
    (mistake,) = mistakes_in(tmp_path, [one], k=[0, "max4k"])
    assert mistake == (
        "k[1]: 'max4k' fills 4096 tokens, but the window of model 'a' has 1024: give that model "
        "a k of its own, without max4k"
    )
    (mistake,) = mistakes_in(tmp_path, [{**one, "k": ["max8k"]}], k=["max4k"])
    assert mistake.startswith("models[0].k[0]: 'max8k' fills 8192 tokens, but the window of model")
    (mistake,) = mistakes_in(tmp_path, [one], context_tokens=1025)
    assert mistake.startswith("context_tokens: 1025 tokens are more than the window of model 'a',")
    assert mistakes_in(tmp_path, [one], context_tokens=1024) == []
    assert mistakes_in(tmp_path, [{**one, "k": [0]}], k=[0, "max4k"]) == []
    assert mistakes_in(tmp_path, [{**one, "args": {"max_length": 4096}}], k=["max4k"]) == []


def test_a_tokenizer_that_the_plan_cannot_use(tiny_model: Path, tmp_path: Path) -> None:
    bare, cut = (shutil.copytree(tiny_model, tmp_path / name) for name in ("bare", "cut"))
    (bare / "chat_template.jinja").unlink()
    (cut / "tokenizer.json").write_text('{"version": "1.0", "trunc', encoding="utf-8")
    model = {"name": "a", "pretrained": "./bare"}
    assert mistakes_in(tmp_path, [model]) == []
    (mistake,) = mistakes_in(tmp_path, [model], chat_template=True)
    assert mistake.startswith(
        f"chat_template: the tokenizer of model 'a' in {bare}: it has no chat "
    )
    whole = {**model, "args": {"tokenizer": str(tiny_model)}}
    assert mistakes_in(tmp_path, [whole], chat_template=True) == []
    (mistake,) = mistakes_in(tmp_path, [{"name": "a", "pretrained": "./cut"}])
    assert mistake.startswith(f"models[0].pretrained: {cut}: tokenizer.json cannot be read: ")


def test_a_name_of_the_hub_is_asked_for_only_to_run(tmp_path: Path) -> None:
    model = {"name": "a", "pretrained": "owner/name"}
    assert mistakes_in(tmp_path, [model]) == []
    (mistake,) = mistakes_in(tmp_path, [model], to_run=True)  # offline, as all tests are
    assert "models[0].pretrained: owner/name: no such folder, and the hub does not give" in mistake
    # No name of a repository: it can only be a folder.
    (mistake,) = mistakes_in(tmp_path, [{"name": "a", "pretrained": "models/qwen/base"}])
    assert "no such folder" in mistake


def test_an_adapter_is_looked_at_before_the_first_arm_runs(
    tiny_model: Path, tmp_path: Path
) -> None:
    model = {"name": "a", "pretrained": str(tiny_model), "args": {"peft": str(tiny_model)}}
    assert mistakes_in(tmp_path, [model]) == []
    (mistake,) = mistakes_in(tmp_path, [model], to_run=True)
    assert f"models[0].args: peft={tiny_model} holds no adapter_config.json" in mistake
    gone = {**model, "args": {"peft": str(tmp_path / "gone")}}
    (mistake,) = mistakes_in(tmp_path, [gone], to_run=True)
    assert mistake == f"models[0].args.peft: {tmp_path}/gone: there is no such folder"


def test_one_mistake_does_not_hide_the_others(tiny_model: Path, tmp_path: Path) -> None:
    """Of the fields, of the plan as a whole, of what is on this machine: all in one message."""
    mistakes = mistakes_in(
        tmp_path,
        ["owner/x", {"name": "a", "args": {"max_lenght": 5}}, {"name": "b", "pretrained": "./b"}],
        precisions=["bf16", "int5", "bf16"],
        tasks=["lamp99u", "lamp3u"],
        k=[-1],
        protocol="yazan",
        fill="papr",
        data="./nowhere",
        retrievers=["bm52", 5, "bm25"],
        limit=0,
        sead=1,
    )
    places = [line.partition(": ")[0] for line in mistakes]
    assert sorted(places) == [
        *("data", "fill", "k[0]", "limit", "models[0]", "models[1].args.max_lenght"),
        *("models[2].pretrained", "precisions[1]", "precisions[2]", "protocol"),
        *("retrievers[0]", "retrievers[1]", "sead", "tasks[0]"),
    ]


@pytest.mark.parametrize("value", [None, True, 5, -1, 2.5, "x y", [], [[]], [None], {}, {"a": 1}])
def test_a_wrong_shape_is_told_in_our_words(tmp_path: Path, value: Any) -> None:
    from qrag_tasks.experiment.plan import Model, Plan

    for field in Plan.model_fields:
        for line in mistakes_in(tmp_path, **{"models": [{"name": "m"}], field: value}):
            assert not _pydantic(line), line
    for field in Model.model_fields:
        for line in mistakes_in(tmp_path, [{"name": "m", field: value}]):
            assert not _pydantic(line), line


def _pydantic(line: str) -> bool:
    words = ("Input should", "Value error", "valid ", "Tuple", "pydantic", "instance of")
    return any(word in line for word in words)


def test_torch_is_not_loaded_for_it(tiny_model: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        f"name: p\nmodels: [{{name: a, pretrained: {tiny_model}, args: {{max_length: 64}}}}]\n"
        "precisions: [bf16, int4-nf4]\ntasks: [lamp3u]\nk: [0]\n",
        encoding="utf-8",
    )
    code = (
        "import sys; from pathlib import Path\n"
        "from qrag_tasks.experiment.plan import read_plan\n"
        "read_plan(Path(sys.argv[1]), to_run=True)\n"
        "print([n for n in ('torch', 'transformers', 'lm_eval') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(plan)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


# ---------------------------------------------------------------------- engines
def served(folder: Path, **changes: Any) -> dict[str, Any]:
    arguments = {
        "engine": "server",
        "base_url": "http://localhost:8000/v1",
        "tokenizer": str(folder),
        "max_length": 1024,
        **changes,
    }
    return {name: value for name, value in arguments.items() if value is not None}


def test_a_model_on_a_server_needs_no_checkpoint(tiny_model: Path, tmp_path: Path) -> None:
    model = {"name": "a", "args": served(tiny_model)}
    for to_run in (False, True):
        assert mistakes_in(tmp_path, [model], to_run, precisions=["bf16", "int4-awq"]) == []
    (line,) = mistakes_in(tmp_path, [{**model, "pretrained": str(tiny_model)}])
    assert line == (
        "models[0].pretrained: engine 'server' loads no checkpoint in this process: leave it out"
    )
    (line,) = mistakes_in(tmp_path, [{**model, "checkpoints": {"bf16": str(tiny_model)}}])
    assert line.startswith("models[0].checkpoints.bf16: engine 'server' loads no checkpoint")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"base_url": None}, "models[0].args.engine: engine=server needs base_url= (the server"),
        ({"basse_url": "x"}, "models[0].args.engine: basse_url=x: unknown to engine=server"),
        ({"engine": "servers"}, "models[0].args.engine: unknown engine 'servers' (known: "),
        ({"tokenizer": "./gone"}, "models[0].args.tokenizer: {folder}/gone: there is no such"),
        ({"tokenizer": "{folder}"}, "models[0].args.tokenizer: {folder} holds no tokenizer"),
        ({"max_length": 512}, "context_tokens: 1000 tokens are more than the window of model 'a'"),
    ],
)
def test_what_is_wrong_with_a_model_on_a_server(
    tiny_model: Path, tmp_path: Path, changes: dict[str, Any], line: str
) -> None:
    changes = {
        name: value and str(value).replace("{folder}", str(tmp_path))
        for name, value in changes.items()
    }
    (mistake,) = mistakes_in(
        tmp_path, [{"name": "a", "args": served(tiny_model, **changes)}], context_tokens=1000
    )
    assert mistake.startswith(line.replace("{folder}", str(tmp_path)))


def test_an_engine_of_one_precision(tiny_model: Path, tmp_path: Path) -> None:
    model = {
        "name": "a",
        "pretrained": str(tiny_model),
        "args": {"max_length": 1024},
        "args_of": {"int4-awq": served(tiny_model, tokenizer=f"./{tiny_model.name}")},
    }
    (mistake,) = mistakes_in(tmp_path, [model], precisions=["bf16", "int4-awq"])
    assert mistake == (
        f"models[0].args_of.int4-awq.tokenizer: {tmp_path}/{tiny_model.name}: there is no such "
        f"folder"
    )
    model["args_of"] = {"int4-awq": served(tiny_model)}
    assert mistakes_in(tmp_path, [model], precisions=["bf16", "int4-awq"]) == []
    (mistake,) = mistakes_in(tmp_path, [model], precisions=["bf16"])
    assert mistake == "models[0].args_of.int4-awq: 'int4-awq' is no precision of model 'a'"
    model["args_of"] = {"bf16": {"max_lenght": 5}}
    (mistake,) = mistakes_in(tmp_path, [model])
    assert mistake.startswith("models[0].args_of.bf16.max_lenght: max_lenght=5: unknown")
    model["args_of"] = {"bf16": {"pretrained": "x"}}
    (mistake,) = mistakes_in(tmp_path, [model])
    assert "'pretrained' has a field of its own; leave it out of args_of" in mistake


def test_a_cache_that_the_engine_does_not_have(tiny_model: Path, tmp_path: Path) -> None:
    models = [
        {"name": "a", "pretrained": str(tiny_model)},
        {"name": "b", "pretrained": str(tiny_model), "kv_caches": ["auto", "int44"]},
    ]
    mistakes = mistakes_in(tmp_path, models, kv_caches=["auto", "fp9"])
    assert [line.partition(": kv_cache=")[0] for line in mistakes] == [
        "kv_caches[1]",
        "models[1].kv_caches[1]",
    ]
    assert all("engine=transformers does not keep" in line for line in mistakes)


def test_a_cache_that_does_not_go_with_another_argument(tiny_model: Path, tmp_path: Path) -> None:
    model = {"name": "a", "pretrained": str(tiny_model), "args": {"batching": "continuous"}}
    (mistake,) = mistakes_in(tmp_path, [model], kv_caches=["auto", "fp8"])
    assert mistake.startswith("kv_caches[1]: kv_cache=fp8 and batching=continuous: ")
