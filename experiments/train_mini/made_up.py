"""Made-up texts of the kinds that files hold beside prose: articles, dialogue, tables, lists, data, mark-up, other scripts.

Each kind is a function of a generator and a `Lexicon` and gives one short piece; `passages.py` strings pieces together.
"""

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.train_mini.scripts import SCRIPTS, accented, foreign_sentence, foreign_word
from mechdyn.tasks.niah import random_uuid
from mechdyn.tasks.prose import procedural_sentence
from mechdyn.tasks.world import make_world

_MONTHS = "January February March April May June July August September October November December".split()
_ROLES = "actor singer painter writer footballer politician physicist director historian composer".split()
_NATIONS = "American British French Indian German Australian Canadian Italian Irish Japanese".split()
_WORKS = "film novel album song magazine newspaper company university river railway station band village museum".split()
_EVENTS = (
    "was released in {y} by {n}",
    "is located in {p}, about {k} km north of {q}",
    "won {k} awards, including the {n} Prize in {y}",
    "was founded in {y} by {n} and {m}",
    "stars {n}, {m} and {o}",
    "had a population of {b} at the {y} census",
    "was directed by {n} and written by {m}",
    'is best known for "{t}" ({y})',
    "played {k} games for {p} between {y} and {z}",
    "reached number {k} on the {n} chart",
)
_SPEECH = "said asked answered cried whispered replied shouted murmured".split()
_CONTRACTIONS = "don't can't won't it's I'm you're they've we'll isn't didn't that's there's I'd couldn't let's who's".split()
_EXTENSIONS = "html txt png json py css csv pdf".split()
_LEVELS = "INFO WARNING ERROR DEBUG".split()


