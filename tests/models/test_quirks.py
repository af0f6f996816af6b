"""Each of the five has the quirks it is known for, and the bundled model none that is not its own."""

import pytest
from transformers import AutoConfig, AutoTokenizer, GenerationConfig

from mechdyn.models.quirks import QUIRKS, quirks_of
from mechdyn.models.registry import PAPER_MODELS
from tests.checkpoints import make_checkpoint

KNOWN = {
    "llama3.1-8b": {"double BOS", "date", "several ends", "sampling"},
    "llama3.2-3b": {"double BOS", "date", "several ends", "sampling"},
    "qwen3-8b": {"thinking", "several ends", "sampling"},
    "llama2-13b": {"double BOS", "sampling"},
    "phi4-mini": {"longrope", "own code", "several ends"},
}


def quirks_in(folder, **config):
    read = AutoConfig.from_pretrained(folder)
    for name, value in config.items():
        setattr(read, name, value)
    return {quirk.name for quirk in quirks_of(read, AutoTokenizer.from_pretrained(folder), GenerationConfig.from_pretrained(folder))}


@pytest.mark.parametrize("name", PAPER_MODELS)
def test_each_of_the_five_has_its_own(name, tmp_path):
    assert quirks_in(make_checkpoint(name, tmp_path / name)) == KNOWN[name]


def test_a_window_within_the_context_is_one(tmp_path):
    folder = make_checkpoint("llama2-13b", tmp_path / "llama")
    assert quirks_in(folder, sliding_window=64) == KNOWN["llama2-13b"] | {"sliding window"}


def test_capped_attention_scores_are_one(tmp_path):
    folder = make_checkpoint("llama2-13b", tmp_path / "llama")
    assert quirks_in(folder, attn_logit_softcapping=50.0) == KNOWN["llama2-13b"] | {"soft-caps"}


def test_every_quirk_is_met_by_one_of_the_five_or_by_a_window_or_a_cap():
    assert {quirk.name for quirk in QUIRKS} == set().union(*KNOWN.values()) | {"sliding window", "soft-caps"}
