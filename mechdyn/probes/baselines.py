"""What a probe must beat: guesses that do not read the hidden state, a simpler reader, and labels that mean nothing.

The paper compares its probes with none of these.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Float, Int

from mechdyn.errors import InputError
from mechdyn.probes.dataset import ProbeData, ProbeRows
from mechdyn.probes.fit import fit_probe
from mechdyn.probes.probe import Predictor
from mechdyn.probes.ridge import ridge_probe
from mechdyn.tensors import Tensor, torch


@dataclass(frozen=True, eq=False)
class BaseRate:
    """Every step gets each head's mean over the training steps."""

    rate: Float[Tensor, " head"]

    @classmethod
    def of(cls, data: ProbeData) -> "BaseRate":
        return cls(data.train.target.mean(dim=0))

    def __call__(self, rows: ProbeRows) -> Float[Tensor, "row head"]:
        return self.rate.expand(len(rows), -1)


@dataclass(frozen=True, eq=False)
class StepRate:
    """Each head's mean over the training rows of the same step n: what the step's number alone explains.

    It is to a probe what the pairing with other samples is to canonical correlations. Steps beyond those of training get the base rate.
    """

    rates: Float[Tensor, "step head"]
    rate: Float[Tensor, " head"]

    @classmethod
    def of(cls, data: ProbeData) -> "StepRate":
        rate = data.train.target.mean(dim=0)
        n_steps = int(data.train.step.max()) + 1
        sums = torch.zeros(n_steps, len(rate)).index_add_(0, data.train.step, data.train.target)
        counts = torch.bincount(data.train.step, minlength=n_steps)[:, None]
        return cls(torch.where(counts > 0, sums / counts, rate), rate)

    def __call__(self, rows: ProbeRows) -> Float[Tensor, "row head"]:
        known = rows.step < len(self.rates)
        return torch.where(known[:, None], self.rates[rows.step.clamp(max=len(self.rates) - 1)], self.rate)


@dataclass(frozen=True, eq=False)
class Persistence:
    """The pattern repeats: scores at n stand for those at n + k, and at k = 0 those of the step before. Step 0 has none: the base rate."""

    rate: Float[Tensor, " head"]

    @classmethod
    def of(cls, data: ProbeData) -> "Persistence":
        return cls(data.train.target.mean(dim=0))

    def __call__(self, rows: ProbeRows) -> Float[Tensor, "row head"]:
        return torch.where(rows.previous.isnan(), self.rate, rows.previous)


@dataclass(frozen=True, eq=False)
class PersistenceByHead:
    """How often each head retrieved in training after it had retrieved in the previous pattern, and after it had not.

    The same information as persistence, but graded: some heads repeat more than others. A head never seen in one of the two states gets
    its base rate there, as does step 0.
    """

    rate: Float[Tensor, " head"]
    after_active: Float[Tensor, " head"]
    after_inactive: Float[Tensor, " head"]

    @classmethod
    def of(cls, data: ProbeData) -> "PersistenceByHead":
        """Count in the training samples; for binary targets only."""
        if not data.binary:
            raise InputError("persistence by head counts binary patterns, these targets are scores; use Persistence or ridge")
        rate = data.train.target.mean(dim=0)
        known = ~data.train.previous.isnan()

        def after(state: Tensor) -> Tensor:
            n_seen = state.sum(dim=0)
            return torch.where(n_seen > 0, (data.train.target * state).sum(dim=0) / n_seen.clamp(min=1), rate)

        return cls(rate, after((data.train.previous > 0.5) & known), after((data.train.previous <= 0.5) & known))

    def __call__(self, rows: ProbeRows) -> Float[Tensor, "row head"]:
        graded = torch.where(rows.previous > 0.5, self.after_active, self.after_inactive)
        return torch.where(rows.previous.isnan(), self.rate, graded)


@dataclass(frozen=True, eq=False)
class Reading:
    """A predictor that was fitted on something else in the place of hidden states, which `read` puts there."""

    predictor: Predictor
    read: Callable[[ProbeRows], ProbeRows]

    def __call__(self, rows: ProbeRows) -> Float[Tensor, "row head"]:
        return self.predictor(self.read(rows))


