"""`verify dynamism` gives the controls the verdicts they were built for, and the first criteria are fooled by one of them."""

import pytest

from mechdyn.claims.dynamism_evidence import BETWEEN_ANSWERS, CONSECUTIVE, EXPLAINED, IN_COMMON, LOSS, NEITHER, STEP, TOKEN, TURNOVER
from mechdyn.evidence import FIRST, LESS, SECOND
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.verify import verify

KNOWN = {"static": ("refuted", "refuted"), "nested": ("refuted", "supported"), "dynamic": ("supported",) * 2, "step": ("supported",) * 2}


@pytest.mark.parametrize("kind", KNOWN)
def test_a_control_has_its_known_verdict(kind, tmp_path):
    verdict = verify(VerifyConfig("dynamism", model=f"planted-{kind}", lengths=(128,)), tmp_path / "run").verdict
    (first,) = verdict.beside
    assert (verdict.named, first.named) == (SECOND, FIRST)
    assert (str(verdict.outcome), str(first.outcome)) == KNOWN[kind]
    explained, excess = verdict.find(EXPLAINED).interval, verdict.find(TURNOVER, **{"between": CONSECUTIVE, LESS: LOSS}).interval
    if kind in ("static", "nested"):
        assert explained.estimate == 1.0 and excess.estimate == 0.0
    else:
        assert explained.high < 0.5 and excess.low > 0.5
    follows = {what: verdict.find(BETWEEN_ANSWERS, **{IN_COMMON: what, LESS: NEITHER}).interval for what in (TOKEN, STEP)}
    if kind == "dynamic":
        assert follows[TOKEN].low > 0.5 > follows[STEP].high
    if kind == "step":
        assert follows[STEP].low > 0.5 > follows[TOKEN].high
