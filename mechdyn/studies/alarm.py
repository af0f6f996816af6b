"""How much retrieval stands behind each content token, beside what the model's own doubt says of it."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from mechdyn.errors import InputError
from mechdyn.heads import Head, RankedHeads
from mechdyn.probes.dataset import ProbeData, ProbeRows
from mechdyn.probes.ridge import ridge_probe
from mechdyn.stats.interval import Interval
from mechdyn.stats.log_loss_gain import N_FOLDS, Gain, folds_of, log_loss_gain
from mechdyn.stats.stratified import Stratified
from mechdyn.studies.claimed_tokens import KINDS, claimed_tokens
from mechdyn.tensors import Tensor, torch
from mechdyn.traces.trace import Trace

TOP = 20
"""Heads of the static ranking that the measures are over: the paper's."""
LABELLED, DEPLOYABLE, COPIES = "labelled retrieval", "deployable retrieval", "heads that copy from the context"
ENTROPY, MAX_P, MARGIN, N_ACTIVE, PROBE = "entropy", "max p", "margin", "active heads", "hidden-state probe"
MEASURES = (DEPLOYABLE, LABELLED, COPIES)
RAISED_BY_LITTLE = (DEPLOYABLE, LABELLED, COPIES, MAX_P, MARGIN, N_ACTIVE)
"""What calls an alarm where it is low; the others where they are high."""
_PLACES = (0, 1, 2, 4, 8, 16)
"""Where the groups of places begin that a model may know of."""
_NEAR_ZERO = 1e-3
_VALIDATION = 4
"""One training sample in so many chooses the probe's penalty."""


@dataclass(frozen=True, eq=False)
class AlarmRows:
    """A row for each content token of each answer, up to the first wrong one.

    Attributes:
        wrong: whether it is the first wrong token.
        kind: what its characters are (`mechdyn.studies.claimed_tokens.KINDS`).
        place: its place in the value, from 0.
        source: which data the sample is of.
        sample: the sample, from 0.
        readings: by name, what is known at the token's step: `ENTROPY`, `MAX_P`, `MARGIN` (nats and probabilities), `LABELLED`,
            `DEPLOYABLE`, `COPIES` (in [0, 1]), `N_ACTIVE`.
        clusters: for each sample a label; samples of one label share a text or a question.
        hidden: the step's final hidden state; None where there is none, as in simulation.
        left_out: how many answers have no wrong token where one is due, or no token at all, by the reason.
    """

    wrong: Bool[np.ndarray, " row"]
    kind: np.ndarray
    place: Int[np.ndarray, " row"]
    source: np.ndarray
    sample: Int[np.ndarray, " row"]
    readings: Mapping[str, Float[np.ndarray, " row"]]
    clusters: tuple[Hashable, ...]
    hidden: Float[Tensor, "row d_model"] | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.wrong)

    @property
    def n_wrong(self) -> int:
        return int(self.wrong.sum())

    @property
    def strata(self) -> list[tuple[str, int]]:
        """Token kind and place: what is compared with what."""
        return list(zip(self.kind.tolist(), self.place.tolist(), strict=True))

    def of(self, source: str) -> "AlarmRows":
        """The wrong tokens of one source and the right tokens of all."""
        kept = ~self.wrong | (self.source == source)
        readings = {name: values[kept] for name, values in self.readings.items()}
        hidden = None if self.hidden is None else self.hidden[torch.from_numpy(kept)]
        columns = {name: getattr(self, name)[kept] for name in ("wrong", "kind", "place", "source", "sample")}
        return replace(self, **columns, readings=readings, hidden=hidden)

    def alarm(self, name: str) -> Float[np.ndarray, " row"]:
        """A reading turned so that high calls an alarm."""
        return -self.readings[name] if name in RAISED_BY_LITTLE else self.readings[name]


