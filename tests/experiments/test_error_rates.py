"""The table of error rates counts what the claims say, goes on where it stopped, and is made of all chunks."""

from collections import Counter

import pytest

from experiments import error_rates
from experiments.error_rates import Cell, Chunk, Rates, page_of, rates, read_chunks, run_chunk
from experiments.error_subjects import AS_WRITTEN, DOUBT_ALONE, SUBJECTS
from mechdyn.claims.dynamism import Dynamism, as_first_written
from mechdyn.errors import InputError
from mechdyn.evidence import FIRST, SECOND, Outcome
from mechdyn.studies.worlds import WORLDS, Truth, request_for, simulate

NESTED = "ranking, number by token, phi4-mini"


def asked(tmp_path, **options):
    given = {
        "out": tmp_path / "kept",
        "page": tmp_path / "page.md",
        "runs": 6,
        "n": [20],
        "claim": None,
        "world": [NESTED],
        "workers": 1,
        "chunk": 3,
    }
    error_rates.error_rates(**{**given, **options})
    return (tmp_path / "page.md").read_text()


def test_a_chunk_counts_the_verdicts_of_its_seeds():
    chunk = run_chunk(Cell("dynamism", NESTED, 20), 3, 3)
    verdicts = [Dynamism(n_resamples=400).judge(request_for(WORLDS[NESTED]), simulate(WORLDS[NESTED], 20, seed=seed)) for seed in (3, 4, 5)]
    read = {SECOND: lambda verdict: verdict.outcome, AS_WRITTEN: as_first_written, FIRST: lambda verdict: verdict.beside[0].outcome}
    for name, reading in read.items():
        assert chunk.outcomes[name] == Counter(str(reading(verdict)) for verdict in verdicts)
    assert Chunk.from_json(chunk.as_json()) == chunk


def test_it_goes_on_where_it_stopped_and_a_line_that_was_cut_off_is_run_again(tmp_path, capsys):
    page = asked(tmp_path)
    kept = tmp_path / "kept" / "chunks.jsonl"
    lines = kept.read_text().splitlines()
    assert len(lines) == 2
    kept.write_text(lines[0] + "\n" + lines[1][:40] + "\n")
    assert len(read_chunks(kept)) == 1
    assert asked(tmp_path) == page and len(read_chunks(kept)) == 2
    assert "(6 of them)" in page and f"| {NESTED} | 20 | 6 | 0.0 | 100.0 |" in page
    assert "false: supported" in page and "100.0 \\[61.0, 100.0\\] !" in page, "the first criteria are fooled in every run"


def test_what_is_false_depends_on_the_truth():
    cells = [Cell("dynamism", "by token", 40), Cell("dynamism", "anew at each step", 40)]
    outcomes = {SECOND: {"supported": 1, "refuted": 2, "inconclusive": 7}}
    found = rates([Chunk(cell, seed, 10, outcomes) for cell in cells for seed in (0, 10)])
    assert [found[cell][SECOND].n_false for cell in cells] == [4, 6] and found[cells[0]][SECOND].runs == 20
    assert WORLDS["anew at each step"].truth is Truth.NOTHING


def test_a_rate_has_wilsons_interval_and_a_mark_above_the_bar():
    assert str(Rates({"supported": 0, "refuted": 1000}, (Outcome.SUPPORTED,))) == "0.0 [0.0, 0.4]"
    assert str(Rates({"supported": 60, "refuted": 940}, (Outcome.SUPPORTED,))) == "6.0 [4.7, 7.6] !"


def test_what_is_not_simulated_is_one_line(tmp_path):
    with pytest.raises(InputError, match="no world 'by mood' is simulated; give one of static, reliability"):
        asked(tmp_path, world=["by mood"])
    with pytest.raises(InputError, match="no claim 'wu2024' is simulated; give one of dynamism"):
        asked(tmp_path, claim=["wu2024"])
    with pytest.raises(InputError, match="no chunk has been run"):
        page_of([])


@pytest.mark.parametrize(
    "claim, world, n, outcome",
    [
        ("irreplaceability", "only the step's own heads matter", 40, "supported"),
        ("irreplaceability", "what own and static heads share does everything", 40, "refuted"),
        ("alarm", "silent where it is wrong", 200, "supported"),
        ("alarm", "noise", 200, "refuted"),
    ],
)
def test_worlds_of_each_claim_come_out_as_they_were_built(claim, world, n, outcome):
    chunk = run_chunk(Cell(claim, world, n), 0, 2)
    assert chunk.outcomes[SECOND].get(outcome, 0) >= 1 and sum(chunk.outcomes[SECOND].values()) == 2


def test_the_alarm_is_fooled_where_models_know_doubt_alone():
    world = "follows place only, and so does what is wrong"
    outcomes = run_chunk(Cell("alarm", world, 200), 0, 2).outcomes
    assert outcomes[DOUBT_ALONE] == {"supported": 2} and "supported" not in outcomes[SECOND]


def test_every_truth_of_every_world_has_its_false_verdicts():
    for subject in SUBJECTS.values():
        assert set(subject.truths.values()) <= set(subject.false) and subject.sizes and subject.readings[0] == SECOND
