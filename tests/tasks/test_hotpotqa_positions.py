"""The tokens of every supporting fact, and of the sentences they are compared with, under several styles of tokenizer.

On items of our own, on layouts and texts made up at random, and on real questions.
"""

import dataclasses
import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mechdyn.tasks.hotpot_items import read_items
from mechdyn.tasks.hotpotqa import hotpotqa
from mechdyn.tasks.questions import lay_out
from mechdyn.tasks.sample import Sample, Span
from mechdyn.tasks.world import world_items
from tests.real_data import real_data
from tests.spans import check_marked, decoded
from tests.tokenizers import tokenizer_styles

FILES = ("hotpot/hotpot_dev_a.json", "hotpot/hotpot_train_extra.json", "2wiki/2wiki_sample.json")
STYLES = tuple(tokenizer_styles())


def own_items() -> list[dict[str, Any]]:
    """Items of our own, with everything that breaks a search for text or token ids."""
    repeated = [["Ann Orr", ["She sang.", " She sang.", " She sang.", "She sang."]], ["Bo Orr", ["She sang.", " He did not."]]]
    spaces = [
        ["Odd\u00a0Title", ["", " ", "  Two before.", "\u2009Thin before. ", "\tTab before.\u3000", "None before.", ""]],
        ["P", ["Q."]],
    ]
    entities = [
        ["A&amp;B", ["A &amp; B is “quoted” – twice.", " It's 50&nbsp;km² &lt;away&gt;.", "Zoë née Ünal, 中文!"]],
        ["C: D", [": E."]],
    ]
    empty = [["Empty", []], ["Also empty", [""]], ["Full", ["One.", "", " Two."]]]
    special = [["S", ["<s>He said <|end|> and </s>.", " [INST] no [/INST]"]], ["T", ["a"]]]
    copies = [["Twice", ["The same."]], ["Once", ["The same.", "Other."]], ["Twice", ["The same."]]]
    return [
        item_of("repeated", repeated, [["Ann Orr", 1], ["Ann Orr", 3], ["Bo Orr", 0], ["Ann Orr", 1]]),
        item_of("spaces", spaces, [["Odd\u00a0Title", 2], ["Odd\u00a0Title", 3], ["Odd\u00a0Title", 4], ["P", 0]]),
        item_of("blank", spaces, [["Odd\u00a0Title", 1], ["Odd\u00a0Title", 0], ["Odd\u00a0Title", 5]]),
        item_of("entities", entities, [["A&amp;B", 0], ["A&amp;B", 2], ["C: D", 0]]),
        item_of("empty", empty, [["Full", 2], ["Full", 1]]),
        item_of("special", special, [["S", 0], ["T", 0]]),
        item_of("copies", copies, [["Once", 0]]),
    ]


def item_of(name: str, context: list[Any], facts: list[Any]) -> dict[str, Any]:
    item = {"_id": name, "question": "Who sang?", "answer": "Ann", "type": "bridge", "level": "easy"}
    return {**item, "context": context, "supporting_facts": facts}


def fact_regions(item: dict[str, Any], prompt: str) -> Iterator[Span]:
    """Where the facts stand in the prompt, in order, found by walking its text: the oracle of these tests."""
    wanted = {(title, index) for title, index in item["supporting_facts"]}
    cursor = prompt.index("Context:\n") + len("Context:\n")
    for number, (title, sentences) in enumerate(item["context"]):
        head = f"{title}: " if number == 0 else f"\n{title}: "
        assert prompt.startswith(head, cursor)
        cursor += len(head)
        for index, sentence in enumerate(sentences):
            if not prompt.startswith(sentence, cursor):
                assert prompt[cursor] == " "
                cursor += 1
            assert prompt.startswith(sentence, cursor)
            if (title, index) in wanted and sentence:
                yield cursor, cursor + len(sentence)
            cursor += len(sentence)