@dataclass(frozen=True)
class WeightedHeads:
    """The first heads of a static ranking, each with its share of their scores; shares sum to 1."""

    heads: tuple[Head, ...]
    weights: tuple[float, ...]

    @classmethod
    def of(cls, ranking: RankedHeads, n: int = TOP) -> "WeightedHeads":
        """Heads that score above 0, at most `n`.

        Raises:
            InputError: no head does.
        """
        chosen = [(head, score) for head, score in zip(ranking.heads[:n], ranking.scores[:n], strict=True) if score > 0]
        if not chosen:
            raise InputError(
                "an alarm needs static heads that retrieve, and no head of the ranking scores above 0; take other samples to detect on"
            )
        total = sum(score for _, score in chosen)
        return cls(tuple(head for head, _ in chosen), tuple(score / total for _, score in chosen))

    def as_json(self) -> dict[str, float]:
        """Weight by head."""
        return dict(zip(map(str, self.heads), self.weights, strict=True))

    @classmethod
    def from_json(cls, content: Mapping[str, float]) -> "WeightedHeads":
        """What `as_json` wrote."""
        return cls(tuple(map(Head.parse, content)), tuple(content.values()))


def readings_of(trace: Trace, heads: WeightedHeads) -> dict[str, Float[Tensor, " step"]]:
    """What is known at each step of an answer.

    labelled = Σ_h w_h s_h with s the step's retrieval scores; deployable = Σ_h w_h m_h with m the head's attention on positions of the
    context that hold the emitted token; copies = Σ_h w_h c_h with c whether its strongest key is one of them. w sums to 1.

    Raises:
        InputError: a trace without backing, or with that of other heads.
    """
    backing = trace.backing
    if backing is None or any(head not in backing.heads for head in heads.heads):
        raise InputError("an alarm reads a trace with the backing of its heads; trace the sample with backing=heads.heads")
    weights = torch.tensor(heads.weights, dtype=torch.float32)
    columns = [backing.heads.index(head) for head in heads.heads]
    layers, places = [head.layer for head in heads.heads], [head.head for head in heads.heads]
    return {
        ENTROPY: backing.entropy,
        MAX_P: backing.max_p,
        MARGIN: backing.margin,
        LABELLED: trace.retrieval_scores[:, layers, places] @ weights,
        DEPLOYABLE: backing.mass[:, columns] @ weights,
        COPIES: backing.copies[:, columns].float() @ weights,
        N_ACTIVE: trace.active.flatten(1).sum(dim=1).float(),
    }


def alarm_rows(traces: Mapping[str, Sequence[Trace]], heads: WeightedHeads) -> AlarmRows:
    """The content tokens of answers, by the data that they are of. Generations that failed are left out and counted."""
    rows: list[tuple[str, int, Trace, int, str, int, bool]] = []
    clusters: list[Hashable] = []
    readings: list[dict[str, Tensor]] = []
    left_out: Counter[str] = Counter()
    for source, trace in ((source, trace) for source, found in traces.items() for trace in found):
        if trace.stopped == "error":
            left_out["it failed"] += 1
            continue
        reading = claimed_tokens(trace)
        if reading.left_out:
            left_out[reading.left_out] += 1
        if reading.tokens:
            rows += [(source, len(clusters), trace, token.step, token.kind, token.place, token.wrong) for token in reading.tokens]
            clusters.append(_text_of(trace))
            known = readings_of(trace, heads)
            readings += [{name: values[token.step] for name, values in known.items()} for token in reading.tokens]
    return AlarmRows(
        wrong=np.array([row[6] for row in rows], dtype=bool),
        kind=np.array([row[4] for row in rows], dtype=object),
        place=np.array([row[5] for row in rows], dtype=np.int64),
        source=np.array([row[0] for row in rows], dtype=object),
        sample=np.array([row[1] for row in rows], dtype=np.int64),
        readings={
            name: np.array([float(row[name]) for row in readings])
            for name in (ENTROPY, MAX_P, MARGIN, LABELLED, DEPLOYABLE, COPIES, N_ACTIVE)
        },
        clusters=tuple(clusters),
        hidden=torch.stack([row[2].hidden[row[3]] for row in rows]) if rows else None,
        left_out=dict(left_out),
    )


