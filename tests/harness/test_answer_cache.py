"""``--use_cache``: an arm is served its own answers, all of them, and nobody else's."""

from __future__ import annotations

import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

torch = pytest.importorskip("torch", reason="the hf extra is not installed")
import lm_eval.api.model as lm_eval_model  # noqa: E402
import ngram_engine  # noqa: E402
from lm_eval import simple_evaluate  # noqa: E402
from lm_eval.api.instance import Instance  # noqa: E402
from lm_eval.api.model import LM, CachingLM  # noqa: E402
from lm_eval.api.registry import model_registry, register_model  # noqa: E402
from lm_eval.models.dummy import DummyLM  # noqa: E402
from lm_eval.models.huggingface import HFLM  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402
from plugin_files import InstallPlugin  # noqa: E402
from sqlitedict import SqliteDict  # noqa: E402
from warm_python import WarmProcess, WarmPython  # noqa: E402

from qrag_tasks.arms.identity import arm_identity  # noqa: E402
from qrag_tasks.errors import StoreError  # noqa: E402
from qrag_tasks.harness import answer_cache  # noqa: E402
from qrag_tasks.locations import task_yamls  # noqa: E402

BOTH = ("lamp3u_rag_k1", "lamp5u_rag_k1")


class Parrot(LM):  # type: ignore[misc]
    """Answers with its word and how often it was asked; counts what it is asked."""

    def __init__(self, word: str = "yes", batch_size: Any = 1, device: Any = None) -> None:
        super().__init__()
        self.word = word
        self.asked: list[Any] = []

    def generate_until(self, requests: Any) -> list[str]:
        answers = []
        for request in requests:
            self.asked.append(request.args)
            answers.append(f"{self.word} {len(self.asked)}")
            self.cache_hook.add_partial("generate_until", request.args, answers[-1])
        return answers

    def loglikelihood(self, requests: Any) -> list[tuple[float, bool]]:
        self.asked += [request.args for request in requests]
        return [(-float(len(self.word)), False) for _ in requests]

    def loglikelihood_rolling(self, requests: Any) -> list[float]:
        return [0.0 for _ in requests]


@pytest.fixture(autouse=True, scope="module")
def apart() -> Iterator[None]:
    """Adapt lm_eval, where that was not done when it was imported, and put it back."""
    if "__init_subclass__" in vars(LM):
        yield
        return
    kept = [
        (owner, name, vars(owner)[name])
        for owner, names in (
            (LM, ("create_from_arg_obj", "create_from_arg_string")),
            (DummyLM, ("create_from_arg_string",)),
            (CachingLM, ("__init__", "__getattr__")),
        )
        for name in names
    ]
    answer_cache.remember_creation_arguments(lm_eval_model)
    answer_cache.keep_answers_apart(lm_eval_model)
    yield
    del LM.__init_subclass__
    for owner, name, value in kept:
        setattr(owner, name, value)


@pytest.fixture(autouse=True, scope="module")
def parrot() -> None:
    if "parrot" not in model_registry:
        register_model("parrot")(Parrot)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "answers"


def evaluate(
    model: Any, file: Path, tasks: tuple[str, ...] = BOTH, metadata: Any = None, **arguments: Any
) -> list[Any]:
    """Run our tasks on the mini data with one cache, and return the answers."""
    known = {"data": "mini", **(metadata or {})}
    if model in ("hf", "qrag"):
        known |= {"context_tokens": 600, **arguments["model_args"]}
    manager = TaskManager(include_path=str(task_yamls()), include_defaults=False, metadata=known)
    results = simple_evaluate(
        model=model,
        tasks=list(tasks),
        task_manager=manager,
        limit=arguments.pop("limit", 2),
        bootstrap_iters=0,
        use_cache=str(file),
        device="cpu",
        **arguments,
    )
    assert results is not None
    return [sample["resps"] for task in tasks for sample in results["samples"][task]]


def database(file: Path) -> Path:
    return Path(f"{file}_rank0.db")


def keys(file: Path) -> list[str]:
    with SqliteDict(str(database(file))) as entries:
        return list(entries)


