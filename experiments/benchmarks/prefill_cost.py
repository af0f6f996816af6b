"""Time and peak memory of prefill against one sdpa forward of plain Hugging Face, each in a process of its own.

`python -m experiments.benchmarks.prefill_cost --out docs/prefill_cost` reads prompts of 4 k, 8 k and 16 k random tokens on a random model

- `sdpa`: one unpadded prompt in one forward;
- `own`: the same prompt by `prefill`, chunk by chunk;
- `sdpa, padded` and `own, padded`: two prompts, one three quarters as long as the other. Plain Hugging Face builds a length x length mask.

Memory is the process's peak above what it held when the model was loaded. Turns alternate; medians are shown.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import torch
from tqdm import tqdm

from experiments.benchmarks.random_model import Shape, random_pair
from mechdyn.decoding.prefill import left_pad, prefill

SHAPE = Shape(2, 8, 2, 512, 1408)
LENGTHS = (4096, 8192, 16_384)
KINDS = ("sdpa", "own", "sdpa, padded", "own, padded")
MIB = 2**20


@torch.inference_mode()
def measure(kind: str, length: int, cpu_time: bool) -> dict[str, float]:
    """Seconds, and MiB above the loaded model, of one prefill in this process."""
    model, plain = random_pair(SHAPE, length)
    prompts = [torch.randint(6, 2000, (length,))]
    if kind.endswith("padded"):
        prompts.append(torch.randint(6, 2000, (length * 3 // 4,)))
    clock = time.process_time if cpu_time else time.perf_counter
    loaded, started = psutil.Process().memory_info().rss, clock()
    if kind.startswith("own"):
        held: Any = prefill(model, prompts)
    else:
        tokens, visible = left_pad(prompts)
        positions = (visible.cumsum(dim=1) - 1).clamp(min=0)
        mask = None if visible.all() else visible
        held = plain(tokens, attention_mask=mask, position_ids=positions, use_cache=True, logits_to_keep=1)
    seconds = clock() - started
    del held
    return {"seconds": seconds, "mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - loaded) / MIB}


def measure_apart(kind: str, length: int, cpu_time: bool) -> dict[str, float]:
    """The same in a fresh process, whose peak is its own."""
    command = [sys.executable, "-m", "experiments.benchmarks.prefill_cost", "--kind", kind, "--lengths", str(length)]
    done = subprocess.run(command + ["--cpu-time"] * cpu_time, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """Seconds and MiB of each way, and ratios of unpadded prefill."""
    heads = [f"{kind}, {unit}" for kind in KINDS for unit in ("s", "MiB")]
    lines = ["| tokens | " + " | ".join(heads) + " | own over sdpa, s | own over sdpa, MiB |", "|---" * (len(heads) + 3) + "|"]
    for length, row in found.items():
        cells = [f"{row[kind]['seconds']:.2f} | {row[kind]['mib']:.0f}" if kind in row else "– | –" for kind in KINDS]
        ratios = [f"{row['own'][unit] / row['sdpa'][unit]:.2f}" for unit in ("seconds", "mib")]
        lines.append(f"| {int(length):,} | " + " | ".join(cells + ratios) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Every way at every length, in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="stem of the files to write: OUT.json and OUT.md")
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpu-time", action="store_true", help="count CPU time, for a busy machine; with one thread")
    parser.add_argument("--kind", choices=KINDS, help="measure one way in this process and print JSON")
    arguments = parser.parse_args()
    if arguments.kind:
        print(json.dumps(measure(arguments.kind, arguments.lengths[0], arguments.cpu_time)))
        return
    if not arguments.out:
        parser.error("--out is needed: the stem of the files to write")
    settings = [(kind, length) for length in arguments.lengths for kind in KINDS]
    turns: dict[tuple[str, int], list[dict[str, float]]] = {setting: [] for setting in settings}
    for kind, length in tqdm(settings * arguments.rounds, unit="prefill", disable=None):
        turns[kind, length].append(measure_apart(kind, length, arguments.cpu_time))
    found: dict[str, dict[str, dict[str, float]]] = {str(length): {} for length in arguments.lengths}
    for (kind, length), seen in turns.items():
        found[str(length)][kind] = {unit: statistics.median(turn[unit] for turn in seen) for unit in ("seconds", "mib")}
    result = {"shape": str(SHAPE), "threads": torch.get_num_threads(), "cpu_time": arguments.cpu_time, "lengths": found}
    arguments.out.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    arguments.out.with_suffix(".md").write_text(table(found))
    print(table(found))


if __name__ == "__main__":
    main()
