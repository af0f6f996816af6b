"""Figure 4: canonical correlations of hidden states with the retrieval scores of the same and of later steps.

`python -m experiments.figure_4_cca --model llama3.1-8b --preset paper` writes the figures, figure_4.json and the traces.
"""

from dataclasses import asdict
from typing import Annotated

import typer

from mechdyn.cli import OutOption, default_folder, run_script, takes
from mechdyn.runs.configs import VerifyConfig


@takes(VerifyConfig, claim="correlation")
def figure_4(
    config: VerifyConfig,
    offsets: Annotated[int, typer.Option(min=0, help="The last offset; the first is 0.")] = 10,
    out: OutOption = None,
) -> None:
    """Top-1, mean top-10 and mean top-50 by offset: in sample, held out, their null, and persistence."""
    from mechdyn.reports.results import correlations_table
    from mechdyn.reports.tables import print_tables
    from mechdyn.runs.folder import write_json
    from mechdyn.runs.verify import trace_claim
    from mechdyn.stats.cca_offsets import cca_by_offset
    from mechdyn.studies.probing import ROLE, cca_samples, outline
    from mechdyn.views.page import save_page
    from mechdyn.views.probe import correlations

    traced = trace_claim(config, out or default_folder("correlation", config))
    begun = outline(traced.traces[ROLE])
    result = cca_by_offset(cca_samples(begun.traces), tuple(range(offsets + 1)), seed=config.seed)
    print(f"{begun.facts['samples']} samples; ranks: hidden {result.hidden_rank}, scores {result.scores_rank}")
    title = f"Canonical correlations on {config.model}, {config.task}"
    print_tables([correlations_table(result.offsets, title, paper=config.task == "niah")])
    write_json(traced.folder / "figure_4.json", asdict(result))
    figures = correlations(result.offsets, title=config.model)
    page = save_page(figures, traced.folder / "figure_4.html", title=title)
    print(f"figures  {page}\nresults  {traced.folder / 'figure_4.json'}\ntraces   {traced.folder / 'traces'}")


if __name__ == "__main__":
    run_script(figure_4)