def remaining(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Take what lm_eval said of requests that it had to ask."""
    found = [
        record.getMessage().rpartition(" ")[2]
        for record in caplog.records
        if "Requests remaining" in record.getMessage()
    ]
    caplog.clear()
    return found


@pytest.fixture(autouse=True)
def speaking(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="lm_eval")


# ---------------------------------------------------------------------- created models
@pytest.mark.parametrize("as_text", [False, True])
def test_models_created_with_other_arguments(
    file: Path, caplog: pytest.LogCaptureFixture, as_text: bool
) -> None:
    def run(word: str, **more: Any) -> list[Any]:
        arguments: Any = f"word={word}" if as_text else {"word": word}
        return evaluate("parrot", file, model_args=arguments, **more)

    yes, no = run("yes"), run("no")
    assert remaining(caplog) == ["4", "4"]
    assert all("yes" in str(answer) for answer in yes)
    assert all("no" in str(answer) for answer in no)
    assert run("yes", batch_size=8) == yes
    assert run("no") == no
    assert remaining(caplog) == ["0", "0"]


def test_arguments_as_text_or_as_mapping_are_the_same_arm(file: Path) -> None:
    one = Parrot.create_from_arg_string("word=a", {"batch_size": 2})
    other = Parrot.create_from_arg_obj({"word": "a"}, {"batch_size": 4, "device": None})
    assert arm_identity(one) == arm_identity(other)
    assert arm_identity(one).known


def test_a_class_that_creates_in_its_own_way() -> None:
    class Shy(Parrot):
        @classmethod
        def create_from_arg_string(cls, text: str, config: Any = None) -> Any:
            word, _, mood = text.partition("/")
            model = super().create_from_arg_obj({"word": word}, config)
            model.mood = mood
            return model

    one, same, other = (Shy.create_from_arg_string(text) for text in ("a/b", "a/b", "a/c"))
    assert arm_identity(one) == arm_identity(same)
    assert arm_identity(one).digest != arm_identity(other).digest
    assert arm_identity(DummyLM.create_from_arg_string("any=1")).known


def test_likelihoods(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    def run(word: str) -> list[Any]:
        arguments = {"word": word}
        likely = {"answer": "likelihood"}
        return evaluate("parrot", file, BOTH[:1], likely, model_args=arguments)

    yes, no = run("yes"), run("no")
    assert yes != no
    assert (run("yes"), run("no")) == (yes, no)
    assert remaining(caplog) == ["10", "10", "0", "0"]  # five ratings each


def test_only_what_is_new_is_asked(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    few = evaluate("parrot", file, BOTH[:1], model_args={"word": "a"})
    more = evaluate("parrot", file, BOTH[:1], model_args={"word": "a"}, limit=4)
    assert more[:2] == few
    assert remaining(caplog) == ["2", "2"]


def test_a_file_tells_whose_answers_it_holds(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    evaluate("parrot", file, model_args={"word": "a"})
    (arm,) = [key for key in keys(file) if key.startswith(answer_cache.ARM)]
    digest = arm.removeprefix(answer_cache.ARM)
    message = f"are kept apart by arm: this one is {digest[:12]}, by its arguments alone"
    assert caplog.text.count(message) == 1
    with SqliteDict(str(database(file))) as entries:
        assert json.loads(entries[arm])["arguments"] == {"word": "a"}
    assert len(keys(file)) == 1 + 4
    assert sum(key.startswith(f"{digest}:") for key in keys(file)) == 4


# ---------------------------------------------------------------------- built by hand
def test_objects_built_by_hand_share_nothing(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    yes, no = Parrot("yes"), Parrot("no")
    assert all("yes" in str(answer) for answer in evaluate(yes, file))
    assert all("no" in str(answer) for answer in evaluate(no, file))
    (warning,) = {
        record.getMessage()
        for record in caplog.records
        if record.levelname == "WARNING" and "told from" in record.getMessage()
    }
    assert "answers of this Parrot cannot be told from those of another model" in warning
    assert str(database(file)) in warning
    # The very same object may have been changed since.
    yes.word = "perhaps"
    assert all("perhaps" in str(answer) for answer in evaluate(yes, file))
    assert keys(file) == []


def test_objects_that_tell_what_they_are(file: Path) -> None:
    class Told(Parrot):
        def arm_identity_parts(self) -> dict[str, Any]:
            return {"word": self.word}

    answers = {word: evaluate(Told(word), file) for word in ("yes", "no")}
    assert answers["yes"] != answers["no"]
    for word, given in answers.items():
        again = Told(word)
        assert evaluate(again, file) == given
        assert again.asked == []


# ---------------------------------------------------------------------- what is not ours
def request(doc: Any, prompt: str = "A kettle is", **more: Any) -> Any:
    return Instance("generate_until", doc, (prompt, {"until": [], "max_gen_toks": 4, **more}), 0)


def test_other_tasks_with_other_models_are_left_to_lm_eval(file: Path) -> None:
    first, second = Parrot("yes"), Parrot("no")
    asked = [request({"question": 1})]
    answers = [CachingLM(lm, str(file)).generate_until(asked) for lm in (first, second)]
    assert answers == [["yes 1"], ["yes 1"]]
    with SqliteDict(str(file)) as entries:
        assert list(entries) == [lm_eval_model.hash_args("generate_until", asked[0].args)]


def test_both_kinds_of_tasks_in_turn(file: Path) -> None:
    lm = Parrot.create_from_arg_obj({"word": "a"})
    cached = CachingLM(lm, str(file))
    ours, other = request({"prompt_hash": "0"}), request({"question": 1})
    assert [cached.generate_until([ours]), cached.generate_until([other])] == [["a 1"], ["a 2"]]
    assert [cached.generate_until([ours]), cached.generate_until([other])] == [["a 1"], ["a 2"]]
    with SqliteDict(str(file)) as entries:
        assert lm_eval_model.hash_args("generate_until", other.args) in entries


def test_entries_without_an_arm_are_not_served_and_stay(file: Path) -> None:
    asked = request({"prompt_hash": "0"})
    key = lm_eval_model.hash_args("generate_until", asked.args)
    with SqliteDict(str(file), autocommit=True) as entries:
        entries[key] = "of whom?"
    lm = Parrot.create_from_arg_obj({"word": "a"})
    assert CachingLM(lm, str(file)).generate_until([asked]) == ["a 1"]
    with SqliteDict(str(file)) as entries:
        assert entries[key] == "of whom?"


def test_sampled_answers_are_not_served(file: Path) -> None:
    asked = [request({"prompt_hash": "0"}, do_sample=True)]
    lm = CachingLM(Parrot.create_from_arg_obj({"word": "a"}), str(file))
    assert [lm.generate_until(asked), lm.generate_until(asked)] == [["a 1"], ["a 2"]]


def test_a_file_that_is_no_cache_is_named(file: Path) -> None:
    lm = CachingLM(Parrot.create_from_arg_obj({"word": "a"}), str(file))
    with sqlite3.connect(file) as connection:
        connection.execute("DROP TABLE unnamed")
    with pytest.raises(StoreError, match=r"--use_cache .*answers: no such table"):
        lm.generate_until([request({"prompt_hash": "0"})])


# ---------------------------------------------------------------------- HFLM
@pytest.mark.parametrize("likely", [False, True])
@pytest.mark.parametrize(
    ("model", "full_arm", "quantized_arm"),
    [
        ("hf", {}, {"load_in_4bit": True}),
        ("qrag", {"precision": "bf16"}, {"precision": "int4-nf4"}),
    ],
)
def test_real_arms_share_a_file(
    tiny_model: Path,
    file: Path,
    caplog: pytest.LogCaptureFixture,
    model: str,
    full_arm: dict[str, Any],
    quantized_arm: dict[str, Any],
    likely: bool,
) -> None:
    def run(arguments: dict[str, Any]) -> list[Any]:
        return evaluate(
            model,
            file,
            BOTH[:1] if likely else BOTH,
            {"answer": "likelihood"} if likely else {},
            model_args={"pretrained": str(tiny_model), **arguments},
        )

    every = "10" if likely else "4"
    full, quantized = run(full_arm), run(quantized_arm)
    assert full != quantized
    assert remaining(caplog) == [every, every]
    assert run(full_arm) == full
    assert run(quantized_arm) == quantized
    assert remaining(caplog) == ["0", "0"]


def test_two_engines_share_a_file(
    tiny_model: Path, file: Path, caplog: pytest.LogCaptureFixture, install: InstallPlugin
) -> None:
    """The same checkpoint's tokenizer and precision, and yet two arms: neither answers for both."""
    install("qrag_ngram", Path(ngram_engine.__file__).read_text(encoding="utf-8"))

    def run(arguments: dict[str, Any]) -> list[Any]:
        arguments = {"precision": "fp32", **arguments}
        return evaluate("qrag", file, BOTH, {}, model_args=arguments)

    ours, theirs = (
        {"pretrained": str(tiny_model)},
        {"engine": "ngram", "tokenizer": str(tiny_model)},
    )
    one, other = run(ours), run(theirs)
    assert one != other
    assert (run(ours), run(theirs)) == (one, other)
    assert remaining(caplog) == ["4", "4", "0", "0"]


def test_a_model_changed_in_place_is_another_arm(
    tiny_model: Path, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lm = HFLM(pretrained=str(tiny_model), device="cpu")
    cached = CachingLM(lm, str(file))
    # Whatever the task.
    asked = [request({"question": 1})]
    before = cached.generate_until(asked)
    assert cached.generate_until(asked) == before
    lm.model.lm_head.weight.data.neg_()
    assert cached.generate_until(asked) != before
    lm.model.lm_head.weight.data.neg_()
    assert cached.generate_until(asked) == before
    assert caplog.text.count("are kept apart by arm") == 2
    assert remaining(caplog) == ["1", "0", "1", "0"]


def test_a_model_used_without_lm_eval_keeps_nothing(tiny_model: Path, file: Path) -> None:
    lm = HFLM(pretrained=str(tiny_model), device="cpu")
    cached = CachingLM(lm, str(file))
    lm.generate_until([request({"question": 1})])
    with SqliteDict(str(file)) as entries:
        assert list(entries) == []
    cached.generate_until([request({"question": 1})])
    lm.generate_until([request({"question": 2}, "Two kettles are")])
    with SqliteDict(str(file)) as entries:
        assert len(entries) == 2  # the arm and its one answer


# ---------------------------------------------------------------------- processes
ALONE = """
import os, signal, sys
import lm_eval.api.model as module
from lm_eval.api.instance import Instance
from qrag_tasks.harness import answer_cache
if "__init_subclass__" not in vars(module.LM):
    answer_cache.remember_creation_arguments(module)
    answer_cache.keep_answers_apart(module)
from lm_eval.models.huggingface import HFLM
file, kind, argument, number = sys.argv[1:]

class Parrot(module.LM):
    def __init__(self, word):
        super().__init__()
        self.word = word
    def generate_until(self, requests):
        answers = []
        for request in requests:
            answers.append(f"{self.word}: {request.args[0]}")
            self.cache_hook.add_partial("generate_until", request.args, answers[-1])
        return answers
    loglikelihood = loglikelihood_rolling = None

requests = [
    Instance("generate_until", {"prompt_hash": ""}, (f"Kettle {n} is", {"until": ["."]}), 0)
    for n in range(int(number))
]
if kind == "hf":
    lm = HFLM(pretrained=argument, device="cpu", batch_size=2)
    ask, batches = lm._model_generate, []
    def generate(*args, **kwargs):
        batches.append(1)
        if len(batches) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return ask(*args, **{**kwargs, "max_length": kwargs["context"].shape[1] + 4})
    lm._model_generate = generate
else:
    lm = Parrot.create_from_arg_obj({"word": argument})
print("ready", flush=True)
sys.stdin.readline()
print(module.CachingLM(lm, file).generate_until(requests), flush=True)
"""


@dataclass(frozen=True)
class Alone:
    """A process, what it prints, and the file of its standard error."""

    process: WarmProcess
    out: IO[str]
    error: Path

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")

    def ended(self) -> tuple[int, str, str]:
        """Return how it ended, and what it has printed since it was last read."""
        printed = self.out.read()
        return self.process.wait(120), printed, self.error.read_text(encoding="utf-8")


Start = Callable[..., Alone]


@pytest.fixture
def start(tmp_path: Path, warm_python: WarmPython) -> Iterator[Start]:
    """Start a process that answers as soon as it reads a line."""
    started: list[Alone] = []

    def run(*arguments: object) -> Alone:
        error = tmp_path / f"error{len(started)}"
        reading, writing = os.pipe()
        with error.open("wb") as file:
            process = warm_python.popen(
                [sys.executable, "-c", ALONE, *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=writing,
                stderr=file,
            )
        os.close(writing)
        started.append(Alone(process, os.fdopen(reading, encoding="utf-8"), error))
        return started[-1]

    yield run
    for each in started:
        if each.process.returncode is None:
            each.process.kill()
        with each.out, each.process:
            pass


def test_two_arms_write_one_file_at_once(file: Path, start: Start) -> None:
    number = 400
    processes = {word: start(file, "parrot", word, number) for word in ("yes", "no")}
    for process in processes.values():
        assert process.out.readline() == "ready\n"
    for process in processes.values():
        process.go()
    for word, process in processes.items():
        code, out, err = process.ended()
        assert code == 0, err
        assert out == f"{[f'{word}: Kettle {n} is' for n in range(number)]}\n"
    with SqliteDict(str(file)) as entries:
        held = dict(entries)
    arms = {
        json.loads(value)["arguments"]["word"]: key.removeprefix(answer_cache.ARM)
        for key, value in held.items()
        if key.startswith(answer_cache.ARM)
    }
    for word, digest in arms.items():
        kept = sorted(value for key, value in held.items() if key.startswith(digest))
        assert kept == sorted(f"{word}: Kettle {n} is" for n in range(number))
    assert set(arms) == {"yes", "no"}


def test_answers_of_a_killed_run_are_there(
    tiny_model: Path, file: Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    process = start(file, "hf", tiny_model, 8)
    process.go()
    code, out, err = process.ended()
    assert code == -signal.SIGKILL, err
    assert "Kettle" not in out
    requests = [
        Instance("generate_until", {}, (f"Kettle {n} is", {"until": ["."]}), 0) for n in range(8)
    ]
    lm = HFLM(pretrained=str(tiny_model), device="cpu")
    ask = lm._model_generate
    lm._model_generate = lambda **kwargs: ask(
        **{**kwargs, "max_length": kwargs["context"].shape[1] + 4}
    )
    CachingLM(lm, str(file)).generate_until(requests)
    assert remaining(caplog) == ["4"]  # two batches of two were done
