"""The engine is how a run is carried out: verdicts, texts and head sets are the same under each."""

import json

import pytest
import torch

from mechdyn.claims import dynamism
from mechdyn.errors import InputError
from mechdyn.plans import Preset
from mechdyn.runs.configs import VerifyConfig
from mechdyn.runs.verify import verify
from mechdyn.studies import conditions
from mechdyn.traces.store import TraceStore

FEW = Preset((200, 240), n_seeds=1, depths=(0.3, 0.7))
ONE = Preset((200,), n_seeds=1, depths=(0.5,))
"""Of irreplaceability, whose sample has some twenty conditions."""
CASES = [
    ("dynamism", "mini", "niah", FEW),
    ("dynamism", "mini", "world", FEW),
    ("irreplaceability", "planted-dynamic", "niah", ONE),
    pytest.param("dynamism", "mini", "niah", dynamism.PRESETS["quick"], marks=pytest.mark.slow),
    pytest.param("irreplaceability", "mini", "world", conditions.PRESETS["quick"], marks=pytest.mark.slow),
]


@pytest.mark.parametrize("claim, model, task, preset", CASES)
def test_bridge_and_fast_give_the_same_verdict_and_head_sets(tmp_path, monkeypatch, claim, model, task, preset):
    monkeypatch.setitem(dynamism.PRESETS, "quick", preset)
    monkeypatch.setitem(conditions.PRESETS, "quick", preset)
    found = {}
    for engine in ("bridge", "fast"):
        run = verify(VerifyConfig(claim, model=model, task=task, engine=engine), tmp_path / engine)
        found[engine] = json.loads((run.folder / "verdicts.json").read_text())
    assert found["bridge"] == found["fast"]
    stores = [TraceStore.open(tmp_path / engine / "traces") for engine in ("bridge", "fast")]
    assert stores[0].keys() == stores[1].keys() != frozenset()
    for key in sorted(stores[0].keys()):
        bridge, fast = (store.load([key])[0] for store in stores)
        assert torch.equal(bridge.tokens, fast.tokens)
        assert torch.equal(bridge.active, fast.active)
        torch.testing.assert_close(bridge.retrieval_scores, fast.retrieval_scores, atol=1e-4, rtol=0)
        torch.testing.assert_close(bridge.hidden, fast.hidden, atol=1e-3, rtol=1e-4)


def test_an_unknown_engine_is_one_line_and_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="engine must be one of auto, bridge, fast, static, got 'quick'"):
        verify(VerifyConfig("dynamism", engine="quick"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
