"""Bad input to every command: exit code 2, one line on standard error, and nothing written."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.faults
COMMANDS = Path(__file__).parents[1] / "cli" / "command_line.txt"
"""Every command; a test of its own holds that none is missing there."""

RUNNERS = (
    "verify dynamism",
    "verify --all",
    "ablate",
    "progressive",
    "sensitivity",
    "correlations",
    "probe",
    "rag",
    "rag-sweep",
    "modes",
    "follows",
    "trace",
    "heads detect",
    "improve seal",
    "improve decore",
    "improve kv-budgets",
    "retmask contrast",
    "retmask verify",
)
"""Every command that runs a model on a task: what all of them take is tried with each."""
SHARED = {
    "unknown model": "--model no-such-model",
    "model without config": "--model .",
    "unknown task": "--task trivia",
    "unknown device": "--device tpu",
    "unknown dtype": "--dtype int3",
    "unknown executor": "--executor slurm",
    "address without ray": "--address 127.0.0.1:6379",
    "unknown option": "--no-such-option 3",
    "output is a file": "--out good.toml",
    "output is another folder": "--out others",
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
    "budget of an unknown claim": "budget --claim dynamsm",
    "budget pilot": "budget --claim dynamism --pilot nowhere",
    "app port": "app --port 99999999",
    "all and a claim": "verify dynamism --all",
    "modes method": "modes --method erase",
    "modes scope": "modes --scope nowhere",
    "modes heads": "modes --heads nowhere.json",
    "follows orders": "follows --orders 1",
    "follows haystacks": "follows --haystacks 0",
    "detect k": "heads detect -k 0",
    "detect format": "heads detect --format stone",
    "detect score": "heads detect --score vibes",
    "compare nothing": "heads compare nowhere.json",
    "compare shape": "heads compare list.json list.json --shape big",
    "convert nothing": "heads convert nowhere.json new.json",
    "convert format": "heads convert list.json new.json --format stone",
    "convert into nothing": "heads convert list.json nowhere/new.json",
    "verify heads' property": "heads verify pretty list.json",
    "verify heads of nothing": "heads verify sparse nowhere.json",
    "seal by": "improve seal --by feather",
    "seal learning rate": "improve seal --learning-rate -1",
    "seal scales": "improve seal --scales nowhere",
    "seal probe": "improve seal --probe nowhere",
    "seal on": "improve seal --on trivia",
    "decore heads": "improve decore --heads nowhere.json",
    "decore method": "improve decore --method luck",
    "decore alpha": "improve decore --alpha -1",
    "budgets cache": "improve kv-budgets --cache -3",
    "budgets source": "improve kv-budgets --source luck",
    "budgets kernel": "improve kv-budgets --kernel 4",
    "budgets texts": "improve kv-budgets --texts -1",
    "retmask nothing": "retmask deactivate --heads nowhere.json --out new",
    "retmask tau": "retmask deactivate --heads list.json --tau 9 --out new",
    "retmask into a file": "retmask deactivate --heads list.json --out good.toml",
    "retmask prompts": "retmask contrast --prompts 0",
    "train without pairs": "retmask train --pairs nowhere.jsonl --out new",
    "train settings": "retmask train --pairs list.json --settings huge --out new",
    "retmask seeds": "retmask verify --seeds 0",
    "retmask epochs": "retmask verify --epochs 0",
    "view nothing": "view nowhere",
    "view of a folder without a run": "view others",
    "meta of nothing": "meta nowhere nowhere2",
    "meta of one folder without a run": "meta others",
    "explore a folder without a run": "explore others",
    "report of a folder without a run": "report others",
    "merge into a file": "merge good.toml others others",
    "models": "models dance",
    "heads command": "heads dance",
    "a plan's claims in the wrong form": "sweep form.toml",
    "a plan's option that no command has": "sweep option.toml",
    "a plan's number out of bounds": "sweep bounds.toml",
    "no such command": "dance",
}
CASES = {f"{name}: {command}": f"{command} {options}" for name, options in SHARED.items() for command in RUNNERS}
CASES |= OWN
FILES = {
    "broken.toml": "models = [",
    "empty.toml": "",
    "claim.toml": 'claims = ["dynamsm"]',
    "model.toml": 'models = ["no-such-model"]\nclaims = ["dynamism"]',
    "good.toml": 'models = ["mini"]\nclaims = ["dynamism"]',
    "form.toml": 'models = ["mini"]\nclaims = "dynamism"',
    "option.toml": 'models = ["mini"]\nclaims = ["dynamism"]\n[options]\nwings = 2',
    "bounds.toml": 'models = ["mini"]\nclaims = ["dynamism"]\n[options]\nruns = 0',
    "list.json": '{"0-0": [0.5], "0-1": [0.25]}',
    "others/notes.txt": "no run of ours",
}


def test_there_are_at_least_eighty_and_each_command_is_among_them():
    assert len(CASES) >= 80
    commands = [line.partition(":")[0] for line in COMMANDS.read_text().splitlines()]
    tried = [command for command in commands if any(case.startswith(f"{command} ") for case in [*CASES.values()])]
    assert sorted(tried) == sorted(commands)


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line_and_writes_nothing(run, tmp_path, case):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    before = sorted(tmp_path.rglob("*"))
    code, _, said = run(*CASES[case].split())
    lines = [line for line in said.splitlines() if line.strip()]
    assert code == 2, said
    assert len(lines) == 1 and lines[0].startswith("error: "), said
    assert sorted(tmp_path.rglob("*")) == before
