"""Answers of models that think: which begin in a thought, and which are one without an end."""

from __future__ import annotations

import logging
from typing import Any

from qrag_tasks.errors import SettingsError
from qrag_tasks.prompting.prompt_docs import Doc
from qrag_tasks.tasks.scoring.thoughts import begun_thought, without_thoughts

logger = logging.getLogger("lm_eval.qrag_tasks")

_NEARLY = 0.9


class Thoughts:
    """What is known of the thoughts of one task's answers.

    :param name: of the task.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._begun: set[str] = set()

    def note(self, doc: Doc, prompt: Any) -> None:
        """Note whether the answer to a prompt will begin in a thought.

        :param prompt: as the model is given it.
        """
        if isinstance(prompt, str) and begun_thought(prompt):
            self._begun.add(doc["id"])

    def warn_of_short_answers(self, limit: int, usual: int) -> None:
        """Say so where a thought is begun that will have no room.

        :param limit: the longest answer, in tokens.
        :param usual: the longest that a model needs that does not think.
        """
        if self._begun and limit <= usual:
            logger.warning(
                "%s: the prompts open a thought, and thought and answer together may have %d "
                "tokens, so most thoughts will be cut. Give --gen_kwargs max_gen_toks=2048 or more",
                *(self._name, limit),
            )

    def unfinished(self, doc: Doc, answer: str, tokens: int | None, limit: int, model: Any) -> bool:
        """Tell whether an answer is a thought without an end.

        :param tokens: of the answer, encoded again; ``None`` where there is no tokenizer.
        :param limit: the longest answer, in tokens.
        :param model: lm_eval's ``LM``.
        """
        begun = doc["id"] in self._begun
        if begun and getattr(model, "think_end_token", None) is not None:
            # lm_eval has taken off what stands before this token, or has found none and left all
            # as it was. All of a thought that was cut is as long as an answer may be, except for
            # what encoding it again changes; what follows a thought is shorter by the thought.
            begun = tokens is None or tokens >= _NEARLY * limit
        return without_thoughts(answer, begun) is None


def refuse_thoughts(name: str, prompt: Any) -> None:
    """Refuse to measure the likelihood of answers where a thought would stand.

    :param name: of the task.
    :param prompt: as the model is given it.
    :raises SettingsError: when it opens a thought.
    """
    if isinstance(prompt, str) and (mark := begun_thought(prompt)):
        raise SettingsError(
            f"{name}: the prompts end in {mark!r}, so the model thinks before it "
            f"answers, but answer 'likelihood' measures what follows at once. Give "
            f"enable_thinking=False in --model_args if the chat template knows it, or have the "
            f"answers generated."
        )
