"""Samples of the procedural two-hop world, of a wanted length."""

import dataclasses
import random
from typing import Any

from mechdyn.errors import InputError
from mechdyn.tasks.hotpotqa import hotpotqa
from mechdyn.tasks.niah import check_request
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.world import World, hotpot_item, make_world


def world(
    model_or_tokenizer: Any,
    *,
    length: int,
    seed: int = 0,
    needle_seed: int | None = None,
    style: str = "rationale",
) -> Sample:
    """One two-hop question among as many distractor paragraphs as `length` prompt tokens hold.

    Paragraphs are shuffled, so the seed also draws where the two facts lie (`meta["depth"]`, their mean place).

    Args:
        model_or_tokenizer: what `load_model` returned, or a fast tokenizer.
        length: tokens of the whole rendered prompt, never exceeded; one more chain (two paragraphs) would exceed it.
        seed: draws distractors, order and the question.
        needle_seed: draws the question and its two paragraphs instead of `seed`: the same question among other paragraphs is the retest of
            DEFINITIONS.
        style: as in `hotpotqa`.

    Raises:
        InputError: a length that cannot hold the two paragraphs, or one beyond the model's context.
    """
    check_request(length, 0.0, getattr(model_or_tokenizer, "n_ctx", None))
    tokenizer = getattr(model_or_tokenizer, "tokenizer", model_or_tokenizer)
    needle_seed = seed if needle_seed is None else needle_seed

    def build(n_chains: int) -> Sample:
        return hotpotqa(tokenizer, _item(n_chains, seed, needle_seed), style=style, task="world")

    best, n_chains = build(1), 1
    if len(best) > length:
        raise InputError(f"length {length} cannot hold the question: its prompt without distractors has {len(best)} tokens; ask for more")
    # Every chain adds tokens, so the number of chains is bracketed by doubling and then bisected.
    step = 1
    growing = True
    while step:
        candidate = build(n_chains + step)
        if len(candidate) <= length:
            best, n_chains = candidate, n_chains + step
        else:
            growing = False
        step = step * 2 if growing else step // 2
    meta = {**best.meta, "length": length, "seed": seed, "needle_seed": needle_seed, "n_chains": n_chains}
    return dataclasses.replace(best, meta=meta)


def _item(n_chains: int, seed: int, needle_seed: int) -> dict[str, Any]:
    """The needle's chain in a world of `n_chains`: one of its own and the others from `seed`."""
    needle = make_world(random.Random(f"world-needle-{needle_seed}"), 1)
    rng = random.Random(f"world-{seed}")
    others = make_world(rng, n_chains - 1)
    (chain,) = needle.chains
    paragraphs = [*needle.paragraphs, *(paragraph for paragraph in others.paragraphs if paragraph[0] not in chain.titles)]
    rng.shuffle(paragraphs)
    return hotpot_item(World(tuple(paragraphs), (chain,)), chain, f"world-{seed}-{needle_seed}")