def check_question(tokenizer: Any, item: dict[str, Any], style: str = "rationale") -> None:
    sample = hotpotqa(tokenizer, item, style=style)
    regions = list(fact_regions(item, sample.prompt))
    assert sorted(sample.needle_spans) == regions
    for (title, index), (start, end) in zip(sample.meta["facts"], sample.needle_spans, strict=True):
        sentence = next(sentences for name, sentences in item["context"] if name == title)[index]
        assert sample.prompt[start:end] == sentence
    check_marked(tokenizer, sample, regions)
    facts = sample.sentence_masks[: len(sample.needle_spans)]
    assert facts.any(dim=0).nonzero().flatten().equal(sample.needle_positions)
    for mask, region in zip(facts, sample.needle_spans, strict=True):
        check_marked(tokenizer, dataclasses.replace(sample, needle_positions=mask.nonzero().flatten()), [region])


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("item", own_items(), ids=lambda item: item["_id"])
def test_marked_tokens_are_the_facts(style: str, item: dict[str, Any]) -> None:
    tokenizer = tokenizer_styles()[style]
    check_question(tokenizer, item)
    check_question(tokenizer, item, "direct")


def test_the_oracle_notices_one_token_too_many_or_too_few() -> None:
    tokenizer, item = tokenizer_styles()["byte_bpe"], own_items()[3]
    sample = hotpotqa(tokenizer, item)
    positions, regions = sample.needle_positions, list(fact_regions(item, sample.prompt))
    outside = next(position for position in range(len(sample)) if position + 1 in positions and position not in positions)
    wrong = [positions[1:], positions[:-1], torch.cat([torch.tensor([outside]), positions])]
    for marked in wrong:
        with pytest.raises(AssertionError, match="marked"):
            check_marked(tokenizer, dataclasses.replace(sample, needle_positions=marked), regions)


@pytest.mark.parametrize("style", STYLES)
def test_each_fact_decodes_to_its_sentence(style: str) -> None:
    tokenizer = tokenizer_styles()[style]
    for item in world_items(5, seed=1):
        for fact in item["supporting_facts"]:
            sample = hotpotqa(tokenizer, {**item, "supporting_facts": [fact]})
            positions = sample.needle_positions.tolist()
            sentence = dict(item["context"])[fact[0]][fact[1]].strip()
            assert sentence in decoded(tokenizer, sample, positions)
            assert decoded(tokenizer, sample, positions[1:-1]) in sentence


def test_real_questions() -> None:
    """Every question of one file under one style, the next question under the next; the slow test has all of it."""
    for number, item in enumerate(read_items(real_data(FILES[0]))):
        check_question(tokenizer_styles()[STYLES[number % len(STYLES)]], item)


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("file", FILES)
def test_real_questions_under_every_style(file: str, style: str) -> None:
    for item in read_items(real_data(file)):
        check_question(tokenizer_styles()[style], item)


@pytest.mark.parametrize("seed", range(30))
def test_random_layouts(seed: int) -> None:
    """Sentences put together from few pieces, so that repeats, prefixes, blanks and empty ones abound."""
    rng = random.Random(seed)
    pieces = ["", " ", "a", "a.", " a.", "a. ", "\n", "é", "A: a.", "\u00a0a", "”"]

    def sentence() -> str:
        return "".join(rng.choice(pieces) for _ in range(rng.randint(0, 3)))

    context = [[f"T{number}", [sentence() for _ in range(rng.randint(0, 5))]] for number in range(rng.randint(1, 5))]
    context.append(["Last", [sentence(), "b"]])
    facts = [[title, index] for title, sentences in context for index in range(len(sentences))]
    item = item_of(f"random-{seed}", context, [*rng.sample(facts, rng.randint(1, len(facts))), ["Last", 1]])
    text, spans = lay_out(context)
    assert [[text[slice(*span)] for span in paragraph] for paragraph in spans] == [sentences for _, sentences in context]
    for style in STYLES:
        check_question(tokenizer_styles()[style], item)


