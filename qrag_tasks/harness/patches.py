"""What :mod:`qrag_tasks.harness.autoload` changes in lm_eval, one function a module.

Each raises where lm_eval does not look as expected, before it has changed anything; autoload then
steps aside with a warning. :mod:`qrag_tasks.harness.inner_names` says what is lost then. What the
replacements need is imported when they are called: `lm_eval --help` and runs of other tasks are not
to pay for it.
"""

from __future__ import annotations

import functools
import inspect
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any

from qrag_tasks.errors import ModelError, QragError, SettingsError
from qrag_tasks.harness.signatures import expect
from qrag_tasks.locations import task_yamls

logger = logging.getLogger("lm_eval.qrag_tasks")

_MODEL = "qrag_tasks.harness.model:QragLM"

_OUR_FOLDER_IS_ENOUGH: ContextVar[bool] = ContextVar("_OUR_FOLDER_IS_ENOUGH", default=False)
"""Whether a task manager that is made now needs no task files but ours."""


@contextmanager
def _of_our_folder(alone: bool) -> Iterator[None]:
    """Have task managers know our tasks alone, where these are all that is asked for."""
    token = _OUR_FOLDER_IS_ENOUGH.set(alone)
    try:
        yield
    finally:
        _OUR_FOLDER_IS_ENOUGH.reset(token)


def add_task_folder(module: ModuleType) -> None:
    """``TaskManager``: index our task files beside lm_eval's own.

    Where lm_eval reads the entry points of tasks it finds ours there. A run that asks for tasks of
    ours alone is spared lm_eval's own: thousands of files, which it parses for their names.
    """
    manager = module.TaskManager
    original = manager.__init__
    expect(original, "include_path", "include_defaults")
    if _reads_entry_points("lm_eval.tasks"):
        return  # to index a folder twice has lm_eval warn of each of its files

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        bound = inspect.signature(original).bind(self, *args, **kwargs)
        bound.apply_defaults()
        if bound.arguments["include_defaults"]:
            given = bound.arguments["include_path"] or []
            paths = list(given) if isinstance(given, (list, tuple)) else [given]
            if task_yamls().resolve() not in [Path(path).resolve() for path in paths]:
                # First, so that a user's own folder may override a task of ours.
                bound.arguments["include_path"] = [task_yamls(), *paths]
            bound.arguments["include_defaults"] = not _OUR_FOLDER_IS_ENOUGH.get()
        original(*bound.args, **bound.kwargs)

    manager.__init__ = init


def check_before_the_model_loads(module: ModuleType) -> None:
    """``EvaluatorConfig.process_tasks``, the command line's last step before the model is loaded.

    Where a task of ours is asked for, everything that can be wrong with the run is checked here,
    and the embedded model put in where none was named.
    """
    config = module.EvaluatorConfig
    original = config.process_tasks
    expect(original, "metadata")

    @functools.wraps(original)
    def process_tasks(self: Any, metadata: Any = None) -> Any:
        from qrag_tasks.tasks import catalog

        names = _names(self.tasks)
        entries = catalog.requested(names)
        if entries:
            _print_our_errors_plainly()
            self.tasks = names
            from qrag_tasks.harness import preflight

            preflight.prepare(self)
        # Samples may be given of other tasks.
        alone = catalog.holds_all(names) and not (self.include_path or self.samples)
        try:
            with _of_our_folder(alone):
                manager = original(self, metadata)
        except ValueError as error:
            _print_our_errors_plainly()
            catalog.explain_unknown(names, str(error))
            raise
        if entries:
            preflight.check(self, manager, entries)
        return manager

    config.process_tasks = process_tasks


def remember_creation(module: ModuleType) -> None:
    """``lm_eval.api.model``: remember what every ``LM`` was created with."""
    from qrag_tasks.harness import answer_cache

    answer_cache.remember_creation_arguments(module)


def keep_answers_apart(module: ModuleType) -> None:
    """``lm_eval.api.model``: never serve one arm the answers of another from ``--use_cache``."""
    from qrag_tasks.harness import answer_cache

    answer_cache.keep_answers_apart(module)


