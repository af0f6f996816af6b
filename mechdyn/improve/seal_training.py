"""Training SEAL's factors on synthetic samples: what the right answer's tokens lose in likelihood, and nothing else, moves them."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from mechdyn.errors import InputError, NumericalError, StoreError
from mechdyn.hashing import content_hash
from mechdyn.improve.output_scales import Factors, OutputScales, scaling
from mechdyn.improve.seal import LearnedScales
from mechdyn.models.model import Model
from mechdyn.tasks.questions import ANSWER_MARK
from mechdyn.tasks.sample import Sample

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""What AdamW remembers of a tensor."""


@dataclass(frozen=True)
class SealTraining:
    """How factors are learned; the learning rate is the one knob (their section 4).

    AdamW from factors of 1, one sample a step, each sample once an epoch in an order drawn by the seed. Without weight decay: it would pull
    factors towards 0, which is a head switched off.
    """

    by_channel: bool = False
    learning_rate: float = 0.02
    epochs: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.learning_rate > 0 and self.learning_rate < float("inf")) or self.epochs < 1:
            raise InputError(f"training needs a learning rate above 0 and at least 1 epoch, got {self}")


def train_seal(model: Model, samples: Sequence[Sample], how: SealTraining, *, progress: str | Path | None = None) -> LearnedScales:
    """Learn factors on samples.

    The loss of a sample is the mean of −log p over the tokens of its right answer (`target_text`) and the id that ends it, the prompt
    given. The model's weights get no gradient and stay as they are.

    Args:
        model: whose heads.
        samples: in the task's own format, none of those that are evaluated.
        how: the settings.
        progress: a file that holds the state behind every step; where it is there, training goes on from it.

    Raises:
        InputError: no samples, or one that the model cannot hold with its answer.
        NumericalError: the loss became NaN or infinite.
        StoreError: `progress` is damaged, or of another training.
    """
    if not samples:
        raise InputError("scales are learned from samples, got none")
    targets = [target_ids(model, sample) for sample in samples]
    order = [index for epoch in range(how.epochs) for index in _order(len(samples), how.seed + epoch)]
    state = _Training(model, how, content_hash([asdict(how), model.identity()["revision"], [sample.key for sample in samples]]))
    file = None if progress is None else Path(progress)
    if file is not None and file.is_file():
        state.read(file)
    with (
        _frozen(model),
        scaling(model) as factors,
        tqdm(total=len(order), initial=state.step, desc="SEAL", unit="step", disable=None) as bar,
    ):
        for index in order[state.step :]:
            state.advance(answer_loss(model, factors, state.values, samples[index].tokens, targets[index]))
            if file is not None:
                state.write(file)
            bar.set_postfix(loss=f"{state.losses[-1]:.3f}", refresh=False)
            bar.update()
    about = {**asdict(how), "samples": len(samples), "task": samples[0].task, "loss": state.losses}
    return LearnedScales(OutputScales(state.values.detach().clone()), model.identity(), about)


def answer_loss(
    model: Model,
    factors: Factors,
    values: Float[Tensor, "layer head channel"],
    prompt: Int[Tensor, " pos"],
    target: Int[Tensor, " target"],
) -> Float[Tensor, ""]:
    """Mean −log p of an answer's tokens behind a prompt, under factors that hooks multiply z by."""
    tokens = torch.cat([prompt, target[:-1]])
    device = model.twin.get_input_embeddings().weight.device
    factors.now = values[None]
    logits = model.twin(tokens[None].to(device), use_cache=False, logits_to_keep=len(target)).logits[0]
    return torch.nn.functional.cross_entropy(logits.float(), target.to(device))


def target_text(sample: Sample) -> str:
    """What the right answer to a sample looks like: for a rationale the supporting sentences, then the answer, else the answer alone."""
    if sample.meta.get("style") != "rationale" or not sample.meta.get("facts"):
        return sample.answer
    sentences = dict(sample.meta["context"])
    quoted = (sentences[title][index].strip() for title, index in sample.meta["facts"])
    return " ".join([*quoted, f"{ANSWER_MARK} {sample.answer}."])


def target_ids(model: Model, sample: Sample) -> Int[Tensor, " target"]:
    """The tokens of the right answer, and the id that ends an answer where the model has one.

    Raises:
        InputError: the model cannot hold prompt and answer.
    """
    ids = list(model.tokenizer(target_text(sample), add_special_tokens=False)["input_ids"])
    if model.eos_ids:
        own = model.tokenizer.eos_token_id
        ids.append(own if own in model.eos_ids else model.eos_ids[0])
    if len(sample) + len(ids) > model.n_ctx:
        raise InputError(
            f"a sample has {len(sample)} tokens and its answer {len(ids)}, {model.name} holds {model.n_ctx}; train on shorter ones"
        )
    return torch.tensor(ids)


class _Training:
    """Factors, their optimizer, and the loss of every step so far."""

    def __init__(self, model: Model, how: SealTraining, identity: str) -> None:
        self.values = OutputScales.ones(model, by_channel=how.by_channel).values.requires_grad_()
        self.losses: list[float] = []
        self._identity = identity
        self._optimizer = torch.optim.AdamW([self.values], lr=how.learning_rate, weight_decay=0.0)

    @property
    def step(self) -> int:
        return len(self.losses)

    def advance(self, loss: Float[Tensor, ""]) -> None:
        """One step down."""
        if not torch.isfinite(loss):
            raise NumericalError(f"the loss became {float(loss.detach())} at step {self.step}; take a lower learning rate")
        (self.values.grad,) = torch.autograd.grad(loss, self.values)
        self._optimizer.step()
        self.losses.append(float(loss.detach()))

    def write(self, path: Path) -> None:
        """In one piece, under its name only when it is whole."""
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        moments = {name: self._optimizer.state[self.values][name] for name in _MOMENTS}
        try:
            save_file({"values": self.values.detach(), **moments}, partial, {"identity": self._identity, "losses": json.dumps(self.losses)})
            os.replace(partial, path)
        except OSError as error:
            raise InputError(f"{path} cannot be written ({error.strerror}); name another folder with --out") from error

    def read(self, path: Path) -> None:
        """Go on from what `write` wrote."""
        try:
            with safe_open(path, framework="pt") as file:
                about = file.metadata()
                found = {name: file.get_tensor(name) for name in ("values", *_MOMENTS)}
            identity, losses = about["identity"], json.loads(about["losses"])
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise StoreError(f"{path} is damaged ({' '.join(str(error).split())}); remove it to train from the start") from error
        if identity != self._identity or found["values"].shape != self.values.shape:
            raise StoreError(f"{path} is of another training (settings, samples or model); remove it, or name a new folder")
        self.values.data.copy_(found["values"])
        self.losses = losses
        self._optimizer.state[self.values] = {name: found[name] for name in _MOMENTS}


def _order(n: int, seed: int) -> list[int]:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed)).tolist()


@contextmanager
def _frozen(model: Model) -> Iterator[None]:
    """No weight gets a gradient, which would cost memory and time."""
    asked: list[tuple[Any, bool]] = [(parameter, parameter.requires_grad) for parameter in model.twin.parameters()]
    try:
        for parameter, _ in asked:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter, wanted in asked:
            parameter.requires_grad_(wanted)
