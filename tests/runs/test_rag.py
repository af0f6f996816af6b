"""A run of dynamic RAG: what it writes, that it goes on, and what it refuses."""

import dataclasses
import json
import shutil

import pytest

from mechdyn.errors import InputError, StoreError
from mechdyn.probes.storage import load_probe
from mechdyn.rag.run import dynamic_rag
from mechdyn.rag.strategies import OWN
from mechdyn.reports.sections import make_report
from mechdyn.runs import rag as module
from mechdyn.runs.rag import rag
from mechdyn.runs.rag_configs import RagConfig, RagSweepConfig
from mechdyn.runs.rag_sweep import rag_sweep
from mechdyn.runs.read import read_run
from mechdyn.runs.session import Session
from mechdyn.tasks.world import world_items
from tests.plugin.mechdyn_example import bm25  # noqa: F401 (registers a strategy)

SMALL = {"lengths": (220,), "questions": 3, "k": 4, "window": 12, "batch_size": 2}


@pytest.fixture(scope="module", autouse=True)
def few_detection_samples():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "N_DETECTION", 14)
        yield


@pytest.fixture(scope="module")
def done(few_detection_samples, tmp_path_factory):
    return rag(RagConfig(**SMALL), tmp_path_factory.mktemp("rag") / "run")


def parts(config):
    """The units to answer and those to find heads on."""
    with Session.open(config) as run:
        prepared = module.prepare(run, module.options_of(config))
    return prepared.units, prepared.detection


def test_every_strategy_answers_every_question(done):
    assert tuple(done.logs) == OWN
    samples = [question.sample for question in done.questions]
    assert all([log.sample for log in logs] == samples for logs in done.logs.values()) and len(set(samples)) == 3
    assert [row.condition for row in done.rows] == list(OWN)
    assert done.verdict.claim == "dynamic RAG"


def test_the_folder_holds_what_was_run_and_found(done):
    config = json.loads((done.folder / "run.json").read_text())["asked"]
    assert config["strategies"] == list(OWN) and config["threshold"] == 1.2 and "batch_size" not in config
    results = json.loads((done.folder / "results.json").read_text())
    assert [row["condition"] for row in results["conditions"]] == list(OWN)
    assert results["facts"]["detection_samples"] == 14 and len(results["facts"]["static_heads"]) == 5
    for name in OWN:
        assert (done.folder / "logs" / f"{name}.jsonl").read_text().count("\n") == 3
    assert (done.folder / "probe" / "probe.json").is_file() and (done.folder / "static_heads.json").is_file()


def test_questions_and_detection_set_are_registered_before_the_first_answer(done):
    registered = json.loads((done.folder / "run.json").read_text())["registered"]
    assert registered["claim"] == "dynamic RAG" and set(registered["margins"].values()) == {0.0}
    assert registered["splits"]["questions"]["units"] == 3 and registered["later"]["detection"]["units"] == 14
    assert done.verdict.notes[-1] == f"registered before the first trace: yes, hash {registered['hash']}"
    assert read_run(done.folder).content.registered.text.startswith("yes, hash")


def test_a_run_that_was_not_registered_is_not_registered_afterwards(done, tmp_path):
    old = shutil.copytree(done.folder, tmp_path / "old")
    record = json.loads((old / "run.json").read_text())
    (old / "run.json").write_text(json.dumps({name: value for name, value in record.items() if name != "registered"}))
    (old / ".seals.json").unlink(missing_ok=True)
    assert rag(RagConfig(**SMALL), old).verdict.notes[-1] == "registered before the first trace: no"
    assert "registered" not in json.loads((old / "run.json").read_text())


def test_detection_shares_no_sample_with_the_questions(done):
    units, detection = parts(RagConfig(**SMALL))
    assert not {unit.key for unit in units} & {unit.key for unit in detection}


def test_a_killed_run_goes_on_with_what_is_lacking(done, monkeypatch):
    path = done.folder / "logs" / "oracle.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\n") + 20])
    asked = []

    def spy(model, samples, conditions, **options):
        asked.append((len(samples), tuple(conditions)))
        return dynamic_rag(model, samples, conditions, **options)

    monkeypatch.setattr("mechdyn.rag.run.dynamic_rag", spy)
    again = rag(RagConfig(**SMALL | {"batch_size": 1}), done.folder)
    assert asked == [(1, tuple(done.logs))] * 2, "the batches of the plan that lack an answer, and they alone"
    assert [log.text for log in again.logs["oracle"]] == [log.text for log in done.logs["oracle"]]


def test_another_run_does_not_go_on_there(done):
    with pytest.raises(StoreError, match="belongs to another run: its k is 4, this run's is 5"):
        rag(RagConfig(**SMALL | {"k": 5}), done.folder)


def test_strategies_are_called_by_the_text_that_asked_for_them(done, tmp_path):
    names = ("oracle:n=2", "oracle", "bm25:sentences=1")
    run = rag(RagConfig(**SMALL, strategies=names[::-1]), tmp_path / "run")
    assert set(run.logs) == set(names) and tuple(run.logs)[-1] == names[-1], "mechdyn's own come first"
    assert [log.text for log in run.logs["oracle"]] == [log.text for log in done.logs["oracle"]]
    assert all(len(round.heads) == 2 for log in run.logs["oracle:n=2"] for round in log.retrievals)
    assert all(not round.heads and round.windows for log in run.logs[names[-1]] for round in log.retrievals)
    read = read_run(run.folder)
    assert [(row.condition, row.f1) for row in read.content.rows] == [(row.condition, row.f1) for row in run.rows]
    assert not (run.folder / "traces").exists(), "no strategy asked for a probe or a ranking"