def gain_of(rows: AlarmRows, measure: str, *, places: bool = True, seed: int = 0) -> Gain:
    """What a measure adds to entropy and max p; with `places`, both models also know the token's kind and place."""
    return log_loss_gain(
        known_columns(rows, places=places), rows.readings[measure][:, None], rows.wrong, rows.sample, rows.clusters, seed=seed
    )


def known_columns(rows: AlarmRows, *, places: bool) -> Float[np.ndarray, "row column"]:
    """Entropy and 1 − max p, each as it is, squared, and as the logarithm of it and a thousandth: curves as well as lines.

    With `places` also which kind the token is of, and which group of places (0, 1, 2, 3, 4 to 7, 8 to 15, further on) it is in.
    """
    doubts = (rows.readings[ENTROPY], 1 - rows.readings[MAX_P])
    columns = [part for doubt in doubts for part in (doubt, doubt**2, np.log(doubt + _NEAR_ZERO))]
    if places:
        group = np.searchsorted(_PLACES, rows.place, side="right")
        columns += [(rows.kind == kind).astype(float) for kind in KINDS[1:]]
        columns += [(group == each).astype(float) for each in range(2, len(_PLACES) + 1)]
    return np.stack(columns, axis=1)


def areas(rows: AlarmRows, *, seed: int = 0) -> tuple[Stratified, dict[str, tuple[Interval, Interval]]]:
    """AUROC and average precision of every reading within token kind and place.

    The hidden-state probe is among them where hidden states are.
    """
    scores = {name: rows.alarm(name) for name in rows.readings}
    if rows.hidden is not None and len(set(rows.clusters)) >= N_FOLDS:
        scores[PROBE] = probed(rows, seed=seed)
    table = Stratified.of(rows.wrong, rows.strata, rows.sample, rows.clusters)
    return table, table.areas(scores, seed=seed)


def probed(rows: AlarmRows, *, seed: int = 0) -> Float[np.ndarray, " row"]:
    """What ridge regression on hidden states (`mechdyn.probes.ridge`), fitted on the other folds, says of each token being wrong.

    Raises:
        InputError: rows without hidden states, or too few samples.
    """
    if rows.hidden is None:
        raise InputError("the hidden-state probe needs hidden states, and these rows have none; read them from traces")
    fold = folds_of(rows.clusters, seed=seed)
    scores = np.zeros(len(rows))
    for each in range(N_FOLDS):
        train, test = np.flatnonzero(fold != each), fold == each
        validation = np.zeros(len(fold), dtype=bool)
        validation[train[::_VALIDATION]] = True
        fitted, steering, tested = (_probe_rows(rows, members) for members in (~test & ~validation, validation, test))
        probe = ridge_probe(ProbeData(fitted, steering, tested, 0, True, 1, 1, {}, 0), seed=seed)
        scores[test[rows.sample]] = probe(tested)[:, 0].numpy()
    return scores


def _probe_rows(rows: AlarmRows, samples: Bool[np.ndarray, " sample"]) -> ProbeRows:
    """The rows of some samples, whether they are wrong as the one target."""
    assert rows.hidden is not None
    kept = torch.from_numpy(samples[rows.sample])
    target = torch.from_numpy(rows.wrong).float()[kept][:, None]
    step, owner = torch.from_numpy(rows.place)[kept], torch.from_numpy(rows.sample)[kept]
    return ProbeRows(rows.hidden[kept].float(), target, torch.full_like(target, torch.nan), owner, step, step, len(rows.clusters))


def _text_of(trace: Trace) -> Hashable:
    """What samples may share: a question of a file, or the seed of a haystack."""
    return next((f"{name} {trace.meta[name]}" for name in ("id", "seed") if trace.meta.get(name) is not None), trace.sample)
