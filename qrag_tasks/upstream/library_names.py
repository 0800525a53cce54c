"""The inner names of the libraries that models run in: torch, transformers, vLLM and their kin."""

from __future__ import annotations

from qrag_tasks.upstream.inner_name import InnerName

LIBRARY_NAMES: tuple[InnerName, ...] = (
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
        "torch.utils.collect_env.get_pretty_env_info",
        "replaced",
        "harness.evaluation",
        "has lm_eval ask once a process what the machine is, which takes a second",
        "does without",
        "results do not say what the machine is",
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
        "torch.cpu._init_amx",
        "read",
        "engines.vllm.loading",
        "asks the system for AMX, which vLLM's kernels for 4-bit weights use without asking",
        "does without",
        "`engine=vllm` may end with an illegal instruction on a CPU with AMX",
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
    InnerName(
        "bitsandbytes.nn.Linear4bit.support_avx512bf16_for_cpu",
        "replaced",
        "arms.formats.bitsandbytes",
        "has 4 bits compute in the dtype of their arm on any CPU",
        "does without",
        "on a CPU with AVX512-BF16, `int4-nf4` computes in bfloat16 and reads prompts more slowly",
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
    *(
        InnerName(
            f"vllm.model_executor.kernels.linear.scaled_mm.pytorch.{name}.apply_scaled_mm",
            "replaced",
            "engines.vllm.fp8_on_cpu",
            "multiplies FP8 with a scale a row, on CPUs where oneDNN has only its reference",
            "does without",
            "FP8 in vLLM takes minutes a layer on such a CPU",
        )
        for name in (
            "PerTensorTorchFP8ScaledMMLinearKernel",
            "ChannelWiseTorchFP8ScaledMMLinearKernel",
        )
    ),
    InnerName(
        "torch._scaled_mm",
        "read",
        "engines.vllm.fp8_on_cpu",
        "is what vLLM's own kernels for FP8 call, too",
        "fails",
        "FP8 in vLLM cannot be had on such a CPU",
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
