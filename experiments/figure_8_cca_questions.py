"""Figure 8: canonical correlations of hidden states with reasoning scores of the same and of later steps.

The same as `experiments.figure_4_cca --task world`, or `--task hotpotqa --data FILE`, with the same options.
"""

from experiments.figure_4_cca import figure_4
from mechdyn.cli import run_script, with_defaults

if __name__ == "__main__":
    run_script(with_defaults(figure_4, task="world"))
