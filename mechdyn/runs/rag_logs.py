"""Logs of dynamic RAG in a run folder: a JSON-lines file for each condition, a line an answer, so that a killed run goes on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mechdyn.claims.dynamic_rag import RULES
from mechdyn.hashing import content_hash
from mechdyn.rag.log import QuestionRecord, RagLog, log_from_json, question_from_json
from mechdyn.runs.finished import parsed
from mechdyn.runs.folder import read_record, write_text
from mechdyn.runs.json_lines import append_lines, as_line, read_lines
from mechdyn.runs.registered import ROLES, Standing, standing
from mechdyn.studies.conditions import DETECTION_ROLE

QUESTIONS_ROLE = "questions"
"""What a registration calls the questions that are answered."""
_QUESTIONS = "questions.jsonl"


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
        write_text(self.folder / _QUESTIONS, "".join(as_line(question.as_json()) for question in questions))

    def questions(self) -> list[QuestionRecord]:
        """The questions of the run, in order."""
        return read_lines(self.folder / _QUESTIONS, question_from_json)

    def append(self, logs: Iterable[RagLog]) -> None:
        """Add answers behind those of their conditions; they are on the disk when this returns.

        Raises:
            InputError: the folder cannot be written.
        """
        texts: dict[str, str] = {}
        for log in logs:
            texts[log.strategy] = texts.get(log.strategy, "") + as_line(log.as_json())
        for condition, text in texts.items():
            append_lines(self._path(condition), text)

    def read(self, condition: str) -> dict[str, RagLog]:
        """A condition's answers by sample; none where it has not been run. A last line that a kill cut off is as if it had not been."""
        return {log.sample: log for log in read_lines(self._path(condition), log_from_json)}

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
