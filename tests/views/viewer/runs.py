"""A small run made up by hand and written through the store: two conditions, hostile texts, planted heads."""

import json
from pathlib import Path

import numpy as np
import torch

from mechdyn.evidence import Criterion, Evidence, Verdict, outcome
from mechdyn.runs.folder import write_json
from mechdyn.stats.interval import Interval
from mechdyn.traces.manifest import Manifest
from mechdyn.traces.store import TraceStore
from mechdyn.traces.trace import Trace
from tests.views.made_up import made_up

LAYERS, HEADS, STEPS, SAMPLES, ABLATED = 3, 4, 6, 40, 10
HOSTILE = ("<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>", "\u202e👩\u200d🚀", "`${alert(3)}`")
NAME = "<b onmouseover=alert(4)>run"


def trace_of(number: int, *, ablated: bool = False, dense: bool = False) -> Trace:
    """L1H2 retrieves at the step of the sample's number modulo the steps, L0H0 at all even steps, L2H3 never; the rest by chance."""
    rng = np.random.default_rng([number, int(ablated)])
    scores = (rng.random((STEPS, LAYERS, HEADS)) < 0.2).astype(np.float32)
    scores[:, 1, 2] = np.arange(STEPS) == number % STEPS
    scores[:, 0, 0], scores[:, 2, 3] = np.arange(STEPS) % 2 == 0, 0
    if dense:
        scores = scores * rng.random(scores.shape).astype(np.float32)
    texts = [f" w{number}", HOSTILE[number % len(HOSTILE)], *(f" t{step}" for step in range(2, STEPS))]
    off = torch.zeros(STEPS, LAYERS, HEADS, dtype=torch.bool)
    off[:, 1, 2] = True
    right = number % 3 != 0 and not (ablated and number % 2 == 0)
    return made_up(
        scores,
        texts,
        unit=f"u{number}-{int(ablated)}",
        sample=f"{number:016x}",
        question=f"{HOSTILE[0]} {number}",
        answer="".join(texts).strip() if right else "nothing",
        text="".join(texts).strip(),
        hidden=torch.zeros(STEPS, 4),
        tokens=torch.tensor([10 + (number + step) % 5 for step in range(STEPS)]),
        prompt_tokens=torch.arange(40),
        ablated=off if ablated else None,
        threshold=0.25 if dense else 0.0,
        meta={"length": 100 * (number % 4 + 1), "depth": number % 2 / 2, "seed": number}
        | ({"ablation": {"schedule": {"kind": "dynamic"}, "commit": "clean"}} if ablated else {}),
    )


def write_store(folder: Path, *, dense: bool = False) -> TraceStore:
    """The store of the run, its samples in two parts and out of order."""
    manifest = Manifest("made up", "0", "float32", LAYERS, HEADS, 4, "", "copy_paste", scores="dense" if dense else "sparse")
    store = TraceStore.create(folder, manifest)
    clean = [trace_of(number, dense=dense) for number in range(SAMPLES)]
    store.append(clean[:25])
    store.append([*clean[25:], *(trace_of(number, ablated=True, dense=dense) for number in reversed(range(ABLATED)))])
    return store


def verdict() -> Verdict:
    met = [Criterion(f"{HOSTILE[0]} 0.123 lies below 0.6", True)], [Criterion("0.123 lies above 0.8", False)]
    evidence = (Evidence(HOSTILE[1], Interval(0.123456, 0.1, 0.2, 12, "Wilson"), {"k": 1}, 0.5, "a note"),)
    supports, refutes = met
    return Verdict("made up", "dynamism", outcome(supports, refutes), evidence, tuple(supports), tuple(refutes))


def write_run(folder: Path) -> Path:
    """The folder of a run that did not come to its end."""
    folder.mkdir()
    write_store(folder / "traces")
    model = {"name": "made up", "revision": "0"}
    write_json(
        folder / "run.json",
        {"kind": "verify", "version": 2, "asked": {"claim": "dynamism", "seed": 0}, "model": model, "source": HOSTILE[0]},
    )
    write_json(folder / "verdicts.json", [verdict().as_json()])
    lines = [
        {"time": "2026-01-01", "event": "start", "worker": HOSTILE[1]},
        {"time": "2026-01-02", "event": "end", "how": "done", "value": float("nan")},
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder
