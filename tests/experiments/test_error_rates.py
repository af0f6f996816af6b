"""The table of error rates counts what the claims say, goes on where it stopped, and is made of all chunks."""

import pytest

from experiments import error_rates
from experiments.error_rates import AS_WRITTEN, Cell, Chunk, Rates, page_of, rates, read_chunks, run_chunk
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
    subject = error_rates.SUBJECTS["dynamism"]
    verdicts = [subject.claim.judge(request_for(WORLDS[NESTED]), simulate(WORLDS[NESTED], 20, seed=seed)) for seed in (3, 4, 5)]
    for name in (SECOND, AS_WRITTEN, FIRST):
        assert sum(chunk.outcomes[name].values()) == 3
        for outcome in Outcome:
            assert chunk.outcomes[name].get(str(outcome), 0) == sum(subject.readings[name](verdict) is outcome for verdict in verdicts)
    assert Chunk.from_json(chunk.as_json()) == chunk


def test_it_goes_on_where_it_stopped_and_a_line_that_was_cut_off_is_run_again(tmp_path, capsys):
    page = asked(tmp_path)
    kept = tmp_path / "kept" / "chunks.jsonl"
    lines = kept.read_text().splitlines()
    assert len(lines) == 2
    kept.write_text(lines[0] + "\n" + lines[1][:40] + "\n")
    assert len(read_chunks(kept)) == 1
    assert asked(tmp_path) == page and len(read_chunks(kept)) == 2
    assert "(6 of them)" in page and f"| {NESTED} | 20 | 0.0 | 100.0 |" in page
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
