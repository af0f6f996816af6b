"""`mechdyn rag`."""

from mechdyn.cli.app import app
from mechdyn.cli.options import OutOption, default_folder, takes
from mechdyn.runs.configs import RagConfig


@app.command()
@takes(RagConfig)
def rag(config: RagConfig, out: OutOption = None) -> None:
    """Dynamic RAG (Table 4): which heads find what a question needs? A table, verdicts.json, a page of samples and the logs."""
    from mechdyn.reports.results import rag_tables
    from mechdyn.reports.tables import print_tables
    from mechdyn.runs.rag import rag as run_rag
    from mechdyn.text import visible
    from mechdyn.views.rag import save_rag_page

    run = run_rag(config, out or default_folder("rag", config))
    print_tables(rag_tables(run.rows, run.verdict))
    page = save_rag_page(run.questions, run.logs, run.folder)
    print(visible(f"verdict  {run.verdict.outcome}: {'; '.join(run.verdict.reasons)}"))
    print(f"page     {page}\nresults  {run.folder / 'results.json'}\nlogs     {run.folder / 'logs'}")
