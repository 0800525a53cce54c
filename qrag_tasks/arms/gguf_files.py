"""The header of a GGUF file: what it says of itself, and which tensors it holds.

GGUF is llama.cpp's format of a whole model: weights, configuration and vocabulary in one file, or
in parts of one. Its header is read by llama.cpp's own package ``gguf``; weights are not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from qrag_tasks.arms.places import whole_place
from qrag_tasks.errors import ModelError

SUFFIX = ".gguf"
UNUSED = 5
"""The kind of a token that only fills the vocabulary up."""
_MAGIC = b"GGUF"
_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")
_INSTALL = "pip install 'qrag-tasks[llama-cpp]'"
_COPY = "copy or download it again"
_CHUNK = 1 << 24


@dataclass(frozen=True)
class GgufTensor:
    """What a header says about one tensor.

    :ivar kind: of its numbers, as ggml names it: ``F32``, ``Q4_K``, ...
    :ivar shape: as torch has it: outputs, then inputs.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    bytes: int

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"


@dataclass(frozen=True)
class GgufFile:
    """What a GGUF file says, weights aside.

    :ivar parts: the file; of a model that was split, all of its files in their order.
    :ivar metadata: its keys and values, lists aside.
    :ivar tensors: of all parts.
    :ivar pieces: the text of every token of its vocabulary; none where it has none.
    :ivar piece_kinds: what each token is, as llama.cpp numbers it; :data:`UNUSED` is one.
    """

    parts: tuple[Path, ...]
    metadata: Mapping[str, Any]
    tensors: tuple[GgufTensor, ...]
    pieces: tuple[str, ...]
    piece_kinds: tuple[int, ...]

    @property
    def path(self) -> Path:
        """The file, or the first of its parts."""
        return self.parts[0]

    @property
    def architecture(self) -> str:
        """The model's architecture, as llama.cpp names it."""
        return str(self.metadata.get("general.architecture", ""))

    @property
    def window(self) -> int | None:
        """Tokens that the model was trained to take; ``None`` where the file does not say."""
        size = self.metadata.get(f"{self.architecture}.context_length")
        return None if size is None else int(size)

    @property
    def bytes(self) -> int:
        """Of all tensors."""
        return sum(tensor.bytes for tensor in self.tensors)

    @property
    def end_tokens(self) -> tuple[int, ...]:
        """Ids of the tokens that the file says end a text, a turn or a message."""
        named = (
            self.metadata.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom")
        )
        return tuple(sorted({int(token) for token in named if token is not None}))

    def digest(self) -> str:
        """Return the sha256 of all parts, as hex: about a second a gigabyte."""
        whole = hashlib.sha256()
        for part in self.parts:
            with part.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    whole.update(chunk)
        return whole.hexdigest()


def names_gguf(place: Any) -> bool:
    """Tell whether a model argument names a GGUF file."""
    return isinstance(place, str) and place.lower().endswith(SUFFIX)


def read_gguf(place: str) -> GgufFile:
    """Read the header of a GGUF file, and those of its other parts where it was split.

    :param place: path of the file, or of its first part.
    :raises ModelError: when it is not there, is damaged, or a part is missing.
    """
    path = Path(whole_place(place))
    parts = _parts(path)
    files = [_cached(part, part.stat().st_mtime_ns, part.stat().st_size) for part in parts]
    first = files[0]
    tensors = tuple(tensor for file in files for tensor in file.tensors)
    promised = first.metadata.get("split.tensors.count")
    if promised is not None and int(promised) != len(tensors):
        raise ModelError(
            f"pretrained={path}: its {len(parts)} files hold {len(tensors)} tensors, and the first "
            f"says that there are {promised}: {_COPY}"
        )
    return GgufFile(parts, first.metadata, tensors, first.pieces, first.piece_kinds)


def _parts(path: Path) -> tuple[Path, ...]:
    """Return the files of a model, of which ``path`` is the only one or the first.

    :raises ModelError: when one is not there.
    """
    if path.is_dir() or not path.exists():
        what = "is a folder" if path.is_dir() else "no such file"
        raise ModelError(f"pretrained={path}: {what}; name a GGUF file, such as MODEL.Q4_K_M.gguf")
    split = _PART.fullmatch(path.name)
    if split is None:
        return (path,)
    stem, number, count = split.groups()
    parts = tuple(
        path.with_name(f"{stem}-{place + 1:05}-of-{count}{SUFFIX}") for place in range(int(count))
    )
    if int(number) != 1:
        raise ModelError(f"pretrained={path}: this is a part of a model; name its first part, "
                         f"{parts[0].name}")  # fmt: skip
    if missing := [part.name for part in parts if not part.exists()]:
        raise ModelError(
            f"pretrained={path}: {len(missing)} of {count} parts are missing beside it: "
            f"{', '.join(missing[:3])}"
        )
    return parts


@lru_cache(maxsize=32)
def _cached(path: Path, _modified: int, size: int) -> GgufFile:
    """Read one file; once for all that ask, as a vocabulary of 150,000 tokens takes a second."""
    with path.open("rb") as file:
        if (begins := file.read(len(_MAGIC))) != _MAGIC:
            raise ModelError(
                f"pretrained={path} is not a GGUF file: it begins with {begins!r}, and not with "
                f"{_MAGIC!r}"
            )
    try:
        from gguf import GGUFReader
    except ImportError:
        raise ModelError(f"pretrained={path}: a GGUF file needs gguf: {_INSTALL}") from None
    try:
        reader = GGUFReader(path)
        tensors = tuple(
            GgufTensor(
                tensor.name,
                tensor.tensor_type.name,
                tuple(int(length) for length in reversed(tensor.shape)),
                int(tensor.n_bytes),
            )
            for tensor in reader.tensors
        )
        ends = [int(tensor.data_offset) + int(tensor.n_bytes) for tensor in reader.tensors]
        metadata = {
            name: field.contents()
            for name, field in reader.fields.items()
            if field.types and field.types[0].name != "ARRAY"
        }
        pieces = _texts(reader.fields.get("tokenizer.ggml.tokens"))
        kinds = reader.fields.get("tokenizer.ggml.token_type")
        piece_kinds = tuple(int(kinds.parts[place][0]) for place in kinds.data) if kinds else ()
    except (ValueError, IndexError, KeyError, OSError, OverflowError, MemoryError) as error:
        # What a reader stumbles over depends on the place where the file is cut or damaged.
        raise ModelError(
            f"pretrained={path} is not a whole GGUF file ({type(error).__name__}: {error}): {_COPY}"
        ) from error
    if max(ends, default=0) > size:
        raise ModelError(
            f"pretrained={path} is not a whole GGUF file: its tensors end at byte {max(ends):,}, "
            f"and it has {size:,} bytes: {_COPY}"
        )
    return GgufFile((path,), metadata, tensors, pieces, piece_kinds)


def _texts(field: Any) -> tuple[str, ...]:
    """Return a list of texts, whose bytes some files cut within a character."""
    if field is None:
        return ()
    parts: Sequence[Any] = field.parts
    return tuple(parts[place].tobytes().decode("utf-8", "replace") for place in field.data)
