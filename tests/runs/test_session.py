"""What a user chose becomes a request, or one clear line."""

import dataclasses
import json

import pytest

from mechdyn.errors import InputError, StoreError
from mechdyn.hashing import content_hash
from mechdyn.models.load import wrap_model
from mechdyn.plans import Plan, Request
from mechdyn.runs.configs import AblateConfig, VerifyConfig
from mechdyn.runs.folder import RunRecord, open_folder, read_record
from mechdyn.runs.session import Session, chosen_task, make_request, open_store
from mechdyn.tasks.hotpotqa import hotpotqa
from mechdyn.tasks.niah import Niah
from mechdyn.tasks.world import world_items
from mechdyn.traces.unit import Unit
from tests.architectures import tiny_model
from tests.bundled import mini_tokenizer

BAD = {
    "unknown task": ({"task": "trivia"}, "unknown task 'trivia'; give one of citations, .*, world"),
    "no file": ({"task": "hotpotqa"}, "task hotpotqa needs a file of questions .* --data FILE"),
    "file without need": ({"task": "world", "data": "q.json"}, "task world has no use for --data"),
    "unknown style": ({"task": "world", "style": "verse"}, "style must be one of rationale, direct, got 'verse'"),
    "style of a needle": ({"task": "niah", "style": "direct"}, "task niah has no use for --style"),
    "haystack of a world": ({"task": "world", "haystack": "h.txt"}, "task world has no use for --haystack"),
    "length of a file": ({"task": "hotpotqa", "data": "q.json", "lengths": (256,)}, "task hotpotqa has no use for --length"),
    "depth of a world": ({"task": "world", "depths": (0.5,)}, "task world has no use for --depth"),
}


def model_of(n_ctx):
    return dataclasses.replace(wrap_model(tiny_model("llama3.1"), mini_tokenizer(), name="tiny", revision="1"), n_ctx=n_ctx)


@pytest.mark.parametrize("case", BAD)
def test_choices_that_do_not_go_together_are_one_line(case):
    choices, message = BAD[case]
    with pytest.raises(InputError, match=message):
        chosen_task(AblateConfig(**choices))


def test_questions_that_the_model_cannot_hold_are_left_out_and_counted(tmp_path, caplog):
    items = world_items(6, seed=1, n_chains=1) + [{**item, "_id": f"long-{item['_id']}"} for item in world_items(3, seed=2, n_chains=8)]
    file = tmp_path / "questions.json"
    file.write_text(json.dumps(items))
    longest = max(len(hotpotqa(mini_tokenizer(), item)) for item in items[:6])
    config = VerifyConfig("dynamism", task="hotpotqa", data=str(file))
    task = make_request(config, chosen_task(config), model_of(longest + 128)).task
    assert caplog.messages == [
        f"3 of the 9 items of {file} are left out: with room for the answer they are longer than the model's context "
        f"of {longest + 128} positions"
    ]
    assert task.ids == tuple(item["_id"] for item in items[:6])
    assert (task.digest, task.style) == (content_hash(items), "rationale")
    with pytest.raises(InputError, match=r"the model holds 0 of the 9 items of .* context of 100 positions, and 2 are needed"):
        make_request(config, chosen_task(config), model_of(100))


MODEL = model_of(2048)


def unit(seed, n_new=2):
    sample = {"task": "niah", "length": 128, "depth": 0.5, "seed": seed}
    return Unit(MODEL.identity(), sample, {"score": "copy_paste", "max_new_tokens": n_new})


@pytest.fixture
def session(tmp_path, monkeypatch):
    """A session of a tiny model that never ends by itself."""
    model = dataclasses.replace(MODEL, eos_ids=())
    config = VerifyConfig("dynamism", model="tiny")
    return lambda **changes: Session(dataclasses.replace(config, **changes), tmp_path / "run", model, Request(model.identity(), Niah()))


def test_roles_are_run_as_they_come_to_be_named(session, tmp_path):
    shown = []

    def plan(traces):
        shown.append({name: [found.unit for found in row] for name, row in traces.items()})
        roles = {"first": (unit(1), unit(0))}
        if "first" in traces:
            roles["second"] = (unit(1, n_new=traces["first"][0].n_steps + 1),)
        return Plan(roles)

    first, second = [unit(1).key, unit(0).key], [unit(1, n_new=3).key]
    with session() as run:
        traces = run.traces(plan)
    assert shown == [{}, {}, {"first": first}, {"first": first, "second": second}]
    assert {name: [found.unit for found in row] for name, row in traces.items()} == {"first": first, "second": second}
    assert traces["second"][0].n_steps == 3
    assert json.loads((tmp_path / "run" / "traces.json").read_text()) == {"first": first, "second": second}
    with session() as run:
        assert {name: [found.unit for found in row] for name, row in run.traces(plan).items()} == {"first": first, "second": second}
    assert open_store(tmp_path / "run" / "traces", MODEL).n_traces == 3


def test_roles_that_share_units_run_them_once(session, tmp_path):
    with session() as run:
        traces = run.traces(Plan({"a": (unit(0),), "b": (unit(0),)}))
    assert open_store(tmp_path / "run" / "traces", MODEL).n_traces == 1
    assert traces["a"][0].unit == traces["b"][0].unit


def test_two_processes_are_not_at_one_run_together(session):
    with session() as run:
        run.write("results.json", {})
        with (
            session() as other,
            pytest.raises(StoreError, match=r"another process is at the run in .*; wait for it"),
        ):
            other.write("results.json", {})
    with session() as run:
        run.write("results.json", {})


def test_how_a_run_is_carried_out_is_no_part_of_it(session):
    with session() as run:
        assert run.folder.name == "run"
    with session(batch_size=3, engine="bridge", device="cpu") as run:
        assert run.folder.name == "run"
    with session(seed=5) as run, pytest.raises(StoreError, match="belongs to another run: its seed is 0, this run's is 5"):
        run.write("results.json", {})


def test_a_new_option_does_not_orphan_a_folder_that_lacks_it(tmp_path):
    record = RunRecord.of(VerifyConfig("dynamism", model="tiny"), MODEL.identity())
    folder = open_folder(tmp_path / "run", record, VerifyConfig)
    older = json.loads((folder / "run.json").read_text())
    del older["asked"]["threshold"], older["asked"]["runs"]
    (folder / "run.json").write_text(json.dumps(older))
    assert open_folder(folder, record, VerifyConfig) == folder
    other = RunRecord.of(VerifyConfig("dynamism", model="tiny", runs=2), MODEL.identity())
    with pytest.raises(StoreError, match="its runs is None, this run's is 2"):
        open_folder(folder, other, VerifyConfig)


def test_a_run_killed_before_its_record_was_written_goes_on(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".run.json.abc").write_text("{")
    record = RunRecord.of(VerifyConfig("dynamism", model="tiny"), MODEL.identity())
    assert read_record(open_folder(tmp_path / "run", record, VerifyConfig)) == record


def test_a_url_is_no_folder_of_a_run(tmp_path):
    with pytest.raises(InputError, match="the folder of a run lies on this machine, got s3:/"):
        open_folder("s3://bucket/x", RunRecord.of(VerifyConfig("dynamism", model="tiny"), MODEL.identity()), VerifyConfig)
