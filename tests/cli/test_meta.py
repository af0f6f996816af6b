"""`mechdyn meta` and the report of several runs: Holm's correction and one claim over models."""

import pytest

from mechdyn.reports.sections import make_report
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.read import read_run
from mechdyn.runs.verify import verify


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One claim on three models."""
    folder = tmp_path_factory.mktemp("runs")
    models = ("planted-nested", "planted-dynamic", "planted-step")
    for model in models:
        verify(VerifyConfig("dynamism", model=model, lengths=(128,), runs=1), folder / model)
    return [folder / model for model in models]


def test_models_are_taken_together(run, runs, tmp_path):
    code, out, _ = run("meta", *map(str, runs), "--out", str(tmp_path / "forest.html"))
    assert code == 0 and "Several verdicts at once" in out and "dynamism over models" in out
    assert "no criterion was applied" in out


def test_a_report_of_several_runs_has_both_before_the_runs(runs):
    made = make_report([read_run(run) for run in runs])
    assert [section.heading for section in made.sections[:2]] == ["Several verdicts at once", "dynamism over models: niah"]
    assert len(made.sections[0].tables[0].rows) == 3
    assert make_report([read_run(runs[0])]).sections[0].heading.startswith("dynamism (")


def test_one_model_is_one_line(run, runs):
    code, _, err = run("meta", str(runs[0]), str(runs[0]))
    assert code == 2 and "got 2 verdicts in 2 runs; name more runs of mechdyn verify" in err
