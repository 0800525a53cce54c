"""The texts that GPTQ and AWQ fit 4-bit weights to: prompts like those of a run, never its own.

They come from a train split. The embedded sample has none, so ``mini`` draws other users with the
generator that drew the sample's: no text of theirs is one of the sample's.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qrag_tasks.engines.tokenizers import chat_template_of
from qrag_tasks.errors import BudgetError, SettingsError, did_you_mean
from qrag_tasks.prompting import pipeline
from qrag_tasks.prompting.model_text import ModelText
from qrag_tasks.prompting.prompt_source import PromptSource
from qrag_tasks.prompting.settings import Settings
from qrag_tasks.tasks.base import Depth
from qrag_tasks.tasks.catalog import TASKS
from qrag_tasks.tasks.lamp.data_roots import MINI
from qrag_tasks.tasks.lamp.mini.train import TRAIN_TASKS, train_split
from qrag_tasks.text_files import NotUTF8Error, decoded

DEPTH = Depth(5)
"""How many documents a prompt holds, ranked by BM25."""
SHORTEST = 10
"""Tokens of a text; GPT-QModel leaves out shorter ones."""
FEWEST_TOKENS = 256
"""Tokens of all texts together."""


@dataclass(frozen=True)
class Calibration:
    """Texts to calibrate with.

    :ivar rows: their tokens, one row a text.
    :ivar ids: of the texts: ``task:sample id``, or the position in a file, from 0.
    :ivar origin: where they come from, as JSON has it.
    :ivar notes: what the user should know, one sentence each.
    """

    rows: tuple[tuple[int, ...], ...]
    ids: tuple[str, ...]
    texts_sha256: str
    origin: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        """Tokens of all texts together."""
        return sum(map(len, self.rows))

    def as_dict(self) -> dict[str, Any]:
        """Return what a quantized checkpoint says about its calibration."""
        return {
            **self.origin,
            "samples": len(self.rows),
            "tokens": self.tokens,
            "texts_sha256": self.texts_sha256,
            "sample_ids": list(self.ids),
            "notes": list(self.notes),
        }

    def even_rows(self, longest: int) -> tuple[tuple[int, ...], ...]:
        """Return the same tokens joined and cut again, into the fewest rows of one length.

        Fewer tokens than there are rows are left over, and left out.

        :param longest: tokens a row may have.
        """
        joined = [token for row in self.rows for token in row]
        count = -(-len(joined) // longest)
        length = len(joined) // count
        return tuple(tuple(joined[i * length : (i + 1) * length]) for i in range(count))


@dataclass(frozen=True)
class Wanted:
    """What to calibrate with.

    :ivar source: ``mini``, names of LaMP tasks joined by commas, or a file of texts.
    :ivar samples: the most texts.
    :ivar max_tokens: the most tokens a text.
    :ivar data: root of the LaMP tasks' train splits; ``None`` for the default one.
    """

    source: str = MINI
    samples: int = 128
    max_tokens: int = 2048
    data: str | None = None

    def read(self, text: ModelText, seed: int = 0) -> Calibration:
        """Read and choose the texts.

        :param text: how the model that is calibrated reads them.
        :param seed: chooses among them.
        :raises QragError: when they cannot be had, or are too few.
        """
        names = self.source.split(",")
        if self.source == MINI:
            splits = [train_split(TASKS[name]) for name in TRAIN_TASKS]
            calibration = self._prompts(
                text, seed, [PromptSource.over(data, DEPTH, self._settings) for data in splits]
            )
        elif all(name in TASKS for name in names):
            settings = replace(self._settings, data=self.data)
            calibration = self._prompts(
                text,
                seed,
                [PromptSource.of(TASKS[name], DEPTH, settings) for name in dict.fromkeys(names)],
            )
        else:
            calibration = self._texts_of_file(text, seed)
        if calibration.tokens < FEWEST_TOKENS:
            raise SettingsError(
                f"--calibration {self.source}: {calibration.tokens} tokens in "
                f"{len(calibration.rows)} texts of {SHORTEST} or more are too few to calibrate "
                f"with: give at least {FEWEST_TOKENS}, better some 100,000"
            )
        return calibration

    @property
    def _settings(self) -> Settings:
        return Settings(split="train")

    def _prompts(self, text: ModelText, seed: int, sources: Sequence[PromptSource]) -> Calibration:
        finish = _finish(text)
        rows, ids, texts, notes = [], [], [], []
        for position, source in enumerate(sources):
            share = self.samples // len(sources) + (position < self.samples % len(sources))
            fitting = 0
            for sample_id, prompt in self._prompts_of(source, text, seed, finish, share):
                rows.append(tuple(text.encode(prompt)))
                ids.append(f"{source.task.name}:{sample_id}")
                texts.append(prompt)
                fitting += 1
            if fitting < share:
                notes.append(
                    f"{share} calibration prompts of {source.task.name} were asked for, and "
                    f"{fitting} of {len(source.data.samples)} in its train split fit "
                    f"{self.max_tokens} tokens: all {fitting} are used"
                )
        origin = {
            "source": self.source,
            "split": "train",
            "prompts": {"documents": DEPTH.documents, "retriever": sources[0].retriever.spec}
            | {"prompt": sources[0].prompt_style.name, "chat_template": finish is not _as_it_is},
            "data": [
                {"task": source.task.name, "path": str(source.data.questions)}
                | {"sha256": source.data.fingerprint}
                for source in sources
            ],
        }
        return Calibration(tuple(rows), tuple(ids), _sha256(texts), origin, tuple(notes))

    def _prompts_of(
        self,
        source: PromptSource,
        text: ModelText,
        seed: int,
        finish: Callable[[str], str],
        share: int,
    ) -> Iterator[tuple[str, str]]:
        """Yield id and finished prompt of as many samples as fit, in the seed's order."""
        answer_tokens = source.task.answer_tokens
        room = min(self.max_tokens + answer_tokens, text.window)
        source = replace(source, settings=replace(source.settings, context_tokens=room))
        budget = source.budget(text, answer_tokens, finish)
        layout = source.layout(text)
        size = len(source.data.samples)
        # No cryptography here: a reproducible choice.
        shuffled = random.Random(f"calibration:{seed}").sample(range(size), size)  # noqa: S311
        for index in shuffled:
            if share == 0:
                return
            sample = source.data.samples[index]
            ranking = source.rankings.look(index, source.depth.documents)
            try:
                (record,) = pipeline.make_prompts(
                    source.task, [sample], source.depth.documents, [ranking], budget, layout
                )
            except BudgetError:
                continue
            share -= 1
            yield sample.id, finish(record.prompt)

    def _texts_of_file(self, text: ModelText, seed: int) -> Calibration:
        path = Path(self.source).expanduser()
        given = f"--calibration {self.source}"
        if not path.is_file():
            raise SettingsError(
                f"{given}: neither {MINI!r}, nor a LaMP task ({', '.join(TASKS)}), nor a file "
                f"of texts.{did_you_mean(self.source, (MINI, *TASKS))}"
            )
        try:
            content = decoded(path.read_bytes())
        except OSError as error:
            raise SettingsError(f"{given}: cannot be read: {error.strerror}") from error
        except NotUTF8Error as error:
            raise SettingsError(f"{given}: {error}.") from None
        texts = [part.strip() for part in re.split(r"\r?\n[^\S\n]*\r?\n", content) if part.strip()]
        if not texts:
            raise SettingsError(
                f"{given}: holds no text; give texts in UTF-8 with an empty line between them"
            )
        longest = min(self.max_tokens, text.window)
        encoded = {i: tuple(text.encode(part)[:longest]) for i, part in enumerate(texts)}
        usable = [i for i, row in encoded.items() if len(row) >= SHORTEST]
        count = min(self.samples, len(usable))
        chosen = random.Random(f"calibration:{seed}").sample(usable, count)  # noqa: S311
        notes = []
        if len(usable) < len(texts):
            notes.append(
                f"{path}: {len(texts) - len(usable)} of {len(texts)} texts have fewer than "
                f"{SHORTEST} tokens and are left out"
            )
        if count < self.samples:
            notes.append(
                f"{self.samples} calibration texts were asked for, and {path} holds {count}: all "
                f"are used"
            )
        return Calibration(
            tuple(encoded[i] for i in chosen),
            tuple(map(str, chosen)),
            _sha256([texts[i] for i in chosen]),
            {
                "source": self.source,
                "split": None,
                "data": [{"path": str(path.absolute()), "sha256": _sha256([content])}],
            },
            tuple(notes),
        )


def _finish(text: ModelText) -> Callable[[str], str]:
    """Return how a prompt is given to the model: in its chat template, where it has one."""
    if not getattr(text.tokenizer, "chat_template", None):
        return _as_it_is
    apply = chat_template_of(text.tokenizer, True, {})
    return lambda prompt: apply([{"role": "user", "content": prompt}])


def _as_it_is(prompt: str) -> str:
    return prompt


def _sha256(texts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()
