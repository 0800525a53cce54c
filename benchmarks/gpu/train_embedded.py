"""Train the embedded model: ``python benchmarks/gpu/train_embedded.py --out FOLDER``.

From nothing to the folder that `qrag_tasks/embedded` is: a tokenizer, then a model in Llama's
shape, trained on users drawn from mini's generator while it is trained. Needs torch, tokenizers
and safetensors, and one GPU for `--seconds`; on a CPU, `--batch 4096 --steps 30` tries it out.

Ratings are learned late by a model this small: it has to read how satisfied each review sounds,
compare that with its score, and carry the difference over. So two heads, dropped afterwards, are
trained beside the answers to tell these two from layers in the middle.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from embedded_texts import (
    CHAT_TEMPLATE,
    END,
    END_ID,
    LONGEST,
    NO_LABEL,
    PAD,
    PAD_ID,
    VOCABULARY,
    Batch,
    batches,
    check_seams,
    train_tokenizer,
)
from torch import Tensor, nn

from qrag_tasks.tasks.lamp.mini.reviews import LEVEL_WEIGHTS, SHIFTS

HIDDEN, LAYERS, HEADS, MLP = 256, 6, 4, 512
HEAD = HIDDEN // HEADS
THETA = 10_000.0
EPSILON = 1e-5
# After which layer a review's tone, and then its writer's habit, is to be known.
LEVEL_LAYER, HABIT_LAYER = 2, 3
SIDE_WEIGHT = 0.3

TOKENIZER_SEED, MODEL_SEED, TEXT_SEED, HELD_OUT_SEED = 20_001, 20_002, 30_000, 20_003
LEARNING_RATE, WARM_UP, DECAY, BETAS = 2e-3, 200, 0.1, (0.9, 0.95)
MOMENTUM, SPEED = 0.95, 0.2
TESTED_KS = (0, 1, 3, 5, 10)


class Norm(nn.Module):
    """Root mean square norm."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(HIDDEN))

    def forward(self, x: Tensor) -> Tensor:
        """Return what it gives for every token."""
        return F.rms_norm(x.float(), (HIDDEN,), self.weight, EPSILON).to(x.dtype)


class Attention(nn.Module):
    """Causal attention inside each example of a batch in one row."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.k_proj = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.v_proj = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.o_proj = nn.Linear(HIDDEN, HIDDEN, bias=False)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], ends: Tensor) -> Tensor:
        """Return what it adds to every token.

        :param turn: cosines and sines of the positions.
        :param ends: where each example ends, from 0.
        """
        q, k, v = (
            part(x).view(-1, HEADS, HEAD) for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = rotated(q, turn), rotated(k, turn)
        if x.is_cuda:
            out = torch.ops.aten._flash_attention_forward(
                q, k, v, ends, ends, LONGEST, LONGEST, 0.0, True, False
            )[0]
        else:
            parts = [
                F.scaled_dot_product_attention(
                    *(each[start:end].transpose(0, 1) for each in (q, k, v)), is_causal=True
                ).transpose(0, 1)
                for start, end in zip(ends.tolist(), ends.tolist()[1:], strict=False)
                if end > start
            ]
            out = torch.cat(parts)
        return self.o_proj(out.reshape(-1, HIDDEN))


def rotated(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary position embedding, as transformers has it for Llama."""
    cos, sin = turn
    left, right = x.float().chunk(2, -1)
    return (x.float() * cos + torch.cat((-right, left), -1) * sin).to(x.dtype)


