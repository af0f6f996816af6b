"""Samples of the user's own text: spans by characters and by quotation, whole prompts, files, and every command on such a file."""

import json
import random

import pytest

import mechdyn as md
from mechdyn.errors import InputError
from mechdyn.tasks.niah import random_uuid
from mechdyn.tasks.own import Own, read_own, sample
from mechdyn.tasks.prose import procedural_prose
from mechdyn.tasks.task import build_sample
from tests.bundled import mini_tokenizer
from tests.spans import check_marked
from tests.tokenizers import tokenizer_styles

STYLES = tuple(tokenizer_styles())

CONTEXT = "The mill is old. The ticket of Ada is 7f31. Ada likes rain. 🌧 The mill was open."
FACT = "The ticket of Ada is 7f31."


def made(tokenizer=None, **changes):
    asked = {"context": CONTEXT, "question": "What is the ticket?", "spans": [FACT], "answer": "7f31"}
    return sample(tokenizer or mini_tokenizer(), **(asked | changes))


def test_a_quoted_span_is_where_the_text_stands():
    own = made()
    ((start, end),) = own.needle_spans
    assert own.prompt[start:end] == FACT
    assert own.prompt[slice(*own.context_span)] == CONTEXT
    assert mini_tokenizer().decode(own.tokens[own.needle_positions]).strip() == FACT
    assert (own.task, own.answer, own.question) == ("own", "7f31", "What is the ticket?")


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("seed", range(5))
def test_marked_tokens_are_those_that_overlap_the_spans(style, seed):
    rng, tokenizer = random.Random(seed), tokenizer_styles()[style]
    context = procedural_prose(seed, n_sentences=8)
    starts = [rng.randrange(len(context) - 1) for _ in range(3)]
    spans = [(start, min(len(context), start + rng.randrange(1, 40))) for start in starts]
    own = sample(tokenizer, context=context, question="What is said?", spans=spans)
    start = own.prompt.index(context)
    places = [(start + first, start + last) for first, last in spans]
    assert list(own.needle_spans) == places and own.context_span == (start, start + len(context))
    check_marked(tokenizer, own, places)


@pytest.mark.parametrize("style", STYLES)
def test_characters_and_a_quotation_give_the_same_sample(style):
    begin = CONTEXT.index(FACT)
    one, other = (made(tokenizer_styles()[style], spans=[span]) for span in (FACT, [begin, begin + len(FACT)]))
    assert one.key == other.key and one.prompt[slice(*one.needle_spans[0])] == FACT


def test_several_spans_have_their_tokens_apart():
    own = made(spans=[FACT, [0, 16]])
    assert [own.prompt[start:end] for start, end in own.needle_spans] == [FACT, "The mill is old."]
    first, second = own.meta["fact_tokens"]
    assert set(range(*first)).isdisjoint(range(*second)) and len(own.needle_positions) == sum(end - start for start, end in (first, second))


def test_a_whole_prompt_goes_in_as_it_is():
    rendered = made().prompt
    own = sample(mini_tokenizer(), prompt=rendered, spans=[FACT])
    assert own.tokens.tolist() == made().tokens.tolist() and own.needle_spans == made().needle_spans
    within = sample(mini_tokenizer(), prompt=rendered, context=CONTEXT, spans=[[17, 43]])
    assert within.needle_spans == own.needle_spans and rendered[slice(*within.context_span)] == CONTEXT


def test_a_system_text_of_its_own_takes_the_place_of_the_paper_s():
    own = made(system="You are a miller.")
    assert "You are a miller." in own.prompt and own.prompt != made().prompt
    assert own.prompt[slice(*own.needle_spans[0])] == FACT


