"""Which dtype a model is loaded in: a named one, the default, or with `auto` the faster one on this machine's processor."""

import logging
import time
from collections.abc import Callable
from functools import partial

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from mechdyn.errors import InputError

AUTO = "auto"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_TRIED = (torch.float32, torch.bfloat16)
_PROMPT, _STEPS = 128, 8
_log = logging.getLogger(__name__)


def chosen_dtype(dtype: torch.dtype | str | None, device: torch.device) -> torch.dtype | None:
    """The dtype that was asked for, by itself or by name; None leaves the choice to the checkpoint and the device.

    `"auto"` on a CPU takes float32 or bfloat16, whichever runs a small model faster here and now, and a warning says which, since results
    move a little with it. Elsewhere it is the checkpoint's own, as when left out.

    Raises:
        InputError: a name that is none of these.
    """
    if not isinstance(dtype, str):
        return dtype
    if dtype != AUTO:
        if dtype not in DTYPES:
            raise InputError(f"dtype must be one of {', '.join((*DTYPES, AUTO))}, got {dtype!r}")
        return DTYPES[dtype]
    if device.type != "cpu":
        return None
    seconds = measure_dtypes()
    fastest = min(seconds, key=lambda each: seconds[each])
    times = ", ".join(f"{_name(each)} {1e3 * took:.0f} ms" for each, took in seconds.items())
    _log.warning("dtype auto: %s is the faster one here (%s for a small model); results move a little with it", _name(fastest), times)
    return fastest


@torch.inference_mode()
def measure_dtypes(clock: Callable[[], float] = time.perf_counter) -> dict[torch.dtype, float]:
    """Seconds of a short prompt and some steps behind it, by dtype: the better of two goes through two layers of a small Llama.

    It takes less than a second.
    """
    config = LlamaConfig(
        vocab_size=256, hidden_size=768, intermediate_size=2048, num_hidden_layers=2, num_attention_heads=12, num_key_value_heads=4
    )
    found = {}
    with torch.random.fork_rng(devices=[]):
        made = LlamaForCausalLM(config).eval()
    for dtype in _TRIED:
        model = made.to(dtype)
        _run(model, 8, 1)  # sets up what is set up once
        found[dtype] = min(_timed(clock, partial(_run, model, _PROMPT, _STEPS)) for _ in range(2))
    return found


def _run(model: LlamaForCausalLM, n_prompt: int, n_steps: int) -> None:
    output = model(torch.ones(1, n_prompt, dtype=torch.long), use_cache=True, logits_to_keep=1)
    for _ in range(n_steps):
        output = model(torch.ones(1, 1, dtype=torch.long), past_key_values=output.past_key_values, use_cache=True)


def _timed(clock: Callable[[], float], run: Callable[[], None]) -> float:
    start = clock()
    run()
    return clock() - start


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
