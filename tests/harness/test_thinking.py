"""Models that think before they answer, as lm_eval runs them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager
from lm_eval.utils import make_table

from qrag_tasks.errors import SettingsError
from qrag_tasks.locations import task_yamls

transformers = pytest.importorskip("transformers", reason="the hf extra is not installed")

TASK = "lamp3u_rag_k1"
OPENING = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|><think>\n"
    "{% if enable_thinking is false %}\n</think>\n\n{% endif %}{% endif %}"
)


@pytest.fixture(scope="session")
def thinking_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, with a chat template that opens a thought at the end of the prompt."""
    folder = tmp_path_factory.mktemp("models") / "tiny-thinker"
    transformers.AutoModelForCausalLM.from_pretrained(tiny_model).save_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = OPENING
    tokenizer.save_pretrained(folder)
    return folder


class Answering(LM):  # type: ignore[misc]
    """A model that gives these answers; ``think_end_token`` as lm_eval's own models have it."""

    def __init__(
        self, tokenizer: Path, answers: Sequence[str], think_end_token: str | None = None
    ) -> None:
        super().__init__()
        self.answers = list(answers)
        self.think_end_token = think_end_token
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer)
        self.max_length = 1024

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        assert len(requests) == len(self.answers)
        return self.answers

    def loglikelihood(self, requests: Any) -> Any:
        return [(-1.0, False) for _ in requests]

    def loglikelihood_rolling(self, requests: Any) -> Any:
        raise NotImplementedError

    @property
    def tokenizer_name(self) -> str:
        return "tiny"

    def chat_template(self, chat_template: bool | str = False) -> str:
        return str(self.tokenizer.chat_template)

    def apply_chat_template(self, history: Any, add_generation_prompt: bool = True) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                history, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        )


def evaluate(data: Path, model: LM, **choices: Any) -> dict[str, Any]:
    """Run a model that was made here."""
    return _evaluate({"data": str(data), **choices}, model=model)


def evaluate_real(data: Path, kind: str, model: Path, **arguments: Any) -> dict[str, Any]:
    """Run a model of lm_eval's, or ours."""
    arguments = {"pretrained": str(model), **arguments}
    return _evaluate(
        {"data": str(data), **arguments}, model=kind, model_args=arguments, device="cpu"
    )


def _evaluate(metadata: dict[str, Any], **options: Any) -> dict[str, Any]:
    manager = TaskManager(include_path=str(task_yamls()), include_defaults=False, metadata=metadata)
    results = simple_evaluate(
        tasks=[TASK], task_manager=manager, apply_chat_template=True, **options
    )
    assert results is not None
    return dict(results)


def test_an_answer_is_read_behind_the_thought(small_data: Path, thinking_model: Path) -> None:
    # The golds are 1, 2, 3.
    answers = ["It has 5 stars.\n</think>\n\n1", "Okay, the user gave 2 stars", "3</think>4"]
    results = evaluate(small_data, Answering(thinking_model, answers))
    scores = [
        {name: sample[name] for name in ("mae", "valid_rate", "unfinished_thought_rate")}
        for sample in results["samples"][TASK]
    ]
    assert scores == [
        {"mae": 0.0, "valid_rate": 1.0, "unfinished_thought_rate": 0.0},
        # As an answer without a rating: the far end of the scale.
        {"mae": 3.0, "valid_rate": 0.0, "unfinished_thought_rate": 1.0},
        {"mae": 1.0, "valid_rate": 1.0, "unfinished_thought_rate": 0.0},
    ]
    assert results["results"][TASK]["unfinished_thought_rate,none"] == pytest.approx(1 / 3)
    assert "unfinished_thought_rate" in make_table(results)


def test_where_no_prompt_opens_a_thought_there_is_no_row_for_it(
    small_data: Path, tiny_model: Path
) -> None:
    results = evaluate(small_data, Answering(tiny_model, ["1", "I give 2 stars", "3"]))
    assert results["results"][TASK]["mae,none"] == 0.0
    assert results["results"][TASK]["unfinished_thought_rate,none"] == 0.0
    table = make_table(results)
    assert "unfinished" not in table
    assert "runaway_rate" in table


def test_what_lm_eval_left_of_a_thought_is_the_answer(
    small_data: Path, thinking_model: Path
) -> None:
    # With think_end_token, lm_eval's models give what follows the thought, or all of one that was
    # cut.
    cut = "Okay, the user gave 5 stars, and so on and on, and that is all there is room for"
    model = Answering(thinking_model, ["1", cut, "3"], think_end_token="</think>")
    samples = evaluate(small_data, model)["samples"][TASK]
    assert [sample["unfinished_thought_rate"] for sample in samples] == [0.0, 1.0, 0.0]
    assert [sample["valid_rate"] for sample in samples] == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("model", ["hf", "qrag"])
@pytest.mark.parametrize("model_args", [{}, {"think_end_token": "</think>"}])
def test_a_real_model_whose_thoughts_are_cut(
    small_data: Path,
    thinking_model: Path,
    model: str,
    model_args: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    results = evaluate_real(small_data, model, thinking_model, **model_args)
    scores = results["results"][TASK]
    assert scores["unfinished_thought_rate,none"] == 1.0
    assert scores["valid_rate,none"] == scores["accuracy,none"] == 0.0
    assert "the prompts open a thought" in caplog.text
    assert "max_gen_toks=2048" in caplog.text


def test_a_thought_that_the_prompt_closes(small_data: Path, thinking_model: Path) -> None:
    results = evaluate_real(small_data, "hf", thinking_model, enable_thinking=False)
    assert results["results"][TASK]["unfinished_thought_rate,none"] == 0.0
    prompt = results["samples"][TASK][0]["arguments"][0][0]
    assert prompt.endswith("<think>\n</think>\n\n")


def test_no_likelihood_where_a_thought_would_stand(small_data: Path, thinking_model: Path) -> None:
    with pytest.raises(SettingsError, match=r"the prompts end in '<think>'.*enable_thinking=False"):
        evaluate(small_data, Answering(thinking_model, []), answer="likelihood")
