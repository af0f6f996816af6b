"""The viewer of a large run, in headless Chromium without a network: first paint, filters, memory, and the folder beside the store.

    python -m experiments.benchmarks.view                    # 1,000 samples, a minute
    python -m experiments.benchmarks.view --samples 10000    # what the viewer is judged by

The run is made up and written through the store: needles of 30 tokens in prompts of 512, answers of 40 steps, 1,024 heads of which a step
has some 3 % retrieving, each head at its own rate. Hidden states have 64 numbers, a sixtieth of what a model of so many heads has, so that
the store is as small as it can be. A twentieth of the samples has a second condition. Asked for: first paint under 2 s, a filter under
0.3 s, the browser's processes of the page under 500 MB, the folder under twice the store.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mechdyn.traces.trace import Trace
    from tests.browser import Browser

LAYERS, HEADS, STEPS, D_MODEL, PROMPT, NEEDLE, VOCABULARY = 32, 32, 40, 64, 512, 30, 5_000
RATE, ABLATED_EVERY, PART = 0.03, 20, 500
MAX_PAINT, MAX_FILTER, MAX_MEGABYTES, MAX_RATIO = 2.0, 0.3, 500, 2.0
_ROUNDS = 5
# From setting a filter until the list that it leaves is painted.
_FILTER = """(async ([id, value]) => {
  const field = document.getElementById(id), start = performance.now();
  field.value = value;
  field.dispatchEvent(new Event(field.tagName === "SELECT" ? "change" : "input"));
  await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
  const took = performance.now() - start;
  return [took, document.getElementById("found").textContent];
})"""
FILTERS = {
    "answer": ("answers", "wrong"),
    "text": ("text", "w12 "),
    "head": ("head", "L4H7"),
    "two heads": ("head", "L4H7 L9H1"),
    "a layer": ("head", "L2"),
}


def main() -> None:
    """Write the run, make its viewer in a process of its own, and drive it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000, help="10000 is what the viewer is judged by")
    parser.add_argument("--work", type=Path, help="where store and viewer are kept; a folder that goes when left out")
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        print(json.dumps(make(options.work, options.samples)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        command = [sys.executable, "-m", "experiments.benchmarks.view", "--make", "--samples", str(options.samples), "--work", str(work)]
        made = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
        report(options.samples, made, drive(work / "view"))


def make(work: Path, n_samples: int) -> dict[str, float]:
    """The store and its viewer: how long either took, how large they are, and this process' peak memory."""
    from mechdyn.reports.viewer import make_viewer
    from mechdyn.runs.viewing import view
    from mechdyn.traces.store import TraceStore

    start = time.perf_counter()
    if not (work / "store" / "manifest.json").is_file():
        store = TraceStore.create(work / "store", manifest())
        for first in range(0, n_samples, PART):
            store.append(traces(range(first, min(n_samples, first + PART))))
    written = time.perf_counter()
    make_viewer(view(work / "store"), work / "view")
    sizes = {name: sum(file.stat().st_size for file in (work / name).rglob("*") if file.is_file()) for name in ("store", "view")}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"write": written - start, "make": time.perf_counter() - written, "peak_gib": peak, **sizes}


def manifest() -> Any:
    """Of a model that is not there: prompts show ids."""
    from mechdyn.traces.manifest import Manifest

    return Manifest("made up", "0", "float32", LAYERS, HEADS, D_MODEL, "", "copy_paste")


def traces(numbers: range) -> "Iterator[Trace]":
    """Made-up generations of some samples; the same whenever they are asked for."""
    import numpy as np
    import torch

    from mechdyn.traces.trace import Trace

    rates = np.random.default_rng(0).beta(0.1, 0.1 * (1 / RATE - 1), LAYERS * HEADS)
    for number in numbers:
        rng = np.random.default_rng([1, number])
        prompt = rng.integers(0, VOCABULARY, PROMPT)
        place = int(rng.integers(0, PROMPT - NEEDLE))
        tokens = np.concatenate([prompt[place : place + NEEDLE], rng.integers(0, VOCABULARY, STEPS - NEEDLE)])
        answer = " ".join(f"w{token}" for token in prompt[place : place + NEEDLE])
        for ablated in (False, True)[: 2 if number % ABLATED_EVERY == 0 else 1]:
            scores = rng.random((STEPS, LAYERS * HEADS)) < rates
            scores[NEEDLE:] = False
            texts = tuple(f" w{token}" for token in tokens)
            yield Trace(
                unit=f"{number}-{int(ablated)}", sample=f"{number:016x}", task="niah", question="What is the magic word?",
                answer=answer if rng.random() < 0.8 else "nothing", prompt_tokens=torch.as_tensor(prompt),
                needle_positions=torch.arange(place, place + NEEDLE), tokens=torch.as_tensor(tokens), token_texts=texts,
                text="".join(texts).strip(), retrieval_scores=torch.as_tensor(scores.astype(np.float32)).reshape(STEPS, LAYERS, HEADS),
                hidden=torch.as_tensor(rng.standard_normal((STEPS, D_MODEL)).astype(np.float32)),
                ablated=torch.as_tensor(scores).reshape(STEPS, LAYERS, HEADS) if ablated else None,
                meta={"length": 256 * (number % 8 + 1), "depth": number % 11 / 10, "seed": number, "haystack": "made up"}
                | ({"ablation": {"schedule": {"kind": "dynamic"}, "commit": "clean"}} if ablated else {}),
            )  # fmt: skip


def drive(folder: Path) -> dict[str, Any]:
    """Open the viewer, filter, scroll, open pages; milliseconds by what was done, and megabytes at the end."""
    from tests.browser import open_browser

    with open_browser() as browser:
        paint, ready, counts = [], [], []
        for _ in range(_ROUNDS):
            browser.open(folder / "index.html", ready="document.body.dataset.counts")
            paint.append(browser.run("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
            ready.append(int(browser.run("document.body.dataset.ready")))
            counts.append(int(browser.run("document.body.dataset.counts")))
        filters = {name: measured(browser, *each) for name, each in FILTERS.items()}
        browser.run("document.getElementById('list').scrollTop = 1e5")
        opened = {}
        for name, fragment, done in (
            ("heads", "page=heads", "document.querySelectorAll('#heads .grid button').length"),
            ("a head", "page=heads&at=L4H7", "document.querySelector('.example')"),
            ("comparison", "page=compare", "document.querySelectorAll('#compare .grid').length === 3"),
        ):
            start = time.perf_counter()
            browser.run(f"location.hash = '{fragment}'")
            browser.wait(done)
            opened[name] = 1000 * (time.perf_counter() - start)
        held = megabytes()
        start = time.perf_counter()
        browser.open(f"{folder.resolve().as_uri()}/explorer.html?sample={0:016x}", ready="document.body.dataset.ready")
        opened["explorer of a sample"] = 1000 * (time.perf_counter() - start)
        trouble = [line for line in browser.trouble() if not line.startswith("loaded file:")]
    return {
        "paint": median(paint),
        "ready": median(ready),
        "counts": median(counts),
        "filters": filters,
        "opened": opened,
        "megabytes": held,
        "trouble": trouble,
    }


def measured(browser: "Browser", field: str, value: str) -> tuple[float, float, str]:
    """Milliseconds of a filter and of the page's processor in them, the medians of some rounds, and what is left."""
    taken, busy, found = [], [], ""
    for _ in range(_ROUNDS):
        before = browser.cpu_seconds()
        took, found = browser.run(f"({_FILTER})(arguments[0])", [field, value])
        busy.append(1000 * (browser.cpu_seconds() - before))
        taken.append(took)
        browser.run(f"({_FILTER})(arguments[0])", [field, ""])
    return median(taken), median(busy), found


def megabytes() -> float:
    """What the processes that hold pages have in memory (PSS), of the browser that this process started."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if "--type=renderer" in (process / "cmdline").read_text() and os.getpid() in ancestors(int(process.name)):
                text = (process / "smaps_rollup").read_text()
                total += int(next(line.split()[1] for line in text.splitlines() if line.startswith("Pss:")))
        except OSError:  # it ended meanwhile, or is another user's
            continue
    return total / 1024


def ancestors(process: int) -> Iterator[int]:
    """The processes that began a process, the nearest first."""
    while process > 1:
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        yield process


def report(n_samples: int, made: dict[str, float], found: dict[str, Any]) -> None:
    """Every value beside what is asked for."""
    print(f"{n_samples:,} samples x {STEPS} steps x {LAYERS * HEADS:,} heads")
    print(f"written in {made['write']:.0f} s, viewer made in {made['make']:.0f} s with a peak of {made['peak_gib']:.2f} GiB")
    ratio = made["view"] / made["store"]
    print(f"store {made['store'] / 1e6:.1f} MB, viewer {made['view'] / 1e6:.1f} MB: {ratio:.2f} of it (under {MAX_RATIO})")
    first = ", ".join(f"{name} {found[name] / 1000:.2f} s" for name in ("paint", "ready", "counts"))
    print(f"from opening to: {first} (first paint under {MAX_PAINT}; ready is the list, counts the filter by head)")
    for name, (took, busy, left) in found["filters"].items():
        print(f"filter by {name}: {took / 1000:.3f} s (under {MAX_FILTER}), {busy / 1000:.3f} s of processor time, {left}")
    for name, took in found["opened"].items():
        print(f"{name}: {took / 1000:.2f} s")
    print(f"memory of the page {found['megabytes']:.0f} MB (under {MAX_MEGABYTES})")
    print(f"console errors and requests: {found['trouble'] or 'none'}")


if __name__ == "__main__":
    main()
