"""The table of inner names is what the code does, and lm_eval may lose any of them."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner
from planted_lm_eval import plant, run_with
from warm_python import WarmPython

from qrag_tasks.arms import argument_names
from qrag_tasks.cli import main
from qrag_tasks.errors import ModelError
from qrag_tasks.harness import autoload, patches
from qrag_tasks.harness.patches import registration
from qrag_tasks.locations import task_yamls
from qrag_tasks.upstream.inner_names import GUARDS, INNER_NAMES, InnerName
from qrag_tasks.upstream.name_checks import look

PACKAGE = Path(autoload.__file__).parents[1]
SOURCES = sorted(PACKAGE.rglob("*.py"))
TORCH = importlib.util.find_spec("torch") is not None
STEPS_ASIDE = [row for row in INNER_NAMES if row.guard == "steps aside"]

PYTHONS_OWN = {"_asdict", "_exit", "_getframe", "_initializing", "_replace", "_version"}
"""Documented names with an underscore (of torch, the count of a tensor's changes), and one of
importlib that has a default here."""

TEXTS = {"_", "_k", "_key", "_lamp", "_metadata", "_rag", "_rag_k", "_ratio", "_stderr", "_token"}
TEXTS |= {"_seconds", "_type", "_weight_qdata", "_weight_scale", "_per_token_head", "_low", "_high"}
TEXTS |= {
    "_register_",
    "_spec",
    "_load_in_",
    "_token_id",
    "_yaml",
    "_commit_hash",
    "_fast_init",
    "_name_or_path",
}
"""Texts with an underscore that name no attribute: parts of words, keys of a config.json."""

DOCUMENTED = {
    "lm_eval": {"simple_evaluate"},
    "lm_eval.api": {"registry"},
    "lm_eval.api.model": {"TemplateLM"},
    "lm_eval.api.instance": {"Instance"},
    "lm_eval.api.registry": {"register_model"},
    "lm_eval.api.task": {"ConfigurableTask"},
    "lm_eval.loggers": {"EvaluationTracker"},
    "lm_eval.models.huggingface": {"HFLM"},
    "lm_eval.tasks": {"TaskManager"},
}
"""What lm_eval's guides have others import."""


CREATORS = ("create_from_arg_obj", "create_from_arg_string")


def row_id(row: InnerName) -> str:
    return f"{row.name.removeprefix('lm_eval.')}-{row.patch}"


# ---------------------------------------------------------------------- the table and the code
REPLACED = """
import importlib, inspect, json, sys
from qrag_tasks.harness import autoload
ours = autoload.__file__.rpartition("/harness/")[0]
for name in autoload.PATCHES:
    if {torch} or not name.endswith("huggingface"):
        importlib.import_module(name)
def of_ours(thing):
    thing = getattr(thing, "__func__", thing)
    code = getattr(thing, "__code__", None)
    return code is not None and code.co_filename.startswith(ours)
found = {{}}
for name, module in sorted(sys.modules.items()):
    if name.partition(".")[0] == "lm_eval":
        for key, value in vars(module).items():
            if of_ours(value):
                found.setdefault(id(value), []).append(f"{{name}}.{{key}}")
            elif inspect.isclass(value) and value.__module__ == name:
                for k, v in vars(value).items():
                    if of_ours(v):
                        found.setdefault(id(v), []).append(f"{{name}}.{{value.__qualname__}}.{{k}}")
print(json.dumps(list(found.values())))
"""


def test_what_is_replaced_in_lm_eval_has_a_row(warm_python: WarmPython) -> None:
    done = warm_python.run(["-c", REPLACED.format(torch=TORCH)], os.environ)
    assert (done.returncode, done.stderr) == (0, "")
    told = {row.name for row in STEPS_ASIDE if row.use == "replaced"}
    told -= {"lm_eval.models.MODEL_MAPPING", "lm_eval.api.registry.model_registry"}  # no functions
    if not TORCH:
        told = {name for name in told if ".huggingface." not in name}
    seen = set()
    for names in json.loads(done.stdout):  # of one function: where it is, and where imported
        # What LM has is replaced in the classes that override it, too.
        names = [name for name in names if not name.endswith(CREATORS) or ".api.model.LM." in name]
        assert not names or told.intersection(names), names
        seen |= told.intersection(names)
    assert seen == told


def test_every_patch_has_a_row_and_every_row_its_patch() -> None:
    adapted = {patch: module for module, names in autoload.PATCHES.items() for patch in names}
    assert {row.patch for row in STEPS_ASIDE} == set(adapted)
    for row in STEPS_ASIDE:
        assert callable(getattr(patches, row.patch))
        if row.name != "lm_eval.api.registry.model_registry":
            assert row.name.startswith(f"{adapted[row.patch]}."), row
    assert set(autoload.GUARDS) <= set(adapted)


def test_the_module_of_a_row_uses_its_name() -> None:
    for row in INNER_NAMES:
        home = f"qrag_tasks.{row.by}"
        if row.patch:
            home = getattr(patches, row.patch).__module__
        spec = importlib.util.find_spec(home)
        assert spec is not None, row
        assert spec.origin is not None, row
        text = Path(spec.origin).read_text(encoding="utf-8")
        if row.patch == "remember_creation" or row.patch == "keep_answers_apart":
            text += (PACKAGE / "harness" / "answer_cache.py").read_text(encoding="utf-8")
        assert row.name.rpartition(".")[2] in text, row


@cache
def parsed() -> dict[Path, ast.AST]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}


