"""Answering the questions of dynamic RAG by an executor: what the folder's logs lack, a batch of questions at a time."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tqdm import tqdm

from mechdyn.rag.log import RagLog
from mechdyn.rag.strategy import Condition
from mechdyn.runs.executors import Executor
from mechdyn.runs.failure import Failure, about
from mechdyn.runs.rag_logs import RagLogs
from mechdyn.runs.run_log import MAX_FAILURES, RunLog
from mechdyn.tasks.task import build_sample
from mechdyn.traces.unit import Unit

if TYPE_CHECKING:
    from mechdyn.runs.worker import Worker

Done = dict[str, dict[str, RagLog]]
"""Logs by condition and sample."""


@dataclass(frozen=True)
class Question:
    """A question as the plan has it, and the key of its sample."""

    unit: Unit
    sample: str


@dataclass(frozen=True, eq=False)
class Answers:
    """What became of a batch of questions: the logs of every condition for each that was answered, and a failure for each that was not."""

    logs: tuple[Mapping[str, RagLog], ...]
    failures: tuple[Failure, ...] = ()


def answer_batch(worker: "Worker", questions: Sequence[Question], conditions: Mapping[str, Condition]) -> Answers:
    """Answer questions together under every condition; where that fails, each alone."""
    from mechdyn.rag.run import dynamic_rag  # runs the model

    try:
        samples = [build_sample(worker.model, question.unit.sample) for question in questions]
        return Answers(tuple(dynamic_rag(worker.model, samples, conditions, engine=worker.engine)))
    except Exception as error:
        if len(questions) == 1:
            return Answers((), (Failure.of(questions[0].sample, about(questions[0].unit.sample), error),))
        each = [answer_batch(worker, [question], conditions) for question in questions]
        return Answers(tuple(logs for found in each for logs in found.logs), tuple(failure for found in each for failure in found.failures))


def answer_questions(
    executor: Executor,
    batches: Sequence[Sequence[Question]],
    conditions: Mapping[str, Condition],
    store: RagLogs,
    *,
    log: RunLog,
    describe: str,
    fail_fast: bool,
) -> Done:
    """Answer what the logs lack. Batches are those of the plan: one of which any answer is missing is run whole, its new answers kept.

    Raises:
        MechdynError: with `fail_fast`, or where every question fails: the first failure.
    """
    done = {name: store.read(name) for name in conditions}
    questions = [question for batch in batches for question in batch]
    todo = [batch for batch in batches if _lacking(batch, done, log)]
    log.write("stage", name=describe, units=len(questions), present=len(questions) - sum(map(len, todo)))
    with tqdm(total=len(questions), desc=describe, unit="question", disable=None, delay=1) as bar, log.heartbeat(executor.workers):
        bar.update(len(questions) - sum(map(len, todo)))
        while todo:
            failed: dict[str, Failure] = {}
            for outcome in executor.run(answer_batch, todo, dict(conditions)):
                asked = todo[outcome.index]
                found = outcome.result if outcome.lost is None else _lost(asked, outcome.lost)
                _keep(found, done, store)
                log.write("batch", number=outcome.index, answers=len(found.logs), seconds=round(outcome.seconds, 3), worker=outcome.worker)
                failed |= {failure.key: failure for failure in found.failures}
                for failure in found.failures:
                    _note(failure, log, describe, fail_fast)
                bar.update(len(found.logs))
            if failed and not any(done.values()):
                raise next(iter(failed.values())).error()
            todo = [[question] for question in questions if question.sample in failed and log.n_failures(question.sample) < MAX_FAILURES]
    return done


def _lacking(batch: Sequence[Question], done: Done, log: RunLog) -> bool:
    aside = log.set_aside
    return any(question.sample not in found and question.sample not in aside for question in batch for found in done.values())


def _keep(found: Answers, done: Done, store: RagLogs) -> None:
    for logs in found.logs:
        new = {name: log for name, log in logs.items() if log.sample not in done[name]}
        store.append(new.values())
        for name, log in new.items():
            done[name][log.sample] = log


def _note(failure: Failure, log: RunLog, describe: str, fail_fast: bool) -> None:
    times = log.failed(failure)
    tqdm.write(f"{describe}: failed {times} of {MAX_FAILURES} times, {failure.about}: {failure}", file=sys.stderr)
    if fail_fast:
        raise failure.error()


def _lost(asked: Sequence[Question], failure: Failure) -> Answers:
    each = (Failure(question.sample, about(question.unit.sample), failure.kind, failure.message, failure.traceback) for question in asked)
    return Answers((), tuple(each))
