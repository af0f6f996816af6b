"""Figures 3 and 15 to 17: more and more dynamic heads off at each step; which static heads come up in their place, and what it costs.

The same as `mechdyn progressive`, which has the options: `python -m experiments.figure_3_progressive --model llama3.1-8b --preset paper`.
"""

from mechdyn.cli import run_script
from mechdyn.cli.run import progressive

if __name__ == "__main__":
    run_script(progressive)