def own_names(tree: ast.AST) -> Iterator[str]:
    """What a file defines, or gives an object of its own."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield from [node.attr] * (isinstance(node.value, ast.Name) and node.value.id == "self")


def private_names(tree: ast.AST) -> Iterator[str]:
    """Every name with one underscore that a file reads or sets, and every text like one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
            yield from (node.module or "").split(".")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from [node.value] * node.value.isidentifier()


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def test_every_name_with_an_underscore_is_ours_or_has_a_row() -> None:
    rows = {part for row in INNER_NAMES for part in row.name.split(".")}
    trees = parsed()
    # An object of a private class of ours may be used in another file.
    ours = {name for tree in trees.values() for name in own_names(tree)} - rows
    unknown = {
        f"{path.relative_to(PACKAGE)}: {name}"
        for path, tree in trees.items()
        for name in filter(is_private, private_names(tree))
        if name not in rows | ours | PYTHONS_OWN | TEXTS
    }
    assert unknown == set()


def test_the_search_finds_what_it_is_for() -> None:
    tree = ast.parse(
        "from lm_eval._cli import x\n"
        "class A:\n"
        "    def f(self, lm): self._own = lm._model; getattr(lm, '_rank'); lm._set = 1\n"
    )
    names = set(filter(is_private, private_names(tree)))
    assert names == {"_cli", "_own", "_model", "_rank", "_set"}
    assert set(filter(is_private, own_names(tree))) == {"_own"}


def test_what_is_imported_from_lm_eval_is_documented_or_has_a_row() -> None:
    rows = {row.name for row in INNER_NAMES}
    unknown = {
        f"{node.module}.{alias.name}"
        for tree in parsed().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lm_eval")
        for alias in node.names
        if alias.name not in DOCUMENTED.get(node.module or "", ())
        and f"{node.module}.{alias.name}" not in rows
    }
    assert unknown == set()


# ---------------------------------------------------------------------- a name that is gone
def test_all_are_there() -> None:
    for each in look(autoload.STEPPED_ASIDE):
        assert each.there is not False, each
        if TORCH and importlib.util.find_spec(each.row.distribution):
            assert each.there, each


def owner_of(name: str) -> tuple[Any, str]:
    """What holds a name, a module or a class, and its own name there."""
    place, _, attribute = name.rpartition(".")
    if importlib.util.find_spec(place.rpartition(".")[0]) and place.rpartition(".")[2][0].isupper():
        module, _, kind = place.rpartition(".")
        return getattr(importlib.import_module(module), kind), attribute
    return importlib.import_module(place), attribute


