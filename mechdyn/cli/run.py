"""The commands that run a model on samples and measure: claims, ablation, correlations and probes, dynamic RAG."""

from typing import Annotated

import typer

from mechdyn.cli.app import app
from mechdyn.cli.options import OutOption, takes
from mechdyn.cli.sweep import tell_result, tell_sweep
from mechdyn.runs.configs import AblateConfig, FollowsConfig, ModesConfig, ProgressiveConfig, SensitivityConfig, VerifyConfig
from mechdyn.runs.rag_configs import RagConfig, RagSweepConfig

RETMASK = "retmask"
"""A claim that is judged on answers of models it trains, and no traces."""


@app.command()
@takes(VerifyConfig, defaults={"claim": ""})
def verify(
    config: VerifyConfig,
    out: OutOption = None,
    there: Annotated[
        str | None, typer.Option("--from", metavar="RUN", help="Judge what this run has stored so far; nothing is run or written.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every claim that goes with the task, one after another; traces that claims share are run once.")
    ] = False,
) -> None:
    """Run what a claim needs and judge it: a table, verdicts.json, the figure and the traces."""
    if every:
        _verify_all(config, out, there)
        return
    from mechdyn.errors import InputError
    from mechdyn.reports.results import fact_table
    from mechdyn.reports.tables import print_tables
    from mechdyn.reports.verdict import print_verdict, save_verdict_figure
    from mechdyn.runs.verify import judge_there
    from mechdyn.runs.verify import verify as run_verify
    from mechdyn.studies.facts import clean_traces
    from mechdyn.views.facts import fact_page
    from mechdyn.views.page import save_in_both_looks

    if there is not None:
        if config.claim or out:
            raise InputError("--from judges what a run has; leave the claim and --out away, or --from")
        print_verdict(judge_there(there).verdict)
        print(f"next     mechdyn view {there}")
        return
    if config.claim == RETMASK:
        from mechdyn.cli.retmask import print_retmasked
        from mechdyn.runs.retmask import retmask, retmask_config

        print_retmasked(retmask(retmask_config(config), out))
        return
    if not config.claim:
        raise InputError("verify needs a claim, such as dynamism; or --all, or --from RUN, to judge what a run has stored")
    verified = run_verify(config, out)
    if verified.facts is not None:
        print_tables([fact_table(verified.facts, f"Supporting facts, {config.model} on {config.task}, no head off")])
    print_verdict(verified.verdict)
    figure = save_verdict_figure(verified.verdict, verified.traces, verified.folder)
    if figure is not None:
        print(f"figure   {figure}")
    if verified.facts is not None:
        report, traces, about = verified.facts, clean_traces(verified.traces), f"Supporting facts, {config.model} on {config.task}"
        page = save_in_both_looks(
            lambda dark: fact_page(report, traces, title=config.model, dark=dark), verified.folder / "facts.html", about
        )
        print(f"facts    {page}")
    print(f"verdict  {verified.folder / 'verdicts.json'}\ntraces   {verified.folder / 'traces'}\nnext     mechdyn view {verified.folder}")


def _verify_all(config: VerifyConfig, out: str | None, there: str | None) -> None:
    from mechdyn.errors import InputError

    if config.claim or there is not None:
        raise InputError("--all puts every claim, each to its own run; leave the claim and --from away, or --all")
    from mechdyn.runs.verify_all import verify_all

    tell_sweep(verify_all(config, out, told=tell_result))


@app.command()
@takes(AblateConfig)
def ablate(config: AblateConfig, out: OutOption = None) -> None:
    """Switch heads off at every step, over lengths x places of the evidence (Figures 2, 6): heatmaps, results.json and the traces."""
    from mechdyn.reports.results import effect_table, grid_table
    from mechdyn.reports.tables import print_tables
    from mechdyn.runs.ablate import ablate as run_ablate
    from mechdyn.views.ablation import ablation_grids
    from mechdyn.views.page import save_in_both_looks

    result = run_ablate(config, out)
    title = f"Ablation on {config.model}, {config.task}"
    print_tables([grid_table(result.rows, title)])
    if result.effects:
        print_tables([effect_table(result.effects, f"{title}: along the clean answers")])
    page = save_in_both_looks(
        lambda dark: ablation_grids(result.traces, title=config.model, dark=dark), result.folder / "ablation.html", title
    )
    print(f"figures  {page}\nresults  {result.folder / 'results.json'}\ntraces   {result.folder / 'traces'}")
    print(f"next     mechdyn view {result.folder}")


