"""Table 4: dynamic RAG on HotpotQA, with the oracle, the full context and intervals, which the paper leaves out.

`python -m experiments.table_4_dynamic_rag --model llama3.1-8b --data hotpot_dev_distractor_v1.json` is `mechdyn rag --task hotpotqa
--preset paper` with the same options: 500 questions under seven strategies.
"""

from mechdyn.cli import run_script, with_defaults
from mechdyn.cli.run import rag

if __name__ == "__main__":
    run_script(with_defaults(rag, task="hotpotqa", preset="paper"))
