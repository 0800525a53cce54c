"""Servers that speak otherwise, that fail, and that do not tell the truth."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")
from model_server import Fault, ModelServer

from qrag_tasks.engines.base import GenerationRequest
from qrag_tasks.engines.server.engine import ServerEngine
from qrag_tasks.errors import ModelError, SettingsError
from qrag_tasks.testing.engine_requests import generate

Load = Callable[..., ServerEngine]
TEXTS = ["the kettle and the pot", "a review of the kettle", "It cost 12.50!", "Zoë — très bon"]


def requests(engine: ServerEngine, **changes: Any) -> list[GenerationRequest]:
    made = [
        GenerationRequest(f"request {place}", engine.tokenizer(text)["input_ids"], 6)
        for place, text in enumerate(TEXTS)
    ]
    return [replace(request, **changes) for request in made]


def texts(engine: ServerEngine, **changes: Any) -> list[str]:
    """Return the answers as text, however they came."""
    answers: dict[int, Any] = {}
    engine.generate(requests(engine, **changes), lambda batch, _cost: answers.update(batch))
    decode = engine.tokenizer.decode
    return [
        each if isinstance(each, str) else decode(each, skip_special_tokens=True)
        for each in (answers[place] for place in range(len(TEXTS)))
    ]


# ---------------------------------------------------------------------- forms
def test_every_form_gives_the_same_answers(
    server: ModelServer, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    whole = texts(engine := load())
    assert engine.form.as_dict() == {
        "prompts": "token ids",
        "answers": "token ids",
        "end_tokens": "ours, given with each request",
    }
    sent = server.asked[-1]
    assert sent["stop_token_ids"] == list(engine.decoding.end_tokens)
    assert (sent["temperature"], sent["stream"], sent["max_tokens"]) == (0, False, 6)
    assert sent["repetition_penalty"] == sent["repeat_penalty"] == 1
    assert not sent.keys() & {"echo", "best_of", "suffix", "n", "logprobs"}

    server.gives_ids = False
    engine = load()
    assert (engine.form.token_ids, engine.form.gives_ids) == (True, False)
    assert texts(engine) == whole
    assert isinstance(server.asked[-1]["prompt"], list)

    server.takes_ids = False
    engine = load()
    assert (engine.form.token_ids, engine.form.extensions) == (False, True)
    assert texts(engine) == whole
    assert {body["prompt"] for body in server.asked[-4:]} == set(TEXTS)

    server.strict = True
    with caplog.at_level(logging.WARNING):
        engine = load()
    assert "so what it sets itself stays, such as a repetition penalty" in caplog.text
    assert (engine.form.token_ids, engine.form.extensions) == (False, False)
    assert texts(engine) == whole
    assert "stop_token_ids" not in server.asked[-1]


def test_a_prompt_whose_text_means_other_tokens_is_not_sent(
    server: ModelServer, load: Load
) -> None:
    server.takes_ids = False
    engine = load()
    ids = engine.tokenizer("the kettle")["input_ids"]
    apart = [token for letter in "the kettle" for token in engine.tokenizer(letter)["input_ids"]]
    assert apart != ids
    before = len(server.asked)
    with pytest.raises(ModelError, match=r"the odd one: the server takes text alone.* other token"):
        generate(engine, [GenerationRequest("the odd one", apart, 3)])
    assert len(server.asked) == before


@pytest.fixture
def with_bos(tiny_model: Path, tmp_path: Path) -> Path:
    """The tiny model's tokenizer, with a BOS token that it puts first."""
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.bos_token = "<|system|>"
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|system|> $A", special_tokens=[("<|system|>", tokenizer.bos_token_id)]
    )
    tokenizer.save_pretrained(tmp_path / "with-bos")
    return tmp_path / "with-bos"


def test_a_bos_token_of_the_servers_own(server: ModelServer, load: Load, with_bos: Path) -> None:
    tokens = load(tokenizer=str(with_bos)).tokenizer
    assert tokens("a")["input_ids"][0] == tokens.bos_token_id
    whole = texts(load(tokenizer=str(with_bos)))
    # It takes text, and puts a BOS first, as llama.cpp's do.
    server.takes_ids = server.gives_ids = False
    server.read = lambda text: tokens(text)["input_ids"]
    engine = load(tokenizer=str(with_bos))
    assert engine.form.adds_bos
    assert texts(engine) == whole
    assert {body["prompt"] for body in server.asked[-4:]} == set(TEXTS)
    bare = [replace(each, prompt=each.prompt[1:]) for each in requests(engine)]
    with pytest.raises(ModelError, match=r"request \d: .*puts a BOS token before every prompt"):
        generate(engine, bare)
    # The tokenizer that was named knows of no BOS.
    with pytest.raises(ModelError, match=r"of (\d+) tokens by its count, and \d+ were sent.*BOS"):
        load()


# ---------------------------------------------------------------------- what does not pass
def lying(change: Callable[[dict[str, Any]], Any]) -> Callable[..., Any]:
    """Return a lie that changes an answer in place, or takes another."""

    def lie(answer: dict[str, Any], _body: dict[str, Any]) -> Any:
        other = change(answer)
        return answer if other is None else other

    return lie


