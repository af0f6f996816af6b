"""A procedural world of two-hop questions in HotpotQA's own JSON layout.

A chain is a place, the person bound to it by a relation, and an attribute of that person. Its question names the place and asks for
the attribute; answering takes two supporting facts from two paragraphs. The paragraphs of all chains of a world, shuffled, are the
context, so every wrong chain is a distractor of the same form as the right one.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from mechdyn.errors import InputError
from mechdyn.tasks.fitting import check_request
from mechdyn.tasks.hotpotqa import hotpotqa
from mechdyn.tasks.questions import Questions
from mechdyn.tasks.sample import Sample
from mechdyn.tasks.task import RETEST, SampleSet, Spec, depth_bin, task

_ONSETS = "B Br C D Dr F G Gr H J K L M N P R S St T Tr V W Z".split()
_NUCLEI = "a e i o u ar el in or an".split()
_MIDDLES = "b d l m n r s t v k".split()
_CODAS = "n r l s m th sk nd".split()
_TOWN_ENDINGS = "ford ton wick mere field stead".split()
_KINDS = "Mill School Library Bakery Theatre Harbour Museum Tower".split()
_RELATIONS = "founder owner builder keeper painter guard".split()
_PERSON_ATTRIBUTES = "teacher friend doctor rival".split()
_TOWN_ATTRIBUTES = "birthplace home".split()
_FILLERS = (
    "It is known for its {a} garden.",
    "The house has a {a} door.",
    "Visitors come there in the {s}.",
    "Little else has been written about it.",
    "It was painted {a} one {s}.",
    "Many people speak well of it.",
    "The first records are from a {a} book.",
)
_COLOURS = "red green blue white grey yellow brown black".split()
_SEASONS = "spring summer autumn winter".split()


@dataclass(frozen=True)
class Chain:
    """One two-hop question with its facts, titles of their paragraphs and answer."""

    question: str
    facts: tuple[str, str]
    titles: tuple[str, str]
    answer: str

    @property
    def rationale(self) -> str:
        """The two supporting sentences and the answer: what the bundled model is taught to say."""
        return f"{self.facts[0]} {self.facts[1]} So the answer is {self.answer}."


@dataclass(frozen=True)
class World:
    """Paragraphs (title, sentences) in context order, and the chains that can be asked about them."""

    paragraphs: tuple[tuple[str, tuple[str, ...]], ...]
    chains: tuple[Chain, ...]


def make_world(rng: random.Random, n_chains: int) -> World:
    """A world of `n_chains` chains, that is of `2 * n_chains` shuffled paragraphs."""
    names = _NameSource(rng)
    paragraphs, chains = [], []
    for _ in range(n_chains):
        place, person = f"{names.word()} {rng.choice(_KINDS)}", names.person()
        relation = rng.choice(_RELATIONS)
        asked, other = rng.sample(_PERSON_ATTRIBUTES + _TOWN_ATTRIBUTES, 2)
        answer = names.value(asked)
        fact_of_place = f"The {relation} of {place} is {person}."
        fact_of_person = f"The {asked} of {person} is {answer}."
        paragraphs.append(_paragraph(rng, place, [fact_of_place]))
        paragraphs.append(_paragraph(rng, person, [fact_of_person, f"The {other} of {person} is {names.value(other)}."]))
        who = "Who" if asked in _PERSON_ATTRIBUTES else "What"
        question = f"{who} is the {asked} of the {relation} of {place}?"
        chains.append(Chain(question, (fact_of_place, fact_of_person), (place, person), answer))
    rng.shuffle(paragraphs)
    return World(tuple(paragraphs), tuple(chains))


def hotpot_item(world: World, chain: Chain, item_id: str) -> dict[str, Any]:
    """One chain as an item of the official HotpotQA JSON layout (sentences behind the first keep their leading space)."""
    context = [[title, [s if i == 0 else f" {s}" for i, s in enumerate(sentences)]] for title, sentences in world.paragraphs]
    sentences_of = dict(world.paragraphs)
    facts = [[title, sentences_of[title].index(fact)] for title, fact in zip(chain.titles, chain.facts, strict=True)]
    return {
        "_id": item_id,
        "question": chain.question,
        "answer": chain.answer,
        "type": "bridge",
        "level": "procedural",
        "supporting_facts": facts,
        "context": context,
    }


def world_items(n: int, seed: int, n_chains: int = 5) -> list[dict[str, Any]]:
    """`n` questions, each in a world of its own with `2 * n_chains` paragraphs; five chains make ten, as in HotpotQA."""
    items = []
    for index in range(n):
        rng = random.Random(f"world-{seed}-{index}")
        world = make_world(rng, n_chains)
        items.append(hotpot_item(world, rng.choice(world.chains), f"world-{seed}-{index}"))
    return items


def _paragraph(rng: random.Random, title: str, facts: list[str]) -> tuple[str, tuple[str, ...]]:
    filler = rng.choice(_FILLERS).format(a=rng.choice(_COLOURS), s=rng.choice(_SEASONS))
    sentences = [*facts, filler]
    rng.shuffle(sentences)
    return title, tuple(sentences)


class _NameSource:
    """Names that do not repeat within a world."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._used: set[str] = set()

    def word(self) -> str:
        while True:
            pick = self._rng.choice
            word = pick(_ONSETS) + pick(_NUCLEI) + pick(_MIDDLES) + pick(_NUCLEI) + pick(_CODAS)
            if word not in self._used:
                self._used.add(word)
                return word

    def person(self) -> str:
        return f"{self.word()} {self.word()}"

    def value(self, attribute: str) -> str:
        return self.person() if attribute in _PERSON_ATTRIBUTES else self.word() + self._rng.choice(_TOWN_ENDINGS)


