"""How questions are put to a model, what of them fits it, and how some are chosen; where their facts lie is tested beside."""

from types import SimpleNamespace
from typing import Any

import pytest

from mechdyn.errors import InputError, UnsupportedModelError
from mechdyn.metrics import extract_answer
from mechdyn.tasks.chat import render
from mechdyn.tasks.hotpotqa import hotpotqa, load_samples, select
from mechdyn.tasks.niah import SYSTEM, user_text
from mechdyn.tasks.questions import ANSWER_MARK, DIRECT_INSTRUCTION, RATIONALE_INSTRUCTION, context_text
from mechdyn.tasks.world import world_items
from tests.tasks.test_hotpotqa_positions import item_of, own_items
from tests.tokenizers import tokenizer_styles


@pytest.mark.parametrize(
    ("sentences", "text"),
    [
        (["One.", "Two."], "One. Two."),
        (["One.", " Two."], "One. Two."),
        (["One. ", "Two."], "One. Two."),
        (["One. ", " Two."], "One.  Two."),
        (["One.", "", "Two."], "One. Two."),
        (["", "One."], "One."),
        ([" One."], " One."),
        ([], ""),
    ],
)
def test_sentences_keep_every_character(sentences: list[str], text: str) -> None:
    assert context_text([("T", sentences)]) == f"T: {text}"


@pytest.mark.parametrize(("style", "instruction"), [("rationale", RATIONALE_INSTRUCTION), ("direct", DIRECT_INSTRUCTION)])
def test_the_prompt_is_the_needle_tasks(style: str, instruction: str) -> None:
    tokenizer, item = tokenizer_styles()["byte_bpe"], own_items()[0]
    sample = hotpotqa(tokenizer, item, style=style)
    expected = render(tokenizer, SYSTEM, user_text(context_text(item["context"]), item["question"], instruction))
    assert sample.prompt == expected.text
    assert sample.tokens.equal(expected.tokens)
    assert sample.prompt[slice(*sample.context_span)] == context_text(item["context"])
    assert (sample.task, sample.question, sample.answer) == ("hotpotqa", "Who sang?", "Ann")


def test_a_rationale_ends_in_the_mark_that_extraction_knows() -> None:
    assert f'"{ANSWER_MARK}"' in RATIONALE_INSTRUCTION
    assert extract_answer(f"She sang. {ANSWER_MARK} Ann Orr.") == "Ann Orr"


def test_the_context_is_found_behind_a_template_that_says_the_same() -> None:
    tokenizer = tokenizer_styles()["byte_bpe"]
    item = item_of("early", [["Keep your response short and direct", ["no"]]], [["Keep your response short and direct", 0]])
    tokenizer = SimpleTemplate(tokenizer, "Keep your response short and direct: no\n")
    sample = hotpotqa(tokenizer, item)
    assert sample.context_span[0] > sample.prompt.index("Context:\n")
    assert sample.prompt[slice(*sample.needle_spans[0])] == "no"


class SimpleTemplate:
    """A tokenizer under another template: some text in front, and the content changed by `change`."""

    is_fast = True
    chat_template = "set"

    def __init__(self, tokenizer: Any, front: str, change: Any = str) -> None:
        self._tokenizer, self._front, self._change = tokenizer, front, change

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._tokenizer(*arguments, **options)

    def apply_chat_template(self, messages: list[dict[str, str]], **_: Any) -> str:
        return self._front + "".join(self._change(message["content"]) for message in messages)


def test_a_template_that_changes_the_text_is_refused() -> None:
    tokenizer = SimpleTemplate(tokenizer_styles()["byte_bpe"], "", lambda content: content.replace("  ", " "))
    with pytest.raises(InputError, match="the chat template changed the context or the question"):
        hotpotqa(tokenizer, own_items()[1])


def test_a_slow_tokenizer_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="a fast tokenizer with character offsets is needed, got SimpleNamespace"):
        hotpotqa(SimpleNamespace(is_fast=False), own_items()[0])


