"""What holds for every task whose samples are made to a length: spans, lengths, seeds, retests, specs, refused options."""

import re
from types import SimpleNamespace

import pytest

from mechdyn.errors import InputError
from mechdyn.tasks.made import MadeTask
from mechdyn.tasks.prose import procedural_prose
from mechdyn.tasks.task import SampleSet, build_sample, make_task
from tests.spans import check_marked
from tests.tokenizers import tokenizer_styles

STYLES = tuple(tokenizer_styles())
SPECS = (
    "ruler:variant=single,values=uuids",
    "ruler:variant=multikey",
    "ruler:variant=multivalue,n=3,filler=repeat",
    "ruler:variant=multiquery,n=2,keys=uuids,values=words",
    "ruler:filler=needles",
    "variable_tracking",
    "variable_tracking:chains=2,hops=2,filler=repeat",
    "key_value",
    "stdlib:ask=constant",
    "stdlib:ask=function",
    "decoys:edits=3",
    "decoys:n=0",
    "decoys:absent=true,offer=true",
    "permuted:kind=numbers,order=3",
)
CELLS = ((420, 0.1), (420, 0.5), (600, 0.9))


def made(spec: str) -> MadeTask:
    task = make_task(spec)
    assert isinstance(task, MadeTask)
    return task


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("spec", SPECS)
def test_spans_and_lengths_under_every_tokenizer(style: str, spec: str) -> None:
    tokenizer = tokenizer_styles()[style]
    for length, depth in ((700, 0.0), (901, 0.6)):
        sample = made(spec).sample(tokenizer, length=length, depth=depth, seed=length)
        assert length - 1 <= len(sample) <= length
        check_marked(tokenizer, sample, list(sample.needle_spans))
        start, end = sample.context_span
        assert all(start <= first < last <= end for first, last in sample.needle_spans)
        assert sample.needle_mask.nonzero().flatten().tolist() == sample.needle_positions.tolist()
        plain = tokenizer(sample.prompt, add_special_tokens=getattr(tokenizer, "chat_template", None) is None)["input_ids"]
        assert sample.tokens.tolist() == plain
        evidence = " ".join(sample.prompt[first:last] for first, last in sample.needle_spans)
        if evidence:
            assert all(value in evidence for value in sample.answer.split(", "))


@pytest.mark.parametrize("spec", SPECS)
def test_the_answer_is_right_and_another_is_wrong(spec: str) -> None:
    task = made(spec)
    sample = task.sample(tokenizer_styles()["mini"], length=600, seed=4)
    for text in (sample.answer, f"I found it: {sample.answer}, of course."):
        assert set(task.quality(text, sample.answer).values()) == {1.0}
        assert task.is_correct(text, sample.answer)
    assert set(task.quality("The mill stands by the river.", sample.answer).values()) == {0.0}
    assert not task.is_correct("", sample.answer)
    assert tuple(task.quality("", sample.answer)) == task.metrics and task.primary in task.metrics


@pytest.mark.parametrize("spec", SPECS)
def test_a_unit_holds_all_that_makes_a_sample(spec: str) -> None:
    tokenizer = tokenizer_styles()["mini"]
    task = made(spec).prepare(SimpleNamespace(tokenizer=tokenizer, n_ctx=2048), 64)
    for number, wanted in enumerate(task.samples(SampleSet(CELLS, seed=2))):
        length, depth = CELLS[number]
        seed = SampleSet(CELLS, seed=2).seeds()[number]
        built = build_sample(tokenizer, {"task": task.name, **wanted})
        assert built.key == made(spec).sample(tokenizer, length=length, depth=depth, seed=seed).key
        assert task.cell(built.meta)[0] == length
        assert task.cell(built.meta)[1] == depth or task.axes == ("length",)
        assert built.meta["seed"] == built.meta["needle_seed"] == seed


@pytest.mark.parametrize("spec", SPECS)
def test_a_retest_asks_for_the_same_elsewhere(spec: str) -> None:
    tokenizer = tokenizer_styles()["byte_bpe"]
    task = made(spec)
    wanted = SampleSet(tuple((700, depth) for depth in (0.1, 0.3, 0.5, 0.7, 0.9)), seed=1)
    first, again = (
        [build_sample(tokenizer, {"task": task.name, **each}) for each in found(wanted)] for found in (task.samples, task.retest)
    )
    for one, other in zip(first, again, strict=True):
        assert (one.question, one.answer) == (other.question, other.answer)
        assert [one.prompt[slice(*span)] for span in one.needle_spans] == [other.prompt[slice(*span)] for span in other.needle_spans]
        assert one.prompt != other.prompt
        assert not one.needle_spans or one.needle_spans != other.needle_spans
    assert len({each.key for each in (*first, *again)}) == 10


