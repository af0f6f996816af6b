"""What many traces say of each head: how often it retrieves, where in the needle, on which tokens, and what goes with switching it off."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from mechdyn.errors import InputError
from mechdyn.stats.head_activity import Activity
from mechdyn.stats.interval import Interval
from mechdyn.stats.means import mean_interval, paired_difference
from mechdyn.traces.trace import Trace

N_PLACES = 10
"""Stretches of the needle that are told apart."""
KINDS = ("word", "inside a word", "number", "letters and digits", "punctuation", "white space", "other")
_LEAST_OFF = 2


@dataclass(frozen=True)
class SwitchedOff:
    """The samples of a condition in which a head was off at some step, against the same samples without ablation.

    Other heads were off as well (`others`, the mean number at a step at which this one was), so what changes is the work of all of them.

    Attributes:
        condition: its name.
        clean: share of right answers without ablation.
        off: the same under the condition.
        difference: off less clean, paired by sample.
    """

    condition: str
    clean: Interval
    off: Interval
    difference: Interval
    others: float


@dataclass(frozen=True, eq=False)
class PairedAnswers:
    """Generations under one condition beside those of the same samples without ablation.

    Attributes:
        off: whether each head was off at some step, flat.
        others: of those heads, how many others were off at those steps, on average; 0 for the rest.
        right: whether the answer is right.
        clean: the same without ablation.
        clusters: which samples depend on each other.
    """

    off: Bool[np.ndarray, "sample head"]
    others: Float[np.ndarray, "sample head"]
    right: Bool[np.ndarray, " sample"]
    clean: Bool[np.ndarray, " sample"]
    clusters: Int[np.ndarray, " sample"]


def activity_of(trace: Trace) -> Activity:
    """Which heads retrieve at which steps, where each token stands in the needle and of which kind it is."""
    kinds = np.array([KINDS.index(token_kind(text)) for text in trace.token_texts], dtype=np.int64)
    return Activity.of(trace.active.flatten(1).numpy(), needle_places(trace), kinds)


def needle_places(trace: Trace) -> Float[np.ndarray, " step"]:
    """Where in the needle each generated token stands, 0 to below 1: its place among the needle's n tokens, divided by n.

    Under Eq. 1 a head that retrieves has its strongest key at a needle token that is the generated one, so where the needle has this token
    once, that is what the head looked at. Where it has it several times, the place is the one behind the step before's; NaN where there is
    none such, or the needle has no such token. On an ablated run too the place is that of the token that was generated.
    """
    needle = trace.prompt_tokens[trace.needle_positions].tolist()
    where: dict[int, list[int]] = {}
    for place, token in enumerate(needle):
        where.setdefault(token, []).append(place)
    found, before = np.full(trace.n_steps, np.nan), -2
    for step, token in enumerate(trace.tokens.tolist()):
        places = where.get(token, [])
        after = places if len(places) == 1 else [each for each in places if each == before + 1]
        before = after[0] if after else -2
        if after:
            found[step] = after[0] / len(needle)
    return found


def places_are_known(activities: Iterable[Activity], tokens_in_needle: Iterable[Bool[np.ndarray, " _step"]]) -> bool:
    """Whether every step at which a head retrieves generates a token of the needle, as under Eq. 1; elsewhere a place says less."""
    return all(bool(inside[each.retrieves.any(axis=1)].all()) for each, inside in zip(activities, tokens_in_needle, strict=True))


def tokens_in_needle(trace: Trace) -> Bool[np.ndarray, " step"]:
    """Which generated tokens the needle has."""
    return np.isin(trace.tokens.numpy(), trace.prompt_tokens[trace.needle_positions].numpy())


def token_kind(text: str) -> str:
    """One of `KINDS`. A token of letters is a word where it begins with a space or a capital, else it is inside a word."""
    core = text.strip()
    if not core:
        return "white space"
    if core.isalpha():
        return "word" if text[0].isspace() or core[0].isupper() else "inside a word"
    if core.isdecimal():
        return "number"
    if core.isalnum():
        return "letters and digits"
    return "punctuation" if not any(character.isalnum() for character in core) and core.isprintable() and "\ufffd" not in core else "other"


def heads_off(trace: Trace) -> tuple[Bool[np.ndarray, " head"], Float[np.ndarray, " head"]]:
    """Which heads were off at some step, and how many others were at those steps on average; none without ablation."""
    if trace.ablated is None:
        nothing = np.zeros(trace.retrieval_scores[0].numel(), dtype=np.bool_)
        return nothing, nothing.astype(np.float64)
    off = trace.ablated.flatten(1).numpy()
    steps = off.sum(axis=0)
    others = (off * (off.sum(axis=1, keepdims=True) - 1)).sum(axis=0) / np.maximum(steps, 1)
    return steps > 0, others


def switched_off(answers: Mapping[str, PairedAnswers], head: int) -> list[SwitchedOff]:
    """What went with switching a head off, by condition; conditions in which it was off in fewer than 2 samples are left out.

    Raises:
        InputError: a head that the model has not.
    """
    found = []
    for name, each in answers.items():
        if not 0 <= head < each.off.shape[1]:
            raise InputError(f"head must lie in [0, {each.off.shape[1] - 1}] (flat, layer by layer), got {head}")
        there = each.off[:, head]
        if there.sum() < _LEAST_OFF:
            continue
        clean, right, clusters = each.clean[there].astype(float), each.right[there].astype(float), each.clusters[there]
        found.append(
            SwitchedOff(
                name,
                mean_interval(clean, clusters),
                mean_interval(right, clusters),
                paired_difference(right, clean, clusters),
                float(each.others[there, head].mean()),
            )
        )
    return found


def all_switched_off(answers: Mapping[str, PairedAnswers], heads: Sequence[int]) -> dict[int, list[SwitchedOff]]:
    """`switched_off` of many heads; those that were off in the same samples of a condition share their intervals."""
    known: dict[tuple[str, bytes], list[SwitchedOff]] = {}
    found: dict[int, list[SwitchedOff]] = {head: [] for head in heads}
    for name, each in answers.items():
        for head in heads:
            key = (name, np.packbits(each.off[:, head]).tobytes() + each.others[:, head].tobytes())
            if key not in known:
                known[key] = switched_off({name: each}, head)
            found[head] += known[key]
    return found