def test_meta_says_where_the_evidence_lies() -> None:
    facts = [["A", ["0123456789"]], ["B", ["0123456789"]]]
    sample = hotpotqa(tokenizer_styles()["byte_bpe"], item_of("x", facts, [["B", 0]]))
    start, end = sample.context_span
    middle = sum(sample.needle_spans[0]) / 2
    assert sample.meta["depth"] == pytest.approx((middle - start) / (end - start), abs=1e-5)
    assert sample.meta["facts"] == [["B", 0]]
    assert (sample.meta["id"], sample.meta["style"], sample.meta["length"]) == ("x", "rationale", len(sample))
    both = hotpotqa(tokenizer_styles()["byte_bpe"], item_of("x", facts, [["B", 0], ["A", 0]]))
    assert both.meta["facts"] == [["B", 0], ["A", 0]]
    assert both.meta["depth"] < sample.meta["depth"]


def test_2wiki_items_have_no_level() -> None:
    item = {key: value for key, value in own_items()[0].items() if key != "level"}
    assert hotpotqa(tokenizer_styles()["unigram"], item).meta["level"] is None


def test_facts_that_are_all_empty_are_refused() -> None:
    item = item_of("void", [["A", ["", "text"]]], [["A", 0]])
    with pytest.raises(InputError, match="question void: field 'supporting_facts' names empty sentences only"):
        hotpotqa(tokenizer_styles()["byte_bpe"], item)


def test_prompts_longer_than_the_model_are_an_error_or_counted() -> None:
    items = world_items(3, seed=0, n_chains=1) + world_items(2, seed=1, n_chains=6)
    tokenizer = tokenizer_styles()["byte_bpe"]
    longest = max(len(hotpotqa(tokenizer, item)) for item in items[:3])
    model = SimpleNamespace(tokenizer=tokenizer, n_ctx=longest + 10)
    loaded = load_samples(model, items, too_long="skip", room=10)
    assert [sample.meta["id"] for sample in loaded.samples] == ["world-0-0", "world-0-1", "world-0-2"]
    assert loaded.skipped == ("world-1-0", "world-1-1")
    assert len(load_samples(model, items, too_long="skip", room=11).samples) < 3
    with pytest.raises(
        InputError, match=rf"question world-1-0: its prompt has \d+ tokens and the model holds {longest + 10}, 10 of them kept"
    ):
        load_samples(model, items, room=10)
    with pytest.raises(InputError, match="load_samples"):
        hotpotqa(model, items[3])
    assert len(load_samples(tokenizer, items).samples) == 5
    with pytest.raises(InputError, match='too_long must be "error" or "skip", got \'drop\''):
        load_samples(model, items, too_long="drop")
    with pytest.raises(InputError, match="there are no questions to load"):
        load_samples(model, [])


def test_an_unknown_style_is_refused() -> None:
    with pytest.raises(InputError, match="style must be one of rationale, direct, got 'chain'"):
        hotpotqa(tokenizer_styles()["byte_bpe"], own_items()[0], style="chain")


def test_selection_is_seeded_nested_and_filtered() -> None:
    items = [item_of(str(number), [["A", ["a"]]], [["A", 0]]) | {"type": "bridge" if number % 3 else "comparison"} for number in range(30)]
    ten = select(items, 10, 0)
    assert ten == select(items, 10, 0)
    assert ten[:4] == select(items, 4, 0)
    assert ten != select(items, 10, 1)
    assert len({item["_id"] for item in ten}) == 10
    assert {item["type"] for item in select(items, seed=3, type="comparison")} == {"comparison"}
    assert len(select(items, seed=3, type="comparison", level="easy")) == 10
    assert [item["_id"] for item in items] == [str(number) for number in range(30)]


def test_selections_that_cannot_be_made_are_refused() -> None:
    items = own_items()
    with pytest.raises(InputError, match="99 items wanted, 7 of 7 match; ask for fewer"):
        select(items, 99)
    with pytest.raises(InputError, match=r"0 of 7 match \{'type': 'comparison'\}; the items have type \['bridge'\]"):
        select(items, 2, type="comparison")
    with pytest.raises(InputError, match="0 items wanted"):
        select(items, 0)
    del items[2]["level"]
    with pytest.raises(InputError, match="question blank: field 'level' is missing"):
        select(items, 1, level="easy")
