"""Figures 3 and 15 to 17: more and more dynamic heads off at each step; which static heads come up in their place, and what it costs.

`python -m experiments.figure_3_progressive --model llama3.1-8b --preset paper` writes the figures, results.json and the traces.
"""

from mechdyn.cli import OutOption, default_folder, run_script, takes
from mechdyn.paper.values import FIGURE_3
from mechdyn.runs.configs import ProgressiveConfig


@takes(ProgressiveConfig)
def figure_3(config: ProgressiveConfig, out: OutOption = None) -> None:
    """Progressive ablation: compensated static heads (left axis) and the answers' quality (right axis) against k."""
    from mechdyn.reports.results import progressive_table
    from mechdyn.reports.tables import print_tables
    from mechdyn.runs.progressive import progressive
    from mechdyn.views.ablation import progressive_figures
    from mechdyn.views.page import save_page

    result = progressive(config, out or default_folder("progressive", config))
    title = f"Progressive ablation on {config.model}, {config.task}"
    print_tables([progressive_table(result.points, title)])
    for paper_model, paper in FIGURE_3.items() if config.task == "niah" else ():
        print(f"paper, {paper_model}: {paper}")
    page = save_page(progressive_figures(result.points, title=config.model), result.folder / "progressive.html", title=title)
    print(f"figures  {page}\nresults  {result.folder / 'results.json'}\ntraces   {result.folder / 'traces'}")


if __name__ == "__main__":
    run_script(figure_3)
