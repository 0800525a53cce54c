"""Which arguments of ``--model qrag`` go together that say how transformers batches prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qrag_tasks.arms.argument_names import Mistake
from qrag_tasks.arms.kv_caches import given_cache

PADDED, CONTINUOUS = "padded", "continuous"
"""Values of ``batching``: how the engine of transformers puts prompts together."""


def batching_mistakes(given: Mapping[str, Any]) -> Iterator[Mistake]:
    """Find what is wrong with them.

    :param given: the model arguments that were given.
    """
    if str(given.get("batch_size", "auto")) != "auto":
        for name in ("max_batch_size", "max_batch_tokens"):
            if name in given:
                yield Mistake(
                    name,
                    f"{name}={given[name]} has no effect with batch_size={given['batch_size']}: "
                    f"leave one of them out",
                )
    yield from _not_deterministic(given)
    yield from _not_continuous(given)


def _not_deterministic(given: Mapping[str, Any]) -> Iterator[Mistake]:
    deterministic = given.get("deterministic", False)
    if not isinstance(deterministic, bool):
        yield Mistake("deterministic", f"deterministic={deterministic}: give True or False")
    for name in ("batch_size", "max_batch_size", "max_batch_tokens") if deterministic else ():
        if str(given.get(name, "auto")) not in ("auto", "1"):
            yield Mistake(
                name,
                f"{name}={given[name]} and deterministic=True: the kernels of transformers compute "
                f"an answer alike only where its prompt is alone in its batch; leave {name} out",
            )


def _not_continuous(given: Mapping[str, Any]) -> Iterator[Mistake]:
    batching = given.get("batching", PADDED)
    if batching not in (PADDED, CONTINUOUS):
        yield Mistake("batching", f"batching={batching}: give {PADDED} or {CONTINUOUS}")
    if batching != CONTINUOUS:
        return
    for name, why in (
        ("deterministic", "what is computed together changes from token to token"),
        ("mixed_precision_dtype", "its passes run in a thread that has no autocast"),
        ("parallelize", "transformers' continuous batching keeps its cache on one device"),
    ):
        if given.get(name):
            yield Mistake(name, f"{name}={given[name]} and batching={CONTINUOUS}: {why}; leave one")
    if (cache := given_cache(given)) is not None:
        yield Mistake(
            "kv_cache",
            f"kv_cache={cache} and batching={CONTINUOUS}: transformers' continuous batching keeps "
            f"its pages in the dtype of computation; leave batching out, or give engine=vllm",
        )
