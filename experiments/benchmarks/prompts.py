"""How many prompts are built in a second: needles in fresh haystacks, rendered and tokenised to an exact length.

`python -m experiments.benchmarks.prompts` builds, for each model and length, prompts of seeds that nothing was built for before, several
times over, and prints the median in prompts a second of processor time. Bar: 2,000.
"""

import argparse
import statistics
import time

from mechdyn.models.load import load_model
from mechdyn.tasks.niah import niah

BAR = 2000
_BATCH = 100


def prompts_a_second(model: object, length: int, rounds: int) -> float:
    """The median over rounds, after a first one that does not count."""
    rates = []
    for round_ in range(rounds + 1):
        start = time.process_time()
        for seed in range(_BATCH):
            niah(model, length=length, depth=0.5, seed=round_ * _BATCH + seed)
        rates.append(_BATCH / (time.process_time() - start))
    return statistics.median(rates[1:])


def main() -> None:
    """Print a row a model and length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=["mini", "smollm2-135m"], dest="models")
    parser.add_argument("--length", type=int, nargs="+", default=[256, 512, 2048], dest="lengths")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    print("| model | tokens | prompts a second | bar |\n|---|---|---|---|")
    for name in arguments.models:
        model = load_model(name)
        for length in arguments.lengths:
            if length + 64 > model.n_ctx:
                continue
            rate = prompts_a_second(model, length, arguments.rounds)
            print(f"| {name} | {length} | {rate:.0f} | {'met' if rate >= BAR else 'NOT MET'} |")


if __name__ == "__main__":
    main()
