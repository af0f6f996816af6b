"""A step of fixed shapes, recorded as a CUDA graph, against the engine's own and against the floor of bytes. Carries all it needs.

`python -m experiments.benchmarks.gpu --device cuda --out gpu.json` checks the recorded step against the reference engine on a tiny model,
then times an observing step of Llama shapes with random weights (0.1B, 1B, 8B) behind 5 k, 32 k and 128 k tokens, one row and 64, in
bfloat16. What does not fit is named and left out, and nothing is begun after `--minutes`. The floor is what reading weights, keys and
values once takes at the speed of a copy. Goal: a recorded step at 8B behind 5 k tokens within 1.3 x of it. `--tiny --device cpu` runs the
script's own parts. It has been run on the CPU alone.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from experiments.benchmarks.random_model import LLAMA_8B, Shape, random_pair, random_state
from mechdyn.decoding.engine import HeadEdit
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.reference import ReferenceEngine
from mechdyn.decoding.static_step import StaticStep

SHAPES = {"0.1B": Shape(30, 9, 3, 576, 1536, 49_152), "1B": Shape(16, 32, 8, 2048, 8192, 128_256), "8B": LLAMA_8B}
TINY = {"tiny": Shape(2, 4, 2, 32, 64)}
LENGTHS, ROWS, N_NEW, STEPS = (5120, 32_768, 131_072), (1, 64), 64, 12


def check(device: str) -> str:
    """Hold observing and ablated steps, recorded where there is CUDA, against the reference engine; how far their logits are apart."""
    model, _ = random_pair(Shape(3, 4, 2, 64, 96), 128, device)
    prompt, worst = torch.randint(6, 12, (64,)), 0.0
    engine, reference = FastEngine(model), ReferenceEngine(model)
    needle = torch.arange(63)[None] % 2 == 0
    static = StaticStep(model, engine.prefill([prompt[:-1]]), N_NEW, (prompt[None, :-1], needle))
    if device != "cpu":
        static.capture()
    state, fed = reference.prefill([prompt[:-1]]), prompt[-1:]
    for _ in range(8):
        off = torch.rand(1, model.n_layers, model.n_heads) < 0.4
        observed, after = reference.step(state, fed)
        edited, _ = reference.step(state, fed, HeadEdit(off))
        for output, run in ((observed, lambda fed=fed: static.observe(fed)), (edited, lambda off=off: static.ablate(off))):
            run()
            worst = max(worst, float((static.logits.float() - output.logits.float()).abs().max()))
        static.keep()
        state, fed = after, observed.logits.argmax(dim=-1).cpu()
    if worst > 1e-3:
        raise SystemExit(f"the static step parts from the reference engine by {worst:.2g} in its logits")
    return f"{worst:.2g}"


def bandwidth(device: str) -> float:
    """Bytes a second of a copy, read and written."""
    block = torch.zeros(2**28 if device != "cpu" else 2**24, dtype=torch.uint8, device=device)
    target = torch.empty_like(block)
    return 2 * block.numel() / _seconds(lambda: target.copy_(block), device)


def settings(shapes: dict[str, Shape], lengths: tuple[int, ...], rows: tuple[int, ...]) -> Iterator[tuple[str, int, int]]:
    """Every size, the ones that matter most first."""
    return ((name, length, n_rows) for n_rows in rows for length in lengths for name in reversed(shapes))


def measure(model: Any, shape: Shape, length: int, n_rows: int, device: str, speed: float) -> dict[str, Any]:
    """Milliseconds of an observing step by the engine, by fixed shapes and recorded, and the floor."""
    state = random_state(model, shape, n_rows, length)
    tokens, fed = torch.randint(6, 12, (n_rows, length - 1)), torch.full((n_rows,), 7)
    engine = FastEngine(model)
    static = StaticStep(model, state, N_NEW, (tokens, tokens % 2 == 0))
    found = {"engine": _seconds(lambda: engine.step(state, fed)[0].logits.argmax(dim=-1).cpu(), device)}
    found["fixed shapes"] = _seconds(lambda: static.observe(fed).cpu(), device)
    if device != "cpu":
        static.capture()
        found["recorded"] = _seconds(lambda: static.observe(fed).cpu(), device)
    weights = sum(each.numel() * each.element_size() for each in model.twin.parameters())
    held = sum(each.numel() * each.element_size() for part in (state.memory.prompts.keys, state.memory.prompts.values) for each in part)
    floor = (weights + held) / speed
    ratio = found.get("recorded", found["fixed shapes"]) / floor
    return {
        "ms": {name: round(1e3 * took, 3) for name, took in found.items()},
        "floor ms": round(1e3 * floor, 3),
        "x floor": round(ratio, 2),
    }


def _seconds(run: Callable[[], Any], device: str) -> float:
    times = []
    for _ in range(STEPS):
        start = time.perf_counter()
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


@torch.inference_mode()
def main() -> None:
    """Check, time, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=8.0, help="nothing is begun after so many")
    parser.add_argument("--tiny", action="store_true", help="the script's own parts at tiny sizes")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    begun, device = time.monotonic(), arguments.device
    shapes, lengths, rows = (TINY, (64, 128), (1, 3)) if arguments.tiny else (SHAPES, LENGTHS, ROWS)
    results: dict[str, Any] = {"apart from the reference": check(device), "bytes a second": bandwidth(device), "steps": {}}
    models: dict[str, Any] = {}
    for name, length, n_rows in settings(shapes, lengths, rows):
        at = f"{name}, {length} tokens, {n_rows} rows"
        if time.monotonic() - begun > 60 * arguments.minutes:
            results["steps"][at] = "not begun: out of time"
            continue
        try:
            if name not in models:
                dtype = torch.float32 if arguments.tiny else torch.bfloat16
                models[name] = random_pair(shapes[name], max(lengths) + N_NEW, device, dtype)[0]
            results["steps"][at] = measure(models[name], shapes[name], length, n_rows, device, results["bytes a second"])
        except torch.OutOfMemoryError:
            results["steps"][at] = "does not fit"
        if device != "cpu":
            torch.cuda.empty_cache()
        print(at, results["steps"][at], flush=True)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
