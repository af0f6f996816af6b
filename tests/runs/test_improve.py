"""The commands that improve a model, from a few samples to the report; interrupted and gone on with; refused in one line."""

import json

import pytest

from mechdyn.improve.evaluation import Evaluation
from mechdyn.runs.improve import AnswerFile
from mechdyn.runs.read import read_run
from mechdyn.runs.status import status_of

TINY = ("--length", 150, "--depth", 0.5, "--runs", 2, "--texts", 1, "--text-length", 12, "--on", "niah", "--max-new-tokens", 6)
DECORE = ("improve", "decore", "--heads", "L1H1 L3H2", "--method", "uniform", *TINY)
SEAL = ("improve", "seal", "--by", "head", "--samples", 2, "--no-forecast", "--no-control", *TINY)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One finished run of DeCoRe."""
    from mechdyn.runs.decore import decore
    from mechdyn.runs.improve_configs import DecoreConfig

    out = tmp_path_factory.mktemp("runs") / "decore"
    asked = {"lengths": (150,), "depths": (0.5,), "runs": 2, "texts": 1, "text_length": 12, "on": ("niah",), "max_new_tokens": 6}
    decore(DecoreConfig(heads="L1H1 L3H2", methods=("uniform",), **asked), out)
    return out


def quality(folder):
    """All that is measured but time."""
    found = Evaluation.from_json(json.loads((folder / "results.json").read_text()))
    return found.changes, found.drifts


def test_decore_is_printed_kept_and_reported(run, finished):
    found = quality(finished)[0]
    assert {change.variant for change in found} == {"static uniform", "dynamic uniform", "random uniform"}
    about = json.loads((finished / "results.json").read_text())["about"]
    assert about["static"] == ["L1H1", "L3H2"] and not set(about["random"]) & {"L1H1", "L3H2"}
    status = status_of(finished)
    assert (status.state, status.planned, status.stored, status.left) == ("done", 4 * 2 + 3, 11, 0)
    code, _, error = run("report", finished, "--out", "page.html")
    assert code == 0, error
    assert read_run(finished).content.found.evaluation.base == "plain"


def test_a_run_goes_on_from_the_answers_that_it_has(run, finished, tmp_path):
    before, answers = quality(finished), finished / "answers.jsonl"
    lines = answers.read_text().splitlines(keepends=True)
    answers.write_text("".join(lines[:5]) + lines[5][:20])  # as a kill may leave it
    (finished / "results.json").unlink()
    assert status_of(finished).stored == 5
    code, text, error = run(*DECORE, "--out", finished)
    assert code == 0, error
    assert "after less before" in text and quality(finished) == before
    assert answers.read_text().startswith("".join(lines[:5])) and len(AnswerFile(answers)) == len(lines)


def test_seal_is_learned_once_and_its_scales_serve_again(run, tmp_path):
    out = tmp_path / "seal"
    code, _, error = run(*SEAL, "--out", out, "--checkpoint", "folded")
    assert code == 0, error
    first, scales = quality(out), (out / "seal-head" / "seal.safetensors").read_bytes()
    assert (tmp_path / "folded" / "config.json").is_file() and not list(out.glob("*progress*"))
    (out / "results.json").unlink()
    assert run(*SEAL, "--out", out)[0] == 0
    assert quality(out) == first and (out / "seal-head" / "seal.safetensors").read_bytes() == scales
    given = ("improve", "seal", "--scales", out / "seal-head", "--no-forecast", "--no-control", *TINY)
    code, _, error = run(*given, "--out", tmp_path / "again")
    assert code == 0, error
    assert [change.after for change in quality(tmp_path / "again")[0]] == [change.after for change in first[0]]
    code, _, error = run(*given, "--model", "planted-static", "--out", tmp_path / "other")
    assert code == 2 and error.count("\n") == 1 and "learned on another model" in error and not (tmp_path / "other").exists()
    code, _, error = run(*SEAL, "--out", tmp_path / "third", "--checkpoint", "folded")
    assert code == 2 and error == "error: output folded exists already; name a new folder with --checkpoint\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("decore", "--method", "mean"), "--method of DeCoRe is uniform or zero, got mean"),
        (("decore", "--heads", "L9H99"), "L9H99"),
        (("decore", "--alpha", 1, "--cap", 1), "give one or the other"),
        (("decore", "--executor", "ray"), "in one process"),
        (("decore", "--on", "nothing"), "unknown task 'nothing'"),
        (("decore", "--length", 9000), "9000"),
        (("decore", "--preset", "huge"), "unknown preset 'huge'"),
        (("seal", "--by", "layer"), "--by of SEAL is head or channel, got layer"),
        (("seal", "--scales", "nowhere"), "there are no scales in nowhere"),
        (("seal", "--probe", "nowhere"), "there is no probe in nowhere"),
        (("seal", "--learning-rate", 0), "learning rate above 0"),
    ],
)
def test_what_cannot_be_run_is_one_line_and_leaves_nothing(run, tmp_path, arguments, words):
    code, _, error = run("improve", *arguments, "--out", tmp_path / "run")
    assert code == 2 and error.count("\n") == 1 and words in error, error
    assert not (tmp_path / "run").exists()
