"""`mechdyn ablate`."""

from mechdyn.cli.app import app
from mechdyn.cli.options import OutOption, default_folder, takes
from mechdyn.runs.configs import AblateConfig


@app.command()
@takes(AblateConfig)
def ablate(config: AblateConfig, out: OutOption = None) -> None:
    """Switch heads off at every step, over lengths x places of the evidence (Figures 2, 6): heatmaps, results.json and the traces."""
    from mechdyn.reports.results import grid_table
    from mechdyn.reports.tables import print_tables
    from mechdyn.runs.ablate import ablate as run_ablate
    from mechdyn.views.ablation import ablation_grids
    from mechdyn.views.page import save_page

    result = run_ablate(config, out or default_folder("ablate", config))
    title = f"Ablation on {config.model}, {config.task}"
    print_tables([grid_table(result.rows, title)])
    page = save_page(ablation_grids(result.traces, title=config.model), result.folder / "ablation.html", title=title)
    print(f"figures  {page}\nresults  {result.folder / 'results.json'}\ntraces   {result.folder / 'traces'}")
