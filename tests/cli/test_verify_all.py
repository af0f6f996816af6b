"""`mechdyn verify --all`: every claim that goes with the task, one store for the traces that claims share."""

import json

import pytest

from mechdyn.claims.claim import CLAIMS
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.verify_all import claims_on


def test_a_claim_about_styles_needs_a_task_with_styles():
    assert set(CLAIMS.names()) - set(claims_on(VerifyConfig(""))) == {"wu2024.reasoning"}
    assert set(claims_on(VerifyConfig("", task="world"))) == set(CLAIMS.names())


def test_all_is_all(run):
    for more in (["dynamism"], ["--from", "run"]):
        code, out, err = run("verify", *more, "--all")
        assert (code, out) == (2, "") and "--all puts every claim" in err


@pytest.mark.slow
def test_claims_share_traces_and_go_on(run, tmp_path):
    asked = ["verify", "--all", "--model", "planted-dynamic", "--length", "384", "--depth", "0.5", "--runs", "2", "--out", "all"]
    code, out, err = run(*asked)
    assert code == 0, err
    folders = {name: next((tmp_path / "all").glob(f"{name}-*")) for name in claims_on(VerifyConfig(""))}
    assert all(f"done        {folder.name}: " in out for folder in folders.values()) and "next     mechdyn report" in out
    assert all((folder / "verdicts.json").is_file() for folder in folders.values())
    # Both are judged on the same samples: what one has run the other finds.
    (stage,) = [
        event for event in map(json.loads, (folders["correlation"] / "log.jsonl").read_text().splitlines()) if event["event"] == "stage"
    ]
    assert stage["present"] == stage["units"] > 0
    before = {path: path.read_bytes() for path in (tmp_path / "all" / "stores").rglob("*") if path.is_file()}
    code, out, _ = run(*asked)
    assert code == 0 and out.count("done before") == len(folders)
    assert before == {path: path.read_bytes() for path in (tmp_path / "all" / "stores").rglob("*") if path.is_file()}