@pytest.mark.parametrize("spec", [spec for spec in SPECS if not spec.startswith("variable")])
def test_the_first_needle_moves_with_the_depth(spec: str) -> None:
    tokenizer = tokenizer_styles()["mini"]
    found = [made(spec).sample(tokenizer, length=1000, depth=depth, seed=5) for depth in (0.0, 0.5, 1.0)]
    if not found[0].needle_spans:
        return
    starts = [(sample.needle_spans[0][0] - sample.context_span[0]) / (sample.context_span[1] - sample.context_span[0]) for sample in found]
    assert starts[0] < 0.2 < starts[1] < 0.6 < starts[2]


REFUSED = {
    "ruler:variant=many": "variant must be one of single, multikey, multivalue, multiquery, got 'many'",
    "ruler:n=0": "n must be a whole number from 1 to 64, got 0",
    "ruler:keys=names": "keys must be one of words, numbers, uuids, got 'names'",
    "ruler:values=": "values must be one of words, numbers, uuids, got ''",
    "ruler:filler=essay": "filler must be one of text, repeat, needles, got 'essay'",
    "ruler:filler=repeat,haystack=book.txt": "filler 'repeat' has no use for a haystack of yours; leave one of the two out",
    "ruler:size=3": "task ruler has no use for --size",
    "variable_tracking:chains=0": "chains must be a whole number from 1 to 32, got 0",
    "variable_tracking:hops=33": "hops must be a whole number from 0 to 32, got 33",
    "variable_tracking:filler=needles": "filler must be one of text, repeat, got 'needles'",
    "stdlib:ask=class": "ask must be one of constant, function, got 'class'",
    "decoys:n=20": "n must be a whole number from 0 to 19, got 20",
    "decoys:edits=9": "edits must be a whole number from 0 to 8, got 9",
    "permuted:pieces=5": "pieces must be an even number, got 5",
    "paraphrase:digits=1": "digits must be a whole number from 2 to 6, got 1",
    "permuted:order=6": "order must be a whole number from 0 to 5, got 6",
    "permuted:kind=words": "kind must be one of digits, numbers, hex, got 'words'",
}


@pytest.mark.parametrize("spec", REFUSED)
def test_options_that_cannot_be_run_are_refused_in_one_line(spec: str) -> None:
    with pytest.raises(InputError, match=re.escape(REFUSED[spec])) as caught:
        make_task(spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spec", SPECS)
def test_lengths_that_cannot_be_are_refused(spec: str) -> None:
    tokenizer = tokenizer_styles()["byte_bpe"]
    with pytest.raises(InputError, match=r"length 40 cannot hold .* has \d+ tokens; ask for a greater length"):
        made(spec).sample(tokenizer, length=40)
    with pytest.raises(InputError, match="length 500 is beyond the model's context of 400 positions"):
        made(spec).sample(SimpleNamespace(tokenizer=tokenizer, n_ctx=400), length=500)
    with pytest.raises(InputError, match=r"depth must lie in \[0, 1\]"):
        made(spec).sample(tokenizer, length=500, depth=1.5)


@pytest.mark.parametrize("name", ["ruler", "variable_tracking", "decoys", "permuted"])
def test_a_haystack_of_ones_own(name: str, tmp_path) -> None:
    file = tmp_path / "book.txt"
    file.write_text(procedural_prose(1, 200).replace("The", "THE"))
    tokenizer = tokenizer_styles()["mini"]
    task = make_task(name, haystack=str(file)).prepare(SimpleNamespace(tokenizer=tokenizer, n_ctx=2048), 64)
    (spec,) = task.samples(SampleSet(((600, 0.5),)))
    sample = build_sample(tokenizer, {"task": name, **spec})
    assert "THE " in sample.prompt and sample.meta["haystack"] == "book.txt"
    assert re.fullmatch("[0-9a-f]{16}", spec["haystack_digest"])
