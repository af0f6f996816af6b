"""What short commands cost before they do anything: processor seconds of a process of its own, the least of a few.

python -m experiments.benchmarks.start_up
"""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from mechdyn.cli import run_script
from mechdyn.heads import Head, RankedHeads

COMMANDS = {
    "--help": ["--help"],
    "--version": ["--version"],
    "models": ["models"],
    "heads show FILE": ["heads", "show", "heads.json"],
    "heads compare A B": ["heads", "compare", "a=heads.json", "b=heads.json", "--k", "3"],
    "status RUN": ["status", "run"],
    "report RUN, of a trace": ["report", "run"],
    "report RUN, of a stored verdict": ["report", "verdict"],
    "merge OUT RUN RUN": ["merge", "both{}", "run", "again"],
    "explore RUN --list": ["explore", "run", "--list"],
    "verify dynamsm (refused)": ["verify", "dynamsm"],
    "trace --model mini, first": ["trace", "--model", "mini", "--no-show", "--out", "fresh{}"],
    "trace --model mini, again": ["trace", "--model", "mini", "--no-show", "--out", "run"],
}
_MAIN = "import sys; sys.argv[0] = 'mechdyn'; from mechdyn.cli import main; main()"


def cpu_seconds(folder: Path, arguments: list[str]) -> float:
    """Processor seconds, user and system, of one command on one thread."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    subprocess.run([sys.executable, "-c", _MAIN, *arguments], cwd=folder, env=environment, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main(repeats: Annotated[int, typer.Option(min=1, help="How often each command is run; the least counts.")] = 3) -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ranked = RankedHeads(tuple(Head(layer, head) for layer in range(2) for head in range(3)), tuple(0.6 - 0.1 * i for i in range(6)))
        ranked.fit(2, 3).save(folder / "heads.json")
        for out in ("run", "again"):
            cpu_seconds(folder, ["trace", "--model", "mini", "--no-show", "--out", out])
        cpu_seconds(folder, ["verify", "dynamism", "--model", "planted-static", "--length", "128", "--out", "verdict"])
        print("| command | CPU seconds |\n| --- | ---: |")
        for told, arguments in COMMANDS.items():
            seconds = (cpu_seconds(folder, [each.format(number) for each in arguments]) for number in range(repeats))
            print(f"| `{told}` | {min(seconds):.2f} |", flush=True)


if __name__ == "__main__":
    run_script(main)
