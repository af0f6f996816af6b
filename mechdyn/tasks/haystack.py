"""The text that a needle goes into: procedural prose or a file of the user's, and where its sentences end."""

import random
import re
from pathlib import Path

from mechdyn.errors import InputError
from mechdyn.tasks.prose import Prose

_MARKS = ".!?…"
_SENTENCE_END = re.compile(rf"[{_MARKS}][\"'”’)\]]*(?=\s|$)")


def sentence_ends(text: str) -> list[int]:
    """Character offsets just behind every sentence of `text`, ascending.

    A sentence ends at `.`, `!`, `?` or `…` and the closing quotes or brackets behind it, where white space or
    the end of the text follows. Abbreviations ("Mr. Smith") count as ends: harmless for placing a needle.
    """
    return [match.end() for match in _SENTENCE_END.finditer(text)]


def last_sentence_end(text: str, place: int) -> int:
    """The last of `sentence_ends` that is not behind a place in the text; 0 where there is none."""
    for mark in range(min(place, len(text)) - 1, -1, -1):
        if text[mark] in _MARKS:
            found = _SENTENCE_END.match(text, mark)
            if found is not None and found.end() <= place:
                return found.end()
    return 0


def read_haystack(path: str | Path) -> str:
    """The text of a UTF-8 file, or of all `.txt` files of a folder in name order, every run of white space one space."""
    path = Path(path)
    try:
        files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    except OSError as error:
        raise InputError(
            f"haystack takes the path of a text file or folder, got {str(path)[:40]!r}… ({error.strerror}); write your text into a file, "
            "or make a sample of it with mechdyn.sample"
        ) from error
    if not files:
        raise InputError(f"haystack folder {path} holds no .txt file; give a text file or a folder of .txt files")
    texts = [_read_text(file) for file in files]
    text = " ".join(" ".join(texts).split())
    if not text:
        raise InputError(f"haystack {path} is empty; give a file with some sentences of text")
    if not sentence_ends(text):
        raise InputError(f"haystack {path} has no sentence end (. ! ? …) behind which a needle could go; give prose")
    return text


def _read_text(file: Path) -> str:
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise InputError(f"haystack {file} cannot be read ({error.strerror}); give a text file or a folder of .txt files") from error
    if b"\0" in raw:
        raise InputError(f"haystack {file} is binary (it holds NUL bytes); give UTF-8 text")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"haystack {file} is not UTF-8 (byte {error.start}); convert it to UTF-8 text") from error


def haystack_text(haystack: str | Path | None, seed: int, length: int) -> str | Prose:
    """Text to cut from: it begins at a seeded sentence and is repeated until it surely covers `length` tokens."""
    if haystack is None:
        return Prose(seed, n_sentences=max(8, length // 6))
    text = read_haystack(haystack)
    starts = [0, *(end for end in sentence_ends(text)[:-1])]
    start = random.Random(f"haystack-{seed}").choice(starts)
    return f"{text[start:].strip()} {text[:start].strip()}".strip()
