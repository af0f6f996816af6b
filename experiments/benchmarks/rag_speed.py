"""Dynamic RAG: all seven strategies together against each strategy by itself without a shared prefill.

`python -m experiments.benchmarks.rag_speed` answers questions of the procedural world with the bundled model, in turns,

- together: one prefill of each whole prompt, every request that strategies have in common once, all of them one batch;
- apart: a strategy after the other on the same batches, the whole context read afresh for each look at it and for the full context.

Goals: at least 2 times faster together, and 100 questions within 15 minutes on two cores. Dynamic and static heads are not fitted
here (an untrained linear probe, an arbitrary ranking): their cost is the same. Answers of both ways are compared.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Sequence

import torch

from mechdyn.decoding.engine import DecodeState
from mechdyn.decoding.engines import make_engine
from mechdyn.heads import Head, rank_heads
from mechdyn.models.load import load_model
from mechdyn.models.model import Model
from mechdyn.probes.mlp import mlp_shape
from mechdyn.probes.probe import Probe
from mechdyn.rag.calls import Observe, Write
from mechdyn.rag.log import RagLog
from mechdyn.rag.loop import Trial
from mechdyn.rag.options import RagOptions
from mechdyn.rag.run import Condition, dynamic_rag, run_trials
from mechdyn.rag.serve import Server
from mechdyn.rag.strategies import OWN, make_strategy
from mechdyn.rag.visibility import find_context
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.world import world


class Unshared(Server):
    """Reads the whole prompt for every request that needs it."""

    def whole_prompts(self, requests: Sequence[Write | Observe]) -> DecodeState:
        return self.engine.prefill([request.context.sample.tokens[:-1] for request in requests], apart=True)


def conditions(model: Model, max_new_tokens: int) -> dict[str, Condition]:
    """All seven strategies."""
    torch.manual_seed(0)
    shape = mlp_shape("linear", model.d_model, model.n_layers * model.n_heads)
    probe = Probe(shape.build().eval(), shape, model.n_layers, model.n_heads, 0, False, None, model.identity(), {})
    heads = [Head(layer, head) for layer in range(model.n_layers) for head in range(model.n_heads)]
    ranking = rank_heads(((head, -float(place)) for place, head in enumerate(heads)), model.n_layers, model.n_heads)
    options = RagOptions(max_new_tokens=max_new_tokens)
    return {name: Condition(make_strategy(name, probe=probe, ranking=ranking), options) for name in OWN}


def together(model: Model, batches: Sequence[Sequence[Sample]], chosen: dict[str, Condition]) -> list[dict[str, RagLog]]:
    """One batch for all strategies."""
    return [row for samples in batches for row in dynamic_rag(model, samples, chosen)]


def apart(model: Model, batches: Sequence[Sequence[Sample]], chosen: dict[str, Condition]) -> list[dict[str, RagLog]]:
    """Every strategy in a run of its own."""
    rows: list[dict[str, RagLog]] = [{} for samples in batches for _ in samples]
    engine = make_engine(model)
    for name, condition in chosen.items():
        logs: list[RagLog] = []
        for samples in batches:
            contexts = [find_context(model.tokenizer, sample) for sample in samples]
            trials = [Trial(name, context, condition.strategy, condition.options, model.tokenizer) for context in contexts]
            logs += run_trials(trials, Unshared(model, engine, contexts))
        for row, log in zip(rows, logs, strict=True):
            row[name] = log
    return rows


def main() -> None:
    """Time both ways in turn and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--max-new-tokens", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    model = load_model("mini")
    samples = [world(model, length=arguments.length, seed=seed) for seed in range(arguments.questions)]
    batches = [samples[start : start + arguments.batch_size] for start in range(0, len(samples), arguments.batch_size)]
    chosen = conditions(model, arguments.max_new_tokens)
    together(model, batches[:1], chosen)  # what is loaded on first use
    seconds: dict[str, list[float]] = {"together": [], "apart": []}
    processor: dict[str, list[float]] = {"together": [], "apart": []}
    found = {}
    for _ in range(arguments.rounds):
        for name, way in (("together", together), ("apart", apart)):
            wall, cpu = time.perf_counter(), time.process_time()
            found[name] = way(model, batches, chosen)
            seconds[name].append(time.perf_counter() - wall)
            processor[name].append(time.process_time() - cpu)
            print(f"{name:9} {seconds[name][-1]:7.1f} s, processor {processor[name][-1]:7.1f} s", flush=True)
    pairs = [
        (one[name].tokens, other[name].tokens) for one, other in zip(found["together"], found["apart"], strict=True) for name in chosen
    ]
    per_question = statistics.median(seconds["together"]) / len(samples)
    report = {
        "setting": vars(arguments),
        "times faster": statistics.median(seconds["apart"]) / statistics.median(seconds["together"]),
        "times faster, processor time": statistics.median(processor["apart"]) / statistics.median(processor["together"]),
        "minutes for 100 questions": per_question * 100 / 60,
        "answers that agree": sum(one == other for one, other in pairs) / len(pairs),
        "machine": {"cpus": os.cpu_count(), "threads": torch.get_num_threads(), "machine": platform.machine(), "torch": torch.__version__},
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
