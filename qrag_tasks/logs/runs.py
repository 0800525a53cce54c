"""Finished runs of lm_eval: its results files and the sample logs beside them, of any task."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from qrag_tasks.errors import ComparisonError, DataError, QragError
from qrag_tasks.logs.samples import Sample, read_samples
from qrag_tasks.tasks.former_names import as_now
from qrag_tasks.tasks.scoring.metrics import ROOT_MEANS, macro_f1

_RESULTS = re.compile(r"(?P<stem>.+)_(?P<time>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?)\.json")
_AGAIN = "Copy the file again; if that is how the run left it, run it again."


@dataclass(frozen=True)
class Metric:
    """One score of a task, as lm_eval reports it.

    :ivar aggregations: those of ``"mean"``, ``"root_mean"`` and ``"macro_f1"`` that make the
        reported score of the logged values, the likeliest first: of values that are all 0, or all
        1, more than one does.
    """

    name: str
    filter: str
    higher_is_better: bool | None
    aggregations: Sequence[str]
    reported: float

    @property
    def aggregation(self) -> str | None:
        """The likeliest of them; ``None`` where there is none."""
        return next(iter(self.aggregations), None)


@dataclass(frozen=True)
class TaskRun:
    """One task of a run.

    :ivar config: what the results say of the task.
    :ivar retrieval: of our tasks: ``lamp_task``, ``k``, and what decided the prompts: without
        documents ``retriever`` is ``none``, and ``order`` is ``None`` for one document or none.
    """

    task: str
    log: Path
    config: Mapping[str, Any]
    retrieval: Mapping[str, Any] | None
    reported: Mapping[str, Any]
    directions: Mapping[str, bool]

    @cached_property
    def samples(self) -> Sequence[Sample]:
        """All samples, in the order of the data set; a sample is there for each filter.

        :raises DataError: when the log cannot be read, or holds something else.
        """
        return read_samples(self.log)

    @property
    def metric_names(self) -> list[str]:
        """The names of its metrics, which need no sample to be read."""
        names = (key.partition(",") for key in self.reported)
        return list(dict.fromkeys(n for n, comma, _ in names if comma and "_stderr" not in n))

    @cached_property
    def metrics(self) -> Mapping[tuple[str, str], Metric]:
        """(metric, filter) -> what is known of it."""
        found = {}
        for key, value in self.reported.items():
            name, _, of = key.partition(",")
            if not of or name.endswith("_stderr") or not isinstance(value, int | float):
                continue
            values = [s.scores[name] for s in self.samples if s.filter == of and name in s.scores]
            found[name, of] = Metric(
                name,
                of,
                self.directions.get(name),
                _aggregations(name, values, float(value)),
                float(value),
            )
        return found


@dataclass(frozen=True)
class Run:
    """One run of lm_eval.

    :ivar path: of its results file.
    :ivar name: of the model, short.
    :ivar precision: of the model; ``None`` where the results do not tell, as of most servers.
    :ivar dtype: in which it computed, such as ``"float16"``, as far as the results tell.
    :ivar settings: what the prompts and their answers depend on beside task and model: the chat
        template and the system instruction by their sha256, generation arguments, end tokens.
    :ivar texts: those settings that are a text of several lines, as it is.
    :ivar called: the arm's name in tables, where somebody gave it one.
    """

    path: Path
    time: str
    model: str
    model_args: Mapping[str, Any]
    name: str
    precision: str | None
    dtype: str | None
    identity: str | None
    cost: Mapping[str, Any] | None
    weight_bytes: int | None
    settings: Mapping[str, Any]
    texts: Mapping[str, str | None]
    tasks: Mapping[str, TaskRun]
    called: str | None = None

    @property
    def arm(self) -> str:
        """What the arm is called beside its model; empty where nothing is known."""
        return self.called or self.precision or ""

    @property
    def label(self) -> str:
        """The model and its arm."""
        return f"{self.name} {self.arm}".strip()


def read_runs(place: Path) -> list[Run]:
    """Return the runs in a folder, at any depth, or that of one results file.

    :raises DataError: when a file cannot be read, or is not as lm_eval writes it.
    :raises ComparisonError: when there is no run, or one without its samples.
    """
    if place.is_file():
        return [_run(place)]
    if not place.is_dir():
        raise DataError(f"{place}: no such file or folder")
    found = _results_in(place)
    if not found:
        raise ComparisonError(
            f"{place}: no results of lm_eval in this folder (results_TIME.json). lm_eval writes "
            f"them with --output_path {place} --log_samples"
        )
    return [_run(path) for path in found]


def holds_runs(place: Path) -> bool:
    """Whether a folder holds results of lm_eval."""
    return bool(_results_in(place))


def _results_in(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*.json")) if _RESULTS.fullmatch(path.name)]


def _run(path: Path) -> Run:
    name = _RESULTS.fullmatch(path.name)
    if name is None:
        raise DataError(
            f"{path}: not named as a results file of lm_eval is, results_TIME.json. Give such a "
            f"file, which has its samples beside it, or the folder that holds both"
        )
    body = _json(path)
    if not isinstance(body, dict) or not {"results", "configs"} <= body.keys():
        raise DataError(f"{path}: not a results file of lm_eval: no 'results' and 'configs' in it")
    try:
        return _read(path, name["time"], body)
    except QragError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: not as lm_eval writes its results ({type(error).__name__}: {error}). {_AGAIN}"
        ) from None


def _read(path: Path, time: str, body: Mapping[str, Any]) -> Run:
    config = body.get("config") or {}
    arguments = _arguments(config.get("model_args"))
    ours = config.get("qrag") or {}
    tasks = {
        task: _task(path, task, time, body) for task in body["configs"] if task in body["results"]
    }
    decoding = ours.get("decoding") or {}
    return Run(
        path=path,
        time=time,
        model=str(config.get("model")),
        model_args=arguments,
        name=_name(config, arguments),
        precision=ours.get("precision") or _precision(arguments, config),
        dtype=_dtype(config.get("model_dtype")),
        identity=ours.get("identity"),
        cost=ours.get("cost"),
        weight_bytes=((ours.get("arm") or {}).get("weights") or {}).get("bytes"),
        settings={
            "chat template": body.get("chat_template_sha"),
            "system instruction": body.get("system_instruction_sha"),
            "few-shot examples as turns": body.get("fewshot_as_multiturn"),
            "generation arguments": config.get("gen_kwargs") or {},
            "end tokens": decoding.get("end_tokens"),
        },
        texts={
            "chat template": body.get("chat_template"),
            "system instruction": body.get("system_instruction"),
        },
        tasks=tasks,
    )


def _task(path: Path, task: str, time: str, body: Mapping[str, Any]) -> TaskRun:
    log = path.parent / f"samples_{task}_{time}.jsonl"
    if not log.exists():
        raise ComparisonError(
            f"{path}: the samples of {task} are not beside it ({log.name}). Run it again with "
            f"--log_samples"
        )
    config = body["configs"][task]
    metadata = config.get("metadata") or {}
    said = metadata.get("qrag") if isinstance(metadata, dict) else None
    return TaskRun(
        task,
        log,
        config,
        _retrieval(config.get("dataset_kwargs") or {}, said) if said else None,
        dict(body["results"][task]),
        _directions((body.get("higher_is_better") or {}).get(task) or {}),
    )


def _directions(logged: Mapping[str, Any]) -> dict[str, bool]:
    return {name: value for name, value in logged.items() if isinstance(value, bool)}


def _retrieval(arguments: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decided the prompts, without what was chosen and could decide nothing."""
    found = {"lamp_task": arguments.get("task"), "k": str(arguments.get("k")), **as_now(said)}
    if found["k"] == "0":
        found["retriever"] = "none"
    if found["k"] in ("0", "1"):
        found["order"] = None
    return found