def take_away(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    owner, attribute = owner_of(name)
    for each in getattr(owner, "__mro__", (owner,)):
        if attribute in vars(each) and each is not object:
            monkeypatch.delattr(each, attribute)


def contents() -> dict[str, Any]:
    """What the names hold that are replaced in lm_eval, as far as they are there."""
    found = {}
    for row in STEPS_ASIDE:
        if TORCH or ".huggingface." not in row.name:
            owner, attribute = owner_of(row.name)
            found[row.name] = vars(owner).get(attribute)
    found["mapping"] = dict(
        vars(importlib.import_module("lm_eval.models")).get("MODEL_MAPPING", {})
    )
    return found


@pytest.mark.parametrize(
    "row",
    # Of a class that has none, Python's own is found; the next test has the other.
    [row for row in STEPS_ASIDE if not row.name.endswith(("__init_subclass__", ".dbdict"))],
    ids=row_id,
)
def test_without_the_name_its_patch_changes_nothing(
    row: InnerName, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if ".huggingface." in row.name and not TORCH:
        pytest.skip("the hf extra is not installed")
    (module_name,) = (name for name, found in autoload.PATCHES.items() if row.patch in found)
    module = importlib.import_module(module_name)
    contents()  # imports all modules
    take_away(monkeypatch, row.name)
    before = contents()
    monkeypatch.setattr(autoload, "STEPPED_ASIDE", {})
    monkeypatch.setitem(vars(module), "__adapted_by_qrag_tasks__", [])
    autoload._apply(row.patch, module)
    assert list(autoload.STEPPED_ASIDE) == [row.patch]
    assert "qrag-tasks: WARNING" in capsys.readouterr().err
    assert contents() == before


def test_a_cache_that_is_kept_otherwise_is_left_alone() -> None:
    changed = ModuleType("lm_eval.api.model")

    class CachingLM:
        def __init__(self, lm: object, cache_db: str) -> None:
            self.answers: dict[str, str] = {}

        def __getattr__(self, name: str) -> object: ...

    class CacheHook:
        def __init__(self, cachinglm: object) -> None: ...

    changed.CachingLM, changed.CacheHook = CachingLM, CacheHook  # type: ignore[attr-defined]
    before = dict(vars(CachingLM))
    with pytest.raises(TypeError, match="has no dbdict"):
        patches.keep_answers_apart(changed)
    assert dict(vars(CachingLM)) == before


@pytest.mark.skipif(not TORCH, reason="the hf extra is not installed")
def test_without_what_it_overrides_the_model_is_refused(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    from qrag_tasks.harness.model import QragLM

    name = "lm_eval.models.huggingface.HFLM._create_model"
    take_away(monkeypatch, name)
    with pytest.raises(ModelError, match=rf"lm_eval 0\.\S+ has no {re.escape(name)}"):
        QragLM(str(tiny_model))


def test_without_a_class_its_arguments_are_not_known() -> None:
    if TORCH:
        assert "trust_remote_code" in argument_names.of_transformers()
    names = argument_names._taken_by(
        "qrag_tasks", "prompting/prompt_docs.py", "NoSuchClass", "__init__"
    )
    assert names == frozenset()


def test_doctor_tells_what_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    take_away(monkeypatch, "lm_eval.utils.make_table")
    take_away(monkeypatch, "lm_eval.tasks.manager.TaskManager")
    done = CliRunner().invoke(main, ["doctor"])
    printed = " ".join(done.output.split())
    assert "lm_eval.utils.make_table is not what is expected" in printed
    assert "the cost stands in the results file alone" in printed
    assert done.exit_code == 1
    if TORCH:
        assert done.output.splitlines()[-1].startswith('lm_eval --include_path "$(qrag path)" ')


def test_doctor_lists_them() -> None:
    done = CliRunner().invoke(main, ["doctor", "--names"])
    printed = " ".join(done.output.split())
    assert done.exit_code == 0
    for word in ("lm_eval.evaluator.evaluate", "steps aside", "not looked for", GUARDS["pinned"]):
        assert word in printed


# ---------------------------------------------------------------------- lm_eval's next releases
NEXT = """
import sys
import lm_eval.evaluator, lm_eval.evaluator_utils, lm_eval.models.utils
from lm_eval.api.task import ConfigurableTask

# What lm_eval 0.5 does not have any more.
def gone(module, name):
    original = vars(module).pop(name)
    for other in list(sys.modules.values()):  # lm_eval's own go on with what they have
        assert other is not module or not hasattr(other, name)
    return original
gone(lm_eval.evaluator_utils, "get_sample_size")
gone(lm_eval.models.utils, "resolve_max_length")
def of_lm_eval_alone(self, name):
    caller = sys._getframe(1).f_code.co_filename
    if name in ("_aggregation_list", "_instances") and "qrag_tasks" in caller:
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
    return object.__getattribute__(self, name)
ConfigurableTask.__getattribute__ = of_lm_eval_alone

# And what it asks for.
from lm_eval.api.instance import Instance
made = Instance.__init__
def with_doc_id(self, *args, **kwargs):
    if "qrag_tasks" in sys._getframe(1).f_code.co_filename and kwargs.get("doc_id") is None:
        raise TypeError("Instance.__init__() missing 1 required argument: 'doc_id'")
    made(self, *args, **kwargs)
Instance.__init__ = with_doc_id

from lm_eval.__main__ import cli_evaluate
sys.argv = ["lm_eval", *sys.argv[1:]]
cli_evaluate()
"""


@pytest.mark.parametrize("answer", ["generate", "likelihood"])
def test_it_runs_on_an_lm_eval_that_lacks_what_the_next_ones_lack(
    answer: str, bare_python: WarmPython, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    metadata: dict[str, Any] = {"data": "mini", "answer": answer}
    if TORCH:
        metadata["tokenizer"] = str(request.getfixturevalue("tiny_model"))
    done = bare_python.run(
        [
            *("-c", NEXT, "--tasks", "lamp3u_rag_k1", "--model", "dummy"),
            *("--limit", "0.05", "--metadata", json.dumps(metadata)),
            *("--log_samples", "--output_path", str(tmp_path)),
        ],
        {**os.environ, "QRAG_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stderr
    assert "qrag-tasks: WARNING" not in done.stderr
    assert "valid_rate" in done.stdout if answer == "generate" else "nll" in done.stdout
    (samples,) = tmp_path.rglob("samples_*.jsonl")
    rows = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    assert {row["doc"]["requested"] for row in rows} == {1}


READS = """
import importlib, json, sys
from importlib.metadata import entry_points
def announced(): return entry_points(group={group!r})
"""


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A copy of lm_eval's code, without its own tasks."""
    return plant(tmp_path / "site")


@pytest.mark.parametrize(
    ("group", "left_to_lm_eval"),
    [
        ("another", set()),
        ("lm_eval.tasks", {"tasks"}),
        ("lm_eval.models", {"models"}),
    ],
)
def test_where_lm_eval_reads_entry_points_they_are_left_to_it(
    group: str, left_to_lm_eval: set[str], planted: Path, bare_python: WarmPython
) -> None:
    (planted / "lm_eval" / "api" / "extensions.py").write_text(READS.format(group=group))
    code = (
        "import lm_eval.models, lm_eval.tasks.manager as m, lm_eval\n"
        "print(lm_eval.__path__[0])\n"
        "if 'lamp3u_rag_k5' not in m.TaskManager().all_tasks: print('tasks')\n"
        "if 'qrag' not in lm_eval.models.MODEL_MAPPING: print('models')\n"
    )
    done = run_with(bare_python, planted, code)
    assert done.returncode == 0, done.stderr
    where, *left = done.stdout.splitlines()
    assert where == str(planted / "lm_eval")
    assert set(left) == left_to_lm_eval
    assert done.stderr == ""


def test_the_entry_points_lead_to_model_and_tasks() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    models, tasks = (
        re.search(rf'\[project.entry-points."lm_eval.{kind}"\]\nqrag = "(.*)"', text)
        for kind in ("models", "tasks")
    )
    assert models is not None
    assert models[1] == registration._MODEL
    assert tasks is not None
    # Where the wheel has the folder of task files, which is a package.
    (sources,) = re.findall(r"^sources = .*$", text, re.MULTILINE)
    assert f'"task_yamls" = "{tasks[1].replace(".", "/")}"' in sources
    assert (task_yamls() / "__init__.py").is_file()


def test_to_give_a_folder_twice_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """So that it matters that the folder is left to the entry point."""
    from lm_eval.tasks import TaskManager

    TaskManager(include_path=[str(task_yamls()), f"{task_yamls()}/."], include_defaults=False)
    assert "overrides existing task" in caplog.text