def check_every_run(module: ModuleType) -> None:
    """``lm_eval.evaluator``: check what a run with tasks of ours was asked to do.

    Its tasks are told which model answers, so that they know how much of a prompt it takes.
    """
    evaluate, simple_evaluate = module.evaluate, module.simple_evaluate
    expect(evaluate, "lm", "task_dict", "limit", "samples")
    expect(simple_evaluate, "model", "model_args", "tasks", "task_manager", "metadata")
    expect(simple_evaluate, "gen_kwargs", "device")
    lm_eval_device = "cuda:0"  # of its command, where the user names none
    signature, simple_signature = map(inspect.signature, (evaluate, simple_evaluate))

    @functools.wraps(evaluate)
    def checked(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        if "qrag_tasks.harness.task" not in sys.modules:  # then there is no task of ours
            return evaluate(*args, **kwargs)
        from qrag_tasks.harness import every_run

        lm, tasks = bound.arguments["lm"], every_run.tasks_in(bound.arguments["task_dict"])
        if not every_run.named_in(tasks.values()):
            return evaluate(*args, **kwargs)
        with every_run.checked_run(lm, tasks, bound.arguments):
            return evaluate(*bound.args, **bound.kwargs)

    @functools.wraps(simple_evaluate)
    def simply_checked(*args: Any, **kwargs: Any) -> Any:
        from qrag_tasks.tasks import catalog

        bound = simple_signature.bind(*args, **kwargs)
        given = bound.arguments
        names = given.get("tasks") or []
        if not catalog.requested(name for name in names if isinstance(name, str)):
            return simple_evaluate(*args, **kwargs)
        from qrag_tasks.harness import every_run, gen_kwargs

        given["model_args"] = every_run.with_whole_places(given.get("model_args"))
        given["tasks"], held = catalog.without_overlap(names)
        for name, holder in held.items():
            logger.info("%s is part of %s, and is asked once", name, holder)
        gen_kwargs.check_for(given["model"], given.get("gen_kwargs"))
        every_run.check_metadata(
            [given.get("metadata"), getattr(given.get("task_manager"), "metadata", None)],
            given["model"],
            given.get("model_args"),
        )
        if given.get("device") != lm_eval_device:
            every_run.check_device(given["model"], given.get("device"))
        alone = given.get("task_manager") is None and catalog.holds_all(names)
        with _of_our_folder(alone):
            return simple_evaluate(*bound.args, **bound.kwargs)

    module.evaluate = checked  # type: ignore[attr-defined]
    module.simple_evaluate = simply_checked  # type: ignore[attr-defined]


def add_standard_errors(module: ModuleType) -> None:
    """``lm_eval.evaluator_utils``: know the standard errors of our own aggregations.

    lm_eval knows those of its own alone, and a task can give none.
    """
    original = module.stderr_for_metric
    expect(original, "metric", "bootstrap_iters")

    @functools.wraps(original)
    def stderr_for_metric(metric: Any, bootstrap_iters: int) -> Any:
        from qrag_tasks.tasks.scoring.metrics import STANDARD_ERRORS

        ours = STANDARD_ERRORS.get(metric) if bootstrap_iters > 0 else None
        return ours or original(metric, bootstrap_iters)

    module.stderr_for_metric = stderr_for_metric  # type: ignore[attr-defined]


def add_cost_table(module: ModuleType) -> None:
    """``lm_eval.utils.make_table``: put what the run cost after the last table of scores."""
    original = module.make_table
    expect(original, "result_dict", "column")

    @functools.wraps(original)
    def make_table(result_dict: Any, column: str = "results", *args: Any, **kwargs: Any) -> Any:
        table = original(result_dict, column, *args, **kwargs)
        from qrag_tasks.logs.schema import LoggedArm, read

        arm = read(LoggedArm, result_dict.get("config"), "results")
        last = "groups" if "groups" in result_dict else "results"
        if arm is None or column != last:
            return table
        from qrag_tasks.metering.cost import cost_table

        costs = cost_table(arm.cost or {}, (arm.arm or {}).get("weights"), str(arm.precision))
        return f"{table}\n{costs}"

    module.make_table = make_table  # type: ignore[attr-defined]


def _names(tasks: Any) -> list[str]:
    """Return the names in ``--tasks``, without the blanks around them."""
    given = [tasks] if isinstance(tasks, str) else tasks or []
    return [name.strip() for task in given for name in str(task).split(",")]


def read_the_command_line(module: ModuleType) -> None:
    """``EvaluatorConfig.from_cli``: give ``--model qrag`` only what somebody asked for.

    Where the user says nothing, lm_eval's command has one sequence a batch and the device
    "cuda:0", be it there or not. And explain a file of ``--samples`` that is not valid JSON.
    """
    config = module.EvaluatorConfig
    original = config.from_cli.__func__
    expect(original, "namespace")

    @functools.wraps(original)
    def from_cli(cls: Any, namespace: Any) -> Any:
        from qrag_tasks.tasks import catalog

        try:
            config = original(cls, namespace)
        except json.JSONDecodeError as error:
            if not catalog.requested(_names(getattr(namespace, "tasks", None))):
                raise
            _print_our_errors_plainly()
            raise SettingsError(
                f"--samples {namespace.samples}: is not valid JSON: {error}"
            ) from error
        file = getattr(namespace, "config", None)
        in_file = cls.load_yaml_config(file) if file else {}
        given = (*in_file.items(), *vars(namespace).items())
        given_names = {name for name, value in given if value is not None}
        if config.model == "qrag" or catalog.requested(_names(config.tasks)):
            _print_our_errors_plainly()
            if "device" in given_names:
                from qrag_tasks.harness import every_run

                every_run.check_device(config.model, config.device)
        if config.model == "qrag":
            config.batch_size = config.batch_size if "batch_size" in given_names else "auto"
            config.device = config.device if "device" in given_names else None
        return config

    config.from_cli = classmethod(from_cli)


def hide_what_never_happened(module: ModuleType) -> None:
    """``lm_eval.utils.make_table``: no row for unfinished thoughts where there was none.

    The results hold it all the same: most models do not think.
    """
    original = module.make_table
    expect(original, "result_dict", "column")

    @functools.wraps(original)
    def make_table(result_dict: Any, column: str = "results", *args: Any, **kwargs: Any) -> Any:
        from qrag_tasks.tasks.scoring.metrics import UNFINISHED_THOUGHT_RATE

        name = UNFINISHED_THOUGHT_RATE.name
        shown = {
            task: {
                key: value
                for key, value in scores.items()
                if key.partition(",")[0] not in (name, f"{name}_stderr")
                or scores.get(f"{name},{key.partition(',')[2]}") != 0
            }
            for task, scores in result_dict[column].items()
        }
        return original({**result_dict, column: shown}, column, *args, **kwargs)

    module.make_table = make_table  # type: ignore[attr-defined]


def register_model(module: ModuleType) -> None:
    """``lm_eval.models``: make ``--model qrag`` known beside lm_eval's own.

    Where lm_eval reads the entry points of models it finds ours there.
    """
    from lm_eval.api import registry

    mapping, register = module.MODEL_MAPPING, registry.model_registry.register
    if _reads_entry_points("lm_eval.models"):
        return
    if "qrag" not in registry.model_registry:
        register("qrag", target=_MODEL)
    mapping["qrag"] = _MODEL


def repair_hflm(module: ModuleType) -> None:
    """``HFLM``: load in 4 and 8 bits under transformers 5."""
    model = module.HFLM
    create = model._create_model
    expect(create, "pretrained", "dtype", "quantization_config")

    @functools.wraps(create)
    def create_model(self: Any, *args: Any, **kwargs: Any) -> None:
        from qrag_tasks.arms import loading, switches
        from qrag_tasks.arms.arguments import asked_dtype
        from qrag_tasks.arms.formats.bitsandbytes import bitsandbytes_config

        # torch_dtype is its older name, which transformers passes over beside the newer one.
        kwargs["dtype"] = asked_dtype(kwargs)
        kwargs.pop("torch_dtype", None)
        arguments = switches.take_bitsandbytes_arguments(kwargs)
        if kwargs.get("autogptq"):
            loading.refuse_autogptq()
        if not arguments or kwargs.get("gptqmodel"):
            create(self, *args, **kwargs)
            return
        if (existing := kwargs.get("quantization_config")) is not None:
            raise ModelError(
                f"{kwargs.get('pretrained')} is quantized already "
                f"({getattr(existing, 'quant_method', existing)}): drop load_in_4bit/load_in_8bit"
            )
        dtype = loading.computing_dtype(kwargs["dtype"], self.config, self.device)
        config = bitsandbytes_config(arguments, dtype)
        create(self, *args, **{**kwargs, "dtype": dtype, "quantization_config": config})
        switches.check_quantized(self.model, config)

    model._create_model = create_model


def measure_behind_the_prompt(module: ModuleType) -> None:
    """``HFLM``: measure likelihoods after the prompt as it was asked; one pass for all answers."""
    model = module.HFLM
    measure = model.loglikelihood
    expect(measure, "requests")
    expect(model._loglikelihood_tokens, "requests")

    @functools.wraps(measure)
    def loglikelihood(self: Any, requests: Any, *args: Any, **kwargs: Any) -> Any:
        from qrag_tasks.harness import answer_likelihoods

        return answer_likelihoods.measure(
            self, requests, lambda others: measure(self, others, *args, **kwargs)
        )

    model.loglikelihood = loglikelihood


def _reads_entry_points(group: str) -> bool:
    """Tell whether lm_eval's own code looks for what other distributions announce in a group."""
    import lm_eval

    quoted = (f'"{group}"', f"'{group}'")
    for folder in lm_eval.__path__:
        for place in (".", "api", "config", "models", "tasks"):
            for file in (Path(folder) / place).glob("*.py"):
                text = file.read_text(encoding="utf-8")
                if "entry_points" in text and any(name in text for name in quoted):
                    return True
    return False


def _print_our_errors_plainly() -> None:
    """In the lm_eval command, print a :class:`QragError` without a traceback; exit code 1.

    So, too, that a name of lm_eval's is gone that we cannot do without.
    """
    previous = sys.excepthook
    if getattr(previous, "prints_qrag_errors", False):
        return

    def excepthook(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
        from qrag_tasks.harness.inner_names import explained

        told = str(error) if isinstance(error, QragError) else None
        if isinstance(error, ImportError):
            told = explained(error)
        if told is not None:
            sys.stderr.write(f"qrag-tasks: error: {told}\n")
        else:
            previous(kind, error, traceback)

    excepthook.prints_qrag_errors = True  # type: ignore[attr-defined]
    sys.excepthook = excepthook
