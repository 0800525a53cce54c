"""The header of a GGUF file is read as llama.cpp's own reader reads it, and damage is told."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("llama_cpp", reason="the llama-cpp extra is not installed")
from gguf_models import write_gguf

from qrag_tasks.arms.gguf_files import read_gguf
from qrag_tasks.errors import ModelError


def test_it_is_what_the_package_gguf_reads(tiny_model: Path, tmp_path: Path) -> None:
    from gguf import GGUFReader

    odd = {"general.odd": 3.5, "general.flag": True, "general.list": [1, -2], "general.text": "é✓"}
    file = write_gguf(tiny_model, tmp_path / "a.gguf", "q4_0", metadata=odd)
    header, reader = read_gguf(str(file)), GGUFReader(file)
    for name, value in header.metadata.items():
        assert value == reader.fields[name].contents()
    listed = {"tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.merges"}
    own = {name for name in reader.fields if not name.startswith("GGUF.")}
    assert own - {*header.metadata} == {*listed, "general.list"}
    assert list(header.pieces) == reader.fields["tokenizer.ggml.tokens"].contents()
    assert list(header.piece_kinds) == reader.fields["tokenizer.ggml.token_type"].contents()
    assert [(t.name, t.kind, t.shape[::-1], t.bytes) for t in header.tensors] == [
        (t.name, t.tensor_type.name, tuple(t.shape.tolist()), t.n_bytes) for t in reader.tensors
    ]
    assert header.architecture == "llama"
    assert header.window == 1024
    assert header.bytes == sum(tensor.n_bytes for tensor in reader.tensors)


@pytest.mark.parametrize("kept", [5, 30, 1_000, 20_000, 40_000, -5_000, -1])
def test_a_cut_file_is_told(tiny_gguf: Path, tmp_path: Path, kept: int) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny_gguf.read_bytes()[:kept])
    with pytest.raises(ModelError, match=r"is not a whole GGUF file.*copy or download it again"):
        read_gguf(str(cut))


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_header_is_no_traceback(tiny_gguf: Path, tmp_path: Path, seed: int) -> None:
    content = bytearray(tiny_gguf.read_bytes())
    places = np.random.default_rng(seed).integers(4, 30_000, 200)
    for place in places:
        content[place] ^= 0xFF
    (tmp_path / "damaged.gguf").write_bytes(content)
    with pytest.raises(ModelError, match="is not a whole GGUF file"):
        read_gguf(str(tmp_path / "damaged.gguf"))


def test_what_is_none(tiny_gguf: Path, tmp_path: Path) -> None:
    none = tmp_path / "none.gguf"
    none.write_bytes(b"PK\x03\x04 and more")
    with pytest.raises(ModelError, match=r"is not a GGUF file: it begins with b'PK"):
        read_gguf(str(none))
    none.write_bytes(b"")
    with pytest.raises(ModelError, match="is not a GGUF file"):
        read_gguf(str(none))
    none.write_bytes(b"GGUF" + struct.pack("<IQQ", 9, 0, 0))
    with pytest.raises(ModelError, match="it is of version 9"):
        read_gguf(str(none))
    with pytest.raises(ModelError, match="no such file; name a GGUF file"):
        read_gguf(str(tmp_path / "absent.gguf"))
    with pytest.raises(ModelError, match="is a folder; name a GGUF file"):
        read_gguf(str(tmp_path))


def test_a_model_in_parts(tiny_model: Path, tiny_gguf: Path, tmp_path: Path) -> None:
    parts = write_gguf(tiny_model, tmp_path / "model.gguf", tensors_a_part=8)
    whole, split = read_gguf(str(tiny_gguf)), read_gguf(str(parts))
    assert [part.name for part in split.parts] == [
        f"model-0000{number}-of-00003.gguf" for number in (1, 2, 3)
    ]
    assert split.tensors == whole.tensors
    assert split.pieces == whole.pieces
    with pytest.raises(ModelError, match=r"a part of a model; name its first part, model-00001"):
        read_gguf(str(split.parts[1]))
    before = split.digest()
    split.parts[2].rename(tmp_path / "elsewhere.gguf")
    with pytest.raises(ModelError, match="1 of 3 parts are missing beside it: model-00003"):
        read_gguf(str(parts))
    (tmp_path / "elsewhere.gguf").rename(split.parts[2])
    content = bytearray(split.parts[2].read_bytes())
    content[-1] ^= 1
    split.parts[2].write_bytes(content)
    assert read_gguf(str(parts)).digest() != before
    split.parts[1].write_bytes(split.parts[2].read_bytes())
    with pytest.raises(ModelError, match=r"and the first says that there are"):
        read_gguf(str(parts))
