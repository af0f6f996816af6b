"""The budgets as presses in kvpress' own pipeline, beside its SnapKV: the share of needles that are answered, by what is dropped.

`python -m experiments.kvpress_budgets --heads FILE`, in an environment with kvpress (docs/kv_budgets.md). The pipeline compresses the
context before it has seen the question, which is harder than what `mechdyn verify step_budgets` measures: there the prompt ends in it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any

import numpy as np
import torch
import typer
from tqdm import tqdm

from mechdyn.cli import run_script
from mechdyn.decoding.plain import plain_copy
from mechdyn.evidence import Table
from mechdyn.heads import read_heads
from mechdyn.improve.budgets.press import headkv_press, register_presses
from mechdyn.models.load import load_model
from mechdyn.reports.tables import interval_text, table_markdown
from mechdyn.stats.means import mean_interval
from mechdyn.tasks.niah import niah

NONE = "no press"


def kvpress_budgets(
    heads: Annotated[str, typer.Option(help="A file of ranked heads of the model, all with scores.")],
    model: Annotated[str, typer.Option(help="A model that load_model takes.")] = "smollm2-135m",
    length: Annotated[int, typer.Option(help="Tokens of the prompt that the context is taken from.")] = 256,
    samples: Annotated[int, typer.Option(min=1, help="Needles.")] = 20,
    ratios: Annotated[tuple[float, float, float], typer.Option(help="Shares of the context that are dropped.")] = (0.25, 0.5, 0.75),
) -> None:
    """Ask through kvpress' pipeline and print."""
    headkv_press(0.0, source="uniform")  # says what to install where kvpress is not there
    kvpress = import_module("kvpress")
    loaded = load_model(model, device="cpu")
    ranking = read_heads(heads)
    presses: dict[str, Any] = {NONE: None, "SnapKV": kvpress.SnapKVPress(window_size=8, kernel_size=7)}
    register_presses(presses, ranking)
    hf = plain_copy(loaded.twin)
    hf.set_attn_implementation("sdpa")
    pipeline = kvpress.KVPressTextGenerationPipeline(model=hf, tokenizer=loaded.tokenizer)
    right: dict[tuple[str, float], list[bool]] = {}
    for seed in tqdm(range(samples), desc="through kvpress", unit="needle", disable=None, delay=1):
        sample = niah(loaded, length=length, depth=(seed % 5 + 0.5) / 5, seed=seed)
        (start, end) = sample.needle_spans[0]
        for name, ratio, press in _settings(presses, ratios):
            if press is not None:
                press.compression_ratio = ratio
            context = f"{sample.prompt[max(0, start - 400) : end + 400]}\n"
            with _cache_positions(hf):
                answer = pipeline(context, question=sample.question, press=press, max_new_tokens=40)["answer"]
            right.setdefault((name, ratio), []).append(sample.answer in answer)
    rows = tuple((name, f"{ratio:g}", interval_text(mean_interval(np.array(found)))) for (name, ratio), found in right.items())
    print(table_markdown(Table(f"{model} through kvpress", ("press", "compression_ratio", "answered"), rows, numbers=("answered",))))


def _settings(presses: Mapping[str, Any], ratios: tuple[float, ...]) -> list[tuple[str, float, Any]]:
    return [(name, ratio, press) for name, press in presses.items() for ratio in ((0.0,) if press is None else ratios)]


@contextmanager
def _cache_positions(hf: Any) -> Iterator[None]:
    """Give each attention layer `cache_position`, which kvpress' own presses read and transformers from 5.3 on no longer gives."""

    def give(module: Any, inputs: tuple[Any, ...], options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        start = options["past_key_values"].get_seq_length(module.layer_idx)
        return inputs, {**options, "cache_position": torch.arange(start, start + options["hidden_states"].shape[1])}

    hooks = [layer.self_attn.register_forward_pre_hook(give, with_kwargs=True) for layer in hf.model.layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


if __name__ == "__main__":
    run_script(kvpress_budgets)
