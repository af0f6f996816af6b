"""Figure 4: canonical correlations of hidden states with the retrieval scores of the same and of later steps.

The same as `mechdyn correlations`, which has the options: `python -m experiments.figure_4_cca --model llama3.1-8b --preset paper`.
"""

from mechdyn.cli import run_script
from mechdyn.cli.run import correlations

if __name__ == "__main__":
    run_script(correlations)
