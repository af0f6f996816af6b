"""What a trace of a real language model costs beside plain generation, and beside the ways it is done elsewhere.

`python -m experiments.benchmarks.real_model --out STEM` generates answers to the same needle prompts in turn by

- `generate`: Hugging Face's `generate` with sdpa, nothing observed: what everything else is measured in;
- `trace`: mechdyn's trace of one sample;
- `clean + dynamic`: mechdyn's trace with and without its dynamic heads, from one prefill;
- `all eight conditions`: mechdyn's traces under every condition of the ablation experiment, from one prefill;
- `eager with cache`: Wu et al.'s way in plain Hugging Face, eager attention with a cache and `output_attentions=True` at each step;
- `TransformerLens bridge`: the bridge alone, prompt and steps, patterns read by hooks.

All run one sample at a time and the same number of steps, whatever the text. A ratio is the median over rounds and samples of a way's time
over that of `generate` beside it. The script stops if two ways give other tokens, or the observing ones other heads.
`mechdyn models get smollm2-135m` fetches the model.
"""

import argparse
import dataclasses
import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from mechdyn.decoding.trace import trace, trace_conditions
from mechdyn.heads import Head, HeadSet, RankedHeads
from mechdyn.models.load import load_checkpoint, load_model, weight_sharing_copy
from mechdyn.models.model import Model
from mechdyn.schedules import Dynamic, RandomHeads, Schedule, SizeMatched, Static
from mechdyn.tasks.niah import niah
from mechdyn.tasks.sample import Sample

BASE = "generate"


@dataclass(frozen=True, eq=False)
class Found:
    """What a way gives: the tokens, and the heads that copy at each step where it observes them."""

    tokens: tuple[int, ...]
    heads: tuple[frozenset[tuple[int, int]], ...] | None = None


@dataclass(frozen=True, eq=False)
class Subject:
    """One model as mechdyn and as transformers run it, without an end to its texts."""

    model: Model
    sdpa: Any
    eager: Any
    n_steps: int


def make_subject(name: str, dtype: str, n_steps: int) -> Subject:
    """The model on the CPU; plain copies share one set of weights."""
    plain = load_checkpoint(name, device="cpu", dtype=getattr(torch, dtype))[0].hf
    sdpa, eager = plain, weight_sharing_copy(plain)
    sdpa.set_attn_implementation("sdpa")
    eager.set_attn_implementation("eager")
    model = dataclasses.replace(load_model(name, device="cpu", dtype=dtype), eos_ids=())
    return Subject(model, sdpa, eager, n_steps)


def plain_generate(subject: Subject, sample: Sample) -> Found:
    """Hugging Face's own loop, with its default attention."""
    tokens = sample.tokens[None]
    options = {"max_new_tokens": subject.n_steps, "min_new_tokens": subject.n_steps, "do_sample": False, "pad_token_id": 0}
    subject.sdpa.generation_config.eos_token_id = None
    text = subject.sdpa.generate(tokens, attention_mask=torch.ones_like(tokens), **options)
    return Found(tuple(text[0, len(sample.tokens) :].tolist()))


def own_trace(subject: Subject, sample: Sample) -> Found:
    """As `md.trace`."""
    found = trace(subject.model, sample, max_new_tokens=subject.n_steps, keep_sources=0)
    heads = tuple(frozenset((layer, head) for layer, head in step.nonzero().tolist()) for step in found.active)
    return Found(tuple(found.tokens.tolist()), heads)


def own_conditions(subject: Subject, sample: Sample) -> Found:
    """Clean and dynamic; what is compared is the clean one."""
    conditions = {"clean": None, "dynamic": Dynamic()}
    found = trace_conditions(subject.model, [sample], conditions, max_new_tokens=subject.n_steps)[0]["clean"]
    return Found(tuple(found.tokens.tolist()))


def own_eight(subject: Subject, sample: Sample) -> Found:
    """All conditions of the ablation experiment; what is compared is the clean one."""
    found = trace_conditions(subject.model, [sample], eight_conditions(subject.model), max_new_tokens=subject.n_steps)[0]["clean"]
    return Found(tuple(found.tokens.tolist()))


def eight_conditions(model: Model) -> dict[str, Schedule | None]:
    """The conditions of the ablation experiment, of five heads or as many as retrieve, with static ones drawn at random."""
    every = [Head(layer, head) for layer in range(model.n_layers) for head in range(model.n_heads)]
    random.Random(0).shuffle(every)
    ranking = RankedHeads(tuple(every), tuple(map(float, range(len(every), 0, -1))), model.n_layers, model.n_heads)
    return {
        "clean": None,
        "dynamic": Dynamic(),
        "static-average": Static(HeadSet.of(every[:5], model.n_layers, model.n_heads)),
        "random-average": RandomHeads(5, seed=1),
        "random-fixed": RandomHeads(5, seed=1, fresh=False),
        "static-matched": SizeMatched(ranking),
        "random-layers": RandomHeads(matched="layer", seed=2, exclude="active"),
        "random-matched": SizeMatched(RandomHeads(seed=3, exclude="active")),
    }


def eager_with_cache(subject: Subject, sample: Sample) -> Found:
    """A prompt through eager attention, then one token at a time with its attention rows put out."""
    hf = subject.eager
    tokens: list[int] = []
    heads: list[frozenset[tuple[int, int]]] = []
    cache = hf(sample.tokens[None, :-1], use_cache=True, logits_to_keep=1).past_key_values
    token = sample.tokens[-1:]
    for _ in range(subject.n_steps):
        output = hf(token[None], past_key_values=cache, use_cache=True, output_attentions=True)
        token = output.logits[0, -1].argmax()[None]
        rows = torch.stack([attention[0, :, -1] for attention in output.attentions])
        heads.append(_copying(rows, sample, tokens, int(token)))
        tokens.append(int(token))
    return Found(tuple(tokens), tuple(heads))