class Mlp(nn.Module):
    """Llama's gated layer."""

    def __init__(self) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(HIDDEN, MLP, bias=False)
        self.up_proj = nn.Linear(HIDDEN, MLP, bias=False)
        self.down_proj = nn.Linear(MLP, HIDDEN, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return what it adds to every token."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """One layer."""

    def __init__(self) -> None:
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = Norm(), Norm()
        self.self_attn, self.mlp = Attention(), Mlp()

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], ends: Tensor) -> Tensor:
        """Return every token as the next layer sees it."""
        x = x + self.self_attn(self.input_layernorm(x), turn, ends)
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    """Embeddings and layers, with the names that transformers gives them."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCABULARY, HIDDEN)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = Norm()


class Model(nn.Module):
    """The model, and the two heads beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Body()
        self.level_head = nn.Linear(HIDDEN, len(LEVEL_WEIGHTS))
        self.habit_head = nn.Linear(HIDDEN, len(SHIFTS))
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                deep = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * LAYERS) if deep else 0.02)

    def forward(self, ids: Tensor, positions: Tensor, ends: Tensor) -> tuple[Tensor, ...]:
        """Return the logits of every token, and of the two heads."""
        steps = torch.arange(0, HEAD, 2, device=ids.device, dtype=torch.float32)
        angles = positions[:, None].float() * THETA ** (-steps / HEAD)
        angles = torch.cat((angles, angles), -1)[:, None]
        turn = angles.cos(), angles.sin()
        x = self.model.embed_tokens(ids)
        level = habit = x
        for number, layer in enumerate(self.model.layers):
            x = layer(x, turn, ends)
            if number == LEVEL_LAYER:
                level = self.level_head(F.rms_norm(x, (HIDDEN,)))
            if number == HABIT_LAYER:
                habit = self.habit_head(F.rms_norm(x, (HIDDEN,)))
        return F.linear(self.model.norm(x), self.model.embed_tokens.weight), level, habit


def losses(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """Return the loss, and those of text and heads apart."""
    logits, level, habit = model(batch["ids"], batch["positions"], batch["ends"])
    weights = batch["weights"][1:]
    text = F.cross_entropy(logits[:-1].float(), batch["ids"][1:], reduction="none")
    text = (text * weights).sum() / weights.sum()
    sides = [
        F.cross_entropy(head.float(), batch[name], ignore_index=NO_LABEL)
        for head, name in ((level, "levels"), (habit, "habits"))
    ]
    return text + SIDE_WEIGHT * (sides[0] + sides[1]), text, *sides


class Muon:
    """Orthogonalised momentum for matrices, all of one shape at once.

    Of Jordan and others (2024, "Muon"), with the step size of Liu and others (arXiv 2502.16982),
    which makes AdamW's learning rate and decay fit. `torch.optim.Muon` is the same thing, a
    matrix at a time, which takes longer here than the model's own forward and backward pass.
    """

    def __init__(self, matrices: list[nn.Parameter]) -> None:
        groups: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
        for matrix in matrices:
            groups[matrix.shape].append(matrix)
        self.groups = [
            (group, torch.zeros(len(group), *shape, device=group[0].device))
            for shape, group in groups.items()
        ]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Change the matrices by their gradients."""
        for group, momentum in self.groups:
            grads = torch.stack([matrix.grad for matrix in group if matrix.grad is not None])
            momentum.lerp_(grads, 1 - MOMENTUM)
            update = orthogonalised(grads.lerp(momentum, MOMENTUM))
            size = SPEED * rate * math.sqrt(max(update.shape[1:]))
            torch._foreach_mul_(group, 1 - rate * DECAY)
            torch._foreach_add_(group, list(update.unbind()), alpha=-size)


def orthogonalised(x: Tensor) -> Tensor:
    """Matrices with the same singular vectors, and singular values near 1."""
    wide = x.size(-2) <= x.size(-1)
    y = (x if wide else x.mT).bfloat16()
    y = y / (y.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        square = y @ y.mT
        y = 3.4445 * y + (-4.7750 * square + 2.0315 * square @ square) @ y
    return (y if wide else y.mT).to(x.dtype)


class Stream(torch.utils.data.IterableDataset):
    """Batches of other users in each worker."""

    def __init__(self, tokenizer: str, size: int, first: int) -> None:
        self.tokenizer, self.size, self.first = tokenizer, size, first

    def __iter__(self) -> Iterator[Batch]:
        from tokenizers import Tokenizer

        info = torch.utils.data.get_worker_info()
        seed = TEXT_SEED + self.first + (info.id if info else 0)
        return batches(Tokenizer.from_str(self.tokenizer), seed, self.size)


def on(device: str, batch: Batch) -> dict[str, Tensor]:
    """The batch on the device."""
    return {
        name: torch.as_tensor(values).to(device, non_blocking=True)
        for name, values in batch._asdict().items()
        if name != "answers"
    }


@torch.no_grad()
def tested(model: nn.Module, held_out: list[Batch], device: str) -> str:
    """One line: how many answers of held-out users are right, by k; MAE of their ratings."""
    right: dict[tuple[bool, int], list[float]] = defaultdict(list)
    off: dict[int, list[float]] = defaultdict(list)
    for batch in held_out:
        given = on(device, batch)
        with torch.autocast(device, torch.bfloat16):
            logits = model(given["ids"], given["positions"], given["ends"])[0]
        best = logits.argmax(-1).cpu().numpy()
        for start, end, k, rating in batch.answers.tolist():
            hit = (best[start - 1 : end - 1] == batch.ids[start:end]).all()
            right[bool(rating), k].append(float(hit))
            if rating:  # tokens of digits follow one another
                off[k].append(min(4, abs(int(best[start - 1]) - int(batch.ids[start]))))

    def mean(values: list[float]) -> str:
        return f"{sum(values) / max(1, len(values)):.3f}"

    return " | ".join(
        f"k={k}: rating right {mean(right[True, k])} MAE {mean(off[k])}, "
        f"title right {mean(right[False, k])}"
        for k in TESTED_KS
    )


def write(model: Model, tokenizer: Any, out: Path) -> None:
    """Write the folder that transformers loads: weights in bfloat16, and no heads beside them."""
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    state = {
        name: value.detach().to("cpu", torch.bfloat16).contiguous()
        for name, value in model.state_dict().items()
        if name.startswith("model.")
    }
    save_file(state, out / "new", metadata={"format": "pt"})
    weights = out / "model.safetensors"
    if weights.exists():
        weights.replace(out / "previous.safetensors")
    (out / "new").replace(weights)
    tokenizer.save(str(out / "tokenizer.json"), pretty=False)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": MLP,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "head_dim": HEAD,
        "hidden_act": "silu",
        "vocab_size": VOCABULARY,
        "max_position_embeddings": LONGEST,
        "rms_norm_eps": EPSILON,
        "rope_theta": THETA,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": None,
        "eos_token_id": END_ID,
        "pad_token_id": PAD_ID,
        "dtype": "bfloat16",
        "torch_dtype": "bfloat16",
    }
    generation = {"do_sample": False, "eos_token_id": END_ID, "pad_token_id": PAD_ID}
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PAD,
        "bos_token": None,
        "model_max_length": LONGEST,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    for name, content in (
        ("config", config),
        ("generation_config", generation),
        ("tokenizer_config", tokenizer_config),
    ):
        (out / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def rate_at(step: int, done: float) -> float:
    """The learning rate: up in a line, then down along a cosine to a hundredth."""
    return LEARNING_RATE * min(
        (step + 1) / WARM_UP, 0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, done))) / 2
    )


