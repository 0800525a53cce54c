"""What a run has cost: time, tokens a second, memory and energy."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_DERIVED = ("padding_share", "prefill_tokens_per_second", "decode_tokens_per_second")
_SUMMED = (
    *("ranks", "batches", "out_of_memory"),
    *("prompt_tokens", "padded_tokens", "generated_tokens", "decode_tokens"),
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a run has cost so far. Seconds are wall seconds; what was not measured is ``None``.

    Of a model that lies on several devices, their bytes and joules are added up.

    :ivar device: name of the GPU, or of the CPU.
    :ivar threads: that compute, on a CPU.
    :ivar ranks: models that answered side by side, each with devices of its own.
    :ivar load_seconds: loading the model.
    :ivar run_seconds: answering, the making of batches and what was lost included.
    :ivar prefill_seconds: from the start of a batch until its first token is chosen, or until its
        end where only likelihoods are asked for; all batches.
    :ivar decode_seconds: from then until the batch's end.
    :ivar undivided_seconds: of answers that an engine works on side by side, where it does not tell
        when each first token was chosen: prefill and decoding together.
    :ivar lost_seconds: in batches that failed. They count in no other field but ``run_seconds``.
    :ivar out_of_memory: batches that were too large.
    :ivar too_large_batch: sequences of the smallest of them.
    :ivar largest_batch: sequences of the largest batch that was answered.
    :ivar prompt_tokens: without padding; those out of a prefix cache included.
    :ivar cached_prompt_tokens: those of them that came out of a prefix cache, and so took no pass
        through the model; ``None`` where the engine has no such cache.
    :ivar padded_tokens: prompt tokens with padding.
    :ivar generated_tokens: of all answers.
    :ivar decode_tokens: the same, without the first of each answer, which prefill chooses.
    :ivar peak_device_bytes: in tensors on the GPU since the meter was made, weights included.
    :ivar peak_device_reserved_bytes: what torch took from the GPU for them.
    :ivar peak_rss_bytes: main memory of the processes since their start.
    :ivar cache_bytes_per_token: that the keys and values of a token take in the cache, in all
        layers, with what they are scaled by.
    :ivar energy_joules: of the whole GPU while it answered. Its counter moves about every 0.1 s.
    """

    device: str
    threads: int | None = None
    ranks: int = 1
    load_seconds: float = 0.0
    run_seconds: float = 0.0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    undivided_seconds: float = 0.0
    lost_seconds: float = 0.0
    batches: int = 0
    out_of_memory: int = 0
    too_large_batch: int | None = None
    largest_batch: int = 0
    prompt_tokens: int = 0
    cached_prompt_tokens: int | None = None
    padded_tokens: int = 0
    generated_tokens: int = 0
    decode_tokens: int = 0
    peak_device_bytes: int | None = None
    peak_device_reserved_bytes: int | None = None
    peak_rss_bytes: int | None = None
    cache_bytes_per_token: float | None = None
    energy_joules: float | None = None

    @property
    def padding_share(self) -> float | None:
        """Padding, as a share of the padded tokens: 0 to 1."""
        wasted = self.padded_tokens - self.prompt_tokens
        return wasted / self.padded_tokens if self.padded_tokens else None

    @property
    def prefill_tokens_per_second(self) -> float | None:
        """Prompt tokens, without padding and with those out of a cache, a second of prefill."""
        return self.prompt_tokens / self.prefill_seconds if self.prefill_seconds else None

    @property
    def decode_tokens_per_second(self) -> float | None:
        """Decode tokens a second of decoding."""
        if not self.decode_tokens or not self.decode_seconds:
            return None
        return self.decode_tokens / self.decode_seconds

    def as_dict(self) -> dict[str, Any]:
        """Return all fields and rates, as JSON has it."""
        return {**dataclasses.asdict(self), **{name: getattr(self, name) for name in _DERIVED}}

    @classmethod
    def together(cls, costs: Sequence[Cost]) -> Cost:
        """Return the cost of ranks that answered side by side.

        Counts of batches and tokens are summed. Seconds are the slowest rank's and bytes the
        fullest rank's, phase by phase, so tokens a second are those of all ranks over the time of
        the slowest. Energy is summed (a GPU that two ranks share would count twice), and unknown
        where one rank's is.

        :raises ValueError: without any cost.
        """
        if not costs:
            raise ValueError("there is no cost to put together")
        joined: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            values = [getattr(cost, field.name) for cost in costs]
            known = [value for value in values if value is not None]
            if field.name == "device":
                joined[field.name] = ", ".join(dict.fromkeys(values))
            elif field.name in _SUMMED:
                joined[field.name] = sum(values)
            elif field.name == "cached_prompt_tokens":
                joined[field.name] = sum(known) if known else None
            elif field.name == "too_large_batch":
                joined[field.name] = min(known, default=None)
            elif field.name == "energy_joules":
                joined[field.name] = sum(known) if len(known) == len(values) else None
            else:
                joined[field.name] = max(known, default=None)
        return cls(**joined)


