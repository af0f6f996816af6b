"""The scheduler at a thousand workers, on a clock that is only counted: utilisation and wasted work, with stragglers and losses.

What is simulated is what the executors do: an item at a time for each worker, the next one as soon as it is free; a worker that is lost
takes its item with it, comes back after loading its model, and the item is the next to be given out, to whoever is free. Times of items
are drawn around a measured one.

    python -m experiments.scheduler_simulation --seconds 12.5
"""

import heapq
import json
import math
import random
from collections import deque
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from mechdyn.cli import run_script
from mechdyn.evidence import Table
from mechdyn.reports.tables import print_tables


@dataclass(frozen=True)
class Setting:
    """A cluster and what happens to it.

    Attributes:
        workers: how many.
        items: batches to be run.
        seconds: the median time of one, on a worker as it should be.
        spread: standard deviation of the logarithm of an item's time.
        stragglers: share of workers that are slow all the time.
        slowness: how many times as long these take.
        lost_per_hour: how often a worker is lost, in an hour of its life.
        load_seconds: from its loss until it is back with its model loaded.
        serial_seconds: what the driver does by itself for each item: take it in, store it.
    """

    workers: int = 1000
    items: int = 20_000
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
    times = deque(math.log(setting.seconds) + setting.spread * draw.gauss(0, 1) for _ in range(setting.items))
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
        takes = math.exp(item) * (setting.slowness if worker in slow else 1.0)
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


def scheduler_simulation(
    seconds: Annotated[float, typer.Option(min=0.001, help="Median time of a batch, measured or by `mechdyn budget`.")] = 60.0,
    workers: Annotated[int, typer.Option(min=1, help="Workers.")] = 1000,
    items: Annotated[int, typer.Option(min=1, help="Batches.")] = 20_000,
    out: Annotated[Path | None, typer.Option(help="Write the numbers here as JSON.")] = None,
) -> None:
    """Simulate a cluster that is well, one with stragglers, one that loses workers, one with both."""
    base = Setting(workers=workers, items=items, seconds=seconds)
    settings = {
        "all well": base,
        "5 % of the workers three times as slow": replace(base, stragglers=0.05),
        "a worker lost every 10 hours": replace(base, lost_per_hour=0.1),
        "a worker lost every hour": replace(base, lost_per_hour=1.0),
        "stragglers, and a worker lost every hour": replace(base, stragglers=0.05, lost_per_hour=1.0),
        "the driver takes 100 ms a batch": replace(base, serial_seconds=0.1),
    }
    found = {name: simulate(setting) for name, setting in settings.items()}
    rows = tuple(
        (name, f"{each.hours:.2f}", f"{each.utilisation:.1%}", f"{each.wasted:.2%}", str(each.n_lost), f"{each.tail:.1%}")
        for name, each in found.items()
    )
    columns = ("cluster", "hours", "utilisation", "wasted", "lost", "tail")
    title = f"{workers} workers, {items} batches of {seconds:g} s"
    print_tables([Table(title, columns, rows, "Losses are of one worker; utilisation counts the loading of models too.", columns[1:])])
    if out is not None:
        numbers = {name: {"setting": asdict(settings[name]), **asdict(each)} for name, each in found.items()}
        out.write_text(json.dumps(numbers, indent=2) + "\n")


if __name__ == "__main__":
    run_script(scheduler_simulation)
