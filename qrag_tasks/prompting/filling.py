"""Which documents go into a prompt of limited length, and how: ``fill=exact|yazan2024|trimmed``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from qrag_tasks.errors import SettingsError
from qrag_tasks.prompting.fitting import fit_documents
from qrag_tasks.prompting.protocols import Oversized
from qrag_tasks.tasks.prompt import Item, PromptWriter, TaskPrompt, Tokens


@dataclass(frozen=True)
class TokenBudget:
    """How much room a prompt has, and how it is measured.

    :ivar count: prompt -> tokens of what the model is given: chat template and special tokens
        included.
    :ivar context_tokens: tokens for prompt and answer together.
    :ivar answer_tokens: tokens kept free for the answer; 0 where it takes no room of the prompt's,
        as with an encoder-decoder.
    :ivar tokens: the bare tokenizer, for what cuts texts.
    """

    count: Callable[[str], int]
    context_tokens: int
    answer_tokens: int
    tokens: Tokens

    @property
    def prompt_tokens(self) -> int:
        """The most tokens that a finished prompt may have."""
        return self.context_tokens - self.answer_tokens


@dataclass(frozen=True)
class Question:
    """What the prompt of one sample is written with.

    :ivar text: the input.
    :ivar write: kept items, in the order in which they were chosen -> the prompt.
    :ivar official: how the task's own prompts are written, and cut where its publication does.
    :ivar query: the part of the input that is the user's own text.
    :ivar examples: kept items -> their part of the prompt alone.
    """

    text: str
    write: Callable[[Sequence[Item]], str]
    official: PromptWriter
    query: str
    examples: Callable[[Sequence[Item]], str]


@dataclass(frozen=True)
class Filling:
    """What goes into a prompt.

    :ivar items: the items, as they go in, in the order in which they were chosen.
    :ivar oversized: ids of those left out because each alone is longer than the budget.
    :ivar trimmed: ids of those in ``items`` whose long field was cut.
    """

    items: tuple[Item, ...]
    oversized: tuple[str, ...] = ()
    trimmed: tuple[str, ...] = ()


class Fill(Protocol):
    """Chooses among the ranked items of one sample, the first of them before the others."""

    def __call__(self, ranked: Sequence[Item], question: Question, budget: TokenBudget) -> Filling:
        """Return what goes in; the prompt with it fits the budget."""
        ...


def exact(oversized: Oversized = "skip") -> Fill:
    """Whole documents, best first, as long as the finished prompt fits.

    A document that does not fit even alone is passed over, or cut to the room that is left, and
    the last then.
    """

    def fill(ranked: Sequence[Item], question: Question, budget: TokenBudget) -> Filling:
        items = list(ranked)
        too_long: list[str] = []
        while True:
            fits = _fit(items, question, budget)
            kept = tuple(items[:fits])
            if fits == len(items) or _fits([items[fits]], question, budget):
                return Filling(kept, tuple(too_long))
            if oversized == "trim" and (cut := _cut_to_fit(items[fits], kept, question, budget)):
                return Filling((*kept, cut), tuple(too_long), (cut["id"],))
            too_long.append(items.pop(fits)["id"])

    return fill


def _fits(items: Sequence[Item], question: Question, budget: TokenBudget) -> bool:
    return budget.count(question.write(items)) <= budget.prompt_tokens


def _fit(items: Sequence[Item], question: Question, budget: TokenBudget) -> int:
    lengths = [sum(map(len, item.values())) for item in items]

    def tokens_with(n: int) -> int:
        return budget.count(question.write(items[:n]))

    return fit_documents(lengths, tokens_with, budget.prompt_tokens)


def _cut_to_fit(
    item: Item, kept: Sequence[Item], question: Question, budget: TokenBudget
) -> Item | None:
    """Return ``item``, its long field cut to what fits behind ``kept``; ``None`` for nothing."""
    field = question.official.long_field
    best: Item | None = None
    fits, too_many = 0, budget.tokens.count(item[field]) + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        try:
            short, _ = budget.tokens.cut(item[field], middle)
        except ValueError:  # less than the special tokens alone
            short = ""
        cut = {**item, field: short}
        if _fits([*kept, cut], question, budget):
            fits, best = middle, cut if short else None
        else:
            too_many = middle
    return best


def yazan2024(ranked: Sequence[Item], question: Question, budget: TokenBudget) -> Filling:
    """Whole documents, best first, as arXiv 2406.10251 counts them: twice, and the query too.

    The next one goes in while ``tokens(examples with it + query) < window - tokens(prompt so
    far)``; the prompt so far holds examples and query again. So less than half of the window is
    left for the examples. What would leave no room for the answer does not go in.
    """
    so_far = budget.count(question.write(()))
    kept = 0
    while kept < len(ranked):
        items = ranked[: kept + 1]
        again = budget.tokens.count(question.examples(items) + question.query)
        if again >= budget.context_tokens - so_far:
            break
        with_next = budget.count(question.write(items))
        if with_next > budget.prompt_tokens:
            break
        so_far, kept = with_next, kept + 1
    return Filling(tuple(ranked[:kept]))


def trimmed(ranked: Sequence[Item], question: Question, budget: TokenBudget) -> Filling:
    """All documents, the long field of each cut to its share, as LaMP's code does it.

    Where that code has the tokenizer cut the end of the finished prompt, all shares are made
    smaller until it fits; where it finds no room and drops the profile, so does this.
    """
    official = trimming_prompt(question.official)
    around = budget.count(question.write(())) - budget.tokens.count(question.text)
    length = budget.prompt_tokens - around
    while cut := official.trimmed(question.text, ranked, length, budget.tokens):
        over = budget.count(question.write(cut)) - budget.prompt_tokens
        if over <= 0:
            field = official.long_field
            changed = [a["id"] for a, b in zip(ranked, cut, strict=True) if a[field] != b[field]]
            return Filling(tuple(cut), trimmed=tuple(changed))
        length -= over
    return Filling(())


def trimming_prompt(prompt: PromptWriter) -> TaskPrompt:
    """Return a prompt as one that says what each part of it is charged, as ``trimmed`` needs.

    :raises SettingsError: when it does not, as templates of own data do not.
    """
    if not isinstance(prompt, TaskPrompt):
        raise SettingsError(
            "fill 'trimmed' cuts documents as LaMP's code cuts them in prompts of its own wording; "
            "this prompt is a template. Take fill 'exact', with oversized 'trim' to cut a document "
            "that is longer than the window"
        )
    return prompt


FILLS: Mapping[str, Callable[[Oversized], Fill]] = {
    "exact": exact,
    "yazan2024": lambda _: yazan2024,
    "trimmed": lambda _: trimmed,
}
"""Value of the metadata key ``fill`` -> how to get it, for a value of ``oversized``."""