def test_a_given_probe_is_used_and_no_detection_set_is_run(done, tmp_path):
    run = rag(RagConfig(**SMALL, strategies=("dynamic",), probe=str(done.folder / "probe")), tmp_path / "run")
    assert [log.text for log in run.logs["dynamic"]] == [log.text for log in done.logs["dynamic"]]
    assert not (run.folder / "traces").exists()
    kept = load_probe(run.folder / "probe")
    module.keep_probe(kept, run.folder)
    with pytest.raises(StoreError, match="belongs to a run with another probe"):
        module.keep_probe(dataclasses.replace(kept, training={"seed": 99}), run.folder)


def test_a_report_reads_the_run_and_judges_it_again(done):
    read = read_run(done.folder)
    assert read.command.startswith("mechdyn rag --length 220 --questions 3 ")
    assert (read.content.verdict, read.content.changed) == (done.verdict, ())
    assert [row.f1 for row in read.content.rows] == [row.f1 for row in done.rows]
    (section,) = make_report([read]).sections
    assert section.heading == "dynamic RAG (5, Table 4): mini, world: inconclusive" and len(section.tables) == 4


def test_a_run_that_lacks_answers_is_not_finished(done, tmp_path):
    copy = shutil.copytree(done.folder, tmp_path / "copy")
    (copy / "logs" / "oracle.jsonl").unlink()
    with pytest.raises(StoreError, match="lacks answers of oracle"):
        read_run(copy)


def test_questions_of_a_file_are_parted_into_those_to_find_heads_on_and_those_to_answer(tmp_path):
    file = tmp_path / "questions.json"
    file.write_text(json.dumps(world_items(24, seed=5, n_chains=2)))
    config = RagConfig(task="hotpotqa", data=str(file), questions=2, strategies=("static", "oracle"))
    run = rag(config, tmp_path / "run")
    assert [question.task for question in run.questions] == ["hotpotqa"] * 2
    assert json.loads((tmp_path / "run" / "results.json").read_text())["facts"]["detection_samples"] == 12
    answered, traced = ({unit.sample["id"] for unit in units} for units in parts(config))
    assert len(traced) == 12 and not traced & answered


def test_a_sweep_gives_a_row_for_each_strategy_and_setting(done, tmp_path):
    config = RagSweepConfig(
        lengths=(220,), questions=2, strategies=("oracle", "fixed-random"), thresholds=(0.5, 1.2), ks=(4, 16), windows=(8, 32), batch_size=2
    )
    sweep = rag_sweep(config, tmp_path / "sweep")
    assert len(sweep.rows) == 2 * 6
    assert sweep.curves["k"]["oracle"][16] == sweep.curves["window"]["oracle"][32] == sweep.rows["oracle, threshold 1.2"].f1
    assert list(sweep.curves["threshold"]["fixed-random"]) == [0.5, 1.2]
    assert sweep.rows["oracle, window 8"].shown.estimate <= sweep.rows["oracle, window 32"].shown.estimate
    plain = rag(RagConfig(lengths=(220,), questions=2, strategies=("oracle",)), tmp_path / "plain")
    assert plain.rows[0].f1 == sweep.rows["oracle, k 16"].f1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": 0}, "k must be at least 1, got 0"),
        ({"threshold": -1.0}, "threshold must be 0 or more"),
        ({"threshold": float("inf")}, "threshold must be a finite number, got inf"),
        ({"window": -1}, "window must be at least 0, got -1"),
        ({"heads": 0}, "between 1 and 80 heads"),
        ({"heads": 81}, "between 1 and 80 heads"),
        ({"strategies": ("best",)}, "unknown RAG strategy 'best'; give one of .*dynamic, .*oracle"),
        ({"strategies": ("dynamic:best=1",)}, "the strategy dynamic has no option 'best'"),
        ({"task": "niah"}, "take the task world or hotpotqa"),
        ({"task": "hotpotqa", "lengths": ()}, "give one with --data"),
        ({"mode": "cut"}, "mode must be one of mask, text"),
        ({"preset": "huge"}, "unknown preset 'huge'"),
        ({"lengths": (4000,)}, "beyond the model's context"),
        ({"probe": "nowhere"}, "there is no probe in nowhere"),
    ],
)
def test_bad_input_writes_nothing(tmp_path, changes, message):
    with pytest.raises((InputError, StoreError), match=message):
        rag(RagConfig(**SMALL | changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_probe_of_another_model_is_refused(done, tmp_path):
    with pytest.raises(StoreError, match="fitted on another model, mini"):
        rag(RagConfig(**SMALL, model="planted-static", probe=str(done.folder / "probe")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_where_no_probe_can_be_fitted_one_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "N_DETECTION", 2)
    with pytest.raises(InputError, match=r"dynamic needs a probe, none was given and none can be fitted here .* give one with --probe"):
        rag(RagConfig(**SMALL | {"questions": 1}, strategies=("dynamic",)), tmp_path / "run")
