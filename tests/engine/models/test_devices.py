"""Devices: what ``auto`` means, what is refused, how many cores may be used."""

from __future__ import annotations

import os

import pytest

from aiida_litraj.contract import LitrajError
from aiida_litraj.engine.models import devices
from aiida_litraj.engine.models.devices import (
    alone,
    available_cores,
    cuda_devices,
    resolve_device,
    resolve_devices,
)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    monkeypatch.setattr(devices, 'gpu_count', lambda: 2)


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


@pytest.mark.usefixtures('two_gpus')
@pytest.mark.parametrize(
    ('asked', 'gpus', 'given'),
    [
        ('auto', None, ['cuda:0', 'cuda:1']),
        ('cuda', None, ['cuda:0', 'cuda:1']),
        ('cuda', 1, ['cuda:0']),
        ('auto', 2, ['cuda:0', 'cuda:1']),
        ('cuda:1', None, ['cuda:1']),
        ('cuda:1', 1, ['cuda:1']),
        ('cpu', None, ['cpu']),
    ],
)
def test_all_gpus_of_a_job_unless_told_otherwise(asked: str, gpus: int | None, given: list[str]) -> None:
    assert resolve_devices(asked, gpus=gpus) == given


@pytest.mark.parametrize(
    ('count', 'asked', 'kinds', 'gpus', 'available'),
    [
        (2, 'cuda', ('cpu', 'cuda'), 3, r'gpus=3 is not there: this node has 2 GPU\(s\) .* \(cuda:0, cuda:1\)'),
        (0, 'auto', ('cpu', 'cuda'), 1, r'auto with gpus=1 is not there: this node has 0 GPU\(s\) .* \(cpu\)'),
        (2, 'auto', ('cpu',), 2, r'gpus=2 is not there: this node has 0 GPU\(s\) .* for this family'),
    ],
)
def test_more_gpus_than_there_are_are_refused(
    count: int, asked: str, kinds: tuple[str, ...], gpus: int, available: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, 'gpu_count', lambda: count)
    with pytest.raises(LitrajError, match=available) as caught:
        resolve_devices(asked, kinds, gpus)
    assert caught.value.code.label == 'ERROR_DEVICE'


def test_parts_of_a_gpu_are_counted_as_they_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process sees one of them, whatever is listed."""
    monkeypatch.setattr(devices, 'gpu_count', lambda: 1)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', 'MIG-1a,MIG-2b,MIG-3c')
    assert resolve_devices('cuda') == ['cuda:0', 'cuda:1', 'cuda:2']
    assert alone('cuda:2') == ('cuda', {'CUDA_VISIBLE_DEVICES': 'MIG-3c'})


def test_amds_own_variable_goes_before_the_shared_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '0,1')
    monkeypatch.setenv('HIP_VISIBLE_DEVICES', '4,6')
    assert alone('cuda:1') == ('cuda', {'HIP_VISIBLE_DEVICES': '6'})


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
        (None, 'cuda:0', {'CUDA_VISIBLE_DEVICES': '0'}),
        (None, 'cuda:1', {'CUDA_VISIBLE_DEVICES': '1'}),
        ('2,5', 'cuda:0', {'CUDA_VISIBLE_DEVICES': '2'}),
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
