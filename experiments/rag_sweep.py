"""Sweep of dynamic RAG over RIND's threshold, the number of positions k and the window, none of which the paper states for its models.

The same as `mechdyn rag-sweep`, which has the options: `python -m experiments.rag_sweep --model mini`. One number moves at a time; settings
share drafts and prefills.
"""

from mechdyn.cli import run_script
from mechdyn.cli.run import rag_sweep

if __name__ == "__main__":
    run_script(rag_sweep)
