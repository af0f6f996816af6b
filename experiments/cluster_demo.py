"""A two-node Ray cluster on this machine, and a small sweep on it: `make cluster-demo`.

Both nodes listen on loopback alone, and end with this program. It needs Ray (`pip install 'mechdyn[cluster]'`).
"""

import importlib.util
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mechdyn.cli import run_script
from mechdyn.errors import InputError, RunError
from mechdyn.runs.sweep import SweepResult, sweep
from mechdyn.runs.sweep_plan import read_plan

_PLAN = Path(__file__).with_name("cluster_demo.toml")
_LOOPBACK = "127.0.0.1"
_STORE_BYTES = 128 * 2**20


def cluster_demo(
    out: Annotated[Path, typer.Option(help="Folder of the sweep; run again, it goes on there.")] = Path("runs/cluster-demo"),
    plan: Annotated[Path, typer.Option(help="The plan.")] = _PLAN,
    kill: Annotated[bool, typer.Option(help="End the second node once the first run is done: the sweep must go on without it.")] = False,
) -> None:
    """Start two nodes, carry out the plan on them, and end them."""
    if importlib.util.find_spec("ray") is None:
        raise InputError("the demo needs Ray; install it with: pip install 'mechdyn[cluster]'")
    with two_nodes() as cluster:
        _wait_for_nodes(cluster.address, 2)
        print(f"cluster  2 nodes at {cluster.address}", flush=True)

        def told(result: SweepResult) -> None:
            print(f"{result.state:8} {result.run.name}: {result.verdict or result.error}", flush=True)
            if kill and cluster.second.poll() is None:
                os.killpg(cluster.second.pid, signal.SIGKILL)
                print("cluster  the second node is gone", flush=True)

        runs = read_plan(plan, {"executor": "ray", "address": cluster.address, "workers": 2})
        results = sweep(runs, out, told=told)
    failed = [result.run.name for result in results if result.state == "failed"]
    if failed:
        raise RunError(f"{len(failed)} of {len(results)} runs failed: {', '.join(failed)}; see `mechdyn status {out}`")


@dataclass(frozen=True)
class Cluster:
    """Where the first of its nodes listens, and the process of each."""

    address: str
    first: subprocess.Popen[bytes]
    second: subprocess.Popen[bytes]


@contextmanager
def two_nodes() -> Iterator[Cluster]:
    """Two nodes on loopback, which end with the block; the token that they ask for is in this process's environment."""
    # Only who knows this may talk to the cluster: not another program of this machine either.
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    port = _free_port()
    address = f"{_LOOPBACK}:{port}"
    with _node("--head", f"--port={port}", "--include-dashboard=false") as first, _node(f"--address={address}") as second:
        yield Cluster(address, first, second)


@contextmanager
def _node(*options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A node of one processor that listens on loopback alone, in a group of processes of its own, which ends with the block."""
    how = [f"--node-ip-address={_LOOPBACK}", "--num-cpus=1", f"--object-store-memory={_STORE_BYTES}", "--disable-usage-stats", "--block"]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *how, *options]
    node = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield node
    finally:
        with suppress(ProcessLookupError):
            os.killpg(node.pid, signal.SIGKILL)
        node.wait()


def _wait_for_nodes(address: str, n: int, seconds: float = 120) -> None:
    """Join the cluster once all nodes are there."""
    import ray

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, ignore_reinit_error=True)
            if sum(node["Alive"] for node in ray.nodes()) >= n:
                return
        except (ConnectionError, RuntimeError, ValueError):
            pass
        time.sleep(1)
    raise RunError(f"the cluster at {address} did not come to {n} nodes in {seconds:.0f} s")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((_LOOPBACK, 0))
        return int(found.getsockname()[1])


if __name__ == "__main__":
    run_script(cluster_demo)
