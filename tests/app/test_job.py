import threading

import numpy as np
import pytest

from experiments.gallery.examples import Made, made_effect
from mechdyn.app.job import Job, OnStep
from mechdyn.errors import InputError
from mechdyn.traces.effect import Effect
from mechdyn.traces.trace import Trace
from tests.views.made_up import made_up

WAIT = 10.0


def of_steps(n: int) -> Trace:
    return made_up(np.zeros((n, 1, 1)))


class Held:
    """Work that goes one step at a time, when told."""

    def __init__(self, n: int = 3) -> None:
        self.n, self.go, self.stepped = n, threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, on_step: OnStep) -> Trace:
        for step in range(1, self.n + 1):
            assert self.go.acquire(timeout=WAIT)
            try:
                on_step(of_steps(step))
            finally:
                self.stepped.release()
        return of_steps(self.n)

    def step(self) -> None:
        self.go.release()
        assert self.stepped.acquire(timeout=WAIT)


def test_a_job_can_be_looked_at_while_it_writes() -> None:
    work = Held()
    job = Job(work, threading.Lock())
    work.step()
    assert (job.snapshot.stage, job.snapshot.n_steps, job.snapshot.ended) == ("writing", 1, False)
    work.step()
    assert job.snapshot.n_steps == 2
    work.step()
    assert (job.wait(WAIT).stage, job.snapshot.n_steps) == ("done", 3)


def test_what_is_measured_comes_with_the_last_snapshot_and_what_was_written_is_there_before() -> None:
    asked, go = threading.Event(), threading.Event()
    effect = made_effect(Made())

    def measure() -> Effect:
        asked.set()
        assert go.wait(WAIT)
        return effect

    job = Job(lambda on_step: of_steps(2), threading.Lock(), measure)
    assert asked.wait(WAIT)
    assert (job.snapshot.stage, job.snapshot.n_steps, job.snapshot.effect, job.snapshot.ended) == ("measuring", 2, None, False)
    go.set()
    assert (job.wait(WAIT).stage, job.snapshot.effect) == ("done", effect)


def test_what_was_written_is_kept_where_nothing_can_be_measured() -> None:
    def measure() -> Effect:
        raise InputError("there is no room for it")

    found = Job(lambda on_step: of_steps(2), threading.Lock(), measure).wait(WAIT)
    assert (found.stage, found.n_steps, found.error) == ("failed", 2, "there is no room for it")


def test_cancelling_ends_it_before_the_next_token_and_keeps_what_there_is() -> None:
    work = Held()
    job = Job(work, threading.Lock())
    work.step()
    job.cancel()
    work.step()
    assert (job.wait(WAIT).stage, job.snapshot.n_steps) == ("cancelled", 2)
    assert not job._thread.is_alive()


def test_jobs_with_one_lock_wait_for_each_other_and_can_be_cancelled_while_they_wait() -> None:
    lock, work = threading.Lock(), Held(1)
    with lock:
        waiting, leaving = Job(work, lock), Job(Held(1), lock)
        leaving.cancel()
        assert leaving.wait(WAIT).stage == "cancelled"
        assert waiting.snapshot.stage == "waiting"
    work.step()
    assert waiting.wait(WAIT).stage == "done"
    assert not lock.locked()


@pytest.mark.parametrize(
    ("error", "told"),
    [(InputError("shorten it"), "shorten it"), (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero (the terminal shows where)")],
)
def test_a_job_that_fails_says_why_and_frees_the_model(error: Exception, told: str) -> None:
    def work(_: OnStep) -> Trace:
        raise error

    lock = threading.Lock()
    job = Job(work, lock)
    assert (job.wait(WAIT).stage, job.snapshot.error) == ("failed", told)
    assert not lock.locked()
