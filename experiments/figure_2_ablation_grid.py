"""Figures 2, 9, 10 and 11: accuracy and ROUGE-L over haystack lengths and needle depths, heads switched off at every step.

The same as `mechdyn ablate`, which has the options: `python -m experiments.figure_2_ablation_grid --model llama3.1-8b --preset paper`.
"""

from mechdyn.cli import run_script
from mechdyn.cli.run import ablate

if __name__ == "__main__":
    run_script(ablate)
