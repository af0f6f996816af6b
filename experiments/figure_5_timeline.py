"""Figure 5: reasoning retrieval scores of the ten most varying heads over the tokens of one answer.

`python -m experiments.figure_5_timeline --model llama3.1-8b --task hotpotqa --data hotpot_dev_distractor_v1.json` writes the figure and the
trace; the bundled model takes a question of the procedural world.
"""

from mechdyn.cli import run_script, with_defaults
from mechdyn.cli.look import trace

if __name__ == "__main__":
    run_script(with_defaults(trace, task="world"))
