"""One plan comes to the same runs everywhere, each unit is run once, and what was interrupted goes on."""

import json
from dataclasses import replace

import pytest

from mechdyn.errors import InputError
from mechdyn.runs.configs import AblateConfig, VerifyConfig
from mechdyn.runs.mirror import pull
from mechdyn.runs.pointers import find_stores
from mechdyn.runs.status import statuses_of
from mechdyn.runs.sweep import sweep
from mechdyn.runs.sweep_cost import rehearse, sweep_cost
from mechdyn.runs.sweep_plan import SweepRun, read_plan, share_of
from mechdyn.runs.verify import verify
from mechdyn.traces.store import TraceStore

SMALL = """
models = ["planted-static"]
tasks = ["niah"]
claims = ["dynamism"]
studies = ["progressive"]
[options]
length = [128]
depth = [0.5]
runs = 2
max_new_tokens = 48
[progressive]
masked = [0, 2]
"""


def plan_of(tmp_path, text=SMALL, **how):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return read_plan(path, how)


def test_a_plan_is_the_product_of_what_it_names(tmp_path):
    text = """
models = ["mini", "planted-dynamic"]
tasks = ["niah", "world"]
claims = ["dynamism"]
studies = ["ablate"]
seeds = [0, 1]
[options]
preset = "standard"
runs = 3
batch_size = 4
[ablate]
condition = ["clean", "dynamic"]
heads = ["L0H1", "L1H2 L1H3"]
"""
    runs = plan_of(tmp_path, text, workers=2)
    assert len(runs) == 2 * 2 * 2 * (1 + 2) == len({run.key for run in runs}) == len({run.name for run in runs})
    assert [run.config.model for run in runs] == ["mini"] * 12 + ["planted-dynamic"] * 12
    first, second = runs[0].config, next(run.config for run in runs if run.config.kind == "ablate")
    assert first == VerifyConfig("dynamism", model="mini", task="niah", preset="standard", runs=3, batch_size=4, workers=2)
    assert second == AblateConfig(
        model="mini", task="niah", preset="standard", runs=3, batch_size=4, workers=2, conditions=("clean", "dynamic"), heads="L0H1"
    )
    assert [run.key for run in plan_of(tmp_path, text, batch_size=7)] == [run.key for run in runs], "how it is run is no part of a run"
    assert [run.name for run in share_of(runs, "2/3")] == [run.name for run in runs[1::3]]


def test_the_order_of_a_file_decides_models_alone(tmp_path):
    models = 'models = ["mini", "planted-step"]\n'
    text = models + 'tasks = ["niah", "world"]\nclaims = ["dynamism", "alarm"]\nstudies = ["ablate", "progressive"]\n'
    other = 'studies = ["progressive", "ablate"]\nclaims = ["alarm", "dynamism"]\ntasks = ["world", "niah"]\n' + models
    runs = plan_of(tmp_path, text)
    assert [run.key for run in plan_of(tmp_path, other)] == [run.key for run in runs] and len(runs) == 16
    turned = [run.key for run in plan_of(tmp_path, text.replace('"mini", "planted-step"', '"planted-step", "mini"'))]
    assert turned == [run.key for run in [*runs[8:], *runs[:8]]]


