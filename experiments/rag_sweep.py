"""Sweep of dynamic RAG over RIND's threshold, the number of positions k and the window, none of which the paper states for its models.

`python -m experiments.rag_sweep --model mini` writes the table, the figure, results.json and the logs. One number moves at a time; settings
share drafts and prefills.
"""

from mechdyn.cli import OutOption, default_folder, run_script, takes
from mechdyn.runs.configs import RagSweepConfig


@takes(RagSweepConfig)
def sweep(config: RagSweepConfig, out: OutOption = None) -> None:
    """F1, retrievals and shown tokens of each strategy as one number moves."""
    from mechdyn.reports.results import strategies_table, windows_table
    from mechdyn.reports.tables import print_tables
    from mechdyn.runs.rag_sweep import rag_sweep
    from mechdyn.views.curves import sweep_figures
    from mechdyn.views.page import save_page

    found = rag_sweep(config, out or default_folder("rag-sweep", config))
    title = f"Dynamic RAG on {config.model}, {config.task}: threshold, k and window"
    rows = list(found.rows.values())
    print_tables([strategies_table(rows, title), windows_table(rows)])
    page = save_page(list(sweep_figures(found.curves).values()), found.folder / "sweep.html", title=title)
    print(f"figures  {page}\nresults  {found.folder / 'results.json'}")


if __name__ == "__main__":
    run_script(sweep)
