"""Runs read back: judged again without a model, and one clear line about every run that cannot be."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from mechdyn.claims.claim import paper_parts
from mechdyn.claims.dynamism_evidence import EXPLAINED
from mechdyn.errors import StoreError
from mechdyn.evidence import SECOND
from mechdyn.runs.ablate import ablate
from mechdyn.runs.configs import AblateConfig, ProgressiveConfig, SensitivityConfig, TraceConfig, VerifyConfig
from mechdyn.runs.contents import Judged
from mechdyn.runs.folder import write_json
from mechdyn.runs.progressive import progressive
from mechdyn.runs.read import KINDS, not_run, read_run
from mechdyn.runs.sensitivity import sensitivity
from mechdyn.runs.trace import trace_one
from mechdyn.runs.verify import verify


@pytest.fixture(scope="module")
def verified(tmp_path_factory):
    """A finished run and its verdict."""
    folder = tmp_path_factory.mktemp("runs") / "dynamism"
    return verify(VerifyConfig("dynamism", model="planted-dynamic", lengths=(128,)), folder)


@pytest.fixture
def copied(verified, tmp_path):
    """The run's folder, to be spoilt; without its checksums, as folders of earlier versions are."""
    folder = shutil.copytree(verified.folder, tmp_path / "run")
    (folder / ".seals.json").unlink()
    return folder


def test_a_verdict_is_judged_again_from_the_store_alone(verified, monkeypatch):
    monkeypatch.setattr("transformers.PreTrainedModel.from_pretrained", None)
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", None)
    run = read_run(verified.folder)
    assert isinstance(run.content, Judged) and run.content.again and run.content.changed == ()
    assert run.content.verdict.as_json() == verified.verdict.as_json()
    assert (run.model, run.task.name, run.preset) == ("planted-dynamic", "niah", "quick")
    assert run.folder.roles.keys() == verified.traces.keys()
    assert [trace.unit for trace in run.folder.roles["retest"]] == [trace.unit for trace in verified.traces["retest"]]


def test_the_recorded_verdict_can_be_taken_instead(verified):
    content = read_run(verified.folder, again=False).content
    assert not content.again and content.verdict.as_json() == verified.verdict.as_json()


def test_where_nothing_changed_the_recorded_verdict_stands_and_is_what_judging_again_gives(verified):
    content = read_run(verified.folder, again=None).content
    assert content.unchanged and not content.again
    again = read_run(verified.folder, again=True).content
    assert again.again and not again.unchanged and again.verdict.as_json() == content.verdict.as_json()


def _without_registration(folder):
    write_json(folder / "run.json", {**json.loads((folder / "run.json").read_text()), "registered": None})


def _with_another_margin(folder):
    record = json.loads((folder / "run.json").read_text())
    margins = record["registered"]["margins"]
    margins[next(iter(margins))] = 0.123
    write_json(folder / "run.json", record)


def _with_other_units(folder):
    rows = json.loads((folder / "verdicts.json").read_text())
    write_json(folder / "verdicts.json", [{**row, "notes": [*row["notes"], "1 of 9 units are not run yet"]} for row in rows])


def _in_words_alone(folder):
    """As a release before had them: criteria without the numbers that they were put to."""
    rows = json.loads((folder / "verdicts.json").read_text())
    for criterion in (*rows[0]["supports"], *rows[0]["refutes"]):
        del criterion["asked"]
    write_json(folder / "verdicts.json", rows)


@pytest.mark.parametrize("change", [None, _without_registration, _with_another_margin, _with_other_units, _in_words_alone])
def test_where_nobody_can_tell_or_criteria_or_units_changed_it_is_judged_again(verified, copied, change):
    if change is not None:
        shutil.copy(verified.folder / ".seals.json", copied)
        change(copied)
    content = read_run(copied, again=None).content
    assert content.again and not content.unchanged


def test_numbers_other_than_the_recorded_ones_are_named(copied):
    rows = json.loads((copied / "verdicts.json").read_text())
    rows[0]["evidence"][1]["estimate"] += 0.01
    rows[0]["evidence"].append({**rows[0]["evidence"][0], "measure": "made up", "at": {}})
    rows[0]["verdict"] = "refuted"
    (copied / "verdicts.json").write_text(json.dumps(rows))
    content = read_run(copied).content
    assert content.changed == ("the verdict", rows[0]["evidence"][1]["name"], "made up")
    assert content.verdict.outcome == "supported"
    assert read_run(copied, again=False).content.verdict.outcome == "refuted"


def test_a_changed_file_is_refused_by_its_checksum(verified, tmp_path):
    folder = shutil.copytree(verified.folder, tmp_path / "run")
    text = (folder / "verdicts.json").read_text()
    (folder / "verdicts.json").write_text(text.replace('"supported"', '"refuted"', 1))
    with pytest.raises(StoreError, match=r"verdicts\.json is not what mechdyn wrote: its SHA-256"):
        read_run(folder)
    (folder / "verdicts.json").write_text(text)
    seals = (folder / ".seals.json").read_text()
    (folder / ".seals.json").write_text(seals.replace("a", "b", 1))
    with pytest.raises(StoreError, match=r"\.seals\.json is damaged"):
        read_run(folder)


FIRST_RELEASE = Path(__file__).parent / "first_release"


