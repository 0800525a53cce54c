"""What the command line checks before the model is loaded."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Sequence
from typing import Any

from qrag_tasks.arms import embedded, loading
from qrag_tasks.arms.arguments import HF_MODELS, check_arguments
from qrag_tasks.arms.engine_choice import TRANSFORMERS, check_engine, engine_name
from qrag_tasks.arms.places import with_whole_places
from qrag_tasks.engines.tokenizers import chat_template_of, template_options
from qrag_tasks.errors import SettingsError
from qrag_tasks.harness import gen_kwargs
from qrag_tasks.harness.task import LampRagTask
from qrag_tasks.locations import mini_root
from qrag_tasks.plugins import release_retrievers
from qrag_tasks.prompting.settings import Settings
from qrag_tasks.tasks.catalog import CATALOG, CatalogEntry
from qrag_tasks.tasks.lamp.data import MINI, data_root
from qrag_tasks.tasks.sample_choice import check_limit, chosen_samples, sample_count

logger = logging.getLogger("lm_eval.qrag_tasks")


def prepare(config: Any) -> None:
    """Check the settings of a command-line run, and name the embedded model where none is named.

    :param config: lm_eval's ``EvaluatorConfig``; its ``model_args`` and ``metadata`` may gain
        ``pretrained``, so that lm_eval's own results say which model was used, and have ``~``
        written out.
    :raises QragError: when a choice is unknown, or an arm of ``--model qrag`` cannot be had.
    """
    config.model_args = with_whole_places(config.model_args)
    # lm_eval merges them before it adds --trust_remote_code to the model arguments.
    # In place: the command has handed them on already.
    config.metadata.update(with_whole_places({**config.model_args, **config.metadata}))
    settings = Settings.from_metadata(config.metadata, config.model_args)
    if data_root(settings.data) == mini_root():
        logger.warning(
            "data: %s, the embedded sample of made-up users: its scores say nothing of real ones.",
            MINI,
        )
    if config.model in (*HF_MODELS, "qrag"):
        loading.check_libraries(f"--model {config.model}")
    engine = engine_name(config.model, config.model_args)
    if (
        config.model in HF_MODELS or engine == TRANSFORMERS
    ) and "pretrained" not in config.model_args:
        folder = embedded.instead_of_none()
        config.model_args["pretrained"] = folder
        config.metadata["pretrained"] = folder
    for name in ("batch_size", "max_batch_size", "device"):
        if (given := config.model_args.get(name)) is not None and getattr(config, name) is not None:
            raise SettingsError(
                f"model argument {name}={given}: the lm_eval command gives it itself; write "
                f"--{name} {given}"
            )
    gen_kwargs.check_for(config.model, config.gen_kwargs)
    if config.model == "qrag":
        check_engine(
            {
                **config.model_args,
                "batch_size": config.batch_size,
                "max_batch_size": config.max_batch_size,
            }
        )
    else:
        if config.model in HF_MODELS and config.model_args.get("autogptq"):
            loading.refuse_autogptq()
        check_arguments(config.model, config.model_args)


def check(config: Any, manager: Any, entries: Sequence[CatalogEntry]) -> None:
    """Build our tasks as the run will, check that every question fits its budget, and rank.

    Data, rankings and tokenizer stay there for the run itself.

    :param manager: lm_eval's ``TaskManager`` of the run.
    :raises QragError: for whatever is wrong; see :mod:`qrag_tasks.errors`.
    """
    check_limit(config.limit)
    if config.samples:
        others = set(manager.all_tasks) - set(CATALOG)
        ours = [entry.name for entry in entries]
        config.samples = chosen_samples(config.samples, ours, others)
    for entry in entries:
        _check(config, manager.load([entry.name])["tasks"][entry.name])
    _free_retrievers()


def _check(config: Any, task: Any) -> None:
    if not isinstance(task, LampRagTask):
        return  # overridden by a task file of the user's
    if config.gen_kwargs:
        task.set_config("generation_kwargs", config.gen_kwargs, update=True)
    text = task.model_text()
    chat_template = None
    if config.apply_chat_template and text is not None:
        options = template_options(config.model_args)
        chat_template = chat_template_of(text.tokenizer, config.apply_chat_template, options)
    limit = sample_count(config.limit, len(task.eval_docs))
    samples = (config.samples or {}).get(task.config.task)
    task.check_questions(
        limit=limit,
        samples=samples,
        system_instruction=config.system_instruction,
        apply_chat_template=chat_template is not None,
        fewshot_as_multiturn=bool(config.fewshot_as_multiturn),
        chat_template=chat_template,
    )
    task.rank(limit=limit, samples=samples)


def _free_retrievers() -> None:
    """Make room for the model: an encoder that has ranked everything is not needed any more."""
    release_retrievers()
    gc.collect()
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