BAD = {
    "no TOML": ("models = [", "is no TOML"),
    "nothing": ("", "comes to no run"),
    "unknown claim": ('claims = ["dynamsm"]', "dynamsm"),
    "unknown study": ('studies = ["dance"]', "unknown study 'dance'; give some of ablate"),
    "unknown list": ('modells = ["mini"]', "a plan has no 'modells'"),
    "no list": ('claims = "dynamism"', "claims must be a list of names, got 'dynamism'"),
    "seeds": ('claims = ["dynamism"]\nseeds = ["0"]', "seeds must be a list of numbers"),
    "unknown option": ('claims = ["dynamism"]\n[options]\nlenght = [3]', "no command has an option 'lenght'"),
    "option of another command": ('claims = ["dynamism"]\n[dynamism]\ncondition = ["clean"]', "mechdyn verify has no option 'condition'"),
    "text for a number": ('claims = ["dynamism"]\n[options]\nruns = "3"', "runs must be int of at least 1 and at most 10000, got '3'"),
    "out of bounds": ('claims = ["dynamism"]\n[options]\nruns = 0', "runs must be int of at least 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_plan_is_one_line(tmp_path, case):
    text, message = BAD[case]
    with pytest.raises(InputError, match=message):
        plan_of(tmp_path, text)


@pytest.mark.parametrize("share", ["0/3", "4/3", "2", "a/b"])
def test_a_share_is_one_of_so_many(share):
    with pytest.raises(InputError, match="share must be I/N"):
        share_of([], share)


def test_a_sweep_shares_traces_between_runs_and_goes_on(tmp_path):
    runs = plan_of(tmp_path)
    results = sweep(runs, tmp_path / "out")
    assert [result.state for result in results] == ["done", "done"] and results[0].verdict == "inconclusive"
    stores = {store for result in results for store in find_stores(result.folder).values()}
    assert len(stores) == 1
    roles = [json.loads((result.folder / "traces.json").read_text()) for result in results]
    asked = [{key for keys in found.values() for key in keys} for found in roles]
    assert TraceStore.open(stores.pop()).keys() == asked[0] | asked[1]
    assert asked[0] & asked[1], "detection and clean samples are the same"
    again = sweep(runs, tmp_path / "out")
    assert [result.state for result in again] == ["done before"] * 2
    assert [each.state for each in statuses_of(tmp_path / "out")] == ["done", "done"]
    alone = verify(runs[0].config, tmp_path / "alone")
    assert (tmp_path / "alone" / "verdicts.json").read_bytes() == (results[0].folder / "verdicts.json").read_bytes()
    assert alone.verdict.outcome == results[0].verdict


def test_a_run_that_fails_does_not_end_the_sweep(tmp_path):
    runs = plan_of(tmp_path, SMALL.replace("[0, 2]", "[0, 10000]"))
    results = sweep(runs, tmp_path / "out")
    assert [result.state for result in results] == ["done", "failed"]
    assert results[1].error.startswith("masked heads must lie between 0 and")
    with pytest.raises(InputError, match="masked heads"):
        sweep(runs, tmp_path / "out", fail_fast=True)


REFUSED = {
    "a model that is not here": ({"model": "no-such-model"}, "unknown model 'no-such-model'"),
    "a dtype": ({"dtype": "int3"}, "dtype must be one of"),
    "a device": ({"device": "tpu"}, "there is no device 'tpu' here"),
    "a file of heads": ({"heads": "nowhere.json"}, "there is no file 'nowhere.json'"),
    "a haystack": ({"haystack": "nowhere.txt"}, "haystack nowhere.txt cannot be read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_run_that_cannot_be_is_refused_before_the_first_begins(tmp_path, case):
    changes, message = REFUSED[case]
    first, last = plan_of(tmp_path)
    config = VerifyConfig("dynamism", model="planted-static", lengths=(128,))
    with pytest.raises(InputError, match=message):
        sweep([first, last, SweepRun(replace(config, **changes))], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"out exists and is not that of a sweep \(it has no sweep.jsonl\)"):
        sweep(plan_of(tmp_path), tmp_path / "out")
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["notes.txt"]


def test_what_a_sweep_costs_is_what_it_runs(tmp_path):
    runs = plan_of(tmp_path)
    costs = sweep_cost(runs, device="h100")
    sweep(runs, tmp_path / "out")
    for cost, run in zip(costs, runs, strict=True):
        roles = json.loads((tmp_path / "out" / run.name / "traces.json").read_text())
        assert cost.n_traces == len({key for keys in roles.values() for key in keys})
    (store,) = set(find_stores(tmp_path / "out" / runs[0].name).values())
    assert sum(cost.n_traces - cost.n_shared for cost in costs) == TraceStore.open(store).n_traces
    assert all(cost.seconds > 0 for cost in costs)


def test_plans_that_unfold_are_rehearsed_to_the_end():
    units = rehearse(AblateConfig(lengths=(128,), depths=(0.5,), runs=1, conditions=("clean", "dynamic")))
    assert len(units) == 1 + 1 + 2, "detection, clean, and dynamic under both commit rules"


def test_traces_and_files_go_to_a_url(tmp_path, monkeypatch):
    import fsspec

    monkeypatch.chdir(tmp_path)
    runs = plan_of(tmp_path)[:1]
    (result,) = sweep(runs, "memory://bucket/sweep")
    fs = fsspec.filesystem("memory")
    assert fs.cat_file(f"/bucket/sweep/{runs[0].name}/verdicts.json") == (result.folder / "verdicts.json").read_bytes()
    (store,) = find_stores(result.folder).values()
    assert store.startswith("memory://bucket/sweep/stores/") and TraceStore.open(store).n_traces == 6
    monkeypatch.chdir(tmp_path.parent)
    (elsewhere,) = sweep(runs, "memory://bucket/sweep")
    assert elsewhere.state == "done before", "another machine finds what is done at the URL"
    verdicts = f"/bucket/sweep/{runs[0].name}/verdicts.json"
    fs.pipe_file(verdicts, fs.cat_file(verdicts).replace(b"0.5", b"0.6", 1))
    (tmp_path / "third").mkdir()
    monkeypatch.chdir(tmp_path / "third")
    (third,) = sweep(runs, "memory://bucket/sweep")
    assert third.state == "failed" and "verdicts.json is not what mechdyn wrote" in third.error


def test_a_fetch_that_is_killed_leaves_no_half_of_a_run(tmp_path):
    import fsspec

    fs, folder = fsspec.filesystem("memory"), tmp_path / "run"
    for name in ("a.json", "b.json", "run.json"):
        fs.pipe_file(f"/bucket/fetched/{name}", name.encode())

    class Killed(BaseException):
        pass

    def killed(path, *given, read=fs.cat_file):
        if path.endswith("b.json"):
            raise Killed
        return read(path, *given)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(type(fs), "cat_file", staticmethod(killed))
        pull("memory://bucket/fetched", folder)
    assert not folder.exists()
    assert pull("memory://bucket/fetched", folder) == 3
    assert sorted(each.name for each in folder.iterdir()) == ["a.json", "b.json", "run.json"]