@dataclass(frozen=True)
class Lexicon:
    """Words of the books, each as often as there."""

    words: tuple[str, ...]

    @classmethod
    def of(cls, texts: Sequence[str], n: int = 40_000) -> "Lexicon":
        """Words spread evenly over the texts."""
        found = [word for text in texts for word in re.findall(r"[A-Za-z]+", text)]
        return cls(tuple(found[:: max(1, len(found) // n)]))

    def word(self, rng: random.Random) -> str:
        return rng.choice(self.words)

    def phrase(self, rng: random.Random, low: int = 2, high: int = 6) -> str:
        return " ".join(self.word(rng) for _ in range(rng.randint(low, high)))

    def sentence(self, rng: random.Random) -> str:
        """Words of the books in no order, with the contractions and commas of speech."""
        words = [rng.choice(_CONTRACTIONS) if rng.random() < 0.12 else self.word(rng) for _ in range(rng.randint(4, 16))]
        words = [f"{word}," if rng.random() < 0.08 else word for word in words]
        return f"{words[0][0].upper()}{' '.join(words)[1:].rstrip(',')}{rng.choice('.......?!')}"


def article(rng: random.Random, lexicon: Lexicon) -> str:
    """A paragraph of an encyclopedia, laid out as `Title: sentence sentence`."""
    title = _name(rng) if rng.random() < 0.5 else f"The {lexicon.phrase(rng, 1, 3).title()}"
    shown = f"{title} ({rng.choice((_year(rng), rng.choice(_WORKS)))})" if rng.random() < 0.3 else title
    born = f"{rng.randint(1, 31)} {rng.choice(_MONTHS)} {_year(rng)}"
    if rng.random() < 0.5:
        first = f"{title} (born {born}) is {rng.choice(('a', 'an'))} {rng.choice(_NATIONS)} {rng.choice(_ROLES)}."
    else:
        kind = f"{_year(rng)} {rng.choice(_NATIONS)} {rng.choice(_WORKS)}"
        foreign = f" ({foreign_word(rng, rng.choice(SCRIPTS))})" if rng.random() < 0.25 else ""
        first = f'"{title}"{foreign} is a {kind} by {_name(rng)}.'
    subjects = ("It", "He", "She", "The " + rng.choice(_WORKS), title)
    rest = [f"{rng.choice(subjects)} {_event(rng, lexicon)}." for _ in range(rng.randint(1, 4))]
    return f"{shown}: {' '.join([first, *rest])}"


def dialogue(rng: random.Random, lexicon: Lexicon) -> str:
    """Talk, as a novel sets it or as a transcript does."""
    speakers = [_name(rng).split()[0] for _ in range(2)]
    lines = []
    for turn in range(rng.randint(2, 6)):
        who, said = speakers[turn % 2], lexicon.sentence(rng)
        if rng.random() < 0.5:
            lines.append(f"{who.upper()}: {said}")
        else:
            lines.append(f'"{said[:-1]}," {rng.choice(_SPEECH)} {who}. "{lexicon.sentence(rng)}"')
    return "\n".join(lines)


def table(rng: random.Random, lexicon: Lexicon) -> str:
    """Rows and columns: Markdown, tabs, commas or aligned with spaces."""
    n_columns = rng.randint(2, 6)
    rows = [[lexicon.word(rng).title() for _ in range(n_columns)]]
    rows += [[_cell(rng, lexicon) for _ in range(n_columns)] for _ in range(rng.randint(2, 8))]
    style = rng.randrange(4)
    if style == 0:
        lines = [f"| {' | '.join(row)} |" for row in rows]
        return "\n".join([lines[0], "|---" * n_columns + "|", *lines[1:]])
    if style == 1:
        return "\n".join("  ".join(f"{cell:<12}" for cell in row).rstrip() for row in rows)
    return "\n".join(rng.choice(("\t", ",", ";")).join(row) for row in rows)


def listing(rng: random.Random, lexicon: Lexicon) -> str:
    """A list with bullets or numbers."""
    bullet = rng.choice(("- ", "* ", "\u2022 ", "{}. ", "({}) ", "[{}] ", "{}) "))
    items = [lexicon.sentence(rng) if rng.random() < 0.4 else lexicon.phrase(rng) for _ in range(rng.randint(2, 8))]
    return "\n".join(bullet.format(index) + item for index, item in enumerate(items, start=1))


def data(rng: random.Random, lexicon: Lexicon) -> str:
    """What programs write: JSON, settings, logs, addresses."""
    style = rng.randrange(4)
    if style == 0:
        return json.dumps(_tree(rng, lexicon, 2), indent=rng.choice((None, 2, 4)), ensure_ascii=False)
    if style == 1:
        return "\n".join(f"{lexicon.word(rng).lower()} {rng.choice('=:')} {_cell(rng, lexicon)}" for _ in range(rng.randint(2, 8)))
    if style == 2:
        return "\n".join(
            f"{_stamp(rng)} {rng.choice(_LEVELS)} {lexicon.phrase(rng)}: {_cell(rng, lexicon)}" for _ in range(rng.randint(2, 6))
        )
    return f"{lexicon.sentence(rng)} See {_address(rng, lexicon)} or {_address(rng, lexicon)}."


def markup(rng: random.Random, lexicon: Lexicon) -> str:
    """Sentences inside HTML, Markdown, LaTeX or reStructuredText."""
    title, sentence, word = lexicon.phrase(rng).title(), lexicon.sentence(rng), lexicon.word(rng)
    formula = f"$x_{{{rng.randint(1, 9)}}} = {rng.randint(1, 999)}$"
    return rng.choice(
        (
            f'<h2 id="{word}">{title}</h2>\n<p class="{word}">{sentence} <a href="{_address(rng, lexicon)}">{word}</a></p>',
            f"<{word} n='{rng.randint(1, 999)}'>\n  <name>{title}</name>\n  <text>{sentence}</text>\n</{word}>",
            f"## {title}\n\n{sentence} **{word}** and `{word}_{rng.randint(1, 99)}`, see [{word}]({_address(rng, lexicon)}).",
            f"\\section{{{title}}}\n{sentence} \\emph{{{word}}} {formula} \\cite{{{word}{_year(rng)}}}.",
            f"{title}\n{'=' * len(title)}\n\n.. note:: {sentence}\n\n:param {word}: {lexicon.phrase(rng)}",
        )
    )


def foreign(rng: random.Random, lexicon: Lexicon) -> str:
    """Sentences in one script, or English with accents."""
    if rng.random() < 0.4:
        return accented(rng, lexicon.sentence(rng))
    script = rng.choice(SCRIPTS)
    return " ".join(foreign_sentence(rng, script) for _ in range(rng.randint(1, 3)))


def jumble(rng: random.Random, lexicon: Lexicon) -> str:
    """English words in no order, set as sentences."""
    return " ".join(lexicon.sentence(rng) for _ in range(rng.randint(1, 4)))


def procedural(rng: random.Random, lexicon: Lexicon) -> str:
    """The prose of `mechdyn.tasks.prose`."""
    return procedural_sentence(rng)


PIECES: dict[str, Callable[[random.Random, Lexicon], str]] = {
    "procedural": procedural,
    "article": article,
    "dialogue": dialogue,
    "table": table,
    "listing": listing,
    "data": data,
    "markup": markup,
    "foreign": foreign,
    "jumble": jumble,
}


def _name(rng: random.Random) -> str:
    (chain,) = make_world(rng, 1).chains
    name = chain.titles[1]
    return accented(rng, name) if rng.random() < 0.15 else name


def _year(rng: random.Random) -> str:
    return str(rng.randint(1700, 2029))


def _event(rng: random.Random, lexicon: Lexicon) -> str:
    names = {key: _name(rng) for key in "nmo"}
    places = {key: _name(rng).split()[0] for key in "pq"}
    numbers = {"y": _year(rng), "z": _year(rng), "k": rng.randint(1, 400), "b": f"{rng.randint(100, 9_999_999):,}"}
    return rng.choice(_EVENTS).format(t=lexicon.phrase(rng).title(), **names, **places, **numbers)


def _cell(rng: random.Random, lexicon: Lexicon) -> str:
    return rng.choice(
        (
            lexicon.word(rng),
            lexicon.phrase(rng, 1, 3),
            str(rng.randint(0, 10 ** rng.randint(1, 7))),
            f"{rng.uniform(-100, 1000):.{rng.randint(1, 4)}f}",
            f"{rng.randint(0, 100)}%",
            f"0x{rng.getrandbits(24):x}",
            _stamp(rng),
            f'"{lexicon.word(rng)}"',
        )
    )


def _stamp(rng: random.Random) -> str:
    date = f"{_year(rng)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    return f"{date}{rng.choice(' T')}{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}"


def _address(rng: random.Random, lexicon: Lexicon) -> str:
    word = [lexicon.word(rng).lower() for _ in range(3)]
    path = f"{word[1]}/{word[2]}-{rng.randint(1, 9999)}.{rng.choice(_EXTENSIONS)}"
    return rng.choice(
        (
            f"https://www.{word[0]}.org/{path}",
            f"{word[0]}@{word[1]}.com",
            f"/{word[0]}/{path}",
            f"http://{word[0]}.net/?q={word[1]}&id={rng.getrandbits(20)}",
        )
    )


def _tree(rng: random.Random, lexicon: Lexicon, depth: int) -> dict[str, Any]:
    leaves = (
        lexicon.phrase(rng),
        rng.randint(0, 99999),
        rng.choice((True, False, None)),
        rng.random(),
        random_uuid(rng),
        [rng.randint(0, 9)] * 3,
    )
    keys = [lexicon.word(rng).lower() for _ in range(rng.randint(2, 5))]
    return {key: _tree(rng, lexicon, depth - 1) if depth and rng.random() < 0.3 else rng.choice(leaves) for key in keys}