@dataclass(frozen=True, eq=False)
class TokenInput:
    """The token that a step generated as input: one column a token of training, 1 where it is that one; `pattern` adds the step's pattern.

    A linear map of these columns holds every linear map of the tokens' embeddings, which traces do not carry. A token that training never
    saw is 0 in all of them.
    """

    known: Int[Tensor, " token"]
    pattern: bool = False

    def __call__(self, rows: ProbeRows) -> ProbeRows:
        columns = (rows.token[:, None] == self.known).to(torch.float32)
        return replace(rows, hidden=torch.cat([columns, rows.previous], dim=1) if self.pattern else columns)


@dataclass(frozen=True, eq=False)
class RidgeRegression:
    """A fitted `sklearn.linear_model.Ridge`."""

    model: Any

    def __call__(self, rows: ProbeRows) -> Float[Tensor, "row head"]:
        return torch.from_numpy(self.model.predict(rows.hidden.to(torch.float64).numpy()))


def linear_probe(data: ProbeData, *, seed: int = 0) -> Predictor:
    """Logistic regression of every head for binary targets (the `linear` probe), ridge regression (penalty 1) for scores."""
    if data.binary:
        return fit_probe(data, "linear", seed=seed, describe="linear probe")
    from sklearn.linear_model import Ridge  # takes a second to import

    return RidgeRegression(Ridge().fit(data.train.hidden.to(torch.float64).numpy(), data.train.target.numpy()))


def previous_probe(data: ProbeData, *, seed: int = 0) -> Predictor:
    """A linear probe that reads the previous pattern of all heads: whatever scores say about later scores, the hidden state left aside.

    Raises:
        InputError: offset 0, where step 0 has no previous pattern.
    """
    if data.offset == 0:
        raise InputError("a probe from the previous pattern needs offset 1 or more; at offset 0 the first step has no previous pattern")
    train, validation, test = (_previous_as_input(rows) for rows in (data.train, data.validation, data.test))
    return Reading(linear_probe(replace(data, train=train, validation=validation, test=test), seed=seed), _previous_as_input)


def token_probe(data: ProbeData, *, pattern: bool = False, seed: int = 0) -> Predictor:
    """A ridge probe of the token generated at n, with `pattern` also of the pattern of all heads at n: what is seen without a state.

    With the pattern it has random features as the probe of the hidden state has, so that the two differ in what they read alone.

    Raises:
        InputError: `pattern` at offset 0, where it is the target.
    """
    if pattern and data.offset == 0:
        raise InputError("a probe from the current pattern needs offset 1 or more; at offset 0 that pattern is what is predicted")
    read = TokenInput(data.train.token.unique(), pattern)
    train, validation, test = (read(rows) for rows in (data.train, data.validation, data.test))
    n_features = None if pattern else 0
    fitted = ridge_probe(replace(data, train=train, validation=validation, test=test), n_features=n_features, standardise=False, seed=seed)
    return Reading(fitted, read)


def shuffled_probe(data: ProbeData, preset: str = "auto", *, seed: int = 0, device: "str | torch.device" = "cpu") -> Predictor:
    """The same probe, fitted on targets that were dealt out to the steps at random: what fitting alone gives."""
    return fit_probe(with_shuffled_targets(data, seed=seed), preset, seed=seed, device=device, describe="shuffled probe")


def with_shuffled_targets(data: ProbeData, *, seed: int = 0) -> ProbeData:
    """The same data, the targets of training and of validation dealt out to their steps at random."""
    generator = torch.Generator().manual_seed(seed)
    train, validation = (_shuffled(rows, generator) for rows in (data.train, data.validation))
    return replace(data, train=train, validation=validation)


def _shuffled(rows: ProbeRows, generator: "torch.Generator") -> ProbeRows:
    return replace(rows, target=rows.target[torch.randperm(len(rows), generator=generator)])


def _previous_as_input(rows: ProbeRows) -> ProbeRows:
    return replace(rows, hidden=rows.previous)
