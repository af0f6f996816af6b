"""The trace store: peak memory of writing and of scanning, and the scan's speed beside a raw Parquet read of the same files.

    python -m experiments.benchmarks.trace_store                      # 100,000 steps, some seconds
    python -m experiments.benchmarks.trace_store --steps 1000000      # what the store is judged by

Writing and scanning run in processes of their own, so that each has its own peak. The two reads take turns in one process; each ratio is of
one round, and the median of the rounds is printed. Asked for: both peaks under 1 GiB, a scan at no less than a third of the raw read.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# Heavy imports are local: a child's peak starts from that of the process that began it.
if TYPE_CHECKING:
    from mechdyn.traces.trace import Trace

LAYERS, HEADS, D_MODEL = 5, 16, 128
STEPS_PER_TRACE = 100
MAX_PEAK_GIB, MIN_SPEED_RATIO = 1.0, 1 / 3


def main() -> None:
    """Run the phases and print what they measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100_000, help="steps to write and to scan; 1000000 is what the store is judged by")
    parser.add_argument("--part-steps", type=int, default=250_000, help="steps of a part")
    parser.add_argument("--scores", choices=("sparse", "dense"), default="sparse", help="packing of the scores")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of scan and raw read")
    parser.add_argument("--phase", choices=("write", "scan", "compare"), help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.phase:
        measured = {"write": write, "scan": scan, "compare": compare}[options.phase](options)
        print(json.dumps({**measured, "peak_gib": peak_gib()}))
        return
    with tempfile.TemporaryDirectory() as scratch:
        report(options.steps, {phase: child(phase, Path(scratch, "store")) for phase in ("write", "scan", "compare")})


def child(phase: str, store: Path) -> dict[str, float]:
    """Run one phase in a process of its own, with this command's options."""
    command = [sys.executable, "-m", "experiments.benchmarks.trace_store", *sys.argv[1:], "--phase", phase, "--store", str(store)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def report(steps: int, measured: dict[str, dict[str, float]]) -> None:
    """Print every measured value beside what is asked for."""
    written, scanned, compared = measured["write"], measured["scan"], measured["compare"]
    print(f"{steps:,} steps, {LAYERS * HEADS} heads, hidden {D_MODEL}: {written['bytes'] / 2**20:.0f} MiB on disk")
    for name, phase in (("write", written), ("scan", scanned)):
        speed = f"{phase['seconds']:.2f} s, {steps / phase['seconds']:,.0f} steps/s"
        print(f"{name}: {speed}, peak {phase['peak_gib']:.2f} GiB (at most {MAX_PEAK_GIB})")
    print(f"scan speed / raw Parquet read: {compared['ratio']:.2f} (at least {MIN_SPEED_RATIO:.2f}), raw {compared['raw_seconds']:.2f} s")


def write(options: argparse.Namespace) -> dict[str, float]:
    """Fill a new store, part by part."""
    from mechdyn.traces.manifest import Manifest
    from mechdyn.traces.store import TraceStore

    manifest = Manifest(
        model="benchmark",
        revision="none",
        dtype="float32",
        n_layers=LAYERS,
        n_heads=HEADS,
        d_model=D_MODEL,
        template="",
        score="copy_paste",
        scores=options.scores,
    )
    store = TraceStore.create(options.store, manifest)
    began = time.perf_counter()
    for first in range(0, options.steps, options.part_steps):
        store.append(random_traces(first, min(options.part_steps, options.steps - first), binary=options.scores == "sparse"))
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "bytes": sum(file.stat().st_size for file in options.store.rglob("*.parquet"))}


def random_traces(first: int, n_steps: int, binary: bool) -> Iterator["Trace"]:
    """Traces of random scores and hidden states, `n_steps` in all; unit keys count from the step `first`."""
    import torch

    from mechdyn.traces.trace import Trace

    generator = torch.Generator().manual_seed(first)
    for start in range(first, first + n_steps, STEPS_PER_TRACE):
        steps = min(STEPS_PER_TRACE, first + n_steps - start)
        scores = torch.rand(steps, LAYERS, HEADS, generator=generator)
        tokens = torch.randint(0, 1280, (steps,), generator=generator)
        yield Trace(
            unit=f"{start:016x}",
            sample=f"{start:016x}",
            task="benchmark",
            question="",
            answer="",
            prompt_tokens=torch.arange(512),
            needle_positions=torch.arange(24),
            tokens=tokens,
            token_texts=tuple(f" {token}" for token in tokens.tolist()),
            text="",
            retrieval_scores=(scores < 0.05).float() if binary else scores,
            hidden=torch.randn(steps, D_MODEL, generator=generator),
        )


def scan(options: argparse.Namespace) -> dict[str, float]:
    """Pass over all columns once."""
    from mechdyn.traces.store import TraceStore

    store = TraceStore.open(options.store)
    began = time.perf_counter()
    rows = sum(batch.num_rows for batch in store.scan())
    seconds = time.perf_counter() - began
    assert rows == options.steps
    return {"seconds": seconds}


def compare(options: argparse.Namespace) -> dict[str, float]:
    """Time the scan and a plain read of the same files in turns."""
    import pyarrow.parquet as pq

    ratios, raw = [], []
    for _ in range(options.rounds):
        began = time.perf_counter()
        for file in sorted((options.store / "steps").iterdir()):
            pq.read_table(file)
        raw.append(time.perf_counter() - began)
        ratios.append(raw[-1] / scan(options)["seconds"])
    return {"ratio": statistics.median(ratios), "raw_seconds": statistics.median(raw)}


def peak_gib() -> float:
    """This process's peak resident memory in GiB (Linux counts in KiB, macOS in bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)


if __name__ == "__main__":
    main()