PIECES = st.sampled_from(
    [
        *("a", "The", "She sang.", " She sang.", "1992", "'s", "(b)"),
        *(" ", "  ", "\n", "\t", "\u00a0", "\u2009", "\u3000", "\u200b", "\r\n", "\x0b", "\u2028"),
        *("&amp;", "&lt;b&gt;", "&nbsp;", "&#39;", "<s>", "</s>", "[INST]", "<|end|>", "<unk>"),
        *("é", "e\u0301", "\u0301", "ñ", "ﬁ", "ſ", "İ", "Å", "\u1e9b\u0323"),
        *("שלום", "العربية", "\u202eabc\u202c", "\u200f", "हिन्दी", "ไทย", "中文", "한국어"),
        *("👍", "👩\u200d👩\u200d👧", "🏳️\u200d🌈", "🇩🇪", "\U0001f9d1\U0001f3fd"),
    ]
)
SENTENCE = st.lists(PIECES, max_size=5).map("".join)
PARAGRAPHS = st.lists(st.lists(SENTENCE, max_size=4), min_size=1, max_size=4)


@pytest.mark.parametrize("style", STYLES)
@settings(max_examples=40, deadline=None)
@given(data=st.data(), paragraphs=PARAGRAPHS, titles=st.lists(PIECES, min_size=5, max_size=5))
def test_any_layout_of_any_text(style: str, data: st.DataObject, paragraphs: list[list[str]], titles: list[str]) -> None:
    """White space of every kind, entities, special tokens' own text, repeats, marks that join, right to left, emoji, empty sentences."""
    context = [[f"{title}{number}", sentences] for number, (title, sentences) in enumerate(zip(titles, paragraphs, strict=False))]
    context.append(["Last", ["b"]])
    facts = [[title, index] for title, sentences in context for index in range(len(sentences))]
    chosen = data.draw(st.lists(st.sampled_from(facts), max_size=4))
    check_question(tokenizer_styles()[style], item_of("any", context, [*chosen, ["Last", 0]]))


@pytest.mark.parametrize("style", STYLES)
def test_distractors_are_as_long_as_the_facts_and_of_other_paragraphs(style: str) -> None:
    tokenizer = tokenizer_styles()[style]
    for item in world_items(4, seed=3):
        sample = hotpotqa(tokenizer, item)
        named = {title for title, _ in item["supporting_facts"]}
        lengths = {}
        for title, sentences in item["context"]:
            for index, sentence in enumerate(sentences):
                (span,) = (sample.prompt.index(sentence, sample.prompt.index(f"{title}: ")),)
                overlapping = [p for p, (a, b) in enumerate(offsets(tokenizer, sample)) if a < span + len(sentence) and span < b]
                lengths[title, index] = (overlapping[0], overlapping[-1] + 1)
        pool = {place: end - start for place, (start, end) in lengths.items() if place[0] not in named}
        for fact, place, tokens in zip(
            map(tuple, sample.meta["facts"]), map(tuple, sample.meta["distractors"]), sample.meta["distractor_tokens"], strict=True
        ):
            assert tuple(tokens) == lengths[place]
            wanted = lengths[fact][1] - lengths[fact][0]
            assert abs(pool[place] - wanted) == min(abs(length - wanted) for length in pool.values())
            del pool[place]


def offsets(tokenizer: Any, sample: Sample) -> list[Span]:
    """Of the rendered prompt; BOS covers nothing."""
    encoded = tokenizer(sample.prompt, add_special_tokens=False, return_offsets_mapping=True)
    missing = len(sample) - len(encoded["input_ids"])
    assert sample.tokens[missing:].tolist() == encoded["input_ids"]
    return [(0, 0)] * missing + encoded["offset_mapping"]


def test_questions_without_other_paragraphs_have_no_distractors() -> None:
    tokenizer = tokenizer_styles()["byte_bpe"]
    assert hotpotqa(tokenizer, item_of("x", [["A", ["a", "b"]]], [["A", 0]])).meta["distractors"] == []
    few = hotpotqa(tokenizer, item_of("x", [["A", ["a.", " b."]], ["B", ["", "c"]]], [["A", 0], ["A", 1]]))
    assert (few.meta["distractors"], len(few.sentence_masks)) == ([["B", 1]], 3)
