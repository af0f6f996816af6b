"""Table 3: MSE, MAE and R² of a regressor of reasoning scores from the hidden state, beside the paper's values.

Its baselines, which the paper lacks: each head's mean, its mean at that step, ridge regression, the scores of the step before
(persistence), and the same regressor fitted on shuffled scores. The same as `experiments.table_2_probe --task world`, or
`--task hotpotqa --data FILE`, with the same options.
"""

from experiments.table_2_probe import table_2
from mechdyn.cli import run_script, with_defaults

if __name__ == "__main__":
    run_script(with_defaults(table_2, task="world"))
