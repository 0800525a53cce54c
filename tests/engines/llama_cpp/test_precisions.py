"""A file is in the precision that its tensors say, whatever its header or its name claims."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("llama_cpp", reason="the llama-cpp extra is not installed")
from gguf_models import load_gguf, quantize_gguf, write_gguf

from qrag_tasks.arms.formats.gguf import MIXTURES, OTHER, PREFIX, Gguf, matrices, precision_of
from qrag_tasks.arms.gguf_files import GgufFile, read_gguf
from qrag_tasks.engines.llama_cpp.evidence import arm_of
from qrag_tasks.errors import ModelError, SettingsError
from qrag_tasks.testing.engine_requests import generate, sample_requests

WRITTEN = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
# All others of MIXTURES need text to be calibrated with, or experts.
QUANTIZED = (
    *("q6_k", "q5_k_m", "q5_k_s", "q4_k_m", "q4_k_s", "q3_k_l", "q3_k_m", "q3_k_s"),
    *("q2_k", "iq4_nl", "iq4_xs", "iq3_m", "iq3_s", "tq2_0", "tq1_0"),
)


def claiming(model: Path, file: Path, made: str, claimed: str | None) -> GgufFile:
    """Return a file that is made so, and claims something else."""
    number = None if claimed is None else MIXTURES[claimed].number
    return read_gguf(str(write_gguf(model, file, made, metadata={"general.file_type": number})))


def assert_it_answers(file: GgufFile) -> None:
    engine = load_gguf(file.path)
    answers = generate(engine, sample_requests(engine)[:2])
    assert all(answers)
    engine.close()


@pytest.mark.parametrize("file_type", WRITTEN)
def test_a_written_file(tiny_model: Path, tmp_path: Path, file_type: str) -> None:
    file = read_gguf(str(write_gguf(tiny_model, tmp_path / "a.gguf", file_type)))
    assert precision_of(file, None).name == f"gguf-{file_type}"
    assert precision_of(file, f"gguf-{file_type}").bits == MIXTURES[file_type].bits
    (kind,) = arm_of(file, precision_of(file, None))["layers"]
    assert kind["count"] == 14
    plain = file_type in ("f32", "f16", "bf16")
    assert kind["quant_type"] == (None if plain else MIXTURES[file_type].base)
    assert_it_answers(file)


@pytest.mark.parametrize("file_type", QUANTIZED)
@pytest.mark.parametrize("source", ["wide_gguf", "tiny_gguf"])
def test_what_llama_quantize_makes(
    source: str, file_type: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    made = quantize_gguf(request.getfixturevalue(source), tmp_path / "a.gguf", file_type)
    file = read_gguf(str(made))
    row = precision_of(file, None)
    assert row.name == f"gguf-{file_type}"
    kinds = arm_of(file, row)["tensor_kinds"]
    assert sum(kind["share"] for kind in kinds.values()) == pytest.approx(1)
    # Rows of 64 numbers cannot be parted into blocks of 256: another kind takes their place.
    assert (MIXTURES[file_type].base in kinds) == (source == "wide_gguf" or file_type == "iq4_nl")
    if source == "wide_gguf":
        assert_it_answers(file)


def test_the_precisions_that_are_loaded_here_say_so() -> None:
    named = {row.name for row in Gguf.precisions if row.ci == "extras"}
    assert named == {PREFIX + name for name in (*WRITTEN, *QUANTIZED)}


def test_bits_a_weight_are_those_of_the_file(wide_gguf: Path, tmp_path: Path) -> None:
    made = quantize_gguf(wide_gguf, tmp_path / "a.gguf", "q4_k_m")
    file = read_gguf(str(made))
    arm = arm_of(file, precision_of(file, None))
    # ggml's blocks: 144 bytes for 256 weights, and 210 bytes for 256.
    assert arm["tensor_kinds"]["Q4_K"]["bits_per_weight"] == 144 * 8 / 256
    assert arm["tensor_kinds"]["Q6_K"]["bits_per_weight"] == 210 * 8 / 256
    assert 4.5 < arm["bits_per_weight"] < 6.6
    in_blocks = matrices(file)
    assert arm["weights"]["linear_bytes"] == sum(tensor.bytes for tensor in in_blocks)
    assert {tensor.kind for tensor in in_blocks} == {"Q4_K", "Q6_K"}
    assert 4.5 < arm["linear_bits_per_weight"] < 210 * 8 / 256
    assert arm["weights"]["bytes"] == file.bytes < made.stat().st_size
    assert arm["weights"]["parameters"] == sum(
        tensor.shape[0] * (tensor.shape[1] if len(tensor.shape) > 1 else 1)
        for tensor in file.tensors
    )
    assert arm["unquantized"] == []


@pytest.mark.parametrize("made", ["f16", "q8_0", "q4_0"])
def test_a_false_claim_names_the_matrices(wide_model: Path, tmp_path: Path, made: str) -> None:
    file = claiming(wide_model, tmp_path / "a.gguf", made, "q4_k_m")
    message = rf"says that it is gguf-q4_k_m, but 28 of 28 .* are not: blk\.0.*\({made.upper()}\)"
    with pytest.raises(ModelError, match=message):
        precision_of(file, None)
    assert precision_of(file, OTHER).name == OTHER


def test_a_part_of_the_matrices_is_enough(tiny_model: Path, tmp_path: Path) -> None:
    file = write_gguf(tiny_model, tmp_path / "a.gguf", "q8_0", plain=("blk.1.ffn_up.weight",))
    with pytest.raises(ModelError, match=r"1 of 14 .* are not: blk\.1\.ffn_up\.weight \(F32\)"):
        precision_of(read_gguf(str(file)), None)


@pytest.mark.parametrize(("made", "lacks"), [("q4_k_m", "Q5_K or Q6_K"), ("q3_k_l", "Q5_K")])
def test_a_mixture_is_more_than_its_base(
    wide_gguf: Path, tmp_path: Path, made: str, lacks: str
) -> None:
    file = read_gguf(str(quantize_gguf(wide_gguf, tmp_path / "a.gguf", made, pure=True)))
    with pytest.raises(ModelError, match=rf"no matrix in its blocks is {lacks}, as some are"):
        precision_of(file, None)


def test_a_name_that_says_otherwise(tiny_model: Path, tmp_path: Path) -> None:
    file = write_gguf(tiny_model, tmp_path / "model.Q4_K_M.gguf", "q8_0")
    with pytest.raises(ModelError, match="is called Q4_K_M, and its header says that it is gguf-"):
        precision_of(read_gguf(str(file)), None)
    for name in ("model-q8_0.gguf", "Q4_K_L.gguf", "a-f16-to-Q8_0.gguf", "mxq4_0x.gguf"):
        file = file.rename(tmp_path / name)
        assert precision_of(read_gguf(str(file)), None).name == "gguf-q8_0"


def test_a_file_that_does_not_say(tiny_model: Path, tmp_path: Path) -> None:
    file = claiming(tiny_model, tmp_path / "a.gguf", "q8_0", None)
    with pytest.raises(ModelError, match=r"does not say its file type.*they are 14 x Q8_0"):
        precision_of(file, None)
    assert precision_of(file, "gguf-q8_0").name == "gguf-q8_0"
    with pytest.raises(ModelError, match="14 of 14 matrices"):
        precision_of(file, "gguf-q4_0")
    unknown = {"general.file_type": 999}
    file = read_gguf(str(write_gguf(tiny_model, tmp_path / "b.gguf", "q8_0", metadata=unknown)))
    with pytest.raises(ModelError, match=r"its file type 999 is none of the known .*gguf-other"):
        precision_of(file, None)


def test_another_precision_than_the_files(tiny_gguf: Path) -> None:
    file = read_gguf(str(tiny_gguf))
    with pytest.raises(ModelError, match=r"says that it is gguf-f32: leave precision out"):
        precision_of(file, "gguf-q8_0")
    with pytest.raises(SettingsError, match=r"precision=int4-nf4: a GGUF file is in one of gguf-"):
        precision_of(file, "int4-nf4")
    with pytest.raises(SettingsError, match=r"Did you mean 'gguf-q4_k_m'"):
        precision_of(file, "gguf-q4_km")


def test_the_bytes_of_a_layer(wide_gguf: Path, tmp_path: Path) -> None:
    rows = {row.quant_type: row for row in Gguf.precisions}
    for file_type in ("f32", "q6_k", "q4_k_s"):
        made = wide_gguf
        if file_type != "f32":
            made = quantize_gguf(wide_gguf, tmp_path / f"{file_type}.gguf", file_type)
        tensor = next(t for t in read_gguf(str(made)).tensors if "blk.3.ffn_up" in t.name)
        assert Gguf().layer_bytes(rows[file_type], *tensor.shape) == tensor.bytes
    with pytest.raises(ModelError, match="only its file says"):
        Gguf().layer_bytes(rows["other"], 4, 4)
