"""Sensitivity of the dynamism verdict on questions to sink, local window and threshold of Eq. 2, none of which the paper states.

The same as `mechdyn sensitivity`, which has the options: `python -m experiments.sensitivity --model llama3.1-8b --task hotpotqa --data
hotpot_dev_distractor_v1.json`. Nine runs give 27 verdicts: thresholds are put to stored scores.
"""

from mechdyn.cli import run_script
from mechdyn.cli.run import sensitivity

if __name__ == "__main__":
    run_script(sensitivity)
