"""One request to ``/v1/completions``, and the answer, held to what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qrag_tasks.engines.base import GenerationRequest
from qrag_tasks.engines.decoding import Decoding
from qrag_tasks.errors import ModelError, SettingsError

MOST_STOPS = 4
"""Stop texts that OpenAI's interface takes. What comes after others is cut off where it is read."""

_BYTES_OF_A_CHARACTER = 4
_NO_PENALTIES = {"frequency_penalty": 0, "presence_penalty": 0}
_NO_PENALTIES_ELSEWHERE = {"repetition_penalty": 1.0, "repeat_penalty": 1.0}
"""As vLLM and SGLang, and as llama.cpp's servers call it: their defaults come from the model's
files or from a release's taste, and arms are to decode alike."""


@dataclass(frozen=True)
class Form:
    """In which form a server is asked: what it takes was found out by asking it.

    :ivar token_ids: whether prompts are sent as token ids; else as text.
    :ivar extensions: whether what OpenAI's interface does not have is sent along.
    :ivar gives_ids: whether answers come as token ids; else as text.
    :ivar adds_bos: whether the server puts a token of its own before a text.
    """

    token_ids: bool = True
    extensions: bool = True
    gives_ids: bool = False
    adds_bos: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it, for the record."""
        return {
            "prompts": "token ids" if self.token_ids else "text",
            "answers": "token ids" if self.gives_ids else "text",
            "end_tokens": "ours, given with each request" if self.gives_ids else "the server's own",
        }


@dataclass(frozen=True)
class Completion:
    """An answer.

    :ivar tokens: generated token ids, with the end token; ``None`` where the server tells text.
    :ivar text: without what ended it.
    :ivar generated: how many tokens were generated.
    :ivar prompt_tokens: of the prompt, as the server counts them.
    :ivar cached: prompt tokens that came out of its cache; ``None`` where it does not say.
    :ivar prompt: token ids of the prompt, as the server read it; ``None`` where it does not say.
    :ivar truncated: whether it says that it has cut the prompt.
    """

    tokens: Sequence[int] | None
    text: str
    generated: int
    prompt_tokens: int
    cached: int | None = None
    prompt: Sequence[int] | None = None
    truncated: bool = False


def body_of(
    request: GenerationRequest,
    prompt: Sequence[int] | str,
    model: str,
    form: Form,
    decoding: Decoding,
) -> dict[str, Any]:
    """Return what is sent.

    :param prompt: as the form wants it.
    :raises SettingsError: for a generation argument that would have to be sent, and is not.
    """
    greedy = {"do_sample": (False,), "temperature": (0, None), "num_beams": (1,)}
    for name, value in request.settings.items():
        if value not in greedy.get(name, ()):
            raise SettingsError(
                f"generation argument {name}={value}: engine=server asks for the likeliest tokens, "
                f"without further settings; leave it out"
            )
    body: dict[str, Any] = {
        "model": model,
        "prompt": list(prompt) if form.token_ids else prompt,
        "max_tokens": request.max_new_tokens,
        "temperature": 0,
        "stream": False,
        **_NO_PENALTIES,
    }
    if request.stops:
        body["stop"] = list(request.stops[:MOST_STOPS])
    if form.extensions:
        body |= {
            **_NO_PENALTIES_ELSEWHERE,
            "return_token_ids": True,
            "stop_token_ids": list(decoding.end_tokens),
            "add_special_tokens": False,
        }
    return body


def read_completion(said: Any, request: GenerationRequest, model: str) -> Completion:
    """Read what a server answered.

    :param model: whose answer it must be.
    :raises ModelError: where it is not what was asked for, naming the request.
    """

    def wrong(what: str) -> ModelError:
        return _wrong(request, what)

    choices = said.get("choices") if isinstance(said, dict) else None
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        count = f"{len(choices)} choices" if isinstance(choices, list) else "no choices"
        raise wrong(
            f"has {count} where one was asked for: {str(said)[:200]}. Is base_url= the address of "
            f"its OpenAI interface?"
        )
    choice = choices[0]
    text = choice.get("text")
    if not isinstance(text, str):
        raise wrong(
            f"has no text: {str(choice)[:200]}. Is base_url= the address of an interface that "
            f"completes prompts (/v1/completions)?"
        )
    answered_by = said.get("model")
    # Behind a colon is the version that it took.
    if answered_by is not None and not f"{answered_by}:".startswith(f"{model}:"):
        raise wrong(
            f"comes from model {answered_by!r}, and {model!r} was asked. Give the name that it "
            f"answers by as model=, where that is the one that is meant"
        )
    usage = said.get("usage") or {}
    prompt_tokens, generated = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(prompt_tokens, int) or not isinstance(generated, int):
        raise wrong(
            "does not say how many tokens prompt and answer have (usage), so that nobody knows "
            "what the model was asked. Such a server cannot be an arm"
        )
    tokens = choice.get("token_ids")
    if tokens is not None and (
        not all(isinstance(token, int) for token in tokens) or len(tokens) != generated
    ):
        raise wrong(f"has {len(tokens)} token ids, and says that it has {generated} tokens")
    longest = request.max_new_tokens
    # llama-cpp-python's server goes on until a character that it has begun is whole.
    if generated > longest + (_BYTES_OF_A_CHARACTER - 1 if tokens is None else 0):
        raise wrong(f"has {generated} tokens, and at most {longest} were asked for (max_tokens)")
    if choice.get("finish_reason") == "length" and generated < longest:
        raise wrong(
            f"was cut at {generated} tokens, where {longest} were asked for: its window, or a "
            f"limit of its own, is shorter. Start it with a longer one (vllm serve "
            f"--max-model-len, llama-server --ctx-size), or give a smaller max_length="
        )
    details = usage.get("prompt_tokens_details") or {}
    cached = details.get("cached_tokens")
    return Completion(
        tokens,
        text,
        generated,
        prompt_tokens,
        cached if isinstance(cached, int) else None,
        choice.get("prompt_token_ids"),
        bool(choice.get("truncated") or said.get("truncated")),
    )


def check_prompt(completion: Completion, request: GenerationRequest) -> None:
    """Check that the model was asked what was sent.

    :raises ModelError: where it was not, naming the request.
    """
    sent, counted = len(request.prompt), completion.prompt_tokens
    if completion.truncated:
        raise _wrong(
            request, f"is to a prompt that it says it has cut, of {sent} tokens. {_LONGER}"
        )
    if counted != sent:
        raise _wrong(request, _count_differs(sent, counted))
    if completion.prompt is not None and list(completion.prompt) != list(request.prompt):
        raise _wrong(
            request,
            "is to other token ids than were sent, though as many: it reads text with another "
            "tokenizer than tokenizer=. Give the served model's own",
        )


def _wrong(request: GenerationRequest, what: str) -> ModelError:
    return ModelError(f"{request.name}: the server's answer {what}")


_LONGER = (
    "Start it with a longer window (vllm serve --max-model-len, llama-server --ctx-size), or give "
    "the window that it has as max_length="
)


def _count_differs(sent: int, counted: int) -> str:
    """Say that a server counts other tokens than were sent, what that means, and what to do."""
    both = f"is to a prompt of {counted} tokens by its count, and {sent} were sent"
    if counted == sent + 1:
        return (
            f"{both}: it has put a token before the prompt, such as another BOS. Have it add none "
            f"(tokenizer.ggml.add_bos_token=false in a GGUF file), or give the served model's own "
            f"tokenizer, which knows that token"
        )
    if counted < sent:
        return (
            f"{both}: it has cut the prompt, leaves out cached tokens, or reads text with another "
            f"tokenizer than tokenizer=. {_LONGER}; give the served model's own tokenizer"
        )
    return (
        f"{both}: it puts something around prompts, such as a chat template (Ollama does, where "
        f"the Modelfile has another TEMPLATE than {{{{ .Prompt }}}}), or reads text with another "
        f"tokenizer than tokenizer=. Turn that off, or give the served model's own tokenizer"
    )
