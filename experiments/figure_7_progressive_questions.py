"""Figures 7 and 18 to 20: more and more dynamic heads off at each step, on questions.

Figure 18 is captioned as of needles; its metric, EM, is that of questions.

The same as `experiments.figure_3_progressive --task world`, or `--task hotpotqa --data FILE`, with the same options.
"""

from experiments.figure_3_progressive import figure_3
from mechdyn.cli import run_script, with_defaults

if __name__ == "__main__":
    run_script(with_defaults(figure_3, task="world"))