def test_a_folder_of_the_first_release_is_read_and_judged_by_todays_criteria(tmp_path, run):
    folder = shutil.copytree(FIRST_RELEASE / "dynamism", tmp_path / "dynamism")
    recorded = json.loads((folder / "verdicts.json").read_text())
    read = read_run(folder)
    assert (read.folder.record.kind, read.folder.record.version, read.model, read.task.name) == ("verify", 1, "planted-static", "niah")
    assert read.content.again and read.content.verdict.named == SECOND
    assert "the verdict" not in read.content.changed and EXPLAINED in read.content.changed
    estimates = {row.name: row.interval.estimate for row in read.content.verdict.evidence}
    before = {row["name"]: row["estimate"] for row in recorded[0]["evidence"]}
    assert {name: estimates[name] for name in before} == pytest.approx(before)
    assert (read.content.verdict.outcome, len(read.folder.roles["retest"])) == ("refuted", 20)
    code, out, err = run("report", folder, "--out", tmp_path / "page")
    assert code == 0, err
    assert "refuted" in out


def _drop_parts(folder):
    for kind in ("steps", "traces", "parts"):
        for file in (folder / "traces" / kind).iterdir():
            file.unlink()


def _truncate_part(folder):
    part = next((folder / "traces" / "steps").iterdir())
    part.write_bytes(part.read_bytes()[:100])


def _other_version(folder):
    config = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**config, "version": 3}))


SPOILT = {
    "no run": (lambda folder: (folder / "run.json").unlink(), r"run is not the folder of a run \(it has no run\.json\)"),
    "damaged run.json": (lambda folder: (folder / "run.json").write_text("{"), r"run\.json cannot be read"),
    "run.json of something else": (lambda folder: (folder / "run.json").write_text("[1]"), r"run\.json is not what a command"),
    "run.json of another version": (_other_version, r"run\.json has version 3, this mechdyn reads 2"),
    "nothing traced": (
        lambda folder: shutil.rmtree(folder / "traces"),
        r"is not finished: nothing is traced yet; go on",
    ),
    "traces missing": (_drop_parts, r"is not finished: 0 of 60 planned traces are in traces; go on with it by: mechdyn verify dynamism"),
    "no verdict": (lambda folder: (folder / "verdicts.json").unlink(), r"is not finished: it has no verdicts\.json; go on"),
    "damaged verdict": (lambda folder: (folder / "verdicts.json").write_text("[{}]"), r"verdicts\.json is not what mechdyn wrote"),
    "empty verdicts": (lambda folder: (folder / "verdicts.json").write_text("[]"), r"verdicts\.json is not what mechdyn wrote"),
    "damaged roles": (lambda folder: (folder / "traces.json").write_text("3"), r"traces\.json is not what mechdyn wrote"),
    "damaged part": (_truncate_part, r"\.parquet"),
    "damaged manifest": (lambda folder: (folder / "traces" / "manifest.json").write_text("{"), r"manifest\.json is not JSON"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_run_that_cannot_be_read_is_one_clear_line(copied, case):
    spoil, message = SPOILT[case]
    spoil(copied)
    with pytest.raises(StoreError, match=message) as caught:
        read_run(copied)
    assert "\n" not in str(caught.value)


def test_other_kinds_of_runs_are_measured_again(tmp_path):
    mini = {"model": "mini", "lengths": (128,)}
    grid = ablate(AblateConfig(**mini, depths=(0.5,), runs=2, conditions=("clean", "dynamic"), method="mean"), tmp_path / "grid")
    read = read_run(tmp_path / "grid")
    assert read.content.rows == grid.rows and read.content.detection == grid.detection
    assert "--method mean" in read.command and "--condition clean --condition dynamic" in read.command
    points = progressive(ProgressiveConfig(**mini, runs=1, masked=(0, 2)), tmp_path / "points")
    assert read_run(tmp_path / "points").content.points == points.points
    trace, _ = trace_one(TraceConfig(length=128), tmp_path / "one")
    assert read_run(tmp_path / "one").content.trace.text == trace.text


@pytest.mark.slow
def test_a_sensitivity_grid_is_judged_again(tmp_path):
    config = SensitivityConfig(lengths=(192,), sinks=(4,), locals=(0, 32), thresholds=(0.5,))
    found = sensitivity(config, tmp_path / "grid")
    assert [cell.as_json() for cell in read_run(tmp_path / "grid").content.cells] == [cell.as_json() for cell in found.cells]


def test_what_was_not_run_leaves_out_what_was(verified):
    parts = paper_parts()
    missing = [each.what for each in not_run([read_run(verified.folder, again=False)])]
    assert not any(what.startswith("Table 1") for what in missing)
    assert "Section 4, dynamism: dynamism, questions" in missing
    assert sum(part.measures == "dynamism" for part in parts) == 2 and len(missing) == len(parts) - 1 + 2
    assert any("llama3.1-8b, llama3.2-3b, qwen3-8b, llama2-13b, phi4-mini" in what for what in missing)
    assert any("dynamism has preset quick" in what for what in missing)
    assert len(not_run([])) == len(parts) + 1


def test_what_was_not_run_can_be(run):
    for part in paper_parts():
        program, *words = part.command.partition(",")[0].split()
        if program == "mechdyn":
            options = [word for word in words if word.startswith("--")]
            code, text, _ = run(words[0], "--help")
            assert code == 0 and all(option in text for option in options), part.command
        else:
            assert importlib.util.find_spec(words[1]), part.command


def test_every_config_of_a_kind_says_which():
    assert {name: kind.config.kind for name, kind in KINDS.items()} == {name: name for name in KINDS}
