"""`mechdyn budget` prints a table, advice where something does not fit, and JSON."""

import json

import pytest

BUDGET = ["budget", "--model", "llama3.1-8b", "--lengths", "5000", "--lengths", "120000", "--runs", "100", "--conditions", "6", "--ablate"]


def test_a_budget_is_a_table_with_advice(run, tmp_path):
    code, out, err = run(*BUDGET, "--device", "h200")
    assert (code, err) == (0, "")
    assert "5,000" in out and "NOT in 139.7" in out and "from its data sheet, so that no run is faster" in out
    assert "120000 tokens fit with --batch-size 6 at most" in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--device", "rtx4090", "--length", "131000"], "131000 tokens do not fit even alone; prompts of up to "),
        (
            ["--device", "rtx4090", "--dtype", "float32"],
            "llama3.1-8b does not fit on rtx4090: take a larger device, several, or a smaller dtype",
        ),
    ],
)
def test_advice_says_what_to_change(run, options, words):
    code, out, _ = run("budget", "--model", "llama3.1-8b", *options)
    assert code == 0 and words in out


def test_json_has_the_same_numbers(run):
    code, out, _ = run(*BUDGET, "--device", "h200", "--json")
    found = json.loads(out)
    assert code == 0 and found["n_parameters"] == 8_030_261_248 and found["device"]["measured"] is False
    for each in found["lengths"]:
        sizes = each["bytes"]
        assert sizes["peak"] == sizes["weights"] + sizes["cache"] + max(sizes["prefill"], sizes["step"]) + sizes["in_use"]
    assert found["hours"] == pytest.approx(sum(each["seconds"] for each in found["lengths"]) / 3600)


def test_the_cpu_is_measured_where_nothing_else_is_named(run):
    code, out, _ = run("budget", "--length", "512")
    assert code == 0 and "cpu's speed is measured here just now" in out


def test_bad_input_is_one_line(run):
    assert run("budget", "--device", "tpu") == (
        2,
        "",
        "error: unknown device 'tpu'; give cpu, cuda (both measured on this machine) or one of h100, h200, a100-80gb, l40s, rtx4090\n",
    )
