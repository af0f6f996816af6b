"""Training rows: chats of one context and several questions, each token with its loss weight.

Copying is learned from many copy episodes a row; a row therefore holds several keyed needles or chains and asks for all of them.
Answers weigh 1, prose a little, random values in the context nothing (they cannot be predicted).
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from experiments.train_mini.config import Stage, TrainConfig
from experiments.train_mini.facts import Fact, keyed_facts, names
from experiments.train_mini.passages import Passages
from mechdyn.tasks.haystack import sentence_ends
from mechdyn.tasks.niah import INSTRUCTION, SYSTEM, random_uuid
from mechdyn.tasks.questions import RATIONALE_INSTRUCTION, context_text
from mechdyn.tasks.world import make_world

Segment = tuple[str, float]
_MOST_CHARS_PER_TOKEN = 6
_PROMPT_TOKENS, _TOKENS_PER_NEEDLE, _TOKENS_PER_HOPS, _TOKENS_PER_CHAIN = 70, 74, 58, 79
_GAP = re.compile(r"(?<=\S)\s")
TWO_HOPS = "two hops"


@dataclass(frozen=True)
class Batch:
    """Rows of one length; `weights[row, pos]` is the loss weight of predicting `tokens[row, pos + 1]`."""

    tokens: Int[Tensor, "row pos"]
    weights: Float[Tensor, "row pos"]


class RowMaker:
    """Makes batches that depend on (seed, step, worker) alone."""

    def __init__(self, config: TrainConfig, tokenizer: PreTrainedTokenizerFast) -> None:
        self._config = config
        self._tokenizer = tokenizer
        self._passages = Passages(config)

    def batch(self, step: int, worker: int) -> Batch:
        """The batch of a step: all workers share its row length."""
        stage = self._config.stage(step)
        length = random.Random(f"length-{self._config.seed}-{step}").choice(stage.lengths)
        rng = random.Random(f"rows-{self._config.seed}-{step}-{worker}")
        return self._stack([self._drawn_row(rng, stage, length) for _ in range(max(1, stage.tokens // length))])

    def probe(self, kind: str, length: int, n: int, seed: int) -> Batch:
        """`n` rows of one kind of text (see `passages.SHARES`), or of two hops for `two hops`; of another seed than any batch."""
        rng = random.Random(f"probe-{self._config.seed}-{seed}-{kind}")
        if kind == TWO_HOPS:
            return self._stack([self._row(lambda budget: self._hops(rng, budget), length) for _ in range(n)])
        return self._stack([self._row(lambda budget: self._needles(rng, budget, kind), length) for _ in range(n)])

    def _stack(self, rows: list[tuple[Int[Tensor, " pos"], Float[Tensor, " pos"]]]) -> Batch:
        tokens, weights = zip(*rows, strict=True)
        return Batch(torch.stack(tokens), torch.stack(weights))

    def _drawn_row(self, rng: random.Random, stage: Stage, length: int) -> tuple[Int[Tensor, " pos"], Float[Tensor, " pos"]]:
        makers: dict[str, Callable[[int], list[Segment]]] = {
            "needles": lambda budget: self._needles(rng, budget, self._passages.kind(rng), stage.other_values),
            "hops": lambda budget: self._hops(rng, budget),
            "list": lambda budget: self._list(rng, budget, self._passages.kind(rng)),
        }
        return self._row(makers[rng.choices(tuple(makers), _mix(stage, length))[0]], length)

    def _row(self, make: Callable[[int], list[Segment]], length: int) -> tuple[Int[Tensor, " pos"], Float[Tensor, " pos"]]:
        budget = length
        while True:
            row = self._encode(make(budget), length)
            if row is not None:
                return row
            budget = int(0.95 * budget)

    def _encode(self, segments: list[Segment], length: int) -> tuple[Int[Tensor, " pos"], Float[Tensor, " pos"]] | None:
        """Tokens and weights padded to `length + 1`; None where the row is too long. A token weighs what its last character weighs."""
        text = "".join(piece for piece, _ in segments)
        encoding = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids = encoding["input_ids"]
        if len(ids) > length + 1:
            return None
        bounds, weights, end = [], [], 0
        for piece, weight in segments:
            end += len(piece)
            bounds.append(end)
            weights.append(weight)
        token_weights, segment = [], 0
        for _, token_end in encoding["offset_mapping"]:
            while bounds[segment] < token_end:
                segment += 1
            token_weights.append(weights[segment])
        padding = length + 1 - len(ids)
        tokens = torch.tensor(ids + [self._tokenizer.pad_token_id] * padding)
        return tokens, torch.tensor(token_weights[1:] + [0.0] * padding)

    def _needles(self, rng: random.Random, budget: int, kind: str, other_values: float = 0.0) -> list[Segment]:
        n_needles = rng.randint(1, max(1, min(8, budget // 150)))
        facts = keyed_facts(rng, n_needles, self._passages.lexicon, other_values)
        passage = self._passage(rng, kind, budget - _PROMPT_TOKENS - n_needles * _TOKENS_PER_NEEDLE)
        context = _hidden(rng, passage, facts, self._prose_weight(budget))
        rng.shuffle(facts)
        return _chat(context, INSTRUCTION, [(fact.question, fact.value) for fact in facts])

    def _hops(self, rng: random.Random, budget: int) -> list[Segment]:
        n_questions = rng.randint(1, max(1, 1 + (budget - 300) // 160))
        n_chains = max(n_questions, (budget - _PROMPT_TOKENS - n_questions * _TOKENS_PER_HOPS) // _TOKENS_PER_CHAIN)
        world = make_world(rng, n_chains)
        asked = rng.sample(world.chains, n_questions)
        context: list[Segment] = [(context_text(world.paragraphs), self._config.world_weight)]
        return _chat(context, RATIONALE_INSTRUCTION, [(chain.question, chain.rationale) for chain in asked])

    def _list(self, rng: random.Random, budget: int, kind: str) -> list[Segment]:
        room = budget - 70
        value = rng.choice((names, _uuids))(rng, max(1, min(12, room // 52)))
        filler: list[Segment] = [(f"{self._passage(rng, kind, room // 3)} ", self._prose_weight(budget))]
        return _chat([*filler, ("The list is ", 0.0), (value, 0.0), (".", 0.0)], INSTRUCTION, [("What is the list?", value)])

    def _prose_weight(self, length: int) -> float:
        """The prose of a row weighs as much in all as `prose_weight` answer tokens, however long the row is."""
        return self._config.prose_weight / length

    def _passage(self, rng: random.Random, kind: str, n_tokens: int) -> str:
        """Text of a kind, cut behind `n_tokens` tokens."""
        if n_tokens <= 0:
            return ""
        text = self._passages.passage(rng, kind, _MOST_CHARS_PER_TOKEN * n_tokens)
        offsets = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        return text if len(offsets) <= n_tokens else text[: offsets[n_tokens - 1][1]].rstrip()


def _mix(stage: Stage, length: int) -> tuple[float, float, float]:
    """Shares of needles, two-hop and list rows; the shortest rows have no room for two hops."""
    if length < 300:
        return (0.7, 0.0, 0.3)
    return stage.mix if length < 1500 else stage.long_mix


def _chat(context: list[Segment], instruction: str, turns: list[tuple[str, str]]) -> list[Segment]:
    """The chat template by hand, so that each piece keeps its weight."""
    (question, answer), *rest = turns
    segments: list[Segment] = [(f"<|bos|><|system|>{SYSTEM}<|end|><|user|>Context:\n", 0.0), *context]
    segments += [(f"\n\nQuestion:\n{question}\n\nInstruction:\n{instruction}<|end|><|assistant|>", 0.0), (f"{answer}<|end|>", 1.0)]
    for question, answer in rest:
        segments += [(f"<|user|>Question:\n{question}<|end|><|assistant|>", 0.0), (f"{answer}<|end|>", 1.0)]
    return segments


def _hidden(rng: random.Random, passage: str, facts: list[Fact], weight: float) -> list[Segment]:
    """The passage with every fact behind one of its sentences or, at times, between any two of its words."""
    ends, gaps = sentence_ends(passage), [match.start() for match in _GAP.finditer(passage)]
    spots = sorted((_spot(rng, passage, gaps if rng.random() < 0.2 else ends), index) for index in range(len(facts)))
    segments: list[Segment] = []
    start = 0
    for at, index in spots:
        before = passage[start:at].strip()
        segments += [(f"{before} ", weight)] if before else []
        fact = facts[index]
        segments += [(fact.prefix, weight), (fact.value, 0.0), (". ", weight)]
        start = at
    rest = passage[start:].strip()
    if rest:
        return [*segments, (rest, weight)]
    return [*segments[:-1], (".", weight)]


def _spot(rng: random.Random, passage: str, places: list[int]) -> int:
    """The last of `places` at or before a random depth, as `niah` places its needle; start and end are drawn more often."""
    depth = rng.choice((0.0, 1.0)) if rng.random() < 0.15 else rng.random()
    return max((place for place in places if place <= depth * len(passage)), default=0)


def _uuids(rng: random.Random, n: int) -> str:
    return " ".join(random_uuid(rng) for _ in range(max(1, n // 3)))
