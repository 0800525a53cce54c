"""GGUF: llama.cpp's files, whose precisions are mixtures of its own kinds of blocks.

A *file type* (``general.file_type``) says which kind most matrices are in, and which others
llama.cpp takes for those that lose most by it: ``llama-quantize`` decides that matrix by matrix.
:data:`MIXTURES` has the outcome, from ``llama_tensor_get_type`` and ``tensor_type_fallback`` of
llama.cpp's ``src/llama-quant.cpp``, for architectures of transformer blocks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from qrag_tasks.arms.formats.base import FormatOfEngine
from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.arms.gguf_files import GgufFile, GgufTensor
from qrag_tasks.errors import ModelError, SettingsError, did_you_mean
from qrag_tasks.hookspecs import RegisterFormat, hookimpl

PREFIX = "gguf-"
"""How the names of all its precisions begin."""
OTHER = f"{PREFIX}other"
"""The precision of a file whose matrices are no file type's mixture; only by its name."""
FLOATS = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""ggml's names of the kinds that nobody has quantized -> torch's."""
_SUPER_BLOCK = 256
# What takes the place of a kind where a row cannot be parted into its blocks.
_INSTEAD = {
    **dict.fromkeys(("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S"), "IQ4_NL"),
    **dict.fromkeys(("IQ3_XXS", "IQ3_S", "IQ4_XS"), "IQ4_NL"),
    **dict.fromkeys(("Q2_K", "Q3_K", "TQ1_0", "TQ2_0"), "Q4_0"),
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}
_SMALL_BLOCK = 32
# Matrices of blocks that llama.cpp never quantizes: they choose experts, or are tiny.
_LEFT = re.compile(
    r"_norm\.weight|ffn_gate_inp|ffn_gate_tid2eid|altup|laurel|per_layer_model_proj|ssm_conv1d|"
    r"shortconv\.conv|time_mix_|attn_rel_b|indexer"
)
_IN_BLOCK = re.compile(r"(?:blk|(?:enc|dec)\.blk)\.\d+\..+\.weight")
# What llama.cpp takes for the attention of a mixture of eight experts, whatever the file type.
_OF_EXPERTS = frozenset({"Q8_0", "Q5_K"})


@dataclass(frozen=True)
class Mixture:
    """What a file type makes of a model's matrices.

    :ivar number: of the file type in a file: ``general.file_type``.
    :ivar bits: that its name says.
    :ivar base: the kind that it begins with; some matrix has it.
    :ivar better: kinds of which at least one is some matrix's, as it tells this file type from
        another of the same base.
    :ivar others: kinds that further matrices may have.
    """

    number: int
    bits: int
    base: str
    better: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()


def _mix(number: int, bits: int, base: str, better: str = "", others: str = "") -> Mixture:
    return Mixture(number, bits, base, frozenset(better.split()), frozenset(others.split()))


MIXTURES: Mapping[str, Mixture] = {
    "f32": _mix(0, 32, "F32"),
    "f16": _mix(1, 16, "F16"),
    "bf16": _mix(32, 16, "BF16"),
    "q8_0": _mix(7, 8, "Q8_0"),
    "q6_k": _mix(18, 6, "Q6_K"),
    "q5_k_m": _mix(17, 5, "Q5_K", "Q6_K"),
    "q5_k_s": _mix(16, 5, "Q5_K"),
    "q5_1": _mix(9, 5, "Q5_1"),
    "q5_0": _mix(8, 5, "Q5_0", others="Q5_1"),
    "q4_k_m": _mix(15, 4, "Q4_K", "Q6_K Q5_K"),
    "q4_k_s": _mix(14, 4, "Q4_K", others="Q5_K"),
    "q4_1": _mix(3, 4, "Q4_1"),
    "q4_0": _mix(2, 4, "Q4_0", others="Q4_1"),
    "iq4_nl": _mix(25, 4, "IQ4_NL", others="Q5_K"),
    "iq4_xs": _mix(30, 4, "IQ4_XS", others="Q5_K"),
    "mxfp4": _mix(38, 4, "MXFP4", others="Q8_0"),
    "q3_k_l": _mix(13, 3, "Q3_K", "Q5_K", "Q4_K"),
    "q3_k_m": _mix(12, 3, "Q3_K", "Q4_K", "Q5_K"),
    "q3_k_s": _mix(11, 3, "Q3_K", others="Q5_K"),
    "iq3_m": _mix(27, 3, "IQ3_S", "Q4_K"),
    "iq3_s": _mix(26, 3, "IQ3_S", others="Q4_K"),
    "iq3_xs": _mix(22, 3, "IQ3_S", others="IQ3_XXS Q4_K"),
    "iq3_xxs": _mix(23, 3, "IQ3_XXS", others="IQ2_S IQ3_S Q3_K Q4_K"),
    "q2_k": _mix(10, 2, "Q2_K", "Q3_K", "Q4_K"),
    "q2_k_s": _mix(21, 2, "Q2_K", others="Q4_K"),
    "iq2_m": _mix(29, 2, "IQ2_S", others="IQ3_S Q4_K"),
    "iq2_s": _mix(28, 2, "IQ2_XS", "IQ3_S", "Q4_K"),
    "iq2_xs": _mix(20, 2, "IQ2_XS", others="Q2_K Q4_K"),
    "iq2_xxs": _mix(19, 2, "IQ2_XXS", others="Q2_K Q4_K"),
    "tq2_0": _mix(37, 2, "TQ2_0"),
    "iq1_m": _mix(31, 1, "IQ1_M", others="IQ2_XXS Q2_K Q4_K"),
    "iq1_s": _mix(24, 1, "IQ1_S", others="IQ2_XXS Q2_K Q4_K"),
    "tq1_0": _mix(36, 1, "TQ1_0"),
}
"""File type -> its mixture, without :data:`PREFIX`; the ones with most bits first."""

_MADE_IN_CI = frozenset(
    PREFIX + name
    for name in (
        *("f32", "f16", "bf16", "q8_0", "q6_k", "q5_k_m", "q5_k_s", "q5_1", "q5_0"),
        *("q4_k_m", "q4_k_s", "q4_1", "q4_0", "iq4_nl", "iq4_xs"),
        *("q3_k_l", "q3_k_m", "q3_k_s", "iq3_m", "iq3_s", "q2_k", "tq2_0", "tq1_0"),
    )
)
"""Precisions of which the tests make files, and load them. The others need text to be calibrated
with, or experts."""

# Within a file's name: not within a longer word, as Q6_K is within Q6_K_L.
_NAMED = re.compile(rf"(?<![a-z0-9])({'|'.join(MIXTURES)})(?![a-z0-9_])", re.IGNORECASE)


class Gguf(FormatOfEngine):
    """llama.cpp's files. No layer of it is ever one of torch's: ``engine=llama_cpp`` runs it."""

    name = "gguf"
    engine = "llama_cpp"
    precisions = tuple(
        Precision(
            name,
            bits,
            "gguf",
            summary,
            quant_type=name.removeprefix(PREFIX),
            made_on_loading=False,
            has_groups=False,
            aliases=(name.removeprefix(PREFIX),),
            needs=("gguf", "llama_cpp"),
            install="pip install 'qrag-tasks[llama-cpp]'",
            ci="extras" if name in _MADE_IN_CI else "",
            family="gguf",
            mixed=mixed,
        )
        for name, bits, mixed, summary in (
            *(
                (
                    f"{PREFIX}{name}",
                    mixture.bits,
                    bool(mixture.better or mixture.others),
                    f"llama.cpp's {name.upper()}",
                )
                for name, mixture in MIXTURES.items()
            ),
            (OTHER, 0, True, "a mixture of llama.cpp's kinds that no file type names"),
        )
    )

    def layer_bytes(self, row: Precision, outputs: int, inputs: int) -> int:
        """Return the bytes of the mixture's base, which most matrices are in."""
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

        mixture = MIXTURES.get(row.name.removeprefix(PREFIX))
        if mixture is None:
            raise ModelError(f"precision={row.name}: only its file says how many bytes it takes")
        kind = _stored(mixture.base, inputs)
        block, size = GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
        return outputs * inputs // int(block) * int(size)