class Clock:
    """Says things with the seconds since the start, on the screen and in ``training.log``."""

    def __init__(self, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.log = out / "training.log"
        self.log.write_text("", encoding="utf-8")
        self.started = time.monotonic()

    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def __call__(self, text: str) -> None:
        """Say the text."""
        line = f"{self.seconds():.0f} s: {text}"
        print(line, flush=True)
        with self.log.open("a", encoding="utf-8") as log:
            log.write(line + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=10**9, help="end earlier, after as many")
    parser.add_argument("--seconds", type=float, default=225)
    parser.add_argument("--batch", type=int, default=131_072, help="tokens")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument("--report", type=float, default=60, help="seconds between two tests")
    parser.add_argument("--start", type=Path, help="folder with the weights to begin with")
    parser.add_argument("--streams", type=int, default=0, help="number of the first text stream")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the streams are parallel
    tokenizer = train_tokenizer(TOKENIZER_SEED)
    check_seams(tokenizer, HELD_OUT_SEED)
    # For `tested`: the distance of two digits' tokens is that of the digits.
    if len({tokenizer.token_to_id(digit) - int(digit) for digit in "12345"}) != 1:
        raise ValueError("the tokens of 1 to 5 do not follow one another")
    feed = iter(
        torch.utils.data.DataLoader(
            Stream(tokenizer.to_str(), args.batch, args.streams),
            batch_size=None,
            num_workers=args.workers,
            prefetch_factor=8 if args.workers else None,
        )
    )
    say = Clock(args.out)
    say(f"tokenizer of {tokenizer.get_vocab_size()} tokens; torch {torch.__version__}")
    drawn = batches(tokenizer, HELD_OUT_SEED, args.batch, TESTED_KS, ratings=0.8)
    held_out = [next(drawn) for _ in range(4)]

    torch.manual_seed(MODEL_SEED)
    model = Model().to(device)
    if args.start:
        from safetensors.torch import load_file

        model.load_state_dict(load_file(args.start / "model.safetensors"), strict=False)
    kept = sum(p.numel() for name, p in model.named_parameters() if name.startswith("model."))
    say(f"{kept:,} parameters, {device}")
    muon = Muon([p for p in model.model.layers.parameters() if p.dim() == 2])
    in_muon = {id(p) for group, _ in muon.groups for p in group}
    others = [p for p in model.parameters() if id(p) not in in_muon]
    adam = torch.optim.AdamW(
        [
            {"params": [p for p in others if p.dim() == 2], "weight_decay": DECAY},
            {"params": [p for p in others if p.dim() != 2], "weight_decay": 0.0},
        ],
        lr=LEARNING_RATE,
        betas=BETAS,
        fused=device == "cuda",
    )
    compiled = torch.compile(losses) if device == "cuda" else losses
    step, seen = 0, 0
    begun = reported = time.monotonic()
    for batch in feed:
        done = max(step / args.steps, say.seconds() / args.seconds)
        if done >= 1:
            break
        rate = rate_at(step, done)
        for group in adam.param_groups:
            group["lr"] = rate
        given = on(device, batch)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            parts = compiled(model, given)
        model.zero_grad(set_to_none=True)
        parts[0].backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        muon.step(rate)
        step, seen = step + 1, seen + int(batch.answers[-1, 1])
        if step % 100 == 0 or step in (1, 10):
            shown = " ".join(f"{part.item():.4f}" for part in parts)
            speed = seen / (time.monotonic() - begun)
            say(
                f"step {step}, {seen / 1e6:.0f} M tokens, {speed / 1e6:.2f} M/s, "
                f"loss (all, text, tone, habit) {shown}"
            )
            if not math.isfinite(parts[0].item()):
                raise FloatingPointError(f"the loss is not finite at step {step}")
        if time.monotonic() - reported > args.report:
            reported = time.monotonic()
            say(f"held out: {tested(model, held_out, device)}")
            write(model, tokenizer, args.out)
    say(f"end after {step} steps, {seen / 1e6:.0f} M tokens")
    say(f"held out: {tested(model, held_out, device)}")
    write(model, tokenizer, args.out)


if __name__ == "__main__":
    main()
