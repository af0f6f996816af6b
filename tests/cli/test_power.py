"""`mechdyn budget --claim`: a table, lines that say what is needed, JSON, a figure; and what cannot be planned in one line."""

import json

import pytest

from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.verify import verify

WORLD = ["budget", "--claim", "irreplaceability", "--device", "h100", "--draws", "5", "--samples", "20", "--samples", "40"]


@pytest.fixture(scope="module")
def pilot(tmp_path_factory):
    """A finished run of few samples."""
    folder = tmp_path_factory.mktemp("runs") / "pilot"
    verify(VerifyConfig("dynamism", model="planted-dynamic", lengths=(128,), runs=1), folder)
    return folder


def test_a_world_gives_a_table_what_is_needed_and_a_figure(run, tmp_path):
    code, out, _ = run(*WORLD, "--out", str(tmp_path / "power.html"))
    assert code == 0 and "Power of irreplaceability" in out and "of runs come to supported with" in out
    page = (tmp_path / "power.html").read_text()
    assert page.count('drawInLook("') == 1


def test_a_pilot_is_redrawn_beyond_its_own_size(run, pilot):
    code, out, _ = run(
        "budget", "--claim", "dynamism", "--pilot", str(pilot), "--device", "h100", "--draws", "5", "--samples", "24", "--json"
    )
    found = json.loads(out)
    assert code == 0 and found["needed"] == {"supported": 24, "refuted": None}
    assert found["budget"]["model"] == "planted-dynamic" and found["budget"]["lengths"][0]["length"] <= 128
    assert found["curve"][0]["n"] == 24 and "pilot of 5 samples" in found["how"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--claim", "nonsense"], "unknown claim 'nonsense'"),
        (["--claim", "dynamism", "--world", "nowhere"], "unknown world 'nowhere' for dynamism; give one of static"),
        (["--claim", "dynamism", "--pilot", "nowhere"], "is not the folder of a run"),
        (["--claim", "dynamism", "--pilot", "a", "--world", "b"], "give --pilot or --world, not both"),
    ],
)
def test_what_cannot_be_planned_is_one_line(run, options, words):
    code, _, err = run("budget", *options)
    assert code == 2 and words in err and err.count("\n") == 1


def test_a_pilot_of_another_claim_is_refused(run, pilot):
    code, _, err = run("budget", "--claim", "irreplaceability", "--pilot", str(pilot))
    assert code == 2 and "is no finished run of irreplaceability; make one with: mechdyn verify irreplaceability" in err
