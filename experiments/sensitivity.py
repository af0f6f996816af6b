"""Sensitivity of the dynamism verdict on questions to sink, local window and threshold of Eq. 2, none of which the paper states.

`python -m experiments.sensitivity --model llama3.1-8b --task hotpotqa --data hotpot_dev_distractor_v1.json` writes the table, the figure,
results.json and the traces. Nine runs give 27 verdicts: thresholds are put to stored scores.
"""

from mechdyn.cli import OutOption, default_folder, run_script, takes
from mechdyn.runs.configs import SensitivityConfig


@takes(SensitivityConfig)
def sensitivity_grid(config: SensitivityConfig, out: OutOption = None) -> None:
    """The dynamism verdict at each sink, local window and threshold of DEFINITIONS, and which verdicts flip."""
    from mechdyn.reports.results import sensitivity_table
    from mechdyn.reports.tables import print_tables
    from mechdyn.runs.sensitivity import sensitivity
    from mechdyn.views.page import save_page
    from mechdyn.views.sensitivity import sensitivity_figure

    result = sensitivity(config, out or default_folder("sensitivity", config))
    title = f"Dynamism on {config.model}, {config.task}: sink, local window and threshold of Eq. 2"
    print_tables([sensitivity_table(result.cells, title)])
    figure = sensitivity_figure(result.cells, title=f"{config.model}, {config.task}")
    page = save_page([figure], result.folder / "sensitivity.html", title=title)
    print(f"figure   {page}\nresults  {result.folder / 'results.json'}")


if __name__ == "__main__":
    run_script(sensitivity_grid)
