"""Citations by the number of a sentence, and the same questions without their facts or in another order."""

import json
import re

import pytest

from mechdyn.errors import InputError
from mechdyn.metrics import exact_match, extract_answer, f1
from mechdyn.models.load import load_model
from mechdyn.tasks.absence import NOT_GIVEN
from mechdyn.tasks.citations import Citations, citations_of, numbered
from mechdyn.tasks.hotpot_items import read_items
from mechdyn.tasks.hotpotqa import HotpotQA, reordered
from mechdyn.tasks.task import RETEST, SampleSet, build_sample, make_task
from mechdyn.tasks.unanswerable import Unanswerable
from mechdyn.tasks.world import world_items
from tests.real_data import real_data
from tests.spans import check_marked
from tests.tokenizers import tokenizer_styles

FILES = ("2wiki/2wiki_sample.json", "hotpot/hotpot_dev_a.json")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "questions.json"
    path.write_text(json.dumps(world_items(6, seed=3)))
    return str(path)


@pytest.mark.parametrize("name", FILES)
def test_every_sentence_has_its_number_and_facts_are_marked_with_it(name: str) -> None:
    items = read_items(real_data(name), "skip")[:40]
    for number, item in enumerate(items):
        style, tokenizer = list(tokenizer_styles().items())[number % len(tokenizer_styles())]
        sample = Citations(data=name).of_item(tokenizer, item)
        check_marked(tokenizer, sample, list(sample.needle_spans))
        told = {int(n): text for n, text in re.findall(r"\[(\d+)\] (.*?)(?=\s*\[\d+\] |$)", shown_sentences(sample), re.DOTALL)}
        assert list(told) == list(range(1, len(told) + 1)), style
        paragraphs = dict(item["context"])
        for title, index, cited in sample.meta["evidence"]:
            assert (told[cited].strip() + " ").startswith(paragraphs[title][index].strip()[:20])
        gold = [int(cited) for cited in re.findall(r"\[(\d+)\]", sample.answer.removeprefix(item["answer"]))]
        assert gold == sorted(cited for *_, cited in sample.meta["evidence"]) and len(gold) == len(sample.needle_spans)
        for span, (*_, cited) in zip(sample.needle_spans, sample.meta["evidence"], strict=True):
            assert sample.prompt[slice(*span)].lstrip().startswith(f"[{cited}] ")


def test_a_paragraph_that_comes_twice_has_two_numbers() -> None:
    item = world_items(1, seed=6, n_chains=2)[0]
    named = {title for title, _ in item["supporting_facts"]}
    other = next(paragraph for paragraph in item["context"] if paragraph[0] not in named)
    twice = {**item, "context": [other, *item["context"]]}
    sample = Citations(data="x").of_item(tokenizer_styles()["mini"], twice)
    told = [int(number) for number in re.findall(r"\[(\d+)\]", shown_sentences(sample))]
    assert told == list(range(1, len(told) + 1))
    assert len(sample.needle_spans) == len(item["supporting_facts"])
    for span, (*_, cited) in zip(sample.needle_spans, sample.meta["evidence"], strict=True):
        assert sample.prompt[slice(*span)].lstrip().startswith(f"[{cited}] ")


def shown_sentences(sample) -> str:
    """The context, a newline at the end of each paragraph kept."""
    return sample.prompt[slice(*sample.context_span)]


@pytest.mark.parametrize("name", FILES)
def test_right_answers_of_real_questions_are_right(name: str) -> None:
    for item in read_items(real_data(name), "skip"):
        _, numbers = numbered(item)
        cited = sorted({numbers[title, index] for title, index in item["supporting_facts"] if (title, index) in numbers})
        gold = f"{item['answer']} {' '.join(f'[{number}]' for number in cited)}"
        quality = Citations.quality(f"It follows from {cited}. So the answer is {item['answer']}.", gold)
        plain = extract_answer(f"It follows. So the answer is {item['answer']}.")
        assert (quality["em"], quality["f1"]) == (exact_match(plain, item["answer"]), f1(plain, item["answer"]))
        assert [quality[each] for each in ("citation_f1", "citation_precision", "citation_recall")] == [1.0, 1.0, 1.0]