def of_usage(**values: int | None) -> Callable[..., Any]:
    return lying(lambda answer: answer["usage"].update(values))


def of_choice(**values: Any) -> Callable[..., Any]:
    return lying(lambda answer: answer["choices"][0].update(values))


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        (
            of_usage(prompt_tokens=3),
            r"to a prompt of 3 tokens by its count, and \d+ were sent: it"
            r" has cut the prompt.*--max-model-len",
        ),
        (
            of_usage(prompt_tokens=99),
            r"of 99 tokens by its count, and \d+ were sent: it puts "
            r"something around prompts, such as a chat template",
        ),
        (of_usage(prompt_tokens=None), r"does not say how many tokens .*\(usage\)"),
        (of_choice(prompt_token_ids=[1]), "to other token ids than were sent, though as many"),
        (of_choice(truncated=True), "a prompt that it says it has cut"),
        (of_choice(text=None), r"has no text: .*/v1/completions"),
        (of_choice(token_ids=[5]), "has 1 token ids, and says that it has 6 tokens"),
        (of_usage(completion_tokens=5), "has 6 token ids, and says that it has 5 tokens"),
        (
            lying(
                lambda answer: (
                    answer["usage"].update(completion_tokens=4)
                    or answer["choices"][0].update(token_ids=[1, 2, 3, 4])
                )
            ),
            r"was cut at 4 tokens, where 6 were asked for.*--ctx-size",
        ),
        (
            lying(
                lambda answer: (
                    answer["usage"].update(completion_tokens=7)
                    or answer["choices"][0].update(token_ids=[1] * 7)
                )
            ),
            r"has 7 tokens, and at most 6 were asked for \(max_tokens\)",
        ),
        (lying(lambda answer: {"choices": []}), "has 0 choices where one was asked for"),
        (
            lying(lambda answer: answer.update(choices=answer["choices"] * 2)),
            "has 2 choices where one was asked for",
        ),
        (lying(lambda answer: {"content": "4"}), "has no choices .*OpenAI interface"),
        (lying(lambda answer: ["4"]), "has no choices"),
        (
            lying(lambda answer: answer.update(model="other")),
            "comes from model 'other', and 'tiny'",
        ),
    ],
)
def test_an_answer_that_is_not_to_what_was_asked(
    server: ModelServer, load: Load, lie: Callable[..., Any], message: str
) -> None:
    engine = load()
    server.lie = lie
    with pytest.raises(ModelError, match=f"request [0-3]: the server's answer .*{message}"):
        generate(engine, requests(engine))


def test_an_empty_answer_is_an_answer(server: ModelServer, load: Load) -> None:
    engine = load()
    end = engine.tokenizer.eos_token_id
    server.lie = lying(
        lambda answer: (
            answer["choices"][0].update(text="", finish_reason="stop", token_ids=[end])
            or answer["usage"].update(completion_tokens=1)
        )
    )
    assert texts(engine) == [""] * 4


def test_an_end_token_that_the_server_does_not_know(server: ModelServer, load: Load) -> None:
    server.gives_ids = False
    engine = load()
    server.lie = of_choice(text="four<|end|><|user|>And five?")
    assert texts(engine) == ["four"] * 4


def test_stops_are_cut_where_the_server_does_not_look(server: ModelServer, load: Load) -> None:
    engine = load()
    stops = tuple(f"never {number}" for number in range(6))
    assert texts(engine, stops=stops) == texts(engine)
    assert server.asked[-5]["stop"] == list(stops[:4])


# ---------------------------------------------------------------------- what passes
@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=0),
        Fault(sent=20),
        Fault(sent=0),
        Fault(body="<html>busy</html>"),
        *(Fault(status=status, body="{}") for status in (408, 429, 500, 502, 503, 504)),
        Fault(pause=2.5),
    ],
    ids=lambda fault: f"{fault.status}-{fault.sent}-{fault.body[:6]}-{fault.pause}",
)
def test_what_passes_is_asked_again(server: ModelServer, load: Load, fault: Fault) -> None:
    whole = texts(load())
    engine = load(timeout=1.5 if fault.pause else 60)
    before = len(server.asked)
    server.faults = [None, fault, fault]
    assert texts(engine) == whole
    again = len(server.asked) - before - len(TEXTS)
    # On a machine that is busy others may be late, too.
    assert again == 2 or (fault.pause and again > 2)


def test_a_server_that_wants_to_be_left_alone(server: ModelServer, load: Load) -> None:
    engine = load(concurrency=1)
    server.faults = [Fault(status=429, headers={"Retry-After": "1"}, body="{}")]
    server.times.clear()
    assert len(texts(engine)) == 4
    assert server.times[1] - server.times[0] >= 1


