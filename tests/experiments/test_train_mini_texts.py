"""The texts that the bundled model is trained and measured on: all kinds, all typographies, nothing held out among them."""

import json
import random
import re
from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional

from experiments.train_mini.cells import BOOK, ESSAYS, PARAGRAPHS, PROCEDURAL, PYTHON, STRAIGHT_BOOK
from experiments.train_mini.data import RowMaker, _hidden
from experiments.train_mini.facts import keyed_facts
from experiments.train_mini.haystacks import HaystackFiles, write_haystacks
from experiments.train_mini.made_up import PIECES, Lexicon, data, table
from experiments.train_mini.passages import SHARES, Passages
from experiments.train_mini.probe import right_answers
from experiments.train_mini.scripts import SCRIPTS, accented, foreign_sentence
from experiments.train_mini.texts import HELD_OUT_MODULES, held_out_sources, training_sources
from experiments.train_mini.typography import set_quotes, vary
from mechdyn.errors import InputError
from mechdyn.tasks.niah import niah
from mechdyn.tasks.world import world_items
from tests.bundled import mini_tokenizer
from tests.experiments.small_runs import SECRET, small_config, write_books

LEXICON = Lexicon(("river", "lamp", "quiet", "seven", "harbour"))

TYPESET = "“Don’t go,” she said — ‘it’s late’ … In 1852 (or 1853) the boys’ boat sank. “Why?” Nobody knew."
STRAIGHT = "\"Don't go,\" she said — 'it's late' … In 1852 (or 1853) the boys' boat sank. \"Why?\" Nobody knew."


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    return write_books(tmp_path_factory.mktemp("prose") / "books")


@pytest.fixture(scope="module")
def passages(books) -> Passages:
    return Passages(small_config(books, books))


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon.of(["A whale is no fish, said the captain, and his ship's boat knew it well."])


def test_quotes_become_straight_and_typographic_again():
    assert set_quotes(TYPESET, ('"', '"'), ("'", "'")) == STRAIGHT
    assert set_quotes(STRAIGHT, ("“", "”"), ("‘", "’")) == TYPESET
    assert set_quotes('He said "no" (or "yes").', ("«", "»"), ("'", "'")) == "He said «no» (or «yes»)."
    assert set_quotes(STRAIGHT, ("``", "''"), ("‘", "’")) == TYPESET.replace("“", "``").replace("”", "''")


def test_a_varied_text_keeps_its_letters():
    letters = re.sub("[^a-z]", "", TYPESET.lower())
    for seed in range(300):
        assert re.sub("[^a-z]", "", vary(random.Random(seed), TYPESET).lower()) == letters


def test_variations_cover_what_real_files_differ_in():
    texts = [vary(random.Random(seed), TYPESET) for seed in range(300)]
    for sign in ('"', "“", "„", "«", "``", "'", "’", "—", "--", " - ", "…", "...", "\n", "  ", "\u00a0", "DON", "1852"):
        share = sum(sign in text for text in texts) / len(texts)
        assert 0.005 < share < 0.98, sign
    assert sum("\n" not in text for text in texts) > 150  # most often on one line, as `niah` reads a file


def test_scripts_hold_letters_of_their_own_that_utf8_can_write():
    for script in SCRIPTS:
        sentence = foreign_sentence(random.Random(1), script)
        assert not re.search("[a-zA-Z]", sentence)
        assert sentence.encode().decode() == sentence
    every = "".join(foreign_sentence(random.Random(seed), script) for seed in range(40) for script in SCRIPTS)
    assert len({byte for byte in every.encode() if byte >= 0x80}) > 75


def test_accents_change_some_letters_and_no_length():
    word = accented(random.Random(0), "pseudoscience")
    assert word != "pseudoscience"
    assert len(word) == 13