def test_citations_are_counted_as_sets() -> None:
    gold = "Ann Orr [3] [12]"
    for text, precision, recall in (
        ("She sang [3]. So the answer is Ann Orr [12].", 1.0, 1.0),
        ("[3][3] [12, 4] So the answer is Ann Orr.", 2 / 3, 1.0),
        ("She sang [3]. So the answer is Ann Orr.", 1.0, 0.5),
        ("Ann Orr [5]", 0.0, 0.0),
        ("Ann Orr", 0.0, 0.0),
    ):
        found = Citations.quality(text, gold)
        assert (found["citation_precision"], found["citation_recall"]) == (precision, recall), text
        total = precision + recall
        assert found["citation_f1"] == pytest.approx(2 * precision * recall / total if total else 0.0)
        assert found["em"] == 1.0 and Citations.is_correct(text, gold)
    assert Citations.quality("So the answer is Bob [3].", gold)["em"] == 0.0
    assert citations_of("see [1], [2][3] and [4; 5], not [x] or 7") == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("name", ["hotpotqa", "citations", "unanswerable"])
def test_a_retest_has_the_paragraphs_in_another_order(name: str, file: str) -> None:
    model = load_model("mini")
    task = make_task(name, data=file).prepare(model, 64)
    wanted = SampleSet(((512, 0.5),) * 3, seed=1)
    assert task.has_retest
    for spec, order, again in zip(task.samples(wanted), wanted.seeds(RETEST), task.retest(wanted), strict=True):
        assert again == {**spec, "order": order}
        first, second = (build_sample(model, {"task": name, **each}) for each in (spec, again))
        assert (first.question, first.answer, first.task) == (second.question, second.answer, name)
        lines = [sample.prompt[slice(*sample.context_span)].split("\n") for sample in (first, second)]
        assert lines[0] != lines[1] and sorted(lines[0]) == sorted(lines[1])
        told = [sorted(sample.prompt[slice(*span)] for span in sample.needle_spans) for sample in (first, second)]
        assert told[0] == told[1]


def test_one_paragraph_has_one_order() -> None:
    item = world_items(1, seed=0)[0]
    alone = {**item, "context": item["context"][:1]}
    assert reordered(alone, 3) is alone and reordered(item, None) is item
    assert reordered(item, 3)["context"] != item["context"]


def test_facts_that_are_taken_out_are_gone() -> None:
    tokenizer = tokenizer_styles()["byte_bpe"]
    for item in world_items(5, seed=2):
        kept = HotpotQA(data="x").of_item(tokenizer, item)
        sample = Unanswerable(data="x").of_item(tokenizer, item)
        paragraphs = dict(item["context"])
        for title, index in item["supporting_facts"]:
            assert paragraphs[title][index] in kept.prompt and paragraphs[title][index] not in sample.prompt
        others = [text for title, texts in item["context"] for n, text in enumerate(texts) if [title, n] not in item["supporting_facts"]]
        assert all(text in sample.prompt for text in others)
        assert (sample.answer, sample.needle_spans, len(sample.needle_positions)) == (NOT_GIVEN, (), 0)
        assert sample.meta["gold_answer"] == item["answer"]
        context = sample.prompt[slice(*sample.context_span)]
        assert sample.meta["answer_elsewhere"] == (re.search(rf"\b{re.escape(item['answer'])}\b", context) is not None)
        assert NOT_GIVEN not in sample.prompt
        assert NOT_GIVEN in Unanswerable(data="x", offer=True).of_item(tokenizer, item).prompt
    assert Unanswerable.quality("So the answer is not given.", NOT_GIVEN) == {"accuracy": 1.0}
    assert Unanswerable.quality("So the answer is Ann Orr.", NOT_GIVEN) == {"accuracy": 0.0}


def test_options_that_do_not_fit_are_refused(file: str) -> None:
    with pytest.raises(InputError, match="citations are asked for in a rationale, got the style 'direct'; leave the style out"):
        make_task("citations:style=direct", data=file)
    with pytest.raises(InputError, match="task citations needs a file of questions in HotpotQA's JSON layout"):
        make_task("citations")
    with pytest.raises(InputError, match="hold no question with the id 'nobody'; give one of its 6 ids"):
        build_sample(tokenizer_styles()["mini"], {"task": "unanswerable", "file": file, "id": "nobody"})
