"""What is kept of two distributions bounds their divergence; a plain reference has all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="the hf extra is not installed")

from dataclasses import replace

from qrag_tasks.engines.readings import Reading, ReadingRequest, of_distributions
from qrag_tasks.experiment.fidelity.divergence import ReadAnswers, divergence
from qrag_tasks.experiment.fidelity.figures import PERCENTILES, by_place, fidelity

VOCABULARY = 500


def distributions(places: int, seed: int, sharpness: float = 3.0) -> np.ndarray:
    """Log-probabilities of shape (places, vocabulary), in 64 bits."""
    logits = np.random.default_rng(seed).normal(0, sharpness, (places, VOCABULARY))
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def near(logprobs: np.ndarray, by: float, seed: int) -> np.ndarray:
    """Others, near them."""
    moved = logprobs + np.random.default_rng(seed).normal(0, by, logprobs.shape)
    return moved - np.log(np.exp(moved).sum(axis=1, keepdims=True))


def readings(one: np.ndarray, other: np.ndarray, top: int) -> tuple[Reading, Reading]:
    answer = np.random.default_rng(7).integers(0, VOCABULARY, len(one)).tolist()
    request = ReadingRequest("sample", [1], answer, top)
    base = of_distributions(one, request)
    return base, of_distributions(other, replace(request, wanted=base.tokens.tolist()))


def kl(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The definition, over the whole vocabulary."""
    return (np.exp(one) * (one - other)).sum(axis=1)


@given(
    top=st.integers(1, VOCABULARY - 1),
    seed=st.integers(0, 99),
    by=st.floats(0, 3),
    sharpness=st.floats(0.1, 8),
)
@settings(deadline=None, max_examples=60)
def test_kl_lies_between_its_bounds(top: int, seed: int, by: float, sharpness: float) -> None:
    one = distributions(4, seed, sharpness)
    other = near(one, by, seed + 1)
    found, true = divergence(*readings(one, other, top)), kl(one, other)
    assert (found.kl <= true + 1e-4).all()
    assert (true <= found.kl_at_most + 1e-4).all()


def test_with_all_tokens_nothing_is_missing() -> None:
    one = distributions(6, 0)
    other = near(one, 0.5, 1)
    found = divergence(*readings(one, other, VOCABULARY))
    assert found.kl == pytest.approx(kl(one, other), abs=1e-4)
    assert (found.tail == 0).all()


def test_64_tokens_of_a_sharp_distribution_are_enough() -> None:
    """Of an answer's distributions the tail is small, and so is what is not known."""
    one = distributions(200, 3, 6.0)
    other = near(one, 0.4, 4)
    found, true = divergence(*readings(one, other, 64)), kl(one, other)
    assert found.tail.mean() < 1e-3
    assert found.kl.mean() == pytest.approx(true.mean(), rel=0.01)


def test_an_arm_is_its_own_base() -> None:
    one = distributions(5, 2)
    found = divergence(*readings(one, one, 16))
    assert found.kl == pytest.approx(np.zeros(5), abs=1e-6)
    assert found.same.all()
    assert (found.base_given == found.other_given).all()


def test_tokens_of_another_base_are_refused() -> None:
    one, other = distributions(3, 1), distributions(3, 2)
    base, _ = readings(one, one, 8)
    _, wrong = readings(other, one, 8)
    with pytest.raises(ValueError, match="did not keep the same tokens"):
        divergence(base, wrong)


def test_figures_are_means_of_samples() -> None:
    """A long answer counts no more than a short one; percentiles are of tokens."""
    long, short = distributions(30, 0), distributions(2, 1)
    pairs = [(long, near(long, 1.0, 5)), (short, near(short, 0.1, 6))] * 4
    read = ReadAnswers.of([divergence(*readings(one, other, VOCABULARY)) for one, other in pairs])
    found = fidelity(read, [str(n // 2) for n in range(8)])
    each = [kl(one, other).mean() for one, other in pairs]
    assert found.kl.value == pytest.approx(np.mean(each), abs=1e-4)
    tokens = np.concatenate([kl(one, other) for one, other in pairs])
    assert found.kl_percentiles[50] == pytest.approx(np.median(tokens), abs=1e-4)
    assert found.kl_percentiles[100] == pytest.approx(tokens.max(), abs=1e-3)
    assert (found.samples, found.places) == (8, 4 * 32)
    assert found.entropy is not None
    assert found.entropy[0] == pytest.approx(
        np.mean(np.concatenate([-(np.exp(one) * one).sum(axis=1) for one, _ in pairs])), abs=1e-3
    )
    # Four users are too few to say how far off the mean may be.
    assert found.kl.interval is None
    assert [count for count, _, _ in by_place(read)] == [8] * 2 + [4] * 28


def test_a_perplexity_that_doubles() -> None:
    one = distributions(3, 1)
    other = one - np.log(2)
    base, read = readings(one, other, 4)
    found = fidelity(ReadAnswers.of([divergence(base, read)] * 7))
    assert found.perplexity_ratio.value == pytest.approx(2, rel=1e-5)


def test_every_figure_is_that_of_plain_numpy() -> None:
    """Over whole distributions, as llama.cpp's tool defines its own: over tokens."""
    answers = [(one := distributions(5 + n, n), near(one, 0.3, 50 + n)) for n in range(12)]
    pairs = [readings(one, other, VOCABULARY) for one, other in answers]
    found = fidelity(ReadAnswers.of([divergence(base, other) for base, other in pairs]))
    given = [np.random.default_rng(7).integers(0, VOCABULARY, len(one)) for one, _ in answers]
    moved = [
        np.exp(other[np.arange(len(other)), tokens]) - np.exp(one[np.arange(len(one)), tokens])
        for (one, other), tokens in zip(answers, given, strict=True)
    ]
    tokens = np.concatenate([kl(one, other) for one, other in answers])
    for name, wanted in (("kl_percentiles", tokens), ("given_percentiles", np.concatenate(moved))):
        mine = getattr(found, name)
        assert list(mine) == list(PERCENTILES)
        assert list(mine.values()) == pytest.approx(np.percentile(wanted, PERCENTILES), abs=1e-4)
    assert found.given_rms == pytest.approx(np.sqrt((np.concatenate(moved) ** 2).mean()), rel=1e-3)
    assert found.given.value == pytest.approx(np.mean([each.mean() for each in moved]), abs=1e-6)
    assert found.same.value == pytest.approx(
        np.mean([(one.argmax(1) == other.argmax(1)).mean() for one, other in answers])
    )
    lost = [
        (one - other)[np.arange(len(one)), tokens].mean()
        for (one, other), tokens in zip(answers, given, strict=True)
    ]
    assert found.perplexity_ratio.value == pytest.approx(np.exp(np.mean(lost)), rel=1e-4)
