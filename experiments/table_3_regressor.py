"""Table 3: regressors of the reasoning scores from the hidden state, on questions.

Its baselines, which the paper lacks: each head's mean, its mean at that step, ridge regression, the scores of the step before
(persistence), and the same regressor fitted on shuffled scores. The same as `mechdyn probe --task world`, or `--task hotpotqa --data FILE`,
with the same options.
"""

from mechdyn.cli import run_script, with_defaults
from mechdyn.cli.run import probe

if __name__ == "__main__":
    run_script(with_defaults(probe, task="world"))
