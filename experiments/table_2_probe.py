"""Table 2: probes of the retrieval scores from the hidden state, beside the baselines that the paper lacks.

`python -m experiments.table_2_probe --model llama3.1-8b --preset paper` writes the table, the probe and its figures. Questions
(`--task world`, `--task hotpotqa --data FILE`) get the regressor of Table 3, which `experiments.table_3_regressor` asks for.
"""

from dataclasses import asdict
from typing import Annotated

import typer

from mechdyn.cli import OutOption, default_folder, run_script, takes
from mechdyn.runs.configs import VerifyConfig


@takes(VerifyConfig, claim="correlation")
def table_2(
    config: VerifyConfig,
    offset: Annotated[int, typer.Option(min=0, help="Steps ahead; the paper's is 0.")] = 0,
    probe: Annotated[str | None, typer.Option(help="paper, auto or linear; the preset's own when left out.")] = None,
    out: OutOption = None,
) -> None:
    """Fit the probe and its baselines, print the table, save the probe, draw its quality by head and its calibration."""
    from mechdyn.claims.correlation import PROBE, baselines, fitted_probe
    from mechdyn.probes.dataset import probe_data
    from mechdyn.probes.report import compare
    from mechdyn.probes.storage import save_probe
    from mechdyn.reports.results import probe_table
    from mechdyn.reports.tables import print_tables
    from mechdyn.runs.folder import write_json
    from mechdyn.runs.verify import trace_claim
    from mechdyn.studies.probing import PROBES, ROLE, outline
    from mechdyn.views.page import save_page
    from mechdyn.views.probe import probe_figures

    traced = trace_claim(config, out or default_folder("correlation", config))
    rows = probe_data(outline(traced.traces[ROLE]).traces, offset, binary=config.task == "niah", seed=config.seed)
    size = probe or PROBES[config.preset]
    fitted = fitted_probe(rows, size, seed=config.seed)
    predictors = {PROBE: fitted, **baselines(rows, size, seed=config.seed)}
    reports = compare(predictors, rows, seed=config.seed)
    title = f"{size} probe on {config.model}, k = {offset}"
    print_tables([probe_table(reports, title)])
    folder = save_probe(fitted, traced.folder / f"probe-{size}-k{offset}")
    write_json(folder / "report.json", {name: asdict(report) for name, report in reports.items()})
    page = save_page(probe_figures(predictors, rows), folder / "probe.html", title=title)
    print(f"figures  {page}\nprobe    {folder}\ntraces   {traced.folder / 'traces'}")


if __name__ == "__main__":
    run_script(table_2)
