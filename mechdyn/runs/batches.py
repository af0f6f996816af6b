"""Which units run together: a function of the plan and the batch size alone.

Floating-point results depend in their last digits on the shape of the batch that they were computed in. So batches are cut from all units
that a plan asks for, in its order, whatever of them is there already: a resumed run, or one with other workers, has the same batches.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mechdyn.hashing import content_hash
from mechdyn.models.together import UNKNOWN_LENGTH, Tokens, samples_together
from mechdyn.traces.unit import BUDGETS, Unit

BY_TOKENS = Tokens()
_MOST_UNLIKE = 1.25
"""How much longer than the shortest prompt of a batch any may be."""


@dataclass(frozen=True)
class Conditions:
    """Units of one sample and one way of decoding that differ only in their ablation, in the order of their ablations' hashes."""

    units: tuple[Unit, ...]
    ablations: tuple[str, ...]

    @property
    def first(self) -> Unit:
        return self.units[0]


@dataclass(frozen=True)
class Batch:
    """Samples that run together, each under all of its conditions; `number` is its place in the plan."""

    number: int
    samples: tuple[Conditions, ...]
    aside: frozenset[str] = frozenset()
    """Keys of units that are not to be run."""

    @property
    def units(self) -> tuple[Unit, ...]:
        return tuple(unit for sample in self.samples for unit in sample.units)

    def lacks(self, present: Collection[str]) -> bool:
        """Whether any of its units is not among those keys."""
        return any(unit.key not in present for unit in self.units)

    def without(self, keys: Iterable[str]) -> "Batch":
        """The same batch, some units of which are not to be run again."""
        return replace(self, aside=frozenset(keys) & {unit.key for unit in self.units})


def batches_of(units: Iterable[Unit], batch_size: int | Tokens = BY_TOKENS) -> list[Batch]:
    """All units in batches of samples that are decoded alike under the same ablations.

    A batch has `batch_size` samples, or as many as so many tokens of prompt hold (`samples_together`). Those of like
    length come together, so that little is padding (none is longer than the batch's first by more than a quarter), and of these such as
    are drawn by the same seed, which may share their haystack; otherwise they are in the order of the plan. Nothing else decides, neither
    the model's revision nor what has been run before.
    """
    groups: dict[tuple[str, ...], list[Conditions]] = {}
    for sample in _by_sample(units):
        groups.setdefault((content_hash(dict(sample.first.decoding)), *sample.ablations), []).append(sample)
    cut = [batch for group in groups.values() for batch in _cut(sorted(group, key=_place), batch_size)]
    return [Batch(number, samples) for number, samples in enumerate(cut)]


def _cut(ordered: Sequence[Conditions], batch_size: int | Tokens) -> Iterator[tuple[Conditions, ...]]:
    """Samples of ascending length in batches."""
    batch: list[Conditions] = []
    for sample in ordered:
        length, _ = _place(sample)
        most = batch_size
        if isinstance(most, Tokens):
            most = samples_together(length or UNKNOWN_LENGTH, _rows(sample), most.n)
        if batch and (len(batch) >= most or length > _MOST_UNLIKE * _place(batch[0])[0]):
            yield tuple(batch)
            batch = []
        batch.append(sample)
    if batch:
        yield tuple(batch)


def singles(samples: Sequence[Conditions]) -> list[Conditions]:
    """What failed together, divided: each sample alone, or each condition of a single one."""
    if len(samples) > 1:
        return list(samples)
    (sample,) = samples
    return [Conditions((unit,), (name,)) for unit, name in zip(sample.units, sample.ablations, strict=True)]


def _rows(sample: Conditions) -> int:
    """Rows that a sample takes when it runs: one for each condition, or for each cache that is tried on it, and the whole one."""
    tried = sample.first.decoding.get(BUDGETS)
    return len(sample.units) * (len(tried["caches"]) + 1 if tried else 1)


def _by_sample(units: Iterable[Unit]) -> list[Conditions]:
    found: dict[str, dict[str, tuple[str, Unit]]] = {}
    for unit in units:
        same = content_hash([dict(unit.decoding), dict(unit.sample)])
        found.setdefault(same, {}).setdefault(unit.key, (content_hash(dict(unit.ablation)), unit))
    ordered = (sorted(pairs.values(), key=lambda pair: pair[0]) for pairs in found.values())
    return [Conditions(tuple(unit for _, unit in pairs), tuple(name for name, _ in pairs)) for pairs in ordered]


def _place(sample: Conditions) -> tuple[int, int]:
    """What samples are ordered by: length, 0 where it is not known beforehand, and seed."""
    spec = sample.first.sample
    length, seed = spec.get("length", 0), spec.get("seed", 0)
    return int(length), seed if isinstance(seed, int) else 0
