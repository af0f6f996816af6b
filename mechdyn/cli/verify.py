"""`mechdyn verify`."""

from mechdyn.cli.app import app
from mechdyn.cli.options import OutOption, default_folder, takes
from mechdyn.sweep.configs import VerifyConfig


@app.command()
@takes(VerifyConfig)
def verify(config: VerifyConfig, out: OutOption = None) -> None:
    """Run what a claim needs and judge it: a table, verdicts.json, the figure and the traces."""
    from mechdyn.sweep.verify import verify as run_verify
    from mechdyn.views.verdict import print_verdict, save_verdict_figure

    verified = run_verify(config, out or default_folder(config.claim, config))
    print_verdict(verified.verdict)
    figure = save_verdict_figure(verified.verdict, verified.traces, verified.folder)
    if figure is not None:
        print(f"figure   {figure}")
    print(f"verdict  {verified.folder / 'verdicts.json'}\ntraces   {verified.folder / 'traces'}")
