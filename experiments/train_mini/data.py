"""Training rows: chats of one context and several questions, each token with its loss weight.

Copying is learned from many copy episodes a row; a row therefore holds several keyed needles or chains and asks for all of them.
Answers weigh 1, prose a little, random values in the context nothing (they cannot be predicted).
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from experiments.train_mini.config import TrainConfig
from experiments.train_mini.texts import natural_texts
from mechdyn.tasks.haystack import split_sentences
from mechdyn.tasks.niah import INSTRUCTION, QUESTION, SYSTEM, needle_sentence, random_uuid
from mechdyn.tasks.prose import procedural_sentence
from mechdyn.tasks.questions import RATIONALE_INSTRUCTION, context_text
from mechdyn.tasks.world import make_world

Segment = tuple[str, float]
_COLOURS = "red blue green silver golden black white grey".split()
_OBJECTS = "door gate garden tower letter lantern bridge clock boat window".split()
_CHARS_PER_TOKEN = {"procedural": 5.0, "natural": 2.85}


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
        self._natural = [split_sentences(text) for text in natural_texts(config)]

    def batch(self, step: int, worker: int) -> Batch:
        """The batch of a step: all workers share its row length."""
        stage = self._config.stage(step)
        length = random.Random(f"length-{self._config.seed}-{step}").choice(stage.lengths)
        rng = random.Random(f"rows-{self._config.seed}-{step}-{worker}")
        rows = [self._row(rng, length) for _ in range(max(1, stage.tokens // length))]
        tokens, weights = zip(*rows, strict=True)
        return Batch(torch.stack(tokens), torch.stack(weights))

    def _row(self, rng: random.Random, length: int) -> tuple[Int[Tensor, " pos"], Float[Tensor, " pos"]]:
        kind = rng.choices(("needles", "hops", "list"), _mix(length))[0]
        makers: dict[str, Callable[[random.Random, int], list[Segment]]] = {
            "needles": self._needles,
            "hops": self._hops,
            "list": self._list,
        }
        budget = int(1.1 * length)
        while True:
            row = self._encode(makers[kind](rng, budget), length)
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

    def _needles(self, rng: random.Random, budget: int) -> list[Segment]:
        n_needles = rng.randint(1, max(1, min(6, budget // 170)))
        facts = _keyed_facts(rng, n_needles)
        room = budget - 62 - n_needles * 66
        context: list[Segment] = [(f"{sentence} ", self._config.prose_weight) for sentence in self._sentences(rng, room)]
        for prefix, value, _ in facts:
            at = rng.randint(0, len(context))
            context[at:at] = [(prefix, self._config.prose_weight), (value, 0.0), (". ", self._config.prose_weight)]
        rng.shuffle(facts)
        return _chat(_stripped(context), INSTRUCTION, [(question, value) for _, value, question in facts])

    def _hops(self, rng: random.Random, budget: int) -> list[Segment]:
        n_chains = max(1, (budget - 130) // 100)
        world = make_world(rng, n_chains)
        n_questions = min(n_chains, 1 + (budget - 300) // 250 if budget > 300 else 1)
        asked = rng.sample(world.chains, n_questions)
        context: list[Segment] = [(context_text(world.paragraphs), 0.02)]
        return _chat(context, RATIONALE_INSTRUCTION, [(chain.question, chain.rationale) for chain in asked])

    def _list(self, rng: random.Random, budget: int) -> list[Segment]:
        room = budget - 70
        value = rng.choice((_names, _uuids))(rng, max(1, min(12, room // 52)))
        filler: list[Segment] = [(f"{sentence} ", self._config.prose_weight) for sentence in self._sentences(rng, room * 0.4)]
        return _chat([*filler, ("The list is ", 0.0), (value, 0.0), (".", 0.0)], INSTRUCTION, [("What is the list?", value)])

    def _sentences(self, rng: random.Random, n_tokens: float) -> list[str]:
        """Sentences of about so many tokens: half the rows procedural, half a passage of a book."""
        if rng.random() < 0.5:
            n_chars = n_tokens * _CHARS_PER_TOKEN["procedural"]
            source = iter(lambda: procedural_sentence(rng), None)
        else:
            n_chars = n_tokens * _CHARS_PER_TOKEN["natural"]
            book = rng.choice(self._natural)
            start = rng.randrange(max(1, len(book) - 400))
            source = iter(book[start : start + 400])
        sentences: list[str] = []
        for sentence in source:
            n_chars -= len(sentence) + 1
            if n_chars < 0:
                break
            sentences.append(sentence)
        return sentences


def _mix(length: int) -> tuple[float, float, float]:
    """Shares of needles, two-hop and list rows; the shortest rows have no room for two hops."""
    return (0.7, 0.0, 0.3) if length < 300 else (0.45, 0.5, 0.05)


def _chat(context: list[Segment], instruction: str, turns: list[tuple[str, str]]) -> list[Segment]:
    """The chat template by hand, so that each piece keeps its weight."""
    (question, answer), *rest = turns
    segments: list[Segment] = [(f"<|bos|><|system|>{SYSTEM}<|end|><|user|>Context:\n", 0.0), *context]
    segments += [(f"\n\nQuestion:\n{question}\n\nInstruction:\n{instruction}<|end|><|assistant|>", 0.0), (f"{answer}<|end|>", 1.0)]
    for question, answer in rest:
        segments += [(f"<|user|>Question:\n{question}<|end|><|assistant|>", 0.0), (f"{answer}<|end|>", 1.0)]
    return segments


def _stripped(context: list[Segment]) -> list[Segment]:
    text, weight = context[-1]
    return [*context[:-1], (text.rstrip(), weight)]


def _keyed_facts(rng: random.Random, n: int) -> list[tuple[str, str, str]]:
    """(text before the value, value, question) of `n` facts with different keys; the magic word is nearly always one of them."""
    keys = rng.sample([f"{colour} {thing} code" for colour in _COLOURS for thing in _OBJECTS], n)
    if rng.random() < 0.8:
        keys[rng.randrange(n)] = "magic word"
    facts = []
    for key in keys:
        value = random_uuid(rng) if rng.random() < 0.8 else _names(rng, rng.randint(1, 3))
        prefix, question = needle_sentence("").replace("magic word", key)[:-1], QUESTION.replace("magic word", key)
        facts.append((prefix, value, question))
    return facts


def _names(rng: random.Random, n: int) -> str:
    return " ".join(chain.titles[1] for chain in make_world(rng, n).chains)


def _uuids(rng: random.Random, n: int) -> str:
    return " ".join(random_uuid(rng) for _ in range(max(1, n // 3)))