BAD = {
    "not there": ({"spans": ["nobody"]}, "the span 'nobody' does not occur in the text; quote it to the letter"),
    "twice": ({"spans": ["The mill"]}, r"the span 'The mill' occurs 2 times, at characters 0, \d+; give the characters of the one"),
    "empty quotation": ({"spans": [""]}, "does not occur"),
    "beyond the text": ({"spans": [[0, 999]]}, r"must lie in the text's \d+ characters and hold one or more, got \[0, 999\)"),
    "nothing in it": ({"spans": [[3, 3]]}, r"hold one or more, got \[3, 3\)"),
    "one number": ({"spans": [[3]]}, r"\[start, end\) in characters, or quoted text, got \[3\]"),
    "numbers that are none": ({"spans": [[True, 4]]}, "in characters, or quoted text"),
    "no context": ({"context": None}, "needs a context, or a whole rendered prompt"),
    "blank context": ({"context": " \n"}, "needs a context"),
    "no question": ({"question": " "}, "needs a question about its context"),
    "system and prompt": ({"prompt": "x", "system": "y", "spans": []}, "has its system text already"),
    "context outside the prompt": ({"prompt": "x", "spans": []}, "the context 'The mill is old.* does not occur in the text"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_sample_is_one_line(case):
    changes, message = BAD[case]
    with pytest.raises(InputError, match=message) as caught:
        made(**changes)
    assert "\n" not in str(caught.value)


LINE = {"context": CONTEXT, "question": "What is the ticket?", "spans": [FACT], "answer": "7f31"}
BAD_LINES = {
    "not JSON": ("{", "line 2: not JSON"),
    "no object": ("[1]", "line 2: an object is needed, got list"),
    "unknown field": ('{"text": "x"}', "line 2: unknown field 'text'; fields are id, context"),
    "number": ('{"context": 3}', "line 2: field 'context' must be text, got int"),
    "spans": ('{"spans": "x"}', r"line 2: field 'spans' must be a list"),
    "same id": (json.dumps({"id": "1", **LINE}), "line 2: the id '1' comes twice"),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_a_bad_line_is_named(tmp_path, case):
    line, message = BAD_LINES[case]
    file = tmp_path / "own.jsonl"
    file.write_text(f"{json.dumps(LINE)}\n{line}\n")
    with pytest.raises(InputError, match=message):
        read_own(file)


def test_a_file_that_changed_since_the_plan_is_refused(tmp_path):
    (tmp_path / "own.jsonl").write_text(json.dumps(LINE))
    with pytest.raises(InputError, match="changed since the run was planned"):
        Own.build(mini_tokenizer(), file=str(tmp_path / "own.jsonl"), id="1", file_digest="0" * 16)


def test_an_answer_is_right_where_the_text_contains_it():
    assert Own.quality("It is 48213.", "48213")["accuracy"] == 1.0 and Own.is_correct("It is 48213.", "48213")
    assert Own.quality("It is 4821.", "48213")["accuracy"] == 0.0
    assert all(value != value for value in Own.quality("Anything.", "").values())


def test_a_file_without_samples_or_of_bytes_is_one_line(tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(InputError, match="hold no object; write one a line"):
        read_own(tmp_path / "empty.jsonl")
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="are not UTF-8"):
        read_own(tmp_path / "bytes.jsonl")
    with pytest.raises(InputError, match="cannot be read"):
        read_own(tmp_path / "nowhere.jsonl")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Fourteen magic words, each in some lines of a log."""
    lines = []
    for number in range(14):
        code = random_uuid(random.Random(number))
        fact = f"The magic word is {code}."
        parts = [f"On day {day} the mill was open." for day in range(3 + number % 4)]
        parts.insert(number % 3, fact)
        lines.append(
            {"id": f"log-{number}", "context": " ".join(parts), "question": "What is the magic word?", "spans": [fact], "answer": code}
        )
    path = tmp_path_factory.mktemp("own") / "own.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


def test_a_sample_of_a_file_is_found_by_its_id(file):
    own = build_sample(mini_tokenizer(), {"task": "own", "file": str(file), "id": "log-3"})
    assert own.meta["id"] == "log-3" and own.prompt[slice(*own.needle_spans[0])].startswith("The magic word is ")
    with pytest.raises(InputError, match="holds no item 'log-99'; give one of its 14 ids"):
        build_sample(mini_tokenizer(), {"task": "own", "file": str(file), "id": "log-99"})


COMMANDS = {
    "trace": (["trace", "--no-show", "--sample", "log-5"], "expected 5bc8fbbc"),
    "verify": (["verify", "dynamism", "--max-new-tokens", "12"], "there is no retest (own has each sample in one context only)"),
    "ablate": (["ablate", "--condition", "clean", "--condition", "dynamic", "--max-new-tokens", "40"], "accuracy"),
    "rag": (["rag", "--questions", "2", "--strategy", "oracle", "--strategy", "no-context"], "oracle"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_the_file(run, file, name):
    words, shown = COMMANDS[name]
    code, out, err = run(*words, "--task", "own", "--data", file, "--out", "made")
    assert code == 0, err
    assert shown in out
    code, out, err = run("explore", "made", "--no-show") if name in ("trace", "verify") else run("report", "made")
    assert code == 0, err


def test_samples_without_an_answer_are_traced_and_not_judged(run, tmp_path):
    (tmp_path / "own.jsonl").write_text(json.dumps({key: value for key, value in LINE.items() if key != "answer"}))
    code, _, err = run("verify", "dynamism", "--task", "own", "--data", "own.jsonl", "--out", "made")
    assert code == 2 and "item '1' of own.jsonl has no answer, so it cannot be judged" in err and not (tmp_path / "made").exists()
    trace = md.trace(md.load_model("mini"), sample(mini_tokenizer(), context=CONTEXT, question="What?", spans=[FACT]), max_new_tokens=4)
    assert trace.n_steps > 0
