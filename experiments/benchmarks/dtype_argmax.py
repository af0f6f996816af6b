"""How often bfloat16 and float16 change what is read off attention: each head's strongest key, the predicted token, the retrieving heads.

`python -m experiments.benchmarks.dtype_argmax --out docs/dtype_argmax` generates with float32 weights, then feeds the very same tokens to
the same weights rounded, so that steps can be compared one by one: on trained models (needle in a haystack) and on random models of the
paper's kinds of head (one key head for each query head, and grouped 4 : 1), whose attention is flatter than any trained model's.
"""

import argparse
import copy
import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from tqdm import tqdm

from experiments.benchmarks.random_model import Shape, random_pair, random_samples
from mechdyn.decoding.context import KeyContext, score_step
from mechdyn.decoding.fast_engine import FastEngine
from mechdyn.decoding.trace import trace
from mechdyn.models.load import load_model, wrap_model
from mechdyn.models.model import Model
from mechdyn.scores.copy_paste import copy_paste
from mechdyn.scores.largest import first_largest
from mechdyn.tasks.niah import niah
from mechdyn.tasks.sample import Sample

DTYPES = (torch.bfloat16, torch.float16)
RANDOM = {"random, MHA": Shape(4, 8, 8, 256, 704), "random, grouped 4 : 1": Shape(4, 8, 2, 256, 704)}


@dataclass(frozen=True, eq=False)
class Reading:
    """What one step shows."""

    token: int
    pattern: Float[Tensor, "layer head key"]
    strongest: Int[Tensor, "layer head"]
    heads: Bool[Tensor, "layer head"]

    def loss(self, other: "Reading") -> Float[Tensor, " differing"]:
        """Where the other's strongest key is another: by which part of the largest weight that key's weight is lower here."""
        weights = (self.pattern.gather(-1, found.strongest[..., None])[..., 0] for found in (self, other))
        highest, chosen = (weight[self.strongest != other.strongest] for weight in weights)
        return 1 - chosen / highest


@dataclass(frozen=True)
class Difference:
    """Shares that differ from float32: of heads' strongest keys, of tokens, of steps' head sets; and the sets' mean Jaccard index.

    `loss` is the median, over strongest keys that differ, of how much lower the other key's weight is in float32, as a part of the largest.
    The Jaccard index is over steps on which either has a head. Both are None without any.
    """

    model: str
    dtype: str
    n_steps: int
    strongest: float
    loss: float | None
    tokens: float
    head_sets: float
    jaccard: float | None


def readings(model: Model, sample: Sample, fed: Sequence[int]) -> Iterator[Reading]:
    """The step that follows the prompt, and those behind each fed token."""
    engine = FastEngine(model)
    state = engine.prefill([sample.tokens[:-1]])
    context = KeyContext.of([sample], state, len(fed) + 1)
    for token in (int(sample.tokens[-1]), *fed):
        inputs = torch.tensor([token])
        context = context.append(inputs)
        output, state = engine.step(state, inputs)
        predicted = output.logits.argmax(dim=-1)
        scores: Float[Tensor, "row layer head"] = score_step(output, predicted, context, copy_paste)
        strongest = torch.stack([first_largest(pattern)[0] for pattern in output.patterns])
        yield Reading(int(predicted), torch.stack([pattern[0] for pattern in output.patterns]), strongest, scores[0] > 0)


def compare(name: str, whole: Model, rounded: Model, samples: Sequence[Sample], n_steps: int) -> Difference:
    """Both models over the text that the first one writes."""
    strongest, losses, tokens, sets, jaccard = [], [], [], [], []
    for sample in tqdm(samples, desc=f"{name}, {rounded.dtype}", unit="sample", disable=None, leave=False):
        fed = trace(whole, sample, max_new_tokens=n_steps).tokens.tolist()[:-1]
        for one, other in zip(readings(whole, sample, fed), readings(rounded, sample, fed), strict=True):
            strongest.append(float((one.strongest != other.strongest).float().mean()))
            losses += one.loss(other).tolist()
            tokens.append(one.token != other.token)
            sets.append(not torch.equal(one.heads, other.heads))
            if (either := one.heads | other.heads).any():
                jaccard.append(float((one.heads & other.heads).sum() / either.sum()))
    mean = statistics.mean
    dtype = str(rounded.dtype).removeprefix("torch.")
    loss = statistics.median(losses) if losses else None
    return Difference(name, dtype, len(tokens), mean(strongest), loss, mean(tokens), mean(sets), mean(jaccard) if jaccard else None)


def on_trained(name: str, n_samples: int, length: int, n_steps: int) -> list[Difference]:
    """A trained model on needles in a haystack."""
    whole = load_model(name, device="cpu")
    samples = [niah(whole, length=length, depth=(index + 0.5) / n_samples, seed=index) for index in range(n_samples)]
    return [compare(name, whole, load_model(name, device="cpu", dtype=dtype), samples, n_steps) for dtype in DTYPES]


def on_random(n_samples: int, length: int, n_steps: int) -> list[Difference]:
    """Random weights; only few words are predicted, so that heads copy by chance."""
    found = []
    for name, shape in RANDOM.items():
        whole, plain = random_pair(shape, length + n_steps + 1)
        samples = random_samples(n_samples, length)
        for dtype in DTYPES:
            rounded = wrap_model(copy.deepcopy(plain).to(dtype), whole.tokenizer, name=name)
            found.append(compare(name, whole, rounded, samples, n_steps))
    return found


def table(found: Sequence[Difference]) -> str:
    """Shares in per cent."""
    heads = (
        "model",
        "dtype",
        "steps",
        "strongest key differs",
        "its weight is lower by",
        "token differs",
        "head set differs",
        "mean Jaccard",
    )
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in found:
        strongest, loss, tokens, sets = (_percent(share) for share in (row.strongest, row.loss, row.tokens, row.head_sets))
        jaccard = "–" if row.jaccard is None else f"{row.jaccard:.3f}"
        lines.append("| " + " | ".join((row.model, row.dtype, str(row.n_steps), strongest, loss, tokens, sets, jaccard)) + " |")
    return "\n".join(lines) + "\n"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f} %"


def main() -> None:
    """Measure both kinds of model; write JSON and a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="stem of the files to write: OUT.json and OUT.md")
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--length", type=int, default=512, help="tokens of a prompt")
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--model", nargs="+", default=["mini", "smollm2-135m"], dest="models", help="trained models")
    arguments = parser.parse_args()
    sizes = (arguments.samples, arguments.length, arguments.steps)
    found = [row for name in arguments.models for row in on_trained(name, *sizes)] + on_random(*sizes)
    settings = {"samples": arguments.samples, "length": arguments.length, "steps": arguments.steps}
    result = {**settings, "differences": [asdict(row) for row in found]}
    arguments.out.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    arguments.out.with_suffix(".md").write_text(table(found))
    print(table(found))


if __name__ == "__main__":
    main()
