"""Logs of dynamic RAG in a run folder: a JSON-lines file for each condition, a line an answer, so that a killed run goes on."""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mechdyn.claims.dynamic_rag import RULES
from mechdyn.errors import InputError, StoreError
from mechdyn.hashing import content_hash
from mechdyn.rag.log import QuestionRecord, RagLog, log_from_json, question_from_json
from mechdyn.runs.finished import parsed
from mechdyn.runs.folder import read_record, write_text
from mechdyn.runs.registered import ROLES, Standing, standing
from mechdyn.studies.conditions import DETECTION_ROLE
from mechdyn.traces.seals import text_hash

Read = TypeVar("Read")
QUESTIONS_ROLE = "questions"
"""What a registration calls the questions that are answered."""
_QUESTIONS = "questions.jsonl"
_HASH, _DIGITS = "sha256", 16
"""The key of a line's hash, and how much of it there is."""


@dataclass(frozen=True)
class RagLogs:
    """`questions.jsonl` and `logs/CONDITION.jsonl` under `folder`."""

    folder: Path

    @property
    def begun(self) -> bool:
        """Whether a question has been answered."""
        return (self.folder / "logs").is_dir()

    def write_questions(self, questions: Sequence[QuestionRecord]) -> None:
        """All questions at once."""
        write_text(self.folder / _QUESTIONS, "".join(_line(question.as_json()) for question in questions))

    def questions(self) -> list[QuestionRecord]:
        """The questions of the run, in order."""
        return _read(self.folder / _QUESTIONS, question_from_json)

    def append(self, logs: Iterable[RagLog]) -> None:
        """Add answers behind those of their conditions; they are on the disk when this returns.

        Raises:
            InputError: the folder cannot be written.
        """
        texts: dict[str, str] = {}
        for log in logs:
            texts[log.strategy] = texts.get(log.strategy, "") + _line(log.as_json())
        for condition, text in texts.items():
            _append(self._path(condition), text)

    def read(self, condition: str) -> dict[str, RagLog]:
        """A condition's answers by sample; none where it has not been run. A last line that a kill cut off is as if it had not been."""
        return {log.sample: log for log in _read(self._path(condition), log_from_json)}

    def _path(self, condition: str) -> Path:
        """The condition's name where it can be a file's, else what is left of it and a hash of all of it."""
        name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in condition)
        if name != condition:
            name = f"{name}-{content_hash(condition)[:8]}"
        return self.folder / "logs" / f"{name}.jsonl"


def rag_standing(folder: Path, questions: Sequence[QuestionRecord]) -> Standing:
    """What became of a run's registration: its questions, and the detection set where one was traced."""
    roles = parsed(folder / ROLES, dict) if (folder / ROLES).is_file() else {}
    detection = {DETECTION_ROLE: roles[DETECTION_ROLE]} if DETECTION_ROLE in roles else {}
    return standing(read_record(folder), RULES, {QUESTIONS_ROLE: [question.sample for question in questions], **detection})


def _line(content: Mapping[str, Any]) -> str:
    """A line of JSON that ends with the hash of all that is before it."""
    text = json.dumps({**content, _HASH: ""}, ensure_ascii=False, allow_nan=False)
    return text.removesuffix('"}') + _hash(text) + '"}\n'


def _hash(text: str) -> str:
    return text_hash(text.removesuffix('"}'))[:_DIGITS]


def _checked(line: str) -> dict[str, Any]:
    """The content of a line.

    Raises:
        ValueError: it is no JSON, or not what was written. Lines of earlier versions have no hash.
    """
    content = json.loads(line)
    found = content.pop(_HASH, None)
    if found is not None and (line[-_DIGITS - 2 :] != f'{found}"}}' or _hash(f'{line[: -_DIGITS - 2]}"}}') != found):
        raise ValueError("a line is not what was written")
    return content


def _append(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            file.truncate(_whole(path.read_bytes()))
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"output folder {path.parent} cannot be written ({error.strerror}); name another with --out") from error


def _read(path: Path, parse: Callable[[Mapping[str, Any]], Read]) -> list[Read]:
    if not path.is_file():
        return []
    try:
        content = path.read_bytes()
        return [parse(_checked(line)) for line in content[: _whole(content)].decode().split("\n") if line]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(f"{path} is damaged ({type(error).__name__}: {error}); start again with a new --out") from error


def _whole(content: bytes) -> int:
    """Bytes up to the end of the last whole line."""
    return content.rfind(b"\n") + 1
