"""What tells the answers of one arm from those of another: any difference, and nothing else."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the hf extra is not installed")
from lm_eval.api.instance import Instance  # noqa: E402
from lm_eval.api.model import LM  # noqa: E402
from lm_eval.models.huggingface import HFLM  # noqa: E402

from qrag_tasks.arms.components import tensor_content, weights_digest  # noqa: E402
from qrag_tasks.arms.identity import arm_identity, remember_creation  # noqa: E402

ONE_BYTE = [torch.int8, torch.uint8, torch.float8_e4m3fn, torch.float8_e5m2]
OTHERS = [torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.int32, torch.int64]


def load(model: Path, **arguments: Any) -> Any:
    return HFLM(pretrained=str(model), device="cpu", **arguments)


def ask(lm: Any) -> list[str]:
    asked = Instance("generate_until", {}, ("A kettle is", {"until": [], "max_gen_toks": 4}), 0)
    return list(lm.generate_until([asked]))


# ---------------------------------------------------------------------- tensors
@pytest.mark.parametrize("dtype", [*ONE_BYTE, *OTHERS], ids=str)
@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (7, 11, 13)], ids=str)
def test_every_bit_of_a_tensor_counts(dtype: Any, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    size = torch.empty(shape, dtype=dtype).nbytes
    data = torch.randint(0, 256, (size,), dtype=torch.uint8)
    content = tensor_content(data.view(dtype).reshape(shape))
    assert tensor_content(data.clone().view(dtype).reshape(shape)) == content
    for byte in range(0, size, max(1, size // 40)):
        for bit in range(8):
            flipped = data.clone()
            flipped[byte] ^= 1 << bit
            assert tensor_content(flipped.view(dtype).reshape(shape)) != content


def test_bool_complex_empty_and_views() -> None:
    flags = torch.tensor([True, False, True])
    assert tensor_content(flags) != tensor_content(~flags)
    assert tensor_content(flags) != tensor_content(flags.to(torch.uint8))
    waves = torch.randn(5, dtype=torch.complex64)
    assert tensor_content(waves.conj()) == tensor_content(waves.conj().resolve_conj())
    assert tensor_content(waves.conj()) != tensor_content(waves)
    assert tensor_content(torch.empty(0, 3)) != tensor_content(torch.empty(0, 4))
    whole = torch.randn(9, 10).to(torch.bfloat16)
    assert tensor_content(whole[1:, 1:]) == tensor_content(whole[1:, 1:].clone())
    assert tensor_content(whole.t()) == tensor_content(whole.t().contiguous())
    assert tensor_content(whole.flatten()[1:]) == tensor_content(whole.flatten()[1:].clone())
    assert tensor_content(torch.ones(1).expand(4)) == tensor_content(torch.ones(4))


def test_large_tensors_that_are_not_contiguous() -> None:
    large = torch.randn(3000, 6000).t()
    content = tensor_content(large)
    for place in ((0, 0), (2999, 1500), (5999, 2999)):
        changed = large.clone(memory_format=torch.preserve_format)
        assert tensor_content(changed) == content
        changed[place] += 1
        assert tensor_content(changed) != content


# What a checksum may overlook: elements that change places, near and far, or in pairs, or that
# differ in their sign alone.
@settings(max_examples=60)
@given(
    st.sampled_from([torch.int8, torch.bfloat16, torch.float32, torch.int64]),
    st.integers(0, 199_999),
    st.integers(0, 199_999),
    st.booleans(),
)
def test_elements_that_change_places_are_noticed(
    dtype: Any, one: int, other: int, sign_alone: bool
) -> None:
    numbers = torch.ones(200_000, dtype=dtype)
    numbers[one] = -1 if sign_alone else 3
    swapped = numbers.clone()
    swapped[one], swapped[other] = numbers[other].clone(), numbers[one].clone()
    assert (tensor_content(swapped) == tensor_content(numbers)) == (one == other)


def test_blocks_that_change_places_are_noticed() -> None:
    a, b = torch.randn(2, 512)
    blocks = [torch.cat(rows) for rows in ((a, b, b, a), (b, a, a, b), (a, b, a, b))]
    assert len({json.dumps(tensor_content(block)) for block in blocks}) == 3
    words = torch.arange(64)
    words[10:40:10] += torch.tensor([1, -2, 1])
    assert tensor_content(words) != tensor_content(torch.arange(64))
    top = torch.zeros(1 << 17, dtype=torch.int64)
    far = top.clone()
    top[0] = far[1 << 15] = torch.iinfo(torch.int64).min
    assert tensor_content(top) != tensor_content(far)


def test_what_cannot_be_read_is_like_nothing_else() -> None:
    one, other = torch.empty(3, device="meta"), torch.empty(3, device="meta")
    assert tensor_content(one) == tensor_content(one)
    assert tensor_content(one) != tensor_content(other)
    sparse = torch.eye(3).to_sparse()
    assert tensor_content(sparse) != tensor_content(torch.eye(3).to_sparse())


def test_tensors_made_of_others_are_read_through() -> None:
    from torch.testing._internal.two_tensor import TwoTensor

    a, b = torch.randn(3), torch.randn(3)
    content = tensor_content(TwoTensor(a, b))
    assert content == tensor_content(TwoTensor(a.clone(), b.clone()))
    assert content != tensor_content(TwoTensor(b, a))
    layer = torch.nn.Linear(3, 3)
    layer.weight = torch.nn.Parameter(TwoTensor(torch.ones(3, 3), torch.ones(3, 3)))
    before = weights_digest(layer)
    layer.weight = torch.nn.Parameter(TwoTensor(torch.ones(3, 3), torch.zeros(3, 3)))
    assert weights_digest(layer) != before


# ---------------------------------------------------------------------- modules
class WithExtra(torch.nn.Linear):  # type: ignore[misc, name-defined]
    extra: Any = None

    def get_extra_state(self) -> Any:
        return self.extra

    def set_extra_state(self, state: Any) -> None:
        self.extra = state


def test_state_that_is_no_tensor_counts() -> None:
    layer = WithExtra(3, 3)
    found = set()
    for extra in (None, b"a", {"scale": torch.ones(2)}, {"scale": torch.zeros(2)}, [1, "x"]):
        layer.extra = extra
        found.add(weights_digest(layer))
        assert weights_digest(layer) in found
    assert len(found) == 5


def test_tied_and_equal_weights_are_the_same_weights() -> None:
    def tower(tie: bool) -> Any:
        torch.manual_seed(0)
        layers = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
        if tie:
            layers[1].weight = layers[0].weight
        else:
            layers[1].weight.data.copy_(layers[0].weight)
        return layers

    assert weights_digest(tower(True)) == weights_digest(tower(False))
    changed = tower(False)
    changed[1].weight.data[0, 0] += 1
    assert weights_digest(changed) != weights_digest(tower(True))


def test_offloaded_weights_are_read_where_they_are(tiny_model: Path, tmp_path: Path) -> None:
    from accelerate import cpu_offload, disk_offload

    lm = load(tiny_model)
    at_first = weights_digest(lm.model)
    for offload in (cpu_offload, lambda model: disk_offload(model, mkdtemp(dir=tmp_path))):
        other = load(tiny_model)
        other.model.lm_head.weight.data[0, 0] += 1
        offload(other.model)
        assert any(weight.is_meta for weight in other.model.parameters())
        assert weights_digest(other.model) != at_first
        assert arm_identity(other).known
        model = load(tiny_model).model
        offload(model)
        assert weights_digest(model) == at_first


def test_weights_without_content_are_not_known(tiny_model: Path) -> None:
    lm = load(tiny_model)
    lm.model.to("meta")
    assert not arm_identity(lm).known


# ---------------------------------------------------------------------- HFLM
def test_the_same_arm_elsewhere(tiny_model: Path, tmp_path: Path) -> None:
    identity = arm_identity(load(tiny_model))
    assert identity.known
    shutil.copytree(tiny_model, tmp_path / "copy")
    for lm in (
        load(tmp_path / "copy", batch_size=4),
        load(tiny_model, batch_size="auto", max_batch_size=8),
        HFLM(pretrained=load(tiny_model).model, tokenizer=load(tiny_model).tokenizer),
    ):
        assert arm_identity(lm) == identity
    assert str(tiny_model) not in json.dumps(identity.parts)
    load(tiny_model).model.save_pretrained(tmp_path / "saved")
    load(tiny_model).tokenizer.save_pretrained(tmp_path / "saved")
    assert arm_identity(load(tmp_path / "saved")) == identity


def test_answering_changes_nothing(tiny_model: Path) -> None:
    lm = load(tiny_model)
    identity = arm_identity(lm)
    ask(lm)
    lm.tok_batch_encode(["A kettle", "is"], truncation=True)
    assert arm_identity(lm) == identity
    lm.loglikelihood([Instance("loglikelihood", {}, ("A kettle", " is"), 0)])
    assert arm_identity(lm) == identity


def _one_weight(lm: Any) -> None:
    lm.model.model.layers[1].mlp.up_proj.weight.data[3, 5] *= -1


def _one_norm(lm: Any) -> None:
    lm.model.model.norm.weight.data[0] += 0.5


def _activation(lm: Any) -> None:
    lm.model.model.layers[0].mlp.act_fn = torch.nn.GELU()


def _constant(lm: Any) -> None:
    lm.model.config.rms_norm_eps = 0.1


def _penalty(lm: Any) -> None:
    lm.model.generation_config.repetition_penalty = 1.5


def _template(lm: Any) -> None:
    lm.tokenizer.chat_template += " "


def _vocabulary(lm: Any) -> None:
    lm.tokenizer.add_tokens(["kettles"])


def _end(lm: Any) -> None:
    lm.tokenizer.eos_token = "<|user|>"


def _hook(lm: Any) -> None:
    lm.model.lm_head.register_forward_hook(lambda layer, inputs, output: -output)


def _decoding(lm: Any) -> None:
    from qrag_tasks.engines.decoding import Decoding

    lm.decoding = Decoding(end_tokens=(0,), sources={}, pad_token=1)


def _decoding_to_another_end(lm: Any) -> None:
    _decoding(lm)
    lm.decoding = dataclasses.replace(lm.decoding, end_tokens=(0, 3))


CHANGES = [
    *(
        _one_weight,
        _one_norm,
        _activation,
        _constant,
        _penalty,
        _template,
        _vocabulary,
        _end,
        _hook,
    ),
    *(_decoding, _decoding_to_another_end),
]


def test_every_change_in_place_makes_another_arm(tiny_model: Path) -> None:
    lm = load(tiny_model)
    digests = [arm_identity(lm).digest]
    for change in CHANGES:
        change(lm)
        digests.append(arm_identity(lm).digest)
    assert len(set(digests)) == len(CHANGES) + 1


def test_a_hook_of_ones_own_is_not_known_elsewhere(tiny_model: Path) -> None:
    lm = load(tiny_model)
    _hook(lm)
    assert arm_identity(lm) == arm_identity(lm)
    assert not arm_identity(lm).known


ARGUMENTS: list[dict[str, Any]] = [
    {},
    {"dtype": "float16"},
    {"dtype": "float32"},
    {"load_in_4bit": True},
    {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"},
    {"load_in_4bit": True, "bnb_4bit_compute_dtype": "float32"},
    {"load_in_4bit": True, "bnb_4bit_use_double_quant": True},
    {"load_in_8bit": True},
    {"load_in_8bit": True, "llm_int8_threshold": 3.0},
    {"attn_implementation": "eager"},
    {"max_length": 512},
    {"add_bos_token": True},
    {"prefix_token_id": 3},
    {"softmax_dtype": "float32"},
    {"truncation": True},
    {"think_end_token": "<|end|>"},
    {"enable_thinking": False},
    {"mixed_precision_dtype": "float16"},
]


def test_every_argument_that_answers_depend_on(tiny_model: Path) -> None:
    found: dict[str, Any] = {}
    for arguments in ARGUMENTS:
        identity = arm_identity(load(tiny_model, **arguments))
        assert identity.known, arguments
        assert identity.digest not in found, (arguments, found.get(identity.digest))
        found[identity.digest] = arguments
        assert arm_identity(load(tiny_model, **arguments)) == identity


@pytest.mark.parametrize("arguments", [{"load_in_4bit": True}, {"load_in_8bit": True}], ids=str)
def test_quantized_weights_are_known_as_first_seen(
    tiny_model: Path, arguments: dict[str, Any]
) -> None:
    lm = load(tiny_model, **arguments)
    identity = arm_identity(lm)
    answers = ask(lm)
    assert arm_identity(lm) == identity
    assert ask(lm) == answers
    wrapped_anew = HFLM(pretrained=lm.model, tokenizer=lm.tokenizer)
    assert arm_identity(wrapped_anew) == identity
    layer = lm.model.model.layers[0].mlp.up_proj
    layer.weight = load(tiny_model, **arguments).model.model.layers[1].mlp.up_proj.weight
    assert arm_identity(lm) != identity


@torch.no_grad()  # type: ignore[untyped-decorator]
def test_quantized_weights_that_are_first_seen_after_use(tiny_model: Path) -> None:
    identities = {}
    tokens = torch.arange(5, 25)[None]
    for name in ("one", "same", "other"):
        lm = load(tiny_model, load_in_4bit=True)
        if name == "other":
            lm.model.model.layers[0].mlp.up_proj.weight.data[0] ^= 1
        given_before = lm.model(tokens).logits
        identities[name] = arm_identity(lm).digest
        # Looking has not changed what it gives.
        assert torch.equal(lm.model(tokens).logits, given_before)
    assert identities["one"] == identities["same"] != identities["other"]


@pytest.mark.filterwarnings("ignore:You passed `quantization_config`")
def test_a_saved_quantized_model_is_the_same_weights(tiny_model: Path, tmp_path: Path) -> None:
    lm = load(tiny_model, load_in_4bit=True)
    lm.model.save_pretrained(tmp_path)
    lm.tokenizer.save_pretrained(tmp_path)
    assert weights_digest(load(tmp_path).model) == weights_digest(lm.model)


class Louder(HFLM):  # type: ignore[misc]
    def __init__(self, *args: Any, gain: float = 1.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gain = gain


def test_classes_derived_from_hflm_are_arms_of_their_own(tiny_model: Path) -> None:
    def louder(**arguments: Any) -> str:
        louder_arm = Louder(pretrained=str(tiny_model), device="cpu", **arguments)
        return arm_identity(louder_arm).digest

    assert louder() != arm_identity(load(tiny_model)).digest
    assert louder() == louder(batch_size=4) != louder(gain=2.0)


# ---------------------------------------------------------------------- other models
class Parrot(LM):  # type: ignore[misc]
    def __init__(self, **arguments: Any) -> None:
        super().__init__()
        self.arguments = arguments

    def loglikelihood(self, requests: Any) -> Any:
        return [(-1.0, False) for _ in requests]

    def loglikelihood_rolling(self, requests: Any) -> Any:
        return [-1.0 for _ in requests]

    def generate_until(self, requests: Any) -> Any:
        return [self.arguments.get("word", "") for _ in requests]


class Macaw(Parrot):
    pass


def created(kind: Callable[..., Any], **arguments: Any) -> Any:
    lm = kind(**arguments)
    remember_creation(lm, arguments)
    return arm_identity(lm)


def test_other_models_are_known_by_class_and_arguments() -> None:
    one = created(Parrot, word="yes", options={"a": 1, "b": [2]})
    assert one.known
    assert one == created(Parrot, options={"b": [2], "a": 1}, word="yes")
    assert one == created(
        Parrot, word="yes", options={"a": 1, "b": [2]}, batch_size=4, device="cpu", max_batch_size=9
    )
    for other in (
        created(Parrot, word="no", options={"a": 1, "b": [2]}),
        created(Parrot, word="yes", options={"a": 1, "b": [3]}),
        created(Parrot, word="yes"),
        created(Macaw, word="yes", options={"a": 1, "b": [2]}),
    ):
        assert other.digest != one.digest


def test_arguments_that_are_objects_are_not_known() -> None:
    assert not created(Parrot, client=object()).known
    assert created(Parrot, client=object()).digest != created(Parrot, client=object()).digest


def test_files_among_the_arguments_are_known_by_what_they_are_now(tmp_path: Path) -> None:
    weights = tmp_path / "model.bin"
    weights.write_bytes(b"one")
    at_first = created(Parrot, model=str(tmp_path))
    assert created(Parrot, model=str(tmp_path)) == at_first
    weights.write_bytes(b"other")
    assert created(Parrot, model=str(tmp_path)).digest != at_first.digest


@pytest.mark.parametrize("size", [9, 40_000_000])
@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
def test_files_of_equal_size_and_time_are_told_apart(tmp_path: Path, size: int, at: float) -> None:
    weights = tmp_path / "model.gguf"
    weights.write_bytes(bytes(size))
    was = weights.stat()
    at_first = created(Parrot, model=str(weights))
    with weights.open("r+b") as file:
        # As weights that were made again: all of a megabyte differs, or what there is.
        start = int(max(0, size - 1_000_000) * at)
        file.seek(start)
        file.write(b"x" * min(1_000_000, size - start))
    os.utime(weights, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert weights.stat().st_size == size
    assert created(Parrot, model=str(weights)).digest != at_first.digest
    # A copy elsewhere in time and place is the same arm, as with several machines.
    weights.write_bytes(bytes(size))
    os.utime(weights, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert created(Parrot, model=str(weights)) == at_first


def test_secrets_are_not_recorded() -> None:
    identity = created(Parrot, api_key="s3cr3t-1", header={"Authorization": "s3cr3t-2"})
    assert "s3cr3t" not in json.dumps(identity.parts)


def test_objects_built_by_hand_are_not_known() -> None:
    one, other = Parrot(word="yes"), Parrot(word="yes")
    assert not arm_identity(one).known
    assert arm_identity(one) == arm_identity(one)
    assert arm_identity(one).digest != arm_identity(other).digest


def test_a_class_may_tell_for_itself(tiny_model: Path) -> None:
    class Told(Parrot):
        def arm_identity_parts(self) -> dict[str, Any]:
            return {"word": self.arguments["word"]}

    assert arm_identity(Told(word="a", speed=1)) == arm_identity(Told(word="a", speed=2))
    assert arm_identity(Told(word="a")).known
    assert arm_identity(Told(word="a")).digest != arm_identity(Told(word="b")).digest

    class ToldOnTop(HFLM):  # type: ignore[misc]
        mood = "calm"

        def arm_identity_parts(self) -> dict[str, Any]:
            return {"mood": self.mood}

    lm = ToldOnTop(pretrained=str(tiny_model), device="cpu")
    calm = arm_identity(lm)
    lm.mood = "loud"
    assert arm_identity(lm).digest != calm.digest
    assert calm.known
    _one_weight(lm)
    lm.mood = "calm"
    assert arm_identity(lm).digest != calm.digest
