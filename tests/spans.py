"""An oracle for span alignment that never asks a tokenizer for offsets: it spells the tokens out along the text, byte by byte."""

from functools import cache
from typing import Any

from mechdyn.tasks.sample import Sample, Span


def check_marked(tokenizer: Any, sample: Sample, regions: list[Span]) -> None:
    """Exactly the tokens that overlap the regions are marked.

    A token that adds nothing to a region, or white space alone, may be marked or not: some tokenizers leave the space in front of a word
    out of its token's offsets.
    """
    raw = sample.prompt.encode()
    bounds = [(len(sample.prompt[:start].encode()), len(sample.prompt[:end].encode())) for start, end in regions]
    covered = spelled_out(tokenizer, sample.tokens.tolist(), sample.prompt)
    wanted, optional = set(), set()
    for start, end in bounds:
        for position, (token_start, token_end) in enumerate(covered):
            if token_start <= end and start <= token_end:
                shared = raw[max(start, token_start) : min(end, token_end)].decode(errors="replace")
                (wanted if shared.strip() else optional).add(position)
    positions = sample.needle_positions.tolist()
    marked = set(positions)
    assert positions == sorted(marked)
    assert wanted <= marked, f"not marked: {[(raw[slice(*covered[p])], covered[p]) for p in sorted(wanted - marked)]}"
    assert marked <= wanted | optional, f"marked: {[(raw[slice(*covered[p])], covered[p]) for p in sorted(marked - wanted - optional)]}"


def decoded(tokenizer: Any, sample: Sample, positions: list[int]) -> str:
    """The text of some of the prompt's tokens."""
    return tokenizer.decode(sample.tokens[positions].tolist(), clean_up_tokenization_spaces=False)


def spelled_out(tokenizer: Any, ids: list[int], text: str) -> list[Span]:
    """The bytes of `text` that each token stands for; empty for a token that the text does not hold (BOS, a space put in front)."""
    spellings, known, unknown = _spellings(tokenizer)
    special = tuple(token.content for token in tokenizer.added_tokens_decoder.values())
    raw, cursor, spans = text.encode(), 0, []
    for token in ids:
        piece = spellings[token]
        if raw.startswith(piece, cursor):
            size = len(piece)
        elif token == unknown:
            size = _unknown_bytes(raw, cursor, known, special)
        elif token in tokenizer.all_special_ids:
            size = 0
        else:
            assert piece.startswith(b" "), f"{piece!r} does not continue {raw[cursor : cursor + 40]!r}"
            assert raw.startswith(piece[1:], cursor), f"{piece!r} does not continue {raw[cursor : cursor + 40]!r}"
            size = len(piece) - 1
        spans.append((cursor, cursor + size))
        cursor += size
    assert cursor == len(raw)
    return spans


@cache
def _spellings(tokenizer: Any) -> tuple[dict[int, bytes], frozenset[str], int | None]:
    """The bytes of every token, the characters that are tokens, and the id of <unk>."""
    vocabulary = tokenizer.get_vocab()
    byte_level = "Ġ" in vocabulary
    special = set(tokenizer.all_special_tokens) | {token.content for token in tokenizer.added_tokens_decoder.values()}
    spellings = {}
    for token, index in vocabulary.items():
        if token.startswith("<0x") and len(token) == 6:
            spellings[index] = bytes([int(token[3:5], 16)])
        elif token in special:
            spellings[index] = token.encode()
        else:
            spellings[index] = bytes(_BYTE_OF[character] for character in token) if byte_level else token.replace("▁", " ").encode()
    return spellings, frozenset(token for token in vocabulary if len(token) == 1), vocabulary.get("<unk>")


def _unknown_bytes(raw: bytes, cursor: int, known: frozenset[str], special: tuple[str, ...]) -> int:
    """<unk> stands for all characters up to the next known one, space, or special token spelled out."""
    rest = raw[cursor : cursor + 400].decode(errors="ignore")
    size = 1
    while size < len(rest) and rest[size] != " " and rest[size] not in known and not rest.startswith(special, size):
        size += 1
    return len(rest[:size].encode())


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's characters for bytes: printable Latin-1 stands for itself, the others follow from U+0100 on."""
    itself = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in itself]
    return {chr(byte): byte for byte in itself} | {chr(0x100 + index): byte for index, byte in enumerate(others)}


_BYTE_OF = _byte_alphabet()
