"""Table 2: probes of the retrieval scores from the hidden state, beside the baselines that the paper lacks.

The same as `mechdyn probe`, which has the options: `python -m experiments.table_2_probe --model llama3.1-8b --preset paper`. Questions
(`--task world`, `--task hotpotqa --data FILE`) get the regressor of Table 3, which `experiments.table_3_regressor` asks for.
"""

from mechdyn.cli import run_script
from mechdyn.cli.run import probe

if __name__ == "__main__":
    run_script(probe)
