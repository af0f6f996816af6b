"""Figures 7 and 18 to 20: progressive ablation on questions, with EM and F1 in the place of accuracy.

Figure 18 is captioned as of needles; its metric, EM, is that of questions.

The same as `mechdyn progressive --task world`, or `--task hotpotqa --data FILE`, with the same options.
"""

from mechdyn.cli import run_script, with_defaults
from mechdyn.cli.run import progressive

if __name__ == "__main__":
    run_script(with_defaults(progressive, task="world"))
