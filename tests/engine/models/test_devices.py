"""Devices: what ``auto`` means, what is refused, how many cores may be used."""

from __future__ import annotations

import os

import pytest

from aiida_litraj.contract import LitrajError
from aiida_litraj.engine.models import devices
from aiida_litraj.engine.models.devices import alone, available_cores, cuda_devices, resolve_device


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, 'cuda_devices', lambda: [('cuda:0', 'First'), ('cuda:1', 'Second')])


@pytest.mark.usefixtures('two_gpus')
@pytest.mark.parametrize(
    ('asked', 'kinds', 'given'),
    [
        ('auto', ('cpu', 'cuda'), 'cuda:0'),
        ('auto', ('cpu',), 'cpu'),
        ('cpu', ('cpu', 'cuda'), 'cpu'),
        ('cuda', ('cpu', 'cuda'), 'cuda:0'),
        ('cuda:1', ('cpu', 'cuda'), 'cuda:1'),
    ],
)
def test_device_that_is_given(asked: str, kinds: tuple[str, ...], given: str) -> None:
    assert resolve_device(asked, kinds) == given


@pytest.mark.usefixtures('two_gpus')
@pytest.mark.parametrize(
    ('asked', 'kinds', 'available'),
    [
        ('cuda:2', ('cpu', 'cuda'), 'this node has cpu, cuda:0, cuda:1'),
        ('cuda', ('cpu',), 'this node has cpu for this family'),
        ('tpu', ('cpu', 'cuda'), 'the device tpu is not there'),
    ],
)
def test_device_that_is_not_there_is_refused(asked: str, kinds: tuple[str, ...], available: str) -> None:
    with pytest.raises(LitrajError, match=available) as caught:
        resolve_device(asked, kinds)
    assert caught.value.code.label == 'ERROR_DEVICE'


def test_hidden_gpus_are_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, '_DRIVER_NODES', ('/dev/null',))
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    assert cuda_devices() == []


def test_cores_are_no_more_than_the_scheduler_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv('SLURM_CPUS_PER_TASK', raising=False)
    everything = available_cores()
    assert 1 <= everything <= (os.cpu_count() or 1)
    monkeypatch.setenv('SLURM_CPUS_PER_TASK', '1')
    assert available_cores() == 1


@pytest.mark.parametrize(
    ('visible', 'device', 'seen'),
    [
        (None, 'cpu', {}),
        (None, 'cuda:0', {}),
        (None, 'cuda:1', {'CUDA_VISIBLE_DEVICES': '1'}),
        ('2,5', 'cuda:0', {}),
        ('2, 5', 'cuda:1', {'CUDA_VISIBLE_DEVICES': '5'}),
        ('GPU-8932f937,GPU-46b0f1d2', 'cuda:1', {'CUDA_VISIBLE_DEVICES': 'GPU-46b0f1d2'}),
    ],
)
def test_alone_on_a_device(
    visible: str | None, device: str, seen: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Devices are counted among those that the scheduler has left."""
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    if visible is not None:
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', visible)
    assert alone(device) == (device.partition(':')[0], seen)
