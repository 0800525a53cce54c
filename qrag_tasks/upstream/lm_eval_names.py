"""The inner names of lm_eval that are replaced or read here."""

from __future__ import annotations

from collections.abc import Sequence

from qrag_tasks.upstream.inner_name import InnerName


def _of_patch(
    patch: str, names: Sequence[str], reason: str, lost: str, vital: bool = False
) -> list[InnerName]:
    by = f"harness.patches:{patch}"
    return [
        InnerName(f"lm_eval.{name}", "replaced", by, reason, "steps aside", lost, vital)
        for name in names
    ]


LM_EVAL_NAMES: tuple[InnerName, ...] = (
    # ------------------------------------------------------------------ replaced
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
    # ------------------------------------------------------------------ read
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
)