@task
@dataclass(frozen=True)
class WorldTask(Questions):
    """Two-hop questions in procedural worlds of a wanted length; the seed draws where the facts lie, so depths are no choice."""

    name: ClassVar[str] = "world"
    max_new_tokens: ClassVar[int] = 96
    axes: ClassVar[tuple[str, ...]] = ("length",)
    has_retest: ClassVar[bool] = True

    def samples(self, wanted: SampleSet) -> list[Spec]:
        return [self._spec(length, seed) for (length, _), seed in zip(wanted.cells, wanted.seeds(), strict=True)]

    def retest(self, wanted: SampleSet) -> list[Spec]:
        """The same questions among other paragraphs."""
        pairs = zip(wanted.cells, wanted.seeds(), wanted.seeds(RETEST), strict=True)
        return [self._spec(length, seed) | {"needle_seed": needle} for (length, _), needle, seed in pairs]

    def single(self, *, length: int, depth: float, seed: int, named: str | None = None) -> Spec:
        return self._spec(length, seed) if named is None else super().single(length=length, depth=depth, seed=seed, named=named)

    def _spec(self, length: int, seed: int) -> Spec:
        return {"length": length, "seed": seed, "style": self.style}

    @classmethod
    def build(cls, model_or_tokenizer: Any, **spec: Any) -> Sample:
        """What `world` makes."""
        return world(model_or_tokenizer, **spec)

    @classmethod
    def cell(cls, meta: Mapping[str, Any]) -> tuple[int, float]:
        return meta["length"], depth_bin(meta["depth"])


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
        needle_seed: draws the question and its two paragraphs instead of `seed`: the same question among other paragraphs is a retest
            (docs/definitions.md, "Overlap").
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
    return replace(best, meta=meta)


def _item(n_chains: int, seed: int, needle_seed: int) -> dict[str, Any]:
    """The needle's chain in a world of `n_chains`: one of its own and the others from `seed`."""
    needle = make_world(random.Random(f"world-needle-{needle_seed}"), 1)
    rng = random.Random(f"world-{seed}")
    others = make_world(rng, n_chains - 1)
    (chain,) = needle.chains
    paragraphs = [*needle.paragraphs, *(paragraph for paragraph in others.paragraphs if paragraph[0] not in chain.titles)]
    rng.shuffle(paragraphs)
    return hotpot_item(World(tuple(paragraphs), (chain,)), chain, f"world-{seed}-{needle_seed}")
