"""RetMask's mechanism as a table: gains beside concentrations, and how surely both order the models alike."""

import pytest

from experiments import retmask
from mechdyn.claims.retmask import BASE, RETMASK
from mechdyn.errors import InputError
from mechdyn.evidence import LESS, Evidence, Outcome, Verdict
from mechdyn.stats.interval import Interval


def verdict(name, gini, gain):
    facts = {"heads": ["L0H1"], "all_heads": 40, "gini": gini, "effective_heads": 4.0}
    evidence = Evidence("accuracy", Interval(gain, -0.1, 0.3, 50), {"arm": RETMASK, LESS: BASE})
    return Verdict(name, RETMASK, Outcome.INCONCLUSIVE, (evidence,), facts=facts)


def test_three_models_in_order_are_in_order_by_chance_once_in_six():
    assert "τ of Gini and gain 1.00, by chance as high with probability 0.17" in retmask.order("runs", [(0.8, 1), (0.9, 2), (0.95, 3)])
    assert "τ of Gini and gain -1.00, by chance as high with probability 1.00" in retmask.order("runs", [(0.8, 3), (0.9, 2), (0.95, 1)])
    assert retmask.order("runs", [(0.8, 1), (0.9, 2)]) == "runs: 2 models, too few for an order"


def test_runs_stand_above_the_published_models(monkeypatch, capsys):
    made = {"one": verdict("small", 0.9, 0.02), "two": verdict("large", 0.7, 0.1)}
    monkeypatch.setattr(retmask, "_verdict", made.__getitem__)
    retmask.gains(["one", "two"])
    said = " ".join(capsys.readouterr().out.split())
    assert said.index("small") < said.index("large") < said.index("Llama-3.1-8B") and "4 (10%)" in said
    assert "published: 3 models" in said and "runs: 2 models, too few" in said


def test_a_run_of_something_else_is_refused(monkeypatch):
    monkeypatch.setattr(retmask, "read_run", lambda folder: type("Run", (), {"content": None})())
    with pytest.raises(InputError, match="no verdict on retmask"):
        retmask.gains(["elsewhere"])
