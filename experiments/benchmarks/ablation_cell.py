"""One cell of the ablation grid (clean, dynamic, static, random) against two ways it is done elsewhere.

`python -m experiments.benchmarks.ablation_cell` times, in turn and on one random model,

- `mechdyn`: one prefill through sdpa, all conditions as one batch from forked caches, an observing and an ablated forward a step;
- `plain TransformerLens`: `run_with_hooks` over the whole sequence at each step, an observing and, under ablation, an ablated one, each
condition
  by itself. Its steps cost nearly the same, so `--plain-steps` of them are timed and scaled to all;
- `eager with cache`: Hugging Face with `output_attentions=True`, a prefill for each condition, forward hooks on `o_proj` to ablate.

It prints seconds, ratios and the machine. Default: 16 layers x 16 heads, d 1024, 2,048 tokens, 24 steps.
"""

import argparse
import copy
import dataclasses
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from mechdyn.decoding.trace import trace_conditions
from mechdyn.heads import HeadSet
from mechdyn.models.load import wrap_model
from mechdyn.models.model import Model
from mechdyn.models.registry import MINI_FOLDER
from mechdyn.schedules import Dynamic, RandomHeads, Schedule, Static
from mechdyn.tasks.sample import Sample


@dataclass(frozen=True)
class Cell:
    """What all three ways compute."""

    hf: LlamaForCausalLM
    model: Model
    sample: Sample
    conditions: dict[str, Schedule | None]
    n_steps: int


def make_cell(n_layers: int, n_heads: int, d_model: int, length: int, n_steps: int) -> Cell:
    """A random model and prompt. Only few words are predicted, so that heads copy by chance and dynamic ablation has work."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=2048,
        hidden_size=d_model,
        intermediate_size=int(2.75 * d_model),
        num_hidden_layers=n_layers,
        num_attention_heads=n_heads,
        num_key_value_heads=n_heads // 4,
        max_position_embeddings=length + n_steps + 1,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=None,
    )
    hf = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        hf.lm_head.weight[12:] = 0.0
    plain = copy.deepcopy(hf)
    plain.set_attn_implementation("eager")
    model = wrap_model(hf, AutoTokenizer.from_pretrained(MINI_FOLDER), name="random")
    tokens = torch.randint(6, 12, (length,))
    sample = Sample("niah", "random", tokens, ((0, 1),), torch.arange(0, length, 2), (0, 1), "?", "!")
    static = HeadSet.of([(layer, 1) for layer in range(n_layers)], n_layers, n_heads)
    conditions: dict[str, Schedule | None] = {
        "clean": None,
        "dynamic": Dynamic(),
        "static": Static(static),
        "random": RandomHeads(n_layers),
    }
    return Cell(plain, model, sample, conditions, n_steps)


def ours(cell: Cell, engine: str) -> None:
    """The engine under test."""
    model = _without_end(cell.model)
    trace_conditions(model, [cell.sample], cell.conditions, engine=engine, max_new_tokens=cell.n_steps)


def plain_transformer_lens(cell: Cell, n_steps: int) -> None:
    """The whole sequence at each forward, patterns read and z zeroed by hooks."""
    for condition in cell.conditions:
        tokens = cell.sample.tokens
        for _ in range(n_steps):
            logits = _whole_forward(cell.model, tokens, None)
            if condition != "clean":
                logits = _whole_forward(cell.model, tokens, _some_heads(cell.model))
            tokens = torch.cat([tokens, logits[0, -1].argmax()[None]])


@torch.inference_mode()
def _whole_forward(model: Model, tokens: Tensor, mask: Tensor | None) -> Tensor:
    patterns = {}

    def read(pattern: Tensor, hook: Any) -> None:
        patterns[hook.layer()] = pattern[:, :, -1].argmax(dim=-1)

    def zero(z: Tensor, hook: Any) -> Tensor:
        if mask is not None:
            z[:, -1, mask[hook.layer()]] = 0.0
        return z

    name = "pattern" if mask is None else "z"
    hooks = [(f"blocks.{layer}.attn.hook_{name}", read if mask is None else zero) for layer in range(model.n_layers)]
    positions = torch.arange(len(tokens))[None]
    return model.bridge.run_with_hooks(tokens[None], fwd_hooks=hooks, position_ids=positions, return_type="logits")


@torch.inference_mode()
def eager_with_cache(cell: Cell) -> None:
    """Attention outputs of eager attention with a cache; every condition prefills for itself."""
    hf = cell.hf
    d_head = cell.model.d_head
    for condition in cell.conditions:
        output = hf(cell.sample.tokens[None, :-1], use_cache=True, output_attentions=True)
        cache, token = output.past_key_values, cell.sample.tokens[-1:]
        for _ in range(cell.n_steps):
            output = hf(token[None], past_key_values=cache, use_cache=True, output_attentions=True)
            for attention in output.attentions:
                attention[0, :, -1].argmax(dim=-1)
            if condition != "clean":
                cache.crop(-1)
                handles = _zero_hooks(hf, _some_heads(cell.model), d_head)
                output = hf(token[None], past_key_values=cache, use_cache=True)
                for handle in handles:
                    handle.remove()
            token = output.logits[0, -1].argmax()[None]


def _zero_hooks(hf: LlamaForCausalLM, mask: Tensor, d_head: int) -> list[Any]:
    def hook(layer: int) -> Callable[[Any, tuple[Tensor, ...]], tuple[Tensor, ...]]:
        columns = mask[layer].repeat_interleave(d_head)

        def zero(module: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            z = args[0].clone()
            z[..., columns] = 0.0
            return (z,)

        return zero

    return [block.self_attn.o_proj.register_forward_pre_hook(hook(layer)) for layer, block in enumerate(hf.model.layers)]


def _some_heads(model: Model) -> Tensor:
    mask = torch.zeros(model.n_layers, model.n_heads, dtype=torch.bool)
    mask[:, 1] = True
    return mask


def _without_end(model: Model) -> Model:
    """Every row runs all its steps."""
    return dataclasses.replace(model, eos_ids=())


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Time the three ways in turn and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--heads", type=int, default=16)
    parser.add_argument("--d-model", type=int, default=1024)
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--plain-steps", type=int, default=1, help="steps of the plain way that are timed and scaled; 0 leaves it out")
    parser.add_argument("--engine", choices=("auto", "bridge", "fast"), default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    cell = make_cell(arguments.layers, arguments.heads, arguments.d_model, arguments.length, arguments.steps)
    ways: dict[str, Callable[[], float]] = {
        "mechdyn": lambda: _seconds(lambda: ours(cell, arguments.engine)),
        "eager with cache": lambda: _seconds(lambda: eager_with_cache(cell)),
    }
    if arguments.plain_steps:
        ways["plain TransformerLens"] = lambda: (
            _seconds(lambda: plain_transformer_lens(cell, arguments.plain_steps)) * arguments.steps / arguments.plain_steps
        )
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            found[name].append(way())
            print(f"{name:22} {found[name][-1]:8.1f} s", flush=True)
    medians = {name: statistics.median(seconds) for name, seconds in found.items()}
    ratios = {name: medians[name] / medians["mechdyn"] for name in ways if name != "mechdyn"}
    machine = {"cpus": os.cpu_count(), "threads": torch.get_num_threads(), "machine": platform.machine(), "torch": torch.__version__}
    print(json.dumps({"setting": vars(arguments), "seconds": medians, "times faster": ratios, "machine": machine}, indent=2))


if __name__ == "__main__":
    main()
