"""The scheduler at a thousand workers, on a clock that is only counted: utilisation and wasted work, with stragglers and losses.

What is simulated is what the executors do: an item at a time for each worker, the next one as soon as it is free; a worker that is lost
takes its item with it, comes back after loading its model, and the item is the next to be given out, to whoever is free. Times of items
are those that the logs of finished runs have, drawn with replacement; without a log they are drawn around the time that is given.

    python -m experiments.scheduler_simulation --log RUN/log.jsonl --out docs/scheduler_simulation
    python -m experiments.scheduler_simulation --seconds 12.5
"""

import heapq
import json
import math
import random
import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from mechdyn.cli import run_script
from mechdyn.errors import InputError
from mechdyn.evidence import Table
from mechdyn.reports.tables import print_tables, table_markdown
from mechdyn.runs.run_log import read_log


@dataclass(frozen=True)
class Setting:
    """A cluster and what happens to it.

    Attributes:
        workers: how many.
        items: batches to be run.
        times: measured seconds of batches, of which each item's time is drawn.
        seconds: without these, the median time of one, on a worker as it should be.
        spread: and the standard deviation of the logarithm of an item's time.
        stragglers: share of workers that are slow all the time.
        slowness: how many times as long these take.
        lost_per_hour: how often a worker is lost, in an hour of its life.
        load_seconds: from its loss until it is back with its model loaded.
        serial_seconds: what the driver does by itself for each item: take it in, store it.
    """

    workers: int = 1000
    items: int = 20_000
    times: tuple[float, ...] = ()
    seconds: float = 60.0
    spread: float = 0.3
    stragglers: float = 0.0
    slowness: float = 3.0
    lost_per_hour: float = 0.0
    load_seconds: float = 180.0
    serial_seconds: float = 0.01


@dataclass(frozen=True)
class Simulated:
    """What it comes to.

    Hours of wall time; utilisation, the share of the workers' time in items that counted; the share wasted in items that were lost; how
    many were; and the share of the wall time after the first worker had nothing left to do.
    """

    hours: float
    utilisation: float
    wasted: float
    n_lost: int
    tail: float


def simulate(setting: Setting, seed: int = 0) -> Simulated:
    """Run the clock from one event to the next."""
    draw = random.Random(seed)
    slow = {worker for worker in range(setting.workers) if draw.random() < setting.stragglers}
    times = deque(_drawn(setting, draw))
    events = [(setting.load_seconds, worker, "free", 0.0) for worker in range(setting.workers)]
    heapq.heapify(events)
    driver = useful = wasted = 0.0
    n_done = n_lost = 0
    idle: list[int] = []
    first_idle: float | None = None
    now = 0.0
    while n_done < setting.items:
        now, worker, what, item = heapq.heappop(events)
        if what == "done":
            n_done += 1
            # The driver takes results in one after another; a worker gets its next item once its last one is in.
            driver = max(driver, now) + setting.serial_seconds
            heapq.heappush(events, (driver, worker, "free", 0.0))
            continue
        if what == "lost":
            times.appendleft(item)
            heapq.heappush(events, (now + setting.load_seconds, worker, "free", 0.0))
            if idle:
                heapq.heappush(events, (now, idle.pop(), "free", 0.0))
            continue
        if not times:
            first_idle = now if first_idle is None else first_idle
            idle.append(worker)
            continue
        item = times.popleft()
        takes = item * (setting.slowness if worker in slow else 1.0)
        lives = draw.expovariate(setting.lost_per_hour / 3600) if setting.lost_per_hour else math.inf
        if lives < takes:
            n_lost, wasted = n_lost + 1, wasted + lives
            heapq.heappush(events, (now + lives, worker, "lost", item))
        else:
            useful += takes
            heapq.heappush(events, (now + takes, worker, "done", item))
    wall = max(now, driver)
    all_time = wall * setting.workers
    return Simulated(wall / 3600, useful / all_time, wasted / all_time, n_lost, (wall - (first_idle or wall)) / wall)


def _drawn(setting: Setting, draw: random.Random) -> list[float]:
    """The time of each item on a worker as it should be."""
    if setting.times:
        return draw.choices(setting.times, k=setting.items)
    return [setting.seconds * math.exp(setting.spread * draw.gauss(0, 1)) for _ in range(setting.items)]


def batch_seconds(logs: Sequence[Path]) -> tuple[float, ...]:
    """How long each batch took that brought a trace, by the logs of runs.

    Raises:
        InputError: no such batch in them.
    """
    events = (event for log in logs for event in read_log(log))
    found = tuple(float(event["seconds"]) for event in events if event["event"] == "batch" and event["traces"])
    if logs and not found:
        raise InputError(f"no batch is done in {', '.join(map(str, logs))}; give the log.jsonl of a run that has traced something")
    return found


def scheduler_simulation(
    log: Annotated[list[Path] | None, typer.Option(help="log.jsonl of a run whose batches' times are drawn; may be repeated.")] = None,
    seconds: Annotated[float, typer.Option(min=0.001, help="Median time of a batch, where no log is given.")] = 60.0,
    workers: Annotated[int, typer.Option(min=1, help="Workers.")] = 1000,
    items: Annotated[int, typer.Option(min=1, help="Batches.")] = 20_000,
    out: Annotated[Path | None, typer.Option(help="Stem of files to write: OUT.json and OUT.md.")] = None,
) -> None:
    """Simulate a cluster that is well, one with stragglers, one that loses workers, one with both."""
    base = Setting(workers=workers, items=items, times=batch_seconds(log or []), seconds=seconds)
    settings = settings_of(base)
    found = {name: simulate(setting) for name, setting in settings.items()}
    table = table_of(base, found)
    print_tables([table])
    if out is not None:
        numbers = {name: {"setting": asdict(settings[name]), **asdict(each)} for name, each in found.items()}
        out.with_suffix(".json").write_text(json.dumps(numbers, indent=2) + "\n")
        out.with_suffix(".md").write_text(table_markdown(table))


def settings_of(base: Setting) -> dict[str, Setting]:
    """The clusters that are simulated, by what happens to them."""
    return {
        "all well": base,
        "5 % of the workers three times as slow": replace(base, stragglers=0.05),
        "a worker lost every 10 hours": replace(base, lost_per_hour=0.1),
        "a worker lost every hour": replace(base, lost_per_hour=1.0),
        "stragglers, and a worker lost every hour": replace(base, stragglers=0.05, lost_per_hour=1.0),
        "the driver takes 100 ms a batch": replace(base, serial_seconds=0.1),
    }


def table_of(base: Setting, found: Mapping[str, Simulated]) -> Table:
    """A row a cluster."""
    rows = tuple(
        (name, f"{each.hours:.2f}", f"{each.utilisation:.1%}", f"{each.wasted:.2%}", str(each.n_lost), f"{each.tail:.1%}")
        for name, each in found.items()
    )
    columns = ("cluster", "hours", "utilisation", "wasted", "lost", "tail")
    times = base.times
    measured = f"{statistics.median(times):.3g} s (median of {len(times)} measured, {min(times):.3g} to {max(times):.3g} s)"
    title = f"{base.workers:,} workers, {base.items:,} batches of {measured if times else f'{base.seconds:g} s'}"
    caption = f"A model loads in {base.load_seconds:g} s, which no utilisation counts. Losses are of one worker each."
    return Table(title, columns, rows, caption, columns[1:])


if __name__ == "__main__":
    run_script(scheduler_simulation)
