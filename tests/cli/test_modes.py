"""`mechdyn modes` and Wu et al.'s claims on the command line: a table, what random lists share, a report of the run."""

import json
import re

SMALL = ("--model", "planted-static", "--length", "96", "--depth", "0.5", "--runs", "1")


def test_modes_prints_a_table_and_is_reported(run, tmp_path):
    chosen = ("--heads", "L1H1 L1H4", "--method", "uniform", "--scope", "decode", "--draws", "2")
    code, out, err = run("modes", *SMALL, *chosen, "--out", "modes")
    assert code == 0, err
    assert re.search(r"uniform, decode +│ listed", out) and re.search(r"uniform, decode +│ random-layers", out)
    assert "listed   L1H1 L1H4" in out and "they would share 0.12 on average" in out
    assert json.loads((tmp_path / "modes" / "run.json").read_text())["asked"]["methods"] == ["uniform"]
    code, out, err = run("report", "modes")
    assert code == 0, err
    assert "One list of heads off in several modes" in (tmp_path / "modes" / "report.md").read_text()


def test_a_claim_with_a_dot_in_its_name(run, tmp_path):
    code, out, err = run("verify", "wu2024.dynamic", *SMALL)
    assert code == 0, err
    assert "wu2024.dynamic on planted-static: inconclusive" in out and "20 are needed" in out
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("wu2024.dynamic-planted-static")
    code, _, err = run("verify", "wu2024.reasoning", *SMALL)
    assert code == 2 and "task niah has no styles; take --task world" in err
    code, _, err = run("modes", *SMALL, "--method", "mask")
    assert code == 2 and err.startswith("error: ablation method must be one of zero, mean, resample, uniform, got 'mask'")
