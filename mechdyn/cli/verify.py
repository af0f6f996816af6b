"""`mechdyn verify`."""

from mechdyn.cli.app import app
from mechdyn.cli.options import OutOption, default_folder, takes
from mechdyn.runs.configs import VerifyConfig


@app.command()
@takes(VerifyConfig)
def verify(config: VerifyConfig, out: OutOption = None) -> None:
    """Run what a claim needs and judge it: a table, verdicts.json, the figure and the traces."""
    from mechdyn.reports.results import fact_table
    from mechdyn.reports.tables import print_tables
    from mechdyn.reports.verdict import print_verdict, save_verdict_figure
    from mechdyn.runs.verify import verify as run_verify
    from mechdyn.studies.facts import clean_traces
    from mechdyn.views.facts import fact_page
    from mechdyn.views.page import save_page

    verified = run_verify(config, out or default_folder(config.claim, config))
    if verified.facts is not None:
        print_tables([fact_table(verified.facts, f"Supporting facts, {config.model} on {config.task}, no head off")])
    print_verdict(verified.verdict)
    figure = save_verdict_figure(verified.verdict, verified.traces, verified.folder)
    if figure is not None:
        print(f"figure   {figure}")
    if verified.facts is not None:
        figures = fact_page(verified.facts, clean_traces(verified.traces), title=config.model)
        print(f"facts    {save_page(figures, verified.folder / 'facts.html', title=f'Supporting facts, {config.model} on {config.task}')}")
    print(f"verdict  {verified.folder / 'verdicts.json'}\ntraces   {verified.folder / 'traces'}")
