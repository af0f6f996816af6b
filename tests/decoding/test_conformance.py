"""The conformance check passes what runs as plain Hugging Face code does, and each fault makes its own check fail."""

import copy
from dataclasses import replace

import pytest
import torch

from mechdyn.decoding import conformance as checks
from mechdyn.decoding.bridge_engine import BridgeEngine
from mechdyn.decoding.conformance import check_model, check_pair
from mechdyn.decoding.engine import StepOutput
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.plain import plain_copy
from mechdyn.models import checkpoint
from mechdyn.models.context import pin_longrope
from mechdyn.models.load import wrap_model
from tests.architectures import WINDOWED, tiny_model
from tests.bundled import mini_tokenizer
from tests.checkpoints import make_checkpoint
from tests.plain import last_only, plain_forward

NAMES = [
    "logits",
    "hidden",
    "patterns",
    "row sums",
    "ablation",
    "chunks",
    "padding",
    "steps",
    "fast engine",
    "positions",
    "text",
    "template",
    "ends",
]


def checked(style="llama3.1", tokenizer=None, **options):
    """The check of a tiny random model, its rotary table pinned as `load_model` pins it."""
    hf = tiny_model(style, **options)
    pin_longrope(hf.config, None)
    fresh = type(hf)(hf.config).eval()
    fresh.load_state_dict(hf.state_dict(), strict=False)
    plain = plain_copy(fresh)
    return check_pair(wrap_model(fresh, tokenizer or mini_tokenizer(), name=style), plain)


def failed(conformance):
    return {check.name for check in conformance.checks if check.passed is False}


@pytest.fixture
def fault(monkeypatch):
    """Make an engine's steps give something else: `fault(engine, edited_only, field, change)`."""

    def plant(kind, change, edited_only=False):
        step = kind.step

        def faulty(self, state, tokens, edit=None):
            output, after = step(self, state, tokens, edit)
            return (output if edited_only and edit is None else change(output)), after

        monkeypatch.setattr(kind, "step", faulty)

    return plant


def shifted(output: StepOutput) -> StepOutput:
    return replace(output, logits=output.logits * 1.01)


def blurred(output: StepOutput) -> StepOutput:
    return replace(output, patterns=tuple(pattern * 0.99 for pattern in output.patterns))


@pytest.mark.parametrize("style", ["llama3.1", "phi4-mini"])
def test_what_runs_as_plain_code_does_passes_every_check(style):
    conformance = checked(style)
    assert conformance.passed
    assert [check.name for check in conformance.checks] == NAMES
    assert all(check.passed for check in conformance.checks)


@pytest.mark.parametrize("style", WINDOWED)
def test_what_has_windows_passes_every_check(style):
    conformance = checked(style)
    assert all(check.passed for check in conformance.checks)
    assert [check.name for check in conformance.checks] == [*NAMES[:9], "window", *NAMES[9:]]
    assert ("sink" in conformance["row sums"].what) == (style == "gpt-oss")


def test_a_window_is_checked_however_long_it_is():
    conformance = checked("gemma3", sliding_window=300)
    assert conformance["window"].passed and "windows of 16" in conformance["window"].what


@pytest.mark.parametrize("engine", [BridgeEngine, FastEngine])
def test_a_window_that_forgets_too_late_fails(engine, monkeypatch):
    prefill = engine.prefill

    def late(self, prompts, *others, **options):
        self.model = replace(self.model, windows=tuple(window and window + 1 for window in self.model.windows))
        return prefill(self, prompts, *others, **options)

    monkeypatch.setattr(engine, "prefill", late)
    assert "window" in failed(checked("mistral"))


def test_a_forgotten_key_with_a_little_weight_fails(fault):
    fault(BridgeEngine, lambda output: replace(output, patterns=tuple(pattern + 1e-12 for pattern in output.patterns)))
    assert failed(checked("gemma3", sliding_window=300)) == {"window"}