@pytest.mark.parametrize("kind", sorted(PIECES))
def test_a_piece_depends_on_its_generator_alone(kind, lexicon):
    pieces = [PIECES[kind](random.Random(seed), lexicon) for seed in range(30)]
    assert pieces == [PIECES[kind](random.Random(seed), lexicon) for seed in range(30)]
    assert len(set(pieces)) == 30
    assert all(piece.strip() for piece in pieces)


def test_data_is_json_and_tables_have_columns(lexicon):
    written = [data(random.Random(seed), lexicon) for seed in range(40)]
    objects = [json.loads(text) for text in written if text.startswith("{")]
    assert objects
    assert all(isinstance(found, dict) for found in objects)
    tables = [table(random.Random(seed), lexicon) for seed in range(40)]
    in_markdown = [text.splitlines() for text in tables if text.startswith("|")]
    assert in_markdown
    assert all(len({line.count("|") for line in lines}) == 1 for lines in in_markdown)


def test_passages_are_of_the_wanted_length(passages):
    for kind in SHARES:
        for n_chars in (150, 2000):
            text = passages.passage(random.Random(n_chars), kind, n_chars)
            assert 0.7 * n_chars <= len(text) <= n_chars, kind


def test_kinds_are_drawn_by_their_shares(passages):
    assert sum(SHARES.values()) == pytest.approx(1)
    rng = random.Random(0)
    counted = Counter(passages.kind(rng) for _ in range(20_000))
    assert all(counted[kind] / 20_000 == pytest.approx(share, abs=0.012) for kind, share in SHARES.items())


def test_held_out_modules_and_tests_are_never_trained_on(books):
    config = small_config(books, books)
    assert len(training_sources(config)) == 2
    assert not any(SECRET in source for source in training_sources(config))
    assert [path.stem for path in held_out_sources(config)] == HELD_OUT_MODULES
    assert not any(SECRET in Passages(config).passage(random.Random(seed), "code", 300) for seed in range(50))
    with pytest.raises(InputError, match=r"--sources names a folder of .py files"):
        training_sources(small_config(books, books, sources=books / "nothing"))


def test_this_pythons_library_has_every_held_out_module(tmp_path, books):
    config = small_config(tmp_path, books, sources=None)
    held_out = held_out_sources(config)
    assert [path.stem for path in held_out] == HELD_OUT_MODULES
    trained = set(training_sources(config))
    assert not any(path.read_text(encoding="utf-8").strip() in trained for path in held_out)


@pytest.mark.parametrize("other_values", [0.0, 1.0])
def test_every_fact_is_hidden_once_and_the_passage_stays(other_values):
    passage = "One is here. Two came late! Was three there? So it went on without an en"
    for seed in range(100):
        rng = random.Random(seed)
        facts = keyed_facts(rng, 3, LEXICON, other_values)
        segments = _hidden(rng, passage, facts, 0.25)
        text = "".join(piece for piece, _ in segments)
        for fact in facts:
            assert text.count(f"{fact.prefix}{fact.value}.") == 1
            text = text.replace(f"{fact.prefix}{fact.value}.", "")
        assert text.split() == passage.split()
        assert {weight for piece, weight in segments if piece in [fact.value for fact in facts]} == {0.0}
        assert not "".join(piece for piece, _ in segments).endswith(" ")


def test_other_values_are_of_many_kinds_and_asked_for_by_their_key():
    facts = [fact for seed in range(200) for fact in keyed_facts(random.Random(seed), 2, LEXICON, 1.0)]
    assert {"number", "date", "words"} <= {_kind(fact.value) for fact in facts}
    assert len({fact.question.split()[1] for fact in facts}) > 2
    for fact in facts:
        key = re.search(r"the (.*?)(?: was| set|\?| be)", fact.question, flags=re.IGNORECASE)
        assert key is not None and key[1].strip() in fact.prefix


def _kind(value):
    if value.isdigit():
        return "number"
    return (
        "date"
        if re.search(r"[A-Z][a-z]+ \d+, \d{4}$|^\d+ [A-Z][a-z]+ \d{4}$", value)
        else "words"
        if re.fullmatch("[a-z ]+", value)
        else "code"
    )