def seconds_of(batch: Mapping[str, float]) -> float:
    """Return the seconds that a batch took, all phases.

    :param batch: its amounts of :class:`Cost`.
    """
    return sum(batch.get(f"{phase}_seconds", 0.0) for phase in ("prefill", "decode", "undivided"))


def cost_table(
    cost: Cost | Mapping[str, Any], weights: Mapping[str, Any] | None, precision: str
) -> str:
    """Return a cost as a table like lm_eval's own: without what was not measured.

    :param cost: or its :meth:`Cost.as_dict`.
    :param weights: of the model; their ``bytes`` are shown.
    :param precision: name of the arm.
    """
    from pytablewriter import MarkdownTableWriter
    from pytablewriter.style import Align, Style

    values = cost.as_dict() if isinstance(cost, Cost) else cost
    writer = MarkdownTableWriter(
        headers=["Cost", precision, ""],
        value_matrix=[row for row in _rows(values, weights or {}) if row[1]],
        # Or it would make numbers of these texts, and write 4.80 as 4.8.
        type_hints=["str", "str", "str"],
    )
    writer.set_style(1, Style(align=Align.RIGHT))
    return str(writer.dumps())


def _rows(cost: Mapping[str, Any], weights: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (what, number, unit and remarks); an empty number where it is unknown."""

    def count(name: str) -> str:
        return f"{cost[name]:,}" if cost[name] else ""

    threads = f", threads: {cost['threads']}" if cost["threads"] else ""
    padding = f", {cost['padding_share']:.1%} padding" if cost["padding_share"] else ""
    hits = cost.get("cached_prompt_tokens")
    cached = (
        "" if hits is None else f", {_share(hits, cost['prompt_tokens'])} out of the prefix cache"
    )
    reserved = cost["peak_device_reserved_bytes"] or 0
    batches = f"of up to {cost['largest_batch']:,} sequences"
    if cost["out_of_memory"]:
        batches += (
            f"; {cost['out_of_memory']:,} more, of {cost['too_large_batch']:,} or above, "
            f"ran out of memory: {cost['lost_seconds']:,.1f} s lost"
        )
    joules = cost["energy_joules"]
    return [
        ("ranks", count("ranks"), cost["device"] + threads),
        ("weights", _gigabytes(weights.get("bytes")), "GB"),
        (
            "peak device memory",
            _gigabytes(cost["peak_device_bytes"]),
            f"GB, {_gigabytes(reserved)} reserved",
        ),
        ("peak main memory", _gigabytes(cost["peak_rss_bytes"]), "GB"),
        ("cache", *_cache(cost)),
        ("loading", f"{cost['load_seconds']:,.1f}", "s"),
        ("answering", f"{cost['run_seconds']:,.1f}", "s"),
        ("prefill", *_rate(cost["prefill_tokens_per_second"], cost["prefill_seconds"])),
        ("decode", *_rate(cost["decode_tokens_per_second"], cost["decode_seconds"])),
        ("prefill and decode", *_rate(_undivided_rate(cost), cost.get("undivided_seconds", 0.0))),
        ("prompts", count("prompt_tokens"), f"tokens{padding}{cached}"),
        ("answers", count("generated_tokens"), "tokens"),
        ("batches", count("batches"), batches),
        ("energy", "" if joules is None else f"{joules / 1000:,.2f}", "kJ"),
    ]


def _cache(cost: Mapping[str, Any]) -> tuple[str, str]:
    each = cost.get("cache_bytes_per_token")
    return ("", "") if each is None else (f"{each / 1e3:,.2f}", "KB of keys and values a token")


def _undivided_rate(cost: Mapping[str, Any]) -> float | None:
    seconds = cost.get("undivided_seconds")
    return (cost["prompt_tokens"] + cost["generated_tokens"]) / seconds if seconds else None


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "none"


def _gigabytes(number: float | None) -> str:
    return "" if number is None else f"{number / 1e9:,.2f}"


def _rate(rate: float | None, seconds: float) -> tuple[str, str]:
    return "" if rate is None else f"{rate:,.1f}", f"tokens/s in {seconds:,.1f} s"
