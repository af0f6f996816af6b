"""The choice of threads, by a clock that is planted and by the machine's own."""

import os
from dataclasses import replace
from time import process_time

import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.models.load import load_model
from mechdyn.models.threads import ASKED, AUTO, DEFAULT, MEASURED, best_threads, parse_threads, usable_cores, use_threads


@pytest.fixture(scope="module")
def mini():
    return load_model("mini")


@pytest.fixture(autouse=True)
def threads():
    """The threads of these tests' process, which are the same again afterwards."""
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


def clock(seconds):
    """Times of products by the number of threads that torch has then: of the first and of one row a hundredth of those of a prompt's."""
    asked = []

    def timed(run):
        asked.append(run)
        return seconds[torch.get_num_threads()] / (100 if len(asked) % 3 else 1)

    return timed


@pytest.mark.parametrize(
    ("seconds", "cores", "chosen"),
    [
        ({1: 4.0, 2: 2.0, 4: 1.0, 6: 0.7}, 6, 6),
        ({1: 1.0, 2: 1.0, 4: 1.0}, 4, 1),
        ({1: 1.09, 2: 1.0}, 2, 1),
        ({1: 1.11, 2: 1.0}, 2, 2),
        ({1: 2.0, 2: 1.03, 4: 1.0, 8: 3.0}, 8, 2),
        ({1: 1.0, 2: 5.0}, 2, 1),
    ],
)
def test_the_fewest_threads_are_taken_that_come_within_a_tenth_of_the_fastest(mini, threads, seconds, cores, chosen):
    choice = best_threads(mini, cores=cores, timed=clock(seconds))
    assert (choice.n, choice.how, choice.cores) == (chosen, MEASURED, cores)
    assert list(choice.seconds) == sorted(seconds)
    for n, took in choice.seconds.items():
        assert took == pytest.approx(seconds[n] * 1.08)  # a prompt, and eight steps of a hundredth of it
    assert torch.get_num_threads() == threads
    assert f"threads {chosen} of {cores} cores, measured: a layer's products take" in str(choice)


def test_each_number_s_fastest_round_counts(mini):
    slower, faster = [0.1, 0.001, 0.01, 0.001, 0.001, 0.03], [0.001, 0.001, 0.2, 0.001, 0.001, 0.008]
    times = iter([*slower, *faster * 9])  # with 2 threads, after the first round with 1
    assert best_threads(mini, cores=2, timed=lambda run: next(times)).n == 2


def test_threads_are_what_they_were_where_the_clock_fails(mini, threads):
    def broken(run):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        best_threads(mini, cores=3, timed=broken)
    assert torch.get_num_threads() == threads


def test_nothing_is_timed_where_there_is_nothing_to_choose(mini, threads):
    def timed(run):
        raise AssertionError

    assert best_threads(mini, cores=1, timed=timed).n == 1
    on_gpu = replace(mini, device=torch.device("cuda"))
    assert (best_threads(on_gpu, cores=4, timed=timed).n, best_threads(on_gpu, cores=4, timed=timed).how) == (threads, DEFAULT)


def test_on_this_machine_it_is_done_at_once(mini):
    start = process_time()  # processor seconds: the machine may have other things to do
    choice = best_threads(mini, cores=2)
    assert choice.n in (1, 2) and set(choice.seconds) == {1, 2} and min(choice.seconds.values()) > 0
    assert process_time() - start < 4


def test_threads_are_used_as_asked(mini, threads, caplog, monkeypatch):
    assert use_threads(None, mini).as_json() == {"threads": threads, "threads_by": DEFAULT}
    assert use_threads("3", mini).as_json() == {"threads": 3, "threads_by": ASKED} and torch.get_num_threads() == 3
    assert not caplog.records
    monkeypatch.setattr("mechdyn.models.threads.usable_cores", lambda: 2)
    choice = use_threads(AUTO, mini)
    assert choice.how == MEASURED and torch.get_num_threads() == choice.n
    (said,) = caplog.messages
    assert said.startswith(f"threads {choice.n} of 2 cores, measured") and "results move" in said


@pytest.mark.parametrize("threads", ["0", "-1", "1.5", "many", "", "1025", " 2", True])
def test_what_is_no_number_of_threads_is_refused(threads):
    with pytest.raises(InputError, match=r"threads must be auto or a number from 1 to 1024, got"):
        parse_threads(threads)


def test_numbers_auto_and_nothing_are_taken():
    assert [parse_threads(each) for each in (None, "auto", "1", 7, "1024")] == [None, "auto", 1, 7, 1024]


@pytest.mark.parametrize(
    ("files", "bound", "cores"),
    [
        ({}, 6, 6),
        ({"cpu.max": "max 100000"}, 6, 6),
        ({"cpu.max": "200000 100000"}, 6, 2),
        ({"cpu.max": "150000 100000"}, 6, 2),
        ({"cpu.max": "50000 100000"}, 6, 1),
        ({"cpu.max": "900000 100000"}, 6, 6),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 6, 6),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 6, 3),
        ({"cpu.max": "nonsense"}, 1, 1),
    ],
)
def test_cores_are_those_that_the_process_is_bound_to_and_given_time_on(tmp_path, monkeypatch, files, bound, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(bound)))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert usable_cores(tmp_path) == cores