@app.command()
@takes(ModesConfig)
def modes(config: ModesConfig, out: OutOption = None) -> None:
    """Switch one list of heads off in every way that "masking" may mean, beside random lists: a table, results.json, the traces."""
    from mechdyn.reports.results import modes_report
    from mechdyn.reports.tables import print_tables
    from mechdyn.runs.modes import modes as run_modes

    found = run_modes(config, out)
    print_tables([modes_report(found.table, f"Heads off on {config.model}, {config.task}")])
    without = found.leak
    print(f"listed   {found.lists.listed}")
    print(
        f"random   no draw shares a head with them; drawn from all heads, as published code does, they would share {without.expected:.2f} "
        f"on average, and any with a probability of {without.any:.2f}"
    )
    print(f"results  {found.folder / 'results.json'}\ntraces   {found.folder / 'traces'}\nnext     mechdyn view {found.folder}")


@app.command()
@takes(ProgressiveConfig)
def progressive(config: ProgressiveConfig, out: OutOption = None) -> None:
    """Switch more and more dynamic heads off (Figures 3, 7): compensated static heads and the answers' quality against k."""
    from mechdyn.paper.values import FIGURE_3
    from mechdyn.reports.results import progressive_table
    from mechdyn.reports.tables import print_tables
    from mechdyn.runs.progressive import progressive as run_progressive
    from mechdyn.views.ablation import progressive_figures
    from mechdyn.views.page import save_in_both_looks

    result = run_progressive(config, out)
    title = f"Progressive ablation on {config.model}, {config.task}"
    print_tables([progressive_table(result.points, title)])
    for paper_model, paper in FIGURE_3.items() if result.on_needles else ():
        print(f"paper, {paper_model}: {paper}")
    page = save_in_both_looks(
        lambda dark: progressive_figures(result.points, title=config.model, dark=dark), result.folder / "progressive.html", title
    )
    print(f"figures  {page}\nresults  {result.folder / 'results.json'}\ntraces   {result.folder / 'traces'}")
    print(f"next     mechdyn view {result.folder}")


@app.command()
@takes(FollowsConfig)
def follows(config: FollowsConfig, out: OutOption = None) -> None:
    """What do head sets follow: the token, the step, the needle, the haystack? Shares with intervals, predictors, modes; no verdict."""
    from mechdyn.reports.follows import follows_tables, modes_remark
    from mechdyn.reports.tables import print_tables
    from mechdyn.runs.follows import run_follows
    from mechdyn.views.follows import follows_figures
    from mechdyn.views.page import save_in_both_looks

    result = run_follows(config, out)
    title = f"What the sets follow on {config.model}, {config.task}"
    print_tables(follows_tables(result.found, title, result.carried))
    print(f"{result.found.n_right} of {result.found.n_traces} answers are right and count. {modes_remark(result.found.modes)}")
    page = save_in_both_looks(
        lambda dark: follows_figures(result.found, title=config.model, dark=dark), result.folder / "follows.html", title
    )
    print(f"figures  {page}\nresults  {result.folder / 'results.json'}\ntraces   {result.folder / 'traces'}")
    print(f"next     mechdyn view {result.folder}")


@app.command()
@takes(SensitivityConfig)
def sensitivity(config: SensitivityConfig, out: OutOption = None) -> None:
    """The dynamism verdict at each sink, local window and threshold of Eq. 2, none of which the paper states, and which verdicts flip."""
    from mechdyn.reports.results import sensitivity_table
    from mechdyn.reports.tables import print_tables
    from mechdyn.runs.sensitivity import sensitivity as run_sensitivity
    from mechdyn.views.page import save_in_both_looks
    from mechdyn.views.sensitivity import sensitivity_figures

    result = run_sensitivity(config, out)
    title = f"Dynamism on {config.model}, {config.task}: sink, local window and threshold of Eq. 2"
    print_tables([sensitivity_table(result.cells, title)])
    about = f"{config.model}, {config.task}"
    page = save_in_both_looks(
        lambda dark: sensitivity_figures(result.cells, title=about, dark=dark), result.folder / "sensitivity.html", title
    )
    print(f"figure   {page}\nresults  {result.folder / 'results.json'}\nnext     mechdyn report {result.folder}")


