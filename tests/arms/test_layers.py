"""What the layers of loaded models are, and what they weigh."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from quantized_files import awq_config, gptq_config, load_packed, quantized_folder

torch = pytest.importorskip("torch", reason="the hf extra is not installed")
import transformers  # noqa: E402

from qrag_tasks.arms.layers import (  # noqa: E402
    Layer,
    embedding_names,
    linear_layers,
    weights,
    weights_of_blocks,
)

VOCABULARY, HIDDEN, INNER = 1024, 64, 128
BLOCK = 2 * (4 * HIDDEN * HIDDEN + 3 * HIDDEN * INNER)
EMBEDDING = VOCABULARY * HIDDEN
NORMS = 5 * HIDDEN
INV_FREQ = 2 * 8 * 4  # two buffers of the rotary embedding, in float32


def load(folder: Path, **arguments: Any) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, device_map={"": "cpu"}, **arguments
    )


def in_bits(folder: Path, **config: Any) -> Any:
    return load(folder, quantization_config=transformers.BitsAndBytesConfig(**config))


def block_layers(model: Any) -> list[Layer]:
    return [layer for layer in linear_layers(model) if layer.role == "block"]


def kinds(layers: list[Layer]) -> set[tuple[Any, ...]]:
    return {(x.kernel, x.method, x.bits, x.quant_type, x.group_size, x.dtype) for x in layers}


def test_plain_layers(tiny_model: Path) -> None:
    model = load(tiny_model)
    layers = linear_layers(model)
    assert kinds(layers) == {("Linear", "none", 16, None, None, "bfloat16")}
    assert [layer.name for layer in layers if layer.role == "head"] == ["lm_head"]
    assert len(block_layers(model)) == 14
    down = next(layer for layer in layers if layer.name == "model.layers.1.mlp.down_proj")
    assert (down.in_features, down.out_features, down.bytes) == (INNER, HIDDEN, 2 * INNER * HIDDEN)
    assert embedding_names(model) == ["model.embed_tokens"]


def test_plain_weights(tiny_model: Path) -> None:
    sizes = weights(load(tiny_model))
    assert sizes.full_precision == 2 * BLOCK
    assert sizes.head == sizes.embeddings == 2 * EMBEDDING
    assert sizes.other == 2 * NORMS + INV_FREQ
    assert sizes.quantized == 0
    assert sizes.parameters == BLOCK + 2 * EMBEDDING + NORMS
    assert sizes.as_dict()["bytes"] == sizes.total == 2 * sizes.parameters + INV_FREQ
    assert (sizes.linear_weights, sizes.linear_bits_per_weight) == (BLOCK, 16.0)
    assert sizes.bits_per_weight == 8 * sizes.total / sizes.parameters


def test_tied_weights_count_once() -> None:
    config = transformers.LlamaConfig(
        vocab_size=100,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        tie_word_embeddings=True,
    )
    model = transformers.LlamaForCausalLM(config)
    sizes = weights(model)
    assert (sizes.embeddings, sizes.head) == (4 * 100 * 32, 0)
    assert sizes.parameters == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("quant_type", ["nf4", "fp4"])
def test_bitsandbytes_4_bits(tiny_model: Path, quant_type: str, nested: bool) -> None:
    model = in_bits(
        tiny_model,
        load_in_4bit=True,
        bnb_4bit_quant_type=quant_type,
        bnb_4bit_compute_dtype="bfloat16",
        bnb_4bit_use_double_quant=nested,
    )
    layers = block_layers(model)
    assert kinds(layers) == {("Linear4bit", "bitsandbytes", 4, quant_type, 64, "bfloat16")}
    codes, code = BLOCK // 2, 4 * 16
    scales = BLOCK // 64
    if nested:
        # A byte a scale; then a scale a 256, a table of 256 values and an offset for each layer.
        scales_of_scales = sum(4 * -(-x.in_features * x.out_features // 64 // 256) for x in layers)
        expected = codes + scales + scales_of_scales + 14 * (code + 4 * 256 + 4)
    else:
        expected = codes + 4 * scales + 14 * code
    sizes = weights(model)
    # Tables of values may be shared.
    shared = 14 * (code + (4 * 256 if nested else 0))
    assert expected - shared < sizes.quantized <= expected
    assert sum(layer.bytes for layer in layers) == expected
    assert sizes.full_precision == 0
    assert sizes.parameters == BLOCK + 2 * EMBEDDING + NORMS
    assert (sizes.linear_weights, sizes.linear_bytes) == (BLOCK, expected)
    if not nested:
        # QLoRA: a scale of 32 bits for 64 weights; and a table a layer, which weighs here.
        assert sizes.linear_bits_per_weight == 4 + 32 / 64 + 8 * 14 * code / BLOCK


def test_bitsandbytes_8_bits(tiny_model: Path) -> None:
    model = in_bits(tiny_model, load_in_8bit=True)
    assert kinds(block_layers(model)) == {
        ("Linear8bitLt", "bitsandbytes", 8, None, None, "float16")
    }
    rows = 2 * (4 * HIDDEN + 2 * INNER + HIDDEN)
    before = weights(model)
    assert before.quantized == BLOCK + 4 * rows
    with torch.no_grad():
        model(torch.tensor([[1, 2, 3]]))
    assert weights(model) == before


def test_layers_that_are_left_out(tiny_model: Path) -> None:
    model = in_bits(tiny_model, load_in_4bit=True, llm_int8_skip_modules=["q_proj", "lm_head"])
    plain = [layer for layer in block_layers(model) if not layer.quantized]
    assert [layer.name for layer in plain] == [
        f"model.layers.{i}.self_attn.q_proj" for i in range(2)
    ]
    assert str(plain[0]).endswith("q_proj (Linear, bfloat16)")
    sizes = weights(model)
    assert sizes.full_precision == 2 * 2 * HIDDEN * HIDDEN
    # They count: an arm that is left as it was in part takes more bits than its precision says.
    assert sizes.linear_weights == BLOCK
    assert sizes.linear_bytes == sizes.full_precision + sum(
        layer.bytes for layer in block_layers(model) if layer.quantized
    )


def test_transposed_layers_with_biases() -> None:
    config = transformers.GPT2Config(vocab_size=100, n_embd=32, n_layer=1, n_head=2)
    model = transformers.GPT2LMHeadModel(config)
    layers = {layer.name: layer for layer in block_layers(model)}
    fc = layers["transformer.h.0.mlp.c_fc"]
    assert (fc.kernel, fc.in_features, fc.out_features) == ("Conv1D", 32, 128)
    assert fc.bytes == 4 * (32 * 128 + 128)
    assert len(layers) == 4
    # A bias is no weight of the matrix.
    assert weights(model).linear_bits_per_weight == 32.0
    assert fc.weight_bytes == 4 * 32 * 128
    assert embedding_names(model) == ["transformer.wte", "transformer.wpe"]
    assert weights(model).parameters == sum(p.numel() for p in model.parameters())


def test_what_is_unpacked_on_loading_counts_as_it_is_stored(tiny_model: Path) -> None:
    layer = next(layer for layer in linear_layers(load(tiny_model)) if layer.role == "block")
    packed = replace(layer, method="other", stored_bytes=layer.weights // 2)
    assert packed.weight_bytes == packed.weights // 2 < packed.bytes == 2 * packed.weights
    counted = weights_of_blocks([packed, layer])
    assert counted == {
        "linear_weights": 2 * layer.weights,
        "linear_bytes": layer.weights // 2 + 2 * layer.weights,
    }


def test_biases_of_quantized_layers(tmp_path: Path) -> None:
    config = transformers.GPT2Config(vocab_size=100, n_embd=64, n_layer=1, n_head=2)
    model = transformers.GPT2LMHeadModel(config)
    model.save_pretrained(tmp_path)
    quantized = in_bits(tmp_path, load_in_4bit=True)
    assert weights(quantized).parameters == sum(p.numel() for p in model.parameters())
    assert {layer.method for layer in block_layers(quantized)} == {"bitsandbytes"}


def test_experts_in_one_tensor() -> None:
    config = transformers.MixtralConfig(
        vocab_size=100,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        num_local_experts=4,
    )
    model = transformers.MixtralForCausalLM(config)
    experts = [layer for layer in block_layers(model) if ".experts" in layer.name]
    if not any(name.endswith("gate_up_proj") for name, _ in model.named_parameters()):
        pytest.skip("this transformers has a module for each expert")
    assert sum(layer.bytes for layer in experts) == 4 * 4 * 3 * 32 * 64
    assert {layer.method for layer in experts} == {"none"}
    assert weights(model).parameters == sum(p.numel() for p in model.parameters())


def test_a_foreign_quantization_is_no_plain_layer(tiny_model: Path) -> None:
    model = load(tiny_model)
    proj = model.model.layers[0].self_attn.q_proj
    proj.weight = torch.nn.Parameter(proj.weight.to(torch.float8_e4m3fn), requires_grad=False)
    odd = [layer for layer in linear_layers(model) if layer.quantized]
    assert [(layer.method, layer.name) for layer in odd] == [
        ("other", "model.layers.0.self_attn.q_proj")
    ]


@pytest.mark.parametrize(
    ("method", "config", "per_group", "per_input"),
    [
        ("gptq", gptq_config(32), 2.5, 4),
        ("awq", awq_config(32), 2.5, 0),
    ],
)
def test_gptq_and_awq(
    tiny_model: Path,
    tmp_path: Path,
    method: str,
    config: dict[str, Any],
    per_group: float,
    per_input: int,
) -> None:
    model = load_packed(quantized_folder(tiny_model, tmp_path / "model", config))
    layers = block_layers(model)
    assert {(x.method, x.bits, x.quant_type, x.group_size) for x in layers} == {
        (method, 4, None, 32)
    }
    assert {(x.in_features, x.out_features) for x in layers} == {
        (HIDDEN, HIDDEN),
        (HIDDEN, INNER),
        (INNER, HIDDEN),
    }
    inputs = 2 * (4 * HIDDEN + 2 * HIDDEN + INNER)
    expected = BLOCK / 2 + per_group * BLOCK / 32 + per_input * inputs
    sizes = weights(model)
    # Kernels hold small tables beside.
    assert expected <= sizes.quantized <= expected + 14 * 128
    assert sizes.parameters == BLOCK + 2 * EMBEDDING + NORMS
    assert sizes.head == 2 * EMBEDDING
