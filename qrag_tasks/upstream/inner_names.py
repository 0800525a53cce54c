"""Every inner name of other projects that is replaced or read here, and what guards it.

An inner name is one that its project does not document, or one that is documented and gets another
content from us. A release may take it away without a word; this table says what is lost then.
``qrag doctor`` looks whether each name is there, docs/upstream.md is this table, and tests hold it
to the code: what is replaced in lm_eval, and every name with an underscore, has a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Use = Literal["replaced", "read"]
Guard = Literal["steps aside", "does without", "refuses", "fails", "pinned"]

GUARDS: dict[Guard, str] = {
    "steps aside": "lm_eval stays as it is, and one warning says what is lost",
    "does without": "what it serves is left out",
    "refuses": "an error names it, and the release that lacks it",
    "fails": "Python's own error names it",
    "pinned": "the extra takes one release alone",
}
"""What happens where the name is not there -> in words."""


@dataclass(frozen=True)
class InnerName:
    """One row.

    :ivar name: with all that it is in: ``package.module.Class.attribute``.
    :ivar by: the module below ``qrag_tasks``, and the patch where it is one.
    :ivar reason: what it is for.
    :ivar lost: what is lost where it is not there.
    :ivar vital: whether the main job cannot run without it.
    """

    name: str
    use: Use
    by: str
    reason: str
    guard: Guard
    lost: str
    vital: bool = False

    @property
    def distribution(self) -> str:
        """Name of the project, as pip knows it."""
        return self.name.partition(".")[0]

    @property
    def patch(self) -> str:
        """Name of the function in :mod:`qrag_tasks.harness.patches`; empty where there is none."""
        return self.by.partition(":")[2]


def _of_patch(
    patch: str, names: Sequence[str], reason: str, lost: str, vital: bool = False
) -> list[InnerName]:
    by = f"harness.patches:{patch}"
    return [
        InnerName(f"lm_eval.{name}", "replaced", by, reason, "steps aside", lost, vital)
        for name in names
    ]


INNER_NAMES: tuple[InnerName, ...] = (
    # ------------------------------------------------------------------ lm_eval, replaced
    *_of_patch(
        "add_task_folder",
        ["tasks.manager.TaskManager.__init__"],
        "adds the folder of our task files, where lm_eval reads no entry points of tasks",
        'the tasks are found by --include_path "$(qrag path)" only',
        vital=True,
    ),
    *_of_patch(
        "register_model",
        ["models.MODEL_MAPPING", "api.registry.model_registry"],
        "makes `--model qrag` known, where lm_eval reads no entry points of models",
        "`--model qrag` is unknown to the command; `qrag run` goes on",
    ),
    *_of_patch(
        "repair_hflm",
        ["models.huggingface.HFLM._create_model"],
        "has `load_in_4bit=True` mean NF4 under transformers 5, and checks what was loaded",
        "`--model hf` with load_in_4bit fails under transformers 5",
        vital=True,
    ),
    *_of_patch(
        "measure_behind_the_prompt",
        ["models.huggingface.HFLM.loglikelihood"],
        "measures the likelihood of an answer after the prompt as it was asked",
        "`answer` `likelihood` with `--model hf` is measured as lm_eval does it, a template's line "
        "break included",
    ),
    *_of_patch(
        "check_before_the_model_loads",
        ["config.evaluate_config.EvaluatorConfig.process_tasks"],
        "checks the whole run before the model is loaded, and names the embedded model",
        "most errors come after the model was loaded, and pretrained= has to be given",
    ),
    *_of_patch(
        "read_the_command_line",
        ["config.evaluate_config.EvaluatorConfig.from_cli"],
        "tells which options were given, so that `--model qrag` batches by tokens",
        "`--model qrag` has one sequence a batch unless `--batch_size auto` is given, and without "
        "a GPU it is refused unless `--device cpu` is",
    ),
    *_of_patch(
        "check_every_run",
        ["evaluator.evaluate", "evaluator.simple_evaluate"],
        "tells our tasks which model answers, and checks limits, samples and metadata",
        "a prompt that a model other than `--model qrag` would cut is not noticed, nor, from "
        "Python, a misspelt key of the metadata",
    ),
    *_of_patch(
        "add_standard_errors",
        ["evaluator_utils.stderr_for_metric"],
        "knows the standard errors of our own aggregations",
        "rmse, f1 and their like are shown without a standard error",
    ),
    *_of_patch(
        "add_cost_table",
        ["utils.make_table"],
        "puts what a run cost behind its scores",
        "the cost stands in the results file alone",
    ),
    *_of_patch(
        "hide_what_never_happened",
        ["utils.make_table"],
        "leaves the rate of unfinished thoughts out of the table where there was none",
        "the table has one row more",
    ),
    *_of_patch(
        "remember_creation",
        [
            "api.model.LM.__init_subclass__",
            "api.model.LM.create_from_arg_obj",
            "api.model.LM.create_from_arg_string",
        ],
        "remembers the arguments that a model was created with: they tell its answers apart",
        "`--use_cache` keeps and serves answers of transformers' models only",
    ),
    *_of_patch(
        "keep_answers_apart",
        ["api.model.CachingLM.__init__", "api.model.CachingLM.__getattr__"],
        "keeps the answers of one arm from being served to another by `--use_cache`",
        "`--use_cache FILE` must be another file for every arm",
    ),
    # ------------------------------------------------------------------ lm_eval, read
    InnerName(
        "lm_eval.api.model.CachingLM.dbdict",
        "read",
        "harness.patches:keep_answers_apart",
        "is where `--use_cache` keeps its answers",
        "steps aside",
        "`--use_cache FILE` must be another file for every arm",
    ),
    *(
        InnerName(
            f"lm_eval.models.huggingface.HFLM.{name}",
            "read",
            by,
            reason,
            "refuses",
            "`--model qrag` cannot be had",
        )
        for by, reason, names in (
            (
                "harness.hflm_loader",
                "is overridden: loads the weights as the precision wants them",
                ["_create_model"],
            ),
            ("harness.hflm_loader", "is the loaded model, before it is checked", ["_model"]),
            (
                "harness.hflm_loader",
                "is set: lm_eval knows data-parallel runs on GPUs alone",
                ["_rank", "_world_size"],
            ),
            (
                "harness.model",
                "is written here: batches by tokens, keeps answers, counts",
                ["_loglikelihood_tokens"],
            ),
            (
                "harness.tokenized_lm",
                "is taken over: text is read and written as `--model hf` does",
                [
                    *("tok_encode", "tok_decode", "apply_chat_template", "tokenizer_name"),
                    *("eot_token_id", "prefix_token_id", "max_gen_toks", "loglikelihood_rolling"),
                ],
            ),
        )
        for name in names
    ),
    *(
        InnerName(f"lm_eval.{name}", "read", by, reason, "fails", lost)
        for name, by, reason, lost in (
            (
                "models.utils.normalize_gen_kwargs",
                "harness.windows",
                "reads the longest answer out of generation arguments as lm_eval does",
                "the tasks cannot be had",
            ),
            (
                "models.utils.postprocess_generated_text",
                "harness.engine_requests",
                "ends an answer where `--model hf` would end it",
                "`--model qrag` cannot be had",
            ),
            (
                "utils.simple_parse_args_string",
                "harness.every_run",
                "reads model arguments as lm_eval does",
                "the tasks cannot be had",
            ),
        )
    ),
    # ------------------------------------------------------------------ the model's libraries
    InnerName(
        "torch.nn.Module._save_to_state_dict",
        "read",
        "arms.components",
        "reads one layer's weights without those of the layers inside it",
        "fails",
        "an arm has no identity, and `--model qrag` cannot be had",
    ),
    *(
        InnerName(
            f"torch.nn.Module.{name}",
            "read",
            "arms.identity",
            "finds code of others that alters a layer's results",
            "fails",
            "an arm has no identity, and `--model qrag` cannot be had",
        )
        for name in ("_forward_hooks", "_forward_pre_hooks")
    ),
    InnerName(
        "torch.ops.aten._flash_attention_forward",
        "read",
        "engines.transformers.packed_attention",
        "is torch's own flash kernel, for batching=continuous where no package brings one",
        "does without",
        "batching=continuous on a GPU computes with masks, and takes two to three times as long",
    ),
    InnerName(
        "transformers.PretrainedConfig._attn_implementation",
        "read",
        "arms.identity",
        "says which attention an arm computes with",
        "does without",
        "the identity of an arm does not tell its attention",
    ),
    *(
        InnerName(
            f"transformers.PreTrainedModel.{name}",
            "read",
            "arms.verification",
            "lists the weights that an architecture keeps in float32 in every dtype",
            "does without",
            "a 16-bit arm of such an architecture is refused: it holds float32",
        )
        for name in ("_keep_in_fp32_modules", "_keep_in_fp32_modules_strict")
    ),
    InnerName(
        "transformers.models.auto.auto_factory._BaseAutoModelClass",
        "read",
        "arms.argument_names",
        "its source says which arguments a model is loaded with: others are misspelt",
        "does without",
        "some of transformers' own arguments are refused as unknown",
    ),
    InnerName(
        "accelerate.hooks.add_hook_to_module._hf_hook",
        "read",
        "arms.components",
        "finds weights that are kept elsewhere until their layer is used",
        "does without",
        "a model that does not fit its device has no identity: nothing of it is kept",
    ),
    *(
        InnerName(
            f"optimum.quanto.library.extensions.extension.{name}",
            "replaced",
            "arms.formats.quanto",
            "has torch unpack quanto's codes: nothing is compiled at the first pass",
            "fails",
            "`int4-quanto` and its like cannot be loaded",
        )
        for name in ("_extensions", "Extension._lib")
    ),
    *(
        InnerName(
            f"optimum.quanto.QBitsTensor.{name}",
            "read",
            "arms.formats.quanto",
            "tells which weights packed codes stand for",
            "fails",
            "`int4-quanto` and `int2-quanto` are refused, as their kernel cannot be checked",
        )
        for name in ("_scale", "_shift", "_scale_shift")
    ),
    *(
        InnerName(
            f"transformers.cache_utils.QuantizedLayer.{name}",
            "read",
            "engines.transformers.cache_layers",
            "has the pass that reads a prompt read the cache, too",
            "fails",
            "`kv_cache=int4-hqq` and its like cannot be had",
        )
        for name in ("_quantized_keys", "_quantized_values")
    ),
    *(
        InnerName(
            f"vllm.model_executor.layers.attention.Attention.{name}",
            "read",
            "engines.vllm.kv_cache",
            "tells by what keys and values in 8 bits are scaled",
            "does without",
            "results say 1.0 of the scales of `kv_cache=fp8`",
        )
        for name in ("_k_scale_float", "_v_scale_float")
    ),
    InnerName(
        "gptqmodel.utils.threadx._DeviceWorker._abort_process",
        "replaced",
        "quantizing.gptqmodel_runs",
        "ends a process whose quantization failed with a message, and leaves nothing behind",
        "pinned",
        "GPT-QModel ends the process without a word",
    ),
    InnerName(
        "gptqmodel.looper.loop_processor._PROJECT_LOG_DIR",
        "replaced",
        "quantizing.gptqmodel_runs",
        "has GPT-QModel write its logs where they are cleared away",
        "pinned",
        "GPT-QModel writes logs into the current folder",
    ),
)
"""All of them, in the order in which they are told."""


def as_markdown() -> str:
    """Return the table as docs/upstream.md has it."""
    lines = [
        "| name | what is done | by | for what | where it is not there | what is lost |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{row.name}` | {row.use} | `{row.by.replace(':', '.')}` | {row.reason} | {row.guard} | "
        f"{row.lost} |"
        for row in INNER_NAMES
    ]
    return "\n".join(lines) + "\n"
