"""Figures 6 and 12 to 14: EM and F1 over context lengths and places of the evidence, heads switched off at every step.

The same as `mechdyn ablate --task world`, or `--task hotpotqa --data FILE`, with the same options. A cell's opacity tells its number of
questions, a blank cell has none: where the facts lie is drawn, not chosen.
"""

from mechdyn.cli import run_script, with_defaults
from mechdyn.cli.run import ablate

if __name__ == "__main__":
    run_script(with_defaults(ablate, task="world"))
