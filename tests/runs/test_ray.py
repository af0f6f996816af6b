"""A Ray cluster gives what one process gives, bit for bit. Skips where Ray is not installed."""

import importlib.util
import os
import signal
import subprocess
import sys

import pytest

from mechdyn.errors import InputError
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.executors import make_executor
from mechdyn.runs.ray_resources import resources_of
from mechdyn.runs.verify import verify
from mechdyn.runs.worker import WorkerOptions

CONFIG = VerifyConfig("dynamism", model="planted-dynamic", lengths=(128,), depths=(0.5,), runs=3, max_new_tokens=8, batch_size=2)


def test_without_ray_the_pip_line_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"needs Ray; install it with: pip install 'mechdyn\[cluster\]'"):
        make_executor(VerifyConfig("dynamism", executor="ray"))


def test_an_executor_that_there_is_not_and_an_address_without_a_cluster_are_one_line():
    with pytest.raises(InputError, match="executor must be one of local, ray, got 'slurm'"):
        make_executor(VerifyConfig("dynamism", executor="slurm"))
    with pytest.raises(InputError, match="--address is that of a Ray cluster"):
        make_executor(VerifyConfig("dynamism", address="auto"))


def test_what_an_actor_asks_for_comes_from_the_budget():
    """On paper: 8.03 billion weights; 8,192 tokens of keys and values of 131 kB in half precision, and what a forward holds."""
    asked = resources_of(WorkerOptions("llama3.1-8b", device="cpu", dtype="bfloat16"))
    assert (asked.num_cpus, asked.num_gpus) == (1, 0) and 17.1e9 < asked.memory < 19e9
    full = resources_of(WorkerOptions("llama3.1-8b", device="cpu"))
    assert full.memory == pytest.approx(2 * asked.memory, rel=0.01), "float32 is what the CPU loads"
    assert resources_of(WorkerOptions("llama3.1-8b", device="cpu"), 65_536).memory > full.memory + 7 * 2 * 1.05e9


def test_gpus_are_as_many_as_hold_the_model_and_a_batch():
    spread = WorkerOptions("llama3.1-70b", device_map="auto")
    for kind, n_tokens, n_gpus in (("H200", 8192, 1), ("H200", 131_000, 2), ("H100", 8192, 2), ("H100", 131_000, 3), ("L40S", 8192, 4)):
        cluster = {"GPU": 8.0, f"accelerator_type:{kind}": 1.0}
        assert resources_of(spread, n_tokens, cluster).num_gpus == n_gpus, (kind, n_tokens)
    assert resources_of(WorkerOptions("llama3.1-8b", device="cuda")).num_gpus == 1
    assert resources_of(WorkerOptions("mini"), 8192, {"GPU": 2.0}).num_gpus == 1, "the cluster has GPUs, though the driver has none"
    assert resources_of(WorkerOptions("mini", device="cpu"), 8192, {"GPU": 2.0}).num_gpus == 0


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (pip install 'mechdyn[cluster]')")
def test_two_nodes_give_what_one_process_gives(tmp_path):
    """In a process of its own: Ray's daemons should not be this one's children."""
    alone = verify(CONFIG, tmp_path / "alone")
    command = [sys.executable, "-m", "experiments.cluster_demo", "--out", str(tmp_path / "demo"), "--plan", str(tmp_path / "plan.toml")]
    (tmp_path / "plan.toml").write_text(
        'models = ["planted-dynamic"]\ntasks = ["niah"]\nclaims = ["dynamism"]\n'
        "[options]\nlength = [128]\ndepth = [0.5]\nruns = 3\nmax_new_tokens = 8\nbatch_size = 2\n"
    )
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        said, _ = process.communicate(timeout=400)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, said
    assert "2 nodes" in said
    (folder,) = (path.parent for path in (tmp_path / "demo").glob("*/verdicts.json"))
    assert (folder / "verdicts.json").read_bytes() == (alone.folder / "verdicts.json").read_bytes()
