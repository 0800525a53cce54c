"""Text that a model would read as a chat marker, and how it is kept from being one.

A review may hold ``<|im_end|>`` or ``[/INST]``. Inside a prompt, a tokenizer turns the former
into the token that closes the user's turn, and the latter reads like the end of the instruction.
So such markers are broken up by one space behind their first character (``< |im_end|>``) wherever
they stand in a user's text: what is left is plain text for every model, however its prompts
travel. Retrievers read the texts unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

# What chat models use, whichever model runs: so one prompt serves many models.
_KNOWN = (
    r"<\|[^|<>\s]{1,40}\|>",
    r"<\uff5c[^\uff5c<>\s]{1,40}\uff5c>",
    r"</?s>",
    r"<(?:start|end)_of_turn>",
    r"<(?:bos|eos|pad|unk|mask)>",
    r"<</?SYS>>",
    r"\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]",
)


class Markers:
    """The markers that are broken up in users' texts: those in common use, and a model's own.

    :param own: special tokens and template markers of the run's model, to the letter.
    """

    def __init__(self, own: Collection[str] = ()) -> None:
        # Runs of spaces are tokens of some models, and close nothing.
        texts = {text.strip() for text in own}
        longest_first = sorted((text for text in texts if len(text) > 2), key=len, reverse=True)
        self._pattern = re.compile("|".join([*map(re.escape, longest_first), *_KNOWN]))

    def found(self, text: str) -> list[str]:
        """Return the markers that stand in ``text``."""
        return self._pattern.findall(text)

    def broken(self, text: str) -> str:
        """Return ``text`` with every marker broken up."""
        while (done := self._pattern.sub(_break, text)) != text:
            text = done
        return text

    def broken_in(self, item: Mapping[str, str]) -> dict[str, str]:
        """Return a profile item with every marker in its texts broken up, its id as it is."""
        return {field: text if field == "id" else self.broken(text) for field, text in item.items()}


def _break(match: re.Match[str]) -> str:
    return f"{match[0][0]} {match[0][1:]}"
