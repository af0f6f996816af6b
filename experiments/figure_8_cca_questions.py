"""Figure 8: canonical correlations on questions, whose scores are continuous.

The same as `mechdyn correlations --task world`, or `--task hotpotqa --data FILE`, with the same options.
"""

from mechdyn.cli import run_script, with_defaults
from mechdyn.cli.run import correlations

if __name__ == "__main__":
    run_script(with_defaults(correlations, task="world"))
