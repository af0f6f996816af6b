"""Devices from data sheets and measured ones give times that follow from their facts."""

import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.models.footprint import Forward, Work
from mechdyn.models.hardware import DATA_SHEETS, Device, find_device


def test_a_part_is_as_slow_as_its_slower_side():
    device = Device("made up", memory=1, bandwidth=10.0, throughput=(100.0, 50.0), per_layer=0.5)
    forward = Forward(weights=Work(flops=10, n_bytes=40), attention=Work(flops=200, n_bytes=1), elementwise=Work(flops=0, n_bytes=30))
    assert device.seconds(forward, n_layers=2, dtype=torch.bfloat16) == 4.0 + 2.0 + 3.0 + 1.0
    assert device.seconds(forward, n_layers=2, dtype=torch.float32) == 4.0 + 4.0 + 3.0 + 1.0


def test_a_measured_product_goes_at_the_rate_of_its_tokens():
    """One token for each weight at the first rate, less than one (several heads' keys for one query) in proportion, many at the last."""
    device = Device("made up", memory=1, bandwidth=1.0, throughput=(9.0, 9.0), rates=(10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0))
    for n_tokens, rate in ((0.5, 5.0), (1, 10.0), (2, 20.0), (8, 50.0), (1024, 90.0), (5000, 90.0), (32**0.5, 45.0)):
        part = Work(flops=10**9, n_bytes=round(2 * 10**9 / n_tokens))
        assert device.seconds(Forward(part, part, Work(0, 0)), 0, torch.float32) == pytest.approx(2 * 10**9 / rate)


def test_the_cpu_is_measured():
    cpu = find_device("cpu", torch.float32, (256, 256))
    assert cpu.measured and 2**28 < cpu.in_use < cpu.memory
    assert 1e8 < cpu.bandwidth < 1e13 and 1e8 < cpu.rates[-1] < 1e15
    assert 1e-6 < cpu.per_layer < 0.1


def test_data_sheets_are_ordered_as_the_cards_are():
    assert not any(card.measured for card in DATA_SHEETS.values())
    assert DATA_SHEETS["h200"].bandwidth > DATA_SHEETS["h100"].bandwidth > DATA_SHEETS["a100-80gb"].bandwidth
    assert all(card.throughput[0] > card.throughput[1] for card in DATA_SHEETS.values())


def test_several_devices_add_their_memory_and_nothing_else():
    one, three = (find_device(name, torch.bfloat16) for name in ("h200", "3xh200"))
    assert (three.memory, three.in_use) == (3 * one.memory, 3 * one.in_use)
    assert (three.bandwidth, three.throughput) == (one.bandwidth, one.throughput)
    for name in ("0xh200", "xh200", "2xcpu", "2x2xh200"):
        with pytest.raises(InputError, match=f"unknown device '{name}'"):
            find_device(name, torch.bfloat16)


def test_an_unknown_device_is_one_line(monkeypatch):
    with pytest.raises(InputError, match=r"unknown device 'tpu'; give cpu, cuda \(both measured on this machine\) or one of h100, h200"):
        find_device("tpu", torch.float32)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="there is no CUDA device here to measure; name one to plan for, such as h100"):
        find_device("cuda", torch.float32)