def test_half_precision_has_wider_limits_and_no_text():
    conformance = check_model("mini", dtype=torch.bfloat16)
    assert conformance.passed
    assert conformance["logits"].limit == 5e-2 and conformance["logits"].value > 1e-4
    assert conformance["text"].passed is None


def test_wrong_logits_fail(fault):
    fault(BridgeEngine, shifted)
    assert {"logits", "ablation", "steps"} <= failed(checked())


def test_wrong_rows_fail(fault):
    fault(BridgeEngine, blurred)
    assert {"patterns", "row sums"} <= failed(checked())


def test_a_wrong_ablation_fails(fault):
    fault(BridgeEngine, shifted, edited_only=True)
    assert failed(checked()) == {"ablation", "fast engine"}


def test_a_fast_engine_that_ablates_otherwise_fails(fault):
    fault(FastEngine, shifted, edited_only=True)
    assert failed(checked()) == {"fast engine"}


def test_a_rotary_table_that_follows_the_length_fails():
    hf = tiny_model("phi4-mini", original_context=64)
    plain = plain_copy(hf)
    assert "positions" in failed(check_pair(wrap_model(hf, mini_tokenizer(), name="unpinned"), plain))


def test_a_pin_that_rescales_attention_fails(tmp_path, monkeypatch):
    """Longrope's scale follows from the published context: cutting that alone is not seen by code that shares the configuration."""

    def cut(config, max_length):
        config.max_position_embeddings = 4096

    folder = make_checkpoint("phi4-mini", tmp_path / "phi4")
    assert check_model(folder).passed
    monkeypatch.setattr(checkpoint, "pin_longrope", cut)
    assert {"logits", "patterns", "steps"} <= failed(check_model(folder))


def test_not_a_number_fails(fault):
    fault(BridgeEngine, lambda output: replace(output, hidden=output.hidden * float("nan")))
    assert "hidden" in failed(checked())


def test_a_second_bos_fails():
    tokenizer = copy.deepcopy(mini_tokenizer())
    tokenizer.chat_template = "{{ bos_token }}{{ bos_token }}{{ messages[-1]['content'] }}"
    assert failed(checked(tokenizer=tokenizer)) == {"template"}


def test_an_end_outside_the_vocabulary_fails():
    hf = tiny_model("llama3.1")
    plain = plain_copy(hf)
    hf.generation_config.eos_token_id = [2, 999_999]
    assert failed(check_pair(wrap_model(hf, mini_tokenizer(), name="ends"), plain)) == {"ends"}


def test_text_that_generate_does_not_give_fails(monkeypatch):
    real = checks.trace

    def other(*args, **kwargs):
        found = real(*args, **kwargs)
        return replace(found, tokens=found.tokens.flip(0))

    monkeypatch.setattr(checks, "trace", other)
    assert failed(checked()) == {"text"}


@pytest.mark.parametrize("style", ["llama3.2", "llama2"])
def test_the_plain_side_is_what_an_independent_forward_gives(style):
    """`PlainModel`, the oracle of the checks, against the tests' own code."""
    from mechdyn.decoding.plain import PlainModel

    hf = tiny_model(style, seed=3)
    plain = PlainModel(plain_copy(hf), tuple(f"model.layers.{layer}.self_attn.o_proj" for layer in range(3)))
    tokens = torch.randint(6, 2000, (21,), generator=torch.Generator().manual_seed(4))
    off = torch.rand(3, 8, generator=torch.Generator().manual_seed(5)) < 0.4
    hf.set_attn_implementation("eager")
    logits, patterns, hidden = plain_forward(hf, tokens, last_only(off, len(tokens)))
    found = plain.forward(tokens, off)
    torch.testing.assert_close(found.logits, logits)
    torch.testing.assert_close(found.hidden, hidden)
    torch.testing.assert_close(found.patterns, torch.stack(patterns))