def test_a_server_that_stays_gone(
    server: ModelServer, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    engine = load(retries=2, concurrency=1)
    error = {"error": {"message": "out of memory in the scheduler", "type": "server_error"}}
    server.faults = [None, None, *[Fault(status=500, body=json.dumps(error))] * 3]
    answers: dict[int, Any] = {}
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(
            ModelError,
            match=r"request \d: .*HTTP 500: out of memory in the scheduler. Given up after 3 tries "
            r"in \d+ s. 2 of 4 requests were answered before.*start the server again, and run the "
            r"same command",
        ),
    ):
        engine.generate(requests(engine), lambda batch, _cost: answers.update(batch))
    assert len(answers) == 2
    assert "try 2 of 3 in" in caplog.text


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (400, {"error": {"message": "max_tokens is too large"}}, "HTTP 400: max_tokens is too lar"),
        (401, {"error": "no key"}, "HTTP 401: no key. It wants a key.*OPENAI_API_KEY"),
        (403, {"detail": "not you"}, "HTTP 403: not you. It wants a key"),
        (404, {"detail": "Not Found"}, "HTTP 404: Not Found. Is base_url="),
        (422, {"detail": [{"msg": "bad"}]}, r'HTTP 422: \[\{"msg": "bad"\}\]'),
    ],
)
def test_what_does_not_pass_is_asked_once(
    server: ModelServer, load: Load, status: int, body: Any, message: str
) -> None:
    engine = load(concurrency=1)
    before = len(server.asked)
    server.faults = [Fault(status=status, body=json.dumps(body))]
    with pytest.raises(ModelError, match=rf"request \d: .*{message}"):
        generate(engine, requests(engine))
    assert len(server.asked) == before + 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_server_that_sends_on(server: ModelServer, load: Load, status: int) -> None:
    engine = load(concurrency=1)
    server.faults = [Fault(status=status, headers={"Location": "https://elsewhere/v1"})]
    with pytest.raises(ModelError, match=r"it sends on to https://elsewhere/v1.*as base_url="):
        generate(engine, requests(engine))


# ---------------------------------------------------------------------- how many, how often
def test_as_many_at_once_as_were_asked_for(server: ModelServer, load: Load) -> None:
    server.slowness = 0.1
    engine = load(concurrency=3)
    texts(engine)
    assert server.most == 3
    server.most, engine.limit.rows = 0, 1
    texts(engine)
    assert server.most == 1


def test_the_rate_is_kept_for_those_that_are_tried_again_too(
    server: ModelServer, load: Load
) -> None:
    engine = load(requests_per_second=10)
    server.times.clear()
    server.faults = [Fault(status=503, body="{}")] * 2
    texts(engine)
    assert len(server.times) == 6
    assert server.times[-1] - server.times[0] >= 0.45


def test_an_error_loses_nothing_that_was_on_its_way(server: ModelServer, load: Load) -> None:
    engine = load(concurrency=4)
    server.slowness = 1.0
    server.faults = [Fault(status=400, body="{}")]
    answers: dict[int, Any] = {}
    with pytest.raises(ModelError, match="HTTP 400"):
        engine.generate(requests(engine), lambda batch, _cost: answers.update(batch))
    assert len(answers) == 3


def test_ctrl_c_does_not_wait_for_requests(server: ModelServer, load: Load) -> None:
    engine = load(concurrency=2)
    answers: dict[int, Any] = {}

    def interrupted(batch: Any, _cost: Any) -> None:
        answers.update(batch)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.generate(requests(engine), interrupted)
    assert len(answers) == 1
    assert len(texts(engine)) == 4


def test_it_counts_what_it_can(server: ModelServer, load: Load) -> None:
    engine = load()
    server.lie = lying(
        lambda answer: answer["usage"].update(prompt_tokens_details={"cached_tokens": 2})
    )
    texts(engine)
    cost = engine._meter.cost()
    assert cost.cached_prompt_tokens == 8
    assert cost.prompt_tokens == sum(len(request.prompt) for request in requests(engine))
    assert cost.undivided_seconds > 0
    assert cost.prefill_seconds == cost.decode_seconds == 0
    assert cost.device == f"vllm at {server.url}"
    assert (cost.threads, cost.peak_rss_bytes, cost.energy_joules) == (None, None, None)


# ---------------------------------------------------------------------- the key
def test_the_key_is_the_environments(
    server: ModelServer, load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password something\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    load()
    assert set(server.keys) == {None}
    server.keys.clear()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    engine = load()
    texts(engine)
    assert set(server.keys) == {"Bearer sk-secret"}
    assert "sk-secret" not in repr((engine.arm, engine.identity))
    with pytest.raises(SettingsError, match=r"^api_key: arguments are logged.*OPENAI_API_KEY") as e:
        load(api_key="sk-other")
    assert "sk-other" not in str(e.value)


def test_a_character_may_be_ended_where_text_is_told(server: ModelServer, load: Load) -> None:
    server.gives_ids = False
    engine = load()
    server.lie = of_usage(completion_tokens=9)
    assert len(texts(engine)) == 4
    server.lie = of_usage(completion_tokens=10)
    with pytest.raises(ModelError, match=r"has 10 tokens, and at most 6 were asked for"):
        texts(engine)