def precision_of(file: GgufFile, name: str | None) -> Precision:
    """Return the precision of a file, once its matrices were seen to be of it.

    :param name: of the precision that the user asked for; the file's own by default.
    :raises SettingsError: when there is no such precision of GGUF files.
    :raises ModelError: when the file is of another, or its matrices are not what it says.
    """
    rows = {row.name: row for row in Gguf.precisions}
    if name is not None and name not in rows:
        raise SettingsError(
            f"precision={name}: a GGUF file is in one of {', '.join(rows)}; leave precision out "
            f"for the file's own.{did_you_mean(str(name), rows)}"
        )
    own = _declared(file)
    if name == OTHER:
        return rows[name]
    if own is None:
        if name is None:
            raise ModelError(
                f"pretrained={file.path} does not say its file type: name it with precision=, and "
                f"its tensors will be compared with that (they are {_listed(file)})"
            )
        own = name
    if name is not None and name != own:
        raise ModelError(
            f"precision={name}: pretrained={file.path} says that it is {own}: leave precision "
            f"out, give precision={own}, or name a file that was made in {name}"
        )
    called = _NAMED.findall(file.path.name)
    if called and all(f"{PREFIX}{each.lower()}" != own for each in called):
        raise ModelError(
            f"pretrained={file.path} is called {called[-1]}, and its header says that it is {own}: "
            f"one of them is wrong; rename the file, or take the one that its name says"
        )
    _check_mixture(file, own, MIXTURES[own.removeprefix(PREFIX)])
    return rows[own]