def test_facts_lie_at_all_depths():
    passage = " ".join(f"Sentence {index}." for index in range(100))
    found = []
    for seed in range(300):
        rng = random.Random(seed)
        (fact,) = keyed_facts(rng, 1, LEXICON)
        text = "".join(piece for piece, _ in _hidden(rng, passage, [fact], 0.1))
        found.append(text.index(fact.prefix) / (len(text) - len(fact.prefix + fact.value) - 1))
    counted = Counter(min(int(10 * depth), 9) for depth in found)
    assert min(counted[tenth] for tenth in range(10)) >= 12
    assert found.count(0.0) >= 12


def test_the_probe_counts_whole_answers(books):
    rows = RowMaker(small_config(books, books), mini_tokenizer())
    batch = rows.probe("code", 400, 4, seed=0)
    answers = sum(mini_tokenizer().decode(row).count("<|assistant|>") for row in batch.tokens)
    assert answers >= 4
    told = batch.tokens[:, 1:].clone()
    model = _Oracle(told)
    assert right_answers(model, batch) == 1.0
    told[batch.weights == 0.0] = 0  # what is no answer does not count
    assert right_answers(model, batch) == 1.0
    row, position = (batch.weights == 1.0).nonzero()[-1].tolist()
    told[row, position] += 1
    assert right_answers(model, batch) == pytest.approx(1 - 1 / answers)


class _Oracle:
    """A model that says what it is told, whatever it reads."""

    config = SimpleNamespace(num_hidden_layers=1, num_attention_heads=1)
    device = torch.device("cpu")

    def __init__(self, told: torch.Tensor) -> None:
        self._told = told

    def model(self, tokens: torch.Tensor, **_: object) -> SimpleNamespace:
        return SimpleNamespace(last_hidden_state=functional.one_hot(self._told, 4096))

    def lm_head(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden


def test_haystacks_are_one_of_each_kind(books, tmp_path):
    items = world_items(4, seed=0)
    (tmp_path / "questions.json").write_text(json.dumps([*items, items[0]]))
    (tmp_path / "essay.txt").write_text("It's a start. So be it.")
    found = write_haystacks(HaystackFiles(books, tmp_path / "questions.json", tmp_path / "essay.txt"), tmp_path / "haystacks")
    assert list(found) == [PROCEDURAL, BOOK, STRAIGHT_BOOK, PYTHON, PARAGRAPHS, ESSAYS]
    assert found[PROCEDURAL] is None
    texts = {kind: path.read_text() for kind, path in found.items() if path is not None}
    assert SECRET in texts[BOOK]
    assert "class ArgumentParser" in texts[PYTHON]
    paragraphs = {f"{title}: {''.join(sentences)}" for item in items for title, sentences in item["context"]}
    assert sorted(texts[PARAGRAPHS].split("\n")) == sorted(paragraphs)
    for path in found.values():
        sample = niah(mini_tokenizer(), length=300, depth=0.5, haystack=path)
        assert sample.answer in sample.prompt
    assert list(write_haystacks(HaystackFiles(books), tmp_path / "fewer")) == [PROCEDURAL, BOOK, STRAIGHT_BOOK, PYTHON]


def test_the_straight_book_differs_in_its_quotes_alone(books, tmp_path):
    (tmp_path / "sherlock.txt").write_text(TYPESET)
    found = write_haystacks(HaystackFiles(tmp_path), tmp_path / "haystacks")
    assert found[STRAIGHT_BOOK].read_text() == STRAIGHT


def test_a_file_of_another_layout_is_refused(books, tmp_path):
    (tmp_path / "questions.json").write_text('[{"question": "Who?"}]')
    with pytest.raises(InputError, match=r"questions.json is not in HotpotQA's layout"):
        write_haystacks(HaystackFiles(books, tmp_path / "questions.json"), tmp_path / "haystacks")
