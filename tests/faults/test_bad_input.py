"""Bad input to every command: exit code 2, one line on standard error, and nothing written."""

import pytest

pytestmark = pytest.mark.faults

RUNNERS = ("verify dynamism", "ablate", "progressive", "sensitivity", "correlations", "probe", "rag", "rag-sweep")
SHARED = {
    "unknown model": "--model no-such-model",
    "model without config": "--model .",
    "unknown task": "--task trivia",
    "unknown device": "--device tpu",
    "unknown dtype": "--dtype int3",
    "unknown executor": "--executor slurm",
    "address without ray": "--address 127.0.0.1:6379",
    "unknown option": "--no-such-option 3",
}
OWN = {
    "no claim": "verify",
    "unknown claim": "verify dynamsm",
    "no number": "verify dynamism --runs three",
    "no run": "verify dynamism --runs 0",
    "too many runs": "verify dynamism --runs 1000000000",
    "length beyond the context": "verify dynamism --length 100000",
    "length too short": "verify dynamism --length 10",
    "depth": "verify dynamism --depth 1.5",
    "threshold": "verify dynamism --threshold inf",
    "preset": "verify dynamism --preset huge",
    "score": "verify dynamism --score reasoning:sink=-1",
    "unknown score": "verify dynamism --score vibes",
    "missing haystack": "verify dynamism --haystack nowhere.txt",
    "no workers": "verify dynamism --workers 0",
    "batch size": "verify dynamism --batch-size 99999999999999999999",
    "from nothing": "verify --from nowhere",
    "from and claim": "verify dynamism --from nowhere",
    "condition": "ablate --condition dance",
    "method": "ablate --method erase",
    "heads": "ablate --heads L99H99",
    "heads file": "ablate --heads nowhere.json",
    "masked": "progressive -k 100000",
    "needles have no sinks": "sensitivity --task niah",
    "negative offset": "correlations --offsets -1",
    "probe size": "probe --size gigantic",
    "strategy": "rag --strategy luck",
    "rag without a context": "rag --task niah",
    "k": "rag -k 0",
    "window": "rag --window -1",
    "mode": "rag --mode guess",
    "rag heads": "rag --heads 0",
    "questions": "rag --questions 100000000",
    "probe folder": "rag --probe nowhere",
    "missing questions": "verify dynamism --task hotpotqa --data nowhere.json",
    "no file of questions": "verify dynamism --task hotpotqa",
    "trace length": "trace --length 0",
    "trace sample": "trace --sample five",
    "trace off": "trace --off L99H0",
    "trace depth": "trace --depth -1",
    "explore nothing": "explore nowhere",
    "report nothing": "report nowhere",
    "report without a run": "report",
    "status of nothing": "status nowhere",
    "status of an empty folder": "status .",
    "merge of one": "merge out nowhere",
    "merge of nothing": "merge out nowhere nowhere2",
    "sweep without a plan": "sweep",
    "missing plan": "sweep nowhere.toml",
    "broken plan": "sweep broken.toml",
    "empty plan": "sweep empty.toml",
    "plan of an unknown claim": "sweep claim.toml",
    "plan of an unknown model, costed": "sweep model.toml --dry-run",
    "share": "sweep good.toml --share 3/2",
    "sweep executor": "sweep good.toml --executor slurm",
    "heads of nothing": "heads show nowhere.json",
    "heads of no list": "heads show broken.toml",
    "models get": "models get no-such-model",
    "models check": "models check no-such-model",
    "models check length": "models check mini --max-length 0",
    "budget length": "budget --length 0",
    "budget device": "budget --device abacus",
    "budget model": "budget --model no-such-model",
    "app port": "app --port 99999999",
    "no such command": "dance",
}
CASES = {
    f"{name}: {command}": f"{command} {options}" for name, options in SHARED.items() for command in RUNNERS if command != "sensitivity"
}
CASES |= OWN
PLANS = {
    "broken.toml": "models = [",
    "empty.toml": "",
    "claim.toml": 'claims = ["dynamsm"]',
    "model.toml": 'models = ["no-such-model"]\nclaims = ["dynamism"]',
    "good.toml": 'models = ["mini"]\nclaims = ["dynamism"]',
}


def test_there_are_at_least_eighty():
    assert len(CASES) >= 80


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line_and_writes_nothing(run, tmp_path, case):
    for name, text in PLANS.items():
        (tmp_path / name).write_text(text)
    before = sorted(tmp_path.rglob("*"))
    code, _, said = run(*CASES[case].split())
    lines = [line for line in said.splitlines() if line.strip()]
    assert code == 2, said
    assert len(lines) == 1 and lines[0].startswith("error: "), said
    assert sorted(tmp_path.rglob("*")) == before
