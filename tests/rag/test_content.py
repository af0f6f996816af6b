import socket

import pytest

from mechdyn.rag.words import content_spans


def words(sentence: str) -> list[str]:
    return [sentence[start:end] for start, end in content_spans(sentence)]


@pytest.mark.parametrize(
    ("sentence", "content"),
    [
        ("Adam Collis graduated from Oslo University in 1992.", "Adam Collis graduated Oslo University 1992"),
        ("She quickly became a better painter than he.", "became better painter"),
        ("The band's first album wasn't released until May 2004.", "band first album released May 2004"),
        ("The band’s album wasn’t released.", "band album released"),
        ("They have been running for 3.5 hours", "running 3.5 hours"),
        ("He doesn't know it, and they can't swim; we've won.", "know swim won"),
        ("So the answer is yes, and not only that.", "answer"),
        ("Zorvex moved to Quellmar", "Zorvex moved Quellmar"),
    ],
)
def test_nouns_adjectives_verbs_and_numbers_are_content(sentence: str, content: str) -> None:
    assert words(sentence) == content.split()


@pytest.mark.parametrize("sentence", ["", " ", "… “” – 😀 / & . ,", "it is what it was, and they had been there too", "\x00\u202e"])
def test_nothing_is_content(sentence: str) -> None:
    assert words(sentence) == []


def test_a_uuid_is_content() -> None:
    assert words("It is e54a7b3c-00c2-4c3a-8d43-ab12cd34ef56.") == ["e54a7b3c-00c2-4c3a-8d43-ab12cd34ef56"]


def test_words_of_another_language_count_as_nouns() -> None:
    assert words("Größe 中文") == ["Größe", "中文"]


def test_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert words("Paris is a city") == ["Paris", "city"]