@app.command()
@takes(VerifyConfig, claim="correlation", heads=None)
def correlations(
    config: VerifyConfig,
    offsets: Annotated[int, typer.Option(min=0, help="The last offset; the first is 0.")] = 10,
    out: OutOption = None,
) -> None:
    """Canonical correlations of hidden states with scores by offset (Figures 4, 8): in sample, held out, their null, and persistence."""
    from mechdyn.reports.results import correlations_table
    from mechdyn.reports.tables import print_tables
    from mechdyn.runs.probing import correlations as run_correlations
    from mechdyn.views.page import save_in_both_looks
    from mechdyn.views.probe import correlations as draw

    found = run_correlations(config, out, last_offset=offsets)
    print(f"{found.n_samples} samples; ranks: hidden {found.result.hidden_rank}, scores {found.result.scores_rank}")
    title = f"Canonical correlations on {config.model}, {config.task}"
    print_tables([correlations_table(found.result.offsets, title, paper=found.on_needles)])
    page = save_in_both_looks(lambda dark: draw(found.result.offsets, title=config.model, dark=dark), found.folder / "figure_4.html", title)
    print(f"figures  {page}\nresults  {found.folder / 'figure_4.json'}\ntraces   {found.folder / 'traces'}")
    print(f"next     mechdyn report {found.folder}")


@app.command()
@takes(VerifyConfig, claim="correlation", heads=None)
def probe(
    config: VerifyConfig,
    offset: Annotated[int, typer.Option(min=0, help="Steps ahead; the paper's is 0.")] = 0,
    size: Annotated[str | None, typer.Option(help="paper, auto or linear; the preset's own when left out.")] = None,
    out: OutOption = None,
) -> None:
    """Fit a probe of the scores and its baselines (Tables 2, 3): the table, the probe, its quality by head and its calibration."""
    from mechdyn.reports.results import probe_table
    from mechdyn.reports.tables import print_tables
    from mechdyn.runs.probing import fit_probes
    from mechdyn.views.page import save_in_both_looks
    from mechdyn.views.probe import probe_figures

    found = fit_probes(config, out, offset=offset, probe=size)
    title = f"{found.size} probe on {config.model}, k = {offset}"
    print_tables([probe_table(found.reports, title)])
    page = save_in_both_looks(lambda dark: probe_figures(found.predictors, found.rows, dark=dark), found.folder / "probe.html", title)
    print(f"figures  {page}\nprobe    {found.folder}\ntraces   {found.folder.parent / 'traces'}")
    print(f"next     mechdyn report {found.folder.parent}")


@app.command()
@takes(RagConfig)
def rag(config: RagConfig, out: OutOption = None) -> None:
    """Dynamic RAG (Table 4): which heads find what a question needs? A table, verdicts.json, a page of samples and the logs."""
    from mechdyn.reports.results import rag_tables
    from mechdyn.reports.tables import print_tables
    from mechdyn.reports.verdict import save_verdict_figure
    from mechdyn.runs.rag import rag as run_rag
    from mechdyn.text import visible
    from mechdyn.views.rag import save_rag_page

    run = run_rag(config, out)
    print_tables(rag_tables(run.rows, run.verdict))
    page = save_rag_page(run.questions, run.logs, run.folder)
    print(visible(f"verdict  {run.verdict.outcome}: {'; '.join(run.verdict.reasons)}"))
    if (figure := save_verdict_figure(run.verdict, {}, run.folder)) is not None:
        print(f"figure   {figure}")
    print(f"page     {page}\nresults  {run.folder / 'results.json'}\nlogs     {run.folder / 'logs'}")
    print(f"next     mechdyn report {run.folder}")


@app.command("rag-sweep")
@takes(RagSweepConfig)
def rag_sweep(config: RagSweepConfig, out: OutOption = None) -> None:
    """F1, retrievals and shown tokens of each strategy as threshold, k or window moves, none of which the paper states."""
    from mechdyn.reports.results import strategies_table, windows_table
    from mechdyn.reports.tables import print_tables
    from mechdyn.runs.rag_sweep import rag_sweep as run_rag_sweep
    from mechdyn.views.curves import sweep_figures
    from mechdyn.views.page import save_in_both_looks

    found = run_rag_sweep(config, out)
    title = f"Dynamic RAG on {config.model}, {config.task}: threshold, k and window"
    rows = list(found.rows.values())
    print_tables([strategies_table(rows, title), windows_table(rows)])
    page = save_in_both_looks(lambda dark: sweep_figures(found.curves, dark=dark), found.folder / "sweep.html", title)
    print(f"figures  {page}\nresults  {found.folder / 'results.json'}")
    print(f"next     mechdyn rag --model {config.model} --task {config.task}")