def _arguments(given: Any) -> dict[str, Any]:
    if isinstance(given, dict):
        return given
    pairs = (part.partition("=") for part in str(given or "").split(",") if "=" in part)
    return {key.strip(): value.strip() for key, _, value in pairs}


# As lm_eval looks for a model's name in its arguments; where there is none it makes one up.
_NAMING = ("pretrained", "model", "path", "engine")


def _name(config: Mapping[str, Any], arguments: Mapping[str, Any]) -> str:
    named = next((arguments[key] for key in _NAMING if arguments.get(key)), None)
    if named is None:
        # Whoever gives none to --model qrag gets the embedded model.
        named = "embedded" if config.get("model") == "qrag" else config.get("model") or "?"
    return str(named).rstrip("/").rsplit("/", 1)[-1]


def _dtype(logged: Any) -> str | None:
    name = str(logged).removeprefix("torch.")
    return name if name in ("bfloat16", "float16", "float32", "float64") else None


_DTYPES = {
    "float16": "fp16",
    "bfloat16": "bf16",
    "float32": "fp32",
    # vLLM's own words.
    "half": "fp16",
    "float": "fp32",
}


def _precision(arguments: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
    """Say what arguments of ``--model hf`` or ``vllm`` come to; ``None`` where they do not tell."""

    def on(name: str) -> bool:
        return str(arguments.get(name)).lower() in ("true", "1")

    if on("load_in_8bit"):
        return "int8"
    if on("load_in_4bit"):
        return f"int4-{arguments.get('bnb_4bit_quant_type', 'nf4')}"
    if on("gptqmodel"):
        return "int4-gptq"
    # vLLM's, in its own words: they do not tell how many bits a checkpoint has.
    if arguments.get("quantization") not in (None, "None"):
        return str(arguments["quantization"])
    dtype = arguments.get("dtype")
    if dtype in (None, "auto"):
        dtype = config.get("model_dtype")
    dtype = str(dtype).removeprefix("torch.")
    return None if dtype in ("None", "auto") else _DTYPES.get(dtype, dtype)


def digest_of(path: Path) -> str:
    """Return the sha256 of a file.

    :raises DataError: when it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def _aggregations(name: str, values: Sequence[Any], reported: float) -> list[str]:
    """Tell of which functions of the logged values the reported score is."""
    if values and _label_pairs(values):
        found = {"macro_f1": macro_f1([(*value,) for value in values])}
    elif values and set(map(type, values)) <= {bool, int, float}:
        found = {"mean": _mean(values)}
        if min(values) >= 0:
            found["root_mean"] = math.sqrt(found["mean"])
    else:
        return []
    known = [each for each, score in found.items() if _near(score, reported)]
    # Where all values are 0, or 1, both fit, and the name tells.
    return known[::-1] if name in ROOT_MEANS else known


def _mean(values: Sequence[float]) -> float:
    try:
        return math.fsum(values) / len(values)
    except (OverflowError, ValueError):
        return math.nan


def _label_pairs(values: Sequence[Any]) -> bool:
    """Whether these are of type ``LabelPair`` (scoring/metrics.py), of one set of labels."""
    labels = values[0][2] if isinstance(values[0], list) and len(values[0]) == 3 else None
    return isinstance(labels, int) and all(
        isinstance(value, list)
        and len(value) == 3
        and set(map(type, value)) == {int}
        and -1 <= value[0] < labels
        and 0 <= value[1] < labels == value[2]
        for value in values
    )


def _near(one: float, two: float) -> bool:
    return math.isfinite(one) and math.isclose(one, two, rel_tol=1e-6, abs_tol=1e-9)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON: {error}. {_AGAIN}") from None
