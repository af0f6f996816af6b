"""The dtype that a model is loaded in: named, left out, or the faster one."""

import logging
import time

import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.models.load import load_model
from mechdyn.models.precision import chosen_dtype, measure_dtypes

CPU = torch.device("cpu")


def ticking(seconds):
    """A clock whose readings, two a measurement, are those seconds apart."""
    readings = iter([reading for index, took in enumerate(seconds) for reading in (100.0 * index, 100.0 * index + took)])
    return lambda: next(readings)


def test_names_and_dtypes_are_taken_as_they_are():
    assert chosen_dtype("bfloat16", CPU) == chosen_dtype(torch.bfloat16, CPU) == torch.bfloat16
    assert chosen_dtype(None, CPU) is None


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match=r"dtype must be one of float32, bfloat16, float16, auto, got 'int8'"):
        chosen_dtype("int8", CPU)


def test_auto_takes_the_checkpoints_own_off_the_cpu():
    assert chosen_dtype("auto", torch.device("meta")) is None


def test_each_dtype_has_the_better_of_its_two_times():
    assert measure_dtypes(ticking([5.0, 3.0, 2.0, 4.0])) == {torch.float32: 3.0, torch.bfloat16: 2.0}


@pytest.mark.parametrize(("times", "fastest"), [([1.0, 1.0, 2.0, 2.0], "float32"), ([2.0, 2.0, 1.0, 1.0], "bfloat16")])
def test_auto_takes_the_faster_one_and_says_so(times, fastest, caplog, monkeypatch):
    found = measure_dtypes(ticking(times))
    monkeypatch.setattr("mechdyn.models.precision.measure_dtypes", lambda: found)
    with caplog.at_level(logging.WARNING):
        assert chosen_dtype("auto", CPU) == getattr(torch, fastest)
    assert f"dtype auto: {fastest} is the faster one here (float32 " in caplog.text


def test_measuring_takes_less_than_a_second_and_leaves_random_numbers_alone():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    start = time.process_time()
    measure_dtypes()
    assert time.process_time() - start < 1.0
    assert torch.equal(torch.rand(3), wanted)


def test_load_model_takes_a_name():
    assert load_model("planted-static", dtype="bfloat16").dtype == torch.bfloat16
    assert load_model("planted-static").dtype == torch.float32
