"""Fitting a probe (A.5; docs/definitions.md, "Probes")."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeAlias

from jaxtyping import Float, Int
from tqdm import tqdm

from mechdyn.errors import InputError, NumericalError
from mechdyn.probes.dataset import ProbeData, ProbeRows
from mechdyn.probes.mlp import CROSS_ENTROPY, AsymmetricLoss, MLPShape, mlp_shape
from mechdyn.probes.probe import Probe
from mechdyn.probes.report import best_threshold
from mechdyn.tensors import Tensor, torch

Loss: TypeAlias = Callable[[Float[Tensor, "row head"], Float[Tensor, "row head"]], Float[Tensor, ""]]


@dataclass(frozen=True)
class TrainConfig:
    """Adam under ReduceLROnPlateau on the validation loss; the defaults are A.5's.

    The paper does not say how far the rate falls (torch's factor of 0.1 is taken) nor which epoch's weights it keeps: without `early_stop`
    it is the last one's. `early_stop` ends the training after so many epochs without a new lowest validation loss, and keeps the weights of
    the lowest. `loss` is for binary targets; scores are learned by mean squared error.
    """

    epochs: int = 100
    batch_size: int = 128
    learning_rate: float = 3e-4
    plateau_patience: int = 3
    clip_norm: float = 1.0
    early_stop: int | None = None
    loss: AsymmetricLoss = field(default_factory=AsymmetricLoss)

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size) < 1 or self.learning_rate <= 0 or self.clip_norm <= 0:
            raise InputError(f"training needs at least 1 epoch and row a batch, a rate and a norm above 0, got {self}")
        if self.plateau_patience < 0 or (self.early_stop is not None and self.early_stop < 1):
            raise InputError(f"patience is 0 epochs or more, early_stop 1 or more or None, got {self}")


TRAINING = {
    "paper": TrainConfig(),
    "auto": TrainConfig(early_stop=10),
    "linear": TrainConfig(learning_rate=3e-3, early_stop=10, loss=CROSS_ENTROPY),
}
"""By the names of `mlp.SIZES`. `linear` is a logistic regression, and at the paper's rate it would not converge in 100 epochs."""


def fit_probe(
    data: ProbeData,
    preset: str = "auto",
    *,
    shape: MLPShape | None = None,
    config: TrainConfig | None = None,
    seed: int = 0,
    device: "str | torch.device" = "cpu",
    describe: str = "probe",
) -> Probe:
    """Fit on the training samples; the validation samples steer the learning rate and give a classifier its threshold.

    Args:
        data: from `probe_data`.
        preset: `paper`, `auto` or `linear`, for the network and for the training.
        shape: a network of your own.
        config: a training of your own.
        seed: of weights, batches and dropout; torch's global generator is left as it was.
        device: where to train; the probe stays on the CPU afterwards.
        describe: what the progress bar says.

    Raises:
        InputError: an unknown preset, a shape that does not fit the data, or a validation part without a positive target.
        NumericalError: the loss became NaN or infinite.
    """
    n_outputs = data.n_layers * data.n_heads
    shape = shape or mlp_shape(preset, data.d_model, n_outputs)
    if (shape.d_model, shape.n_outputs) != (data.d_model, n_outputs):
        raise InputError(
            f"a probe of these data needs {data.d_model} inputs and {n_outputs} outputs, the shape has {shape.d_model} and "
            f"{shape.n_outputs}; build it for this model"
        )
    config = config or TRAINING[preset]
    device = torch.device(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        network = shape.build().to(device)
        history = _train(network, data, config, seed, describe)
    network = network.cpu().eval().requires_grad_(False)
    training = {**asdict(config), "seed": seed, **history}
    probe = Probe(network, shape, data.n_layers, data.n_heads, data.offset, data.binary, None, data.model, training)
    return replace(probe, threshold=best_threshold(probe(data.validation), data.validation.target)) if data.binary else probe


def _train(network: "torch.nn.Sequential", data: ProbeData, config: TrainConfig, seed: int, describe: str) -> dict[str, Any]:
    """Train in place; each epoch's mean loss a batch, and the epoch whose weights were kept."""
    loss: Loss = config.loss if data.binary else torch.nn.functional.mse_loss
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=config.plateau_patience)
    order = torch.Generator().manual_seed(seed)
    train_losses: list[float] = []
    validation_losses: list[float] = []
    best_weights: dict[str, Tensor] = {}
    best = 0
    for epoch in tqdm(range(config.epochs), desc=describe, unit="epoch", disable=None, delay=1, leave=False):
        train_losses.append(_train_epoch(network, data.train, config, loss, optimizer, order))
        validation_losses.append(_mean_loss(network, data.validation, config, loss))
        if not math.isfinite(train_losses[-1] + validation_losses[-1]):
            raise NumericalError(
                f"the probe's loss became {train_losses[-1]} ({validation_losses[-1]} in validation) in epoch {epoch}; "
                "take a lower learning rate"
            )
        schedule.step(validation_losses[-1])
        if config.early_stop is None:
            best = epoch
        elif epoch == 0 or validation_losses[-1] < validation_losses[best]:
            best, best_weights = epoch, copy.deepcopy(network.state_dict())
        elif epoch - best >= config.early_stop:
            break
    if best_weights:
        network.load_state_dict(best_weights)
    return {"train_loss": train_losses, "validation_loss": validation_losses, "kept_epoch": best}


def _train_epoch(
    network: "torch.nn.Sequential",
    rows: ProbeRows,
    config: TrainConfig,
    loss: Loss,
    optimizer: "torch.optim.Optimizer",
    order: "torch.Generator",
) -> float:
    network.train()
    losses = []
    for hidden, target in _batches(network, rows, torch.randperm(len(rows), generator=order), config.batch_size):
        optimizer.zero_grad()
        value = loss(network(hidden), target)
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
        optimizer.step()
        losses.append(value.detach())
    return float(torch.stack(losses).mean())


def _mean_loss(network: "torch.nn.Sequential", rows: ProbeRows, config: TrainConfig, loss: Loss) -> float:
    network.eval()
    batches = _batches(network, rows, torch.arange(len(rows)), config.batch_size)
    with torch.no_grad():
        return float(torch.stack([loss(network(hidden), target) for hidden, target in batches]).mean())


def _batches(network: "torch.nn.Sequential", rows: ProbeRows, order: Int[Tensor, " row"], size: int) -> Iterator[tuple[Tensor, Tensor]]:
    device = next(network.parameters()).device
    for indices in order.split(size):
        yield rows.hidden[indices].to(device, torch.float32), rows.target[indices].to(device)
