"""What a model thinks before it answers: where the thought ends, and whether it does.

A model that thinks writes its thought between two marks and its answer behind them. Some chat
templates write the first mark themselves, at the end of the prompt, so that the answer holds the
second alone, or neither, where the answer's length limit cut the thought.
"""

from __future__ import annotations

import re

MARKS: tuple[tuple[str, str], ...] = (
    ("<think>", "</think>"),  # DeepSeek-R1, Qwen3, QwQ, Phi-4-reasoning, GLM-4.5, SmolLM3
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),  # EXAONE Deep
    ("<reasoning>", "</reasoning>"),  # what many small models are trained to write
    ("<seed:think>", "</seed:think>"),  # Seed-OSS
    ("[THINK]", "[/THINK]"),  # Magistral
    ("◁think▷", "◁/think▷"),  # Kimi
    ("<|begin_of_thought|>", "<|end_of_thought|>"),  # Sky-T1, OpenThinker
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Command A Reasoning
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),  # gpt-oss
)
"""(what begins a thought, what ends it)."""

_BEGINS = tuple(begin for begin, _ in MARKS)
# gpt-oss's marks are special tokens. What a tokenizer that leaves those out makes of them is
# "analysisThe user asks ...assistantfinal4".
_MARK = re.compile(
    rf"(?P<begin>{'|'.join(map(re.escape, _BEGINS))}|\Aanalysis(?=[A-Z]))"
    rf"|(?P<end>{'|'.join(re.escape(end) for _, end in MARKS)}|assistantfinal)"
)


def begun_thought(prompt: str) -> str | None:
    """Return the mark at the end of ``prompt`` that begins a thought; ``None`` where none stands.

    :param prompt: as the model is given it, chat template included.
    """
    ending = prompt.rstrip()
    return next((begin for begin in _BEGINS if ending.endswith(begin)), None)


def without_thoughts(answer: str, begun: bool = False) -> str | None:
    """Return what ``answer`` says beside its thoughts; ``None`` where the last of them has no end.

    :param begun: whether it begins in a thought, as :func:`begun_thought` tells of its prompt. An
        end without a beginning says as much.
    """
    parts: list[str] = []
    inside, start = begun, 0
    for mark in _MARK.finditer(answer):
        if mark["end"]:
            if not inside:
                parts.clear()
            inside, start = False, mark.end()
        elif not inside:
            parts.append(answer[start : mark.start()])
            inside = True
    return None if inside else "".join([*parts, answer[start:]])
