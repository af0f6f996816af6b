"""What the sets follow, end to end on the controls, whose answer is known: heads by token, heads by step."""

import json

import pytest

from mechdyn.errors import InputError, StoreError
from mechdyn.reports.sections import sections
from mechdyn.runs.configs import FollowsConfig
from mechdyn.runs.follows import THIS_RUN, run_follows
from mechdyn.runs.read import read_run

SMALL = {"task": "permuted:pieces=4", "lengths": (96,), "depths": (0.5,), "runs": 6, "orders": 3}


@pytest.fixture(scope="module")
def by_token(tmp_path_factory):
    return run_follows(FollowsConfig(model="planted-dynamic", **SMALL), tmp_path_factory.mktemp("follows") / "token")


@pytest.fixture(scope="module")
def by_step(tmp_path_factory):
    return run_follows(FollowsConfig(model="planted-step", **SMALL), tmp_path_factory.mktemp("follows") / "step")


def test_the_controls_follow_what_they_were_built_to(by_token, by_step):
    token, step = by_token.found, by_step.found
    assert token.across.token_share.estimate == pytest.approx(1.0)
    assert token.across.step_share.estimate == pytest.approx(0.0, abs=0.05)
    assert token.variance.shares["token"].estimate > 0.9
    assert step.across.step_share.estimate == pytest.approx(1.0)
    assert step.across.token_share.estimate == pytest.approx(0.0, abs=0.05)
    assert step.variance.shares["step"].estimate > 0.9
    assert token.deviance.alone["token"].low > token.deviance.alone["step"].high
    assert step.deviance.alone["step"].low > step.deviance.alone["token"].high


def test_the_folder_says_what_was_found_and_is_read_back(by_token):
    recorded = json.loads((by_token.folder / "results.json").read_text())
    assert recorded["answers"] == {"all": 36, "right": 36}
    run = read_run(by_token.folder)
    assert run.content.found.as_json() | {"carried": []} == recorded
    (section,) = sections(run.content, run)
    assert [table.title for table in section.tables][1:] == [
        "shares of the variance of all heads",
        "held-out deviance explained: what predicts which heads fire",
        "co-activation modes",
    ]
    assert list(section.figures) == ["Token or step", "Shares of variance", "Predictors", "Modes"]
    assert "--orders 3" in section.command


def test_modes_of_another_run_are_tried_on_this_one_and_of_another_model_refused(by_token, by_step, tmp_path):
    config = FollowsConfig(model="planted-dynamic", **{**SMALL, "task": "niah", "orders": None}, beside=(str(by_token.folder),))
    beside = run_follows(config, tmp_path / "beside")
    assert beside.found.across is None
    assert beside.found.variance is None
    assert set(beside.carried) == {(one, two) for one in (THIS_RUN, str(by_token.folder)) for two in (THIS_RUN, str(by_token.folder))}
    assert read_run(beside.folder).content.carried == beside.carried
    other = FollowsConfig(model="planted-dynamic", **SMALL, beside=(str(by_step.folder),))
    with pytest.raises(InputError, match=r"carry over to planted-step .* is not defined"):
        run_follows(other, tmp_path / "other")
    with pytest.raises(StoreError):
        run_follows(FollowsConfig(model="planted-dynamic", **SMALL, beside=(str(tmp_path / "none"),)), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_options_that_do_not_go_together_write_nothing(tmp_path):
    with pytest.raises(InputError, match="have 4 orders, got 5"):
        run_follows(FollowsConfig(model="planted-dynamic", **{**SMALL, "orders": 5}), tmp_path / "run")
    with pytest.raises(InputError, match="unknown preset"):
        run_follows(FollowsConfig(model="planted-dynamic", preset="none"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
