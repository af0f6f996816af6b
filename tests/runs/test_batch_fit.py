"""`--batch-tokens 0`: batches that fill a worker's memory, and stay as they were begun with."""

from dataclasses import replace

import pytest
import torch

from mechdyn.models.budget import RunSize, budget_of
from mechdyn.models.footprint import Workload
from mechdyn.models.hardware import DATA_SHEETS
from mechdyn.runs.batch_fit import load_of, tokens_that_fit
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.run_log import LOG, read_log
from mechdyn.runs.session import Session
from mechdyn.tasks.niah import niah
from mechdyn.traces.unit import Unit

CONFIG = VerifyConfig("dynamism", model="planted-dynamic", lengths=(128,), max_new_tokens=4, batch_tokens=0)


@pytest.mark.parametrize(("length", "n_conditions"), [(32_768, 1), (60_000, 1), (32_768, 3), (120_000, 1)])
def test_as_many_fit_as_the_budget_says(length, n_conditions):
    size = RunSize((length,), n_samples=64, n_conditions=n_conditions, n_new=32, batch_size=1)
    (planned,) = budget_of("llama3.1-8b", size, device="h200", dtype="bfloat16").lengths
    card = DATA_SHEETS["h200"]
    config, load = VerifyConfig("dynamism", model="llama3.1-8b"), Workload(length, 32, n_conditions=n_conditions)
    found = tokens_that_fit(config, load, torch.bfloat16, int((card.memory - card.in_use) / 0.9))
    assert found == length * min(planned.largest_batch, -(-64 // n_conditions)) and 1 < planned.largest_batch < 64


def test_one_sample_is_run_whatever_memory_there_is():
    assert tokens_that_fit(VerifyConfig("dynamism", model="mini"), Workload(500, 8), torch.float32, 10) == 500


def test_the_largest_sample_counts_under_all_of_its_conditions():
    def unit(length, ablation):
        return Unit({"name": "m"}, {"task": "niah", "seed": 0, "length": length}, {"max_new_tokens": length // 10}, ablation)

    units = [unit(100, {}), unit(300, {}), unit(300, {"heads": 1}), unit(300, {"heads": 2}), unit(200, {})]
    assert load_of(units) == Workload(300, 30, n_conditions=3, n_forwards=2)


def test_a_run_keeps_the_batches_that_it_was_begun_with(tmp_path, monkeypatch):
    def together(folder, config=CONFIG):
        with Session.open(config, tmp_path / folder) as run:
            return run.batch_of([niah(run.model, length=128, depth=0.5, seed=0)])

    assert together("plenty") == 64
    with monkeypatch.context() as patch:
        patch.setattr("mechdyn.runs.session.worker_memory", lambda worker, item, shared: 10)
        assert together("little") == 1
    assert together("little") == 1, "another machine goes on"
    (noted,) = [event for event in read_log(tmp_path / "little" / LOG) if event["event"] == "sized"]
    assert (noted["batch_tokens"], noted["memory"]) == (128, 10)
    assert together("plenty", replace(CONFIG, batch_tokens=256)) == 2, "what is asked for is taken"
