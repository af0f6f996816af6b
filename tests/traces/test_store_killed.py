"""A writer killed at any moment loses at most the part it was writing."""

import multiprocessing
import random
import time

from mechdyn.traces.folder import STAGING
from mechdyn.traces.store import TraceStore
from tests.traces.examples import assert_same, manifest, random_trace

UNITS_PER_PART = 3


def write_on(path, writer, finished):
    """Append part after part, and say after each that it is in the store."""
    store = TraceStore.open(path)
    part = 0
    while True:
        store.append([random_trace(f"{writer}-{part}-{unit}", n_steps=40) for unit in range(UNITS_PER_PART)])
        finished.send(part)
        part += 1


def test_a_writer_killed_at_twenty_random_moments_loses_at_most_the_part_in_flight(tmp_path):
    path = tmp_path / "store"
    TraceStore.create(path, manifest())
    # Children are forked from a clean process that has imported everything: this one has threads.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    moments = random.Random(0)
    promised = set()
    for writer in range(20):
        receiver, sender = processes.Pipe(duplex=False)
        process = processes.Process(target=write_on, args=(path, writer, sender))
        process.start()
        sender.close()
        assert receiver.poll(600), "the writer never finished its first part"
        time.sleep(moments.uniform(0, 0.05))
        process.kill()
        process.join()
        finished = receive_all(receiver)
        promised |= {f"{writer}-{part}-{unit}" for part in finished for unit in range(UNITS_PER_PART)}

        store = TraceStore.open(path)
        in_flight = {f"{writer}-{len(finished)}-{unit}" for unit in range(UNITS_PER_PART)}
        assert promised <= store.keys() <= promised | in_flight
        promised = set(store.keys())
        assert len(promised) % UNITS_PER_PART == 0

    store.sweep()
    names = {kind: {file.name for file in (path / kind).iterdir()} for kind in ("steps", "traces")}
    assert names["steps"] == names["traces"]
    assert not [file for file in (path / STAGING).iterdir() if file.suffix != ".lock"]
    assert sum(batch.num_rows for batch in store.scan(["unit"])) == store.n_steps == 40 * store.n_traces
    for trace in store.traces():
        assert_same(trace, random_trace(trace.unit, n_steps=40))


def receive_all(receiver):
    """What the writer said before it died; a message cut off by the kill was not said."""
    said = []
    try:
        while receiver.poll():
            said.append(receiver.recv())
    except (EOFError, OSError):
        pass
    return said