@torch.inference_mode()
def transformer_lens(subject: Subject, sample: Sample) -> Found:
    """The bridge with a cache, as one would write it with TransformerLens alone."""
    bridge = subject.model.bridge
    patterns: dict[int, Tensor] = {}
    tokens: list[int] = []
    heads: list[frozenset[tuple[int, int]]] = []

    def read(pattern: Tensor, hook: Any) -> None:
        patterns[hook.layer()] = pattern[0, :, -1]

    step: Callable[..., tuple[Tensor, Any]] = partial(bridge, use_cache=True, return_type="logits_and_cache")
    n_prompt = len(sample.tokens)
    _, cache = step(sample.tokens[None, :-1], position_ids=torch.arange(n_prompt - 1)[None])
    token = sample.tokens[-1:]
    hooks = [(f"blocks.{layer}.attn.hook_pattern", read) for layer in range(subject.model.n_layers)]
    for position in range(n_prompt - 1, n_prompt - 1 + subject.n_steps):
        with bridge.hooks(fwd_hooks=hooks):
            logits, cache = step(token[None], past_key_values=cache, position_ids=torch.tensor([[position]]))
        token = logits[0, -1].argmax()[None]
        heads.append(_copying(torch.stack([patterns[layer] for layer in range(len(patterns))]), sample, tokens, int(token)))
        tokens.append(int(token))
    return Found(tuple(tokens), tuple(heads))


def _copying(rows: Float[Tensor, "layer head key"], sample: Sample, answered: Sequence[int], token: int) -> frozenset[tuple[int, int]]:
    """Heads whose strongest key lies in the needle and holds the token that is predicted (Eq. 1)."""
    ids: Int[Tensor, " key"] = torch.cat([sample.tokens, torch.tensor(answered, dtype=torch.long)])
    in_needle = torch.zeros(len(ids), dtype=torch.bool)
    in_needle[sample.needle_positions] = True
    strongest = rows.argmax(dim=-1)
    copies = in_needle[strongest] & (ids[strongest] == token)
    return frozenset((layer, head) for layer, head in copies.nonzero().tolist())


WAYS: dict[str, Callable[[Subject, Sample], Found]] = {
    BASE: plain_generate,
    "trace": own_trace,
    "clean + dynamic": own_conditions,
    "all eight conditions": own_eight,
    "eager with cache": eager_with_cache,
    "TransformerLens bridge": transformer_lens,
}


def measure(subject: Subject, length: int, n_samples: int, rounds: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Median seconds of each way at a length, and median ratios to `generate` within a turn."""
    samples = [niah(subject.model, length=length, depth=(index + 0.5) / n_samples, seed=index) for index in range(n_samples)]
    turns = []
    for round_ in range(rounds + 1):  # the first one sets up and does not count
        for sample in samples if round_ else samples[:1]:
            seconds, found = {}, {}
            for name, way in WAYS.items():
                start = clock()
                found[name] = way(subject, sample)
                seconds[name] = clock() - start
            _check_same(found)
            turns += [seconds] if round_ else []
    return {
        "length": length,
        "seconds": {name: statistics.median(turn[name] for turn in turns) for name in WAYS},
        "ratio": {name: statistics.median(turn[name] / turn[BASE] for turn in turns) for name in WAYS if name != BASE},
    }


def _check_same(found: dict[str, Found]) -> None:
    """All ways must have computed the same."""
    for name, each in found.items():
        if each.tokens != found[BASE].tokens:
            raise SystemExit(f"{name} gives other tokens than {BASE}: {each.tokens} and {found[BASE].tokens}")
        if each.heads is not None and each.heads != found["trace"].heads:
            raise SystemExit(f"{name} finds other heads than trace")


def table(settings: Sequence[dict[str, Any]]) -> str:
    """A row a way: seconds and ratio at each length."""
    lengths = [f"{setting['length']} tokens" for setting in settings]
    lines = ["| way | " + " | ".join(lengths) + " |", "|---" * (len(lengths) + 1) + "|"]
    for name in WAYS:
        cells = [f"{each['seconds'][name]:.2f} s" + (f", {each['ratio'][name]:.2f} ×" if name != BASE else "") for each in settings]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure every length; write JSON and a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="stem of the files to write: OUT.json and OUT.md")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--length", type=int, nargs="+", default=[512, 2048], dest="lengths", help="tokens of a prompt")
    parser.add_argument("--steps", type=int, default=32, help="tokens of an answer")
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"), help="in bfloat16 ways may part at ties")
    parser.add_argument("--cpu-time", action="store_true", help="count this process's CPU time, for a busy machine; with one thread")
    arguments = parser.parse_args()
    subject = make_subject(arguments.model, arguments.dtype, arguments.steps)
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    found = [
        measure(subject, length, arguments.samples, arguments.rounds, clock)
        for length in tqdm(arguments.lengths, unit="length", disable=None)
    ]
    asked = {name: value for name, value in vars(arguments).items() if name not in ("out", "lengths")}
    machine = {"cpus": os.cpu_count(), "threads": torch.get_num_threads(), "machine": platform.machine(), "torch": torch.__version__}
    arguments.out.with_suffix(".json").write_text(json.dumps({"asked": asked, "machine": machine, "settings": found}, indent=2) + "\n")
    arguments.out.with_suffix(".md").write_text(table(found))
    print(table(found))


if __name__ == "__main__":
    main()
