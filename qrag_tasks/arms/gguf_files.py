"""The header of a GGUF file: what it says of itself, and which tensors it holds.

GGUF is llama.cpp's format of a whole model: weights, configuration and vocabulary in one file, or
in parts of one. Its header is read here; weights are not.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, NamedTuple

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
_VERSIONS, _ALIGNMENT = (2, 3), 32
# GGUF's numbers for kinds of values -> how struct names them.
_FORMS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
_TEXT, _LIST = 8, 9


@dataclass(frozen=True)
class GgufTensor:
    """What a header says about one tensor.

    :ivar kind: of its numbers, as ggml names it: ``F32``, ``Q4_K``, ...
    :ivar shape: as torch has it: outputs, then inputs.
    :ivar place: the file that holds it, and the byte at which it begins there.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    bytes: int
    place: tuple[Path, int] = field(compare=False)

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
            f"pretrained={path}: {len(missing)} of {int(count)} parts are missing beside it: "
            f"{', '.join(missing[:3])}"
        )
    return parts


@lru_cache(maxsize=32)
def _cached(path: Path, _modified: int, size: int) -> GgufFile:
    """Read one file; once for all that ask."""
    with path.open("rb") as file:
        if (begins := file.read(len(_MAGIC))) != _MAGIC:
            raise ModelError(
                f"pretrained={path} is not a GGUF file: it begins with {begins!r}, and not with "
                f"{_MAGIC!r}"
            )
        try:
            with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
                metadata, stored = _Header(content).read()
            tensors, ends = _tensors(stored, path)
        except (ValueError, OverflowError, MemoryError, struct.error) as error:
            # What a reader stumbles over depends on the place where the file is cut or damaged.
            raise ModelError(
                f"pretrained={path} is not a whole GGUF file ({error}): {_COPY}"
            ) from error
    if ends > size:
        raise ModelError(
            f"pretrained={path} is not a whole GGUF file: its tensors end at byte {ends:,}, "
            f"and it has {size:,} bytes: {_COPY}"
        )
    pieces = metadata.pop("tokenizer.ggml.tokens", ())
    kinds = metadata.pop("tokenizer.ggml.token_type", ())
    values = {name: value for name, value in metadata.items() if not isinstance(value, list)}
    return GgufFile((path,), values, tensors, tuple(pieces), tuple(kinds))


class _Stored(NamedTuple):
    """A tensor as a header has it."""

    name: str
    lengths: tuple[int, ...]
    kind: int
    begin: int


class _Header:
    """Walks through the header of a GGUF file, as the format's specification has it.

    The package ``gguf`` has a reader, too: of a vocabulary of 150,000 tokens it makes a million
    arrays, which takes ten seconds.
    """

    def __init__(self, content: mmap) -> None:
        self._content = content
        self._place = len(_MAGIC)

    def read(self) -> tuple[dict[str, Any], list[_Stored]]:
        """Return metadata and tensors; each tensor begins so many bytes from the file's begin.

        :raises ValueError: for what is no header.
        :raises struct.error: when the file ends within it.
        """
        (version,) = self._take("<I")
        if version not in _VERSIONS:
            raise ValueError(f"it is of version {version}, and {_VERSIONS} can be read")
        tensors, values = self._take("<QQ")
        metadata = {}
        for _ in range(values):
            name = self._text()
            (kind,) = self._take("<I")
            metadata[name] = self._value(kind)
        stored = []
        for _ in range(tensors):
            name = self._text()
            (dimensions,) = self._take("<I")
            lengths = self._take(f"<{dimensions}Q")
            kind, begin = self._take("<IQ")
            stored.append(_Stored(name, lengths, kind, begin))
        step = metadata.get("general.alignment", _ALIGNMENT)
        begin = -(-self._place // step) * step
        return metadata, [each._replace(begin=begin + each.begin) for each in stored]

    def _take(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(form, self._content, self._place)
        self._place += struct.calcsize(form)
        return found

    def _text(self) -> str:
        (length,) = self._take("<Q")
        begin, self._place = self._place, self._place + length
        if self._place > len(self._content):
            raise ValueError("it ends within a text of its header")
        # Some vocabularies cut a character in two.
        return self._content[begin : self._place].decode("utf-8", "replace")

    def _value(self, kind: int) -> Any:
        if kind == _TEXT:
            return self._text()
        if kind == _LIST:
            inner, length = self._take("<IQ")
            if inner in (_TEXT, _LIST):
                return [self._value(inner) for _ in range(length)]
            return list(self._take(f"<{length}{_form(inner)}"))
        return self._take(f"<{_form(kind)}")[0]


def _form(kind: int) -> str:
    if kind not in _FORMS:
        raise ValueError(f"its header has values of an unknown kind, {kind}")
    return _FORMS[kind]


def _tensors(stored: Sequence[_Stored], path: Path) -> tuple[tuple[GgufTensor, ...], int]:
    """Return the tensors, and the byte of the file at which the last of them ends.

    :raises ValueError: for a kind of numbers that the package ``gguf`` does not know.
    """
    try:
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
    except ImportError:
        raise ModelError(f"a GGUF file needs gguf: {_INSTALL}") from None
    tensors, end = [], 0
    for each in stored:
        kind = GGMLQuantizationType(each.kind)
        block, size = GGML_QUANT_SIZES[kind]
        length = prod(each.lengths) // int(block) * int(size)
        end = max(end, each.begin + length)
        place = (path, each.begin)
        tensors.append(GgufTensor(each.name, kind.name, each.lengths[::-1], length, place))
    return tuple(tensors), end