def matrices(file: GgufFile) -> tuple[GgufTensor, ...]:
    """Return the matrices of a file's blocks, without those that are never quantized."""
    return tuple(
        tensor
        for tensor in file.tensors
        if len(tensor.shape) > 1
        and min(tensor.shape) > 1
        and _IN_BLOCK.fullmatch(tensor.name)
        and not _LEFT.search(tensor.name)
    )


# ---------------------------------------------------------------------- one file
def _stored(kind: str, row: int) -> str:
    """Return the kind in which a row of so many numbers is stored where ``kind`` is meant."""
    if kind in _INSTEAD and row % _SUPER_BLOCK:
        kind = _INSTEAD[kind]
    return kind if kind in FLOATS or row % _SMALL_BLOCK == 0 else "F16"


def _is_one_of(kinds: Iterable[str], tensor: GgufTensor) -> bool:
    """Tell whether a matrix is stored as one of ``kinds``, or as what takes its place."""
    return any(tensor.kind == _stored(kind, tensor.shape[-1]) for kind in kinds)


def _declared(file: GgufFile) -> str | None:
    """Return the precision that a file says it has; ``None`` where it says nothing.

    :raises ModelError: for a file type that is not known.
    """
    number = file.metadata.get("general.file_type")
    if number is None:
        return None
    for name, mixture in MIXTURES.items():
        if mixture.number == int(number):
            return f"{PREFIX}{name}"
    raise ModelError(
        f"pretrained={file.path}: its file type {number} is none of the known ones "
        f"({', '.join(MIXTURES)}); give precision={OTHER} to run it as what its tensors are "
        f"({_listed(file)})"
    )


def _check_mixture(file: GgufFile, name: str, mixture: Mixture) -> None:
    """Check that a file's matrices are what its file type makes of them.

    :raises ModelError: when they are not, with those that are not.
    """
    found = matrices(file)
    experts = _OF_EXPERTS if file.metadata.get(f"{file.architecture}.expert_count") else ()
    known = {mixture.base, *mixture.better, *mixture.others, *experts}
    wrong = [tensor for tensor in found if not _is_one_of(known, tensor)]
    if wrong:
        what = f"{len(wrong)} of {len(found)} matrices in its blocks are not: {_few(wrong)}"
    elif not any(_is_one_of({mixture.base}, tensor) for tensor in found):
        what = f"no matrix in its blocks is {mixture.base} (they are {_listed(file)})"
    elif mixture.better and not any(_is_one_of(mixture.better, tensor) for tensor in found):
        what = (
            f"no matrix in its blocks is {' or '.join(sorted(mixture.better))}, as some are in "
            f"that mixture (they are {_listed(file)})"
        )
    else:
        return
    raise ModelError(
        f"pretrained={file.path} says that it is {name}, but {what}. This arm would not be what "
        f"it claims: take a file that llama-quantize made, or give precision={OTHER} to run it as "
        f"what it is"
    )


def _listed(file: GgufFile) -> str:
    counts = Counter(tensor.kind for tensor in matrices(file))
    return ", ".join(f"{count} x {kind}" for kind, count in counts.most_common()) or "none"


def _few(tensors: Sequence[GgufTensor]) -> str:
    more = f" and {len(tensors) - 3} more" if len(tensors) > 3 else ""
    return ", ".join(map(str, tensors[:3])) + more


@hookimpl
def qrag_register_formats(register: RegisterFormat) -> None:
    """Register the format of llama.cpp's files."""
    register(Gguf.name, Gguf())
