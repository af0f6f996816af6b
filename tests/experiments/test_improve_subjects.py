"""The verdicts on what is done with heads are seldom false where much is to be seen, and their page names them and its command."""

import pytest

from experiments.error_rates import Cell, page_of, rates, run_chunk
from experiments.error_subjects import FALSE, NEITHER, TRUE
from experiments.improve_subjects import IMPROVE_SUBJECTS


@pytest.mark.parametrize(("claim", "world", "truth", "expected"), [
    ("step_budgets", "the step's own scores save a fifth", TRUE, "supported"),
    ("step_budgets", "the step's own scores cost a tenth", FALSE, "refuted"),
    ("step_budgets", "a list loses nothing worth saving", NEITHER, "inconclusive"),
    ("retmask", "harm", FALSE, "refuted"),
])  # fmt: skip
def test_a_world_of_known_truth_gets_the_verdict_that_is_right(claim, world, truth, expected):
    assert IMPROVE_SUBJECTS[claim].truths[world] == truth
    chunk = run_chunk(Cell(claim, world, 400), 0, 4)
    (counts,) = chunk.outcomes.values()
    assert counts[expected] >= 3
    ((found,),) = (each.values() for each in rates([chunk]).values())
    assert found.n_false == sum(counts.get(str(each), 0) for each in IMPROVE_SUBJECTS[claim].false[truth])


def test_their_page_names_the_claim_and_the_command_that_makes_it():
    page = page_of([run_chunk(Cell("step_budgets", "nothing is saved", 40), 0, 2)])
    assert page.startswith("# Error rates of the verdicts: step_budgets\n")
    assert "python -m experiments.error_rates --claim step_budgets\n" in page
