"""Which devices this node has. Asks torch only where a driver is there: importing it takes seconds."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ...contract.errors import LitrajError

_DRIVER_NODES = ('/dev/nvidiactl', '/dev/nvidia0', '/dev/kfd', '/dev/dxg')
"""Character devices of NVIDIA's driver, of AMD's, and of the one inside the Windows subsystem for Linux."""


def available_cores() -> int:
    """Return how many cores this process may use: by affinity, by Slurm and by the control group's quota."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    limits = [affinity]
    if (slurm := os.environ.get('SLURM_CPUS_PER_TASK', '')).isdigit():
        limits.append(int(slurm))
    try:
        quota, period = Path('/sys/fs/cgroup/cpu.max').read_text(encoding='ascii').split()
        if quota != 'max':
            limits.append(round(int(quota) / int(period)))
    except (OSError, ValueError):
        pass  # no second version of control groups here: nothing to obey
    return max(1, min(limits))


def gpu_count() -> int:
    """Return how many GPUs torch sees; none without torch. Nothing is begun on them: workers may want them whole."""
    hidden = os.environ.get('CUDA_VISIBLE_DEVICES')
    if (hidden is not None and hidden.strip() in ('', '-1')) or not any(Path(n).exists() for n in _DRIVER_NODES):
        return 0
    try:
        import torch
    except ImportError:
        return 0
    return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0


def cuda_devices() -> list[tuple[str, str]]:
    """Return name in torch and name of the product of each GPU, ``('cuda:0', 'NVIDIA H200')``; empty without torch."""
    names = _names(gpu_count())
    if not names:
        return []
    import torch

    return [(name, torch.cuda.get_device_name(index)) for index, name in enumerate(names)]


def _names(count: int) -> list[str]:
    return [f'cuda:{index}' for index in range(count)]


def resolve_device(device: str, kinds: Sequence[str] = ('cpu', 'cuda')) -> str:
    """Return ``cpu`` or ``cuda:N`` for ``auto``, ``cpu``, ``cuda`` or ``cuda:N``, for a family that knows ``kinds``.

    :raises LitrajError: ``ERROR_DEVICE`` if that device is not there, or the family cannot use it.
    """
    if device == 'cpu':
        return 'cpu'
    gpus = _names(gpu_count()) if 'cuda' in kinds else []
    if device == 'auto':
        return gpus[0] if gpus else 'cpu'
    wanted = 'cuda:0' if device == 'cuda' else device
    if not re.fullmatch(r'cuda:\d+', wanted) or wanted not in gpus:
        available = ', '.join(['cpu', *gpus])
        if 'cuda' not in kinds:
            available += ' for this family'
        raise LitrajError('ERROR_DEVICE', device=device, available=available)
    return wanted


def resolve_devices(device: str, kinds: Sequence[str] = ('cpu', 'cuda'), gpus: int | None = None) -> list[str]:
    """Return what one job evaluates on: ``['cpu']``, or its GPUs, by default all that are visible to it.

    ``cuda:N`` is that one. ``gpus``: how many there shall be; no fewer are taken in their stead.

    :raises LitrajError: ``ERROR_DEVICE`` if they are not there, or the family cannot use them.
    """
    first = resolve_device(device, kinds)
    visible = [first] if re.fullmatch(r'cuda:\d+', device) else [] if first == 'cpu' else visible_gpus()
    if gpus is not None and gpus > len(visible):
        available = ', '.join(visible) or 'cpu'
        family = ' for this family' if 'cuda' not in kinds else ''
        raise LitrajError(
            'ERROR_DEVICE',
            device=f'{device} with gpus={gpus}',
            available=f'{len(visible)} GPU(s) that the job may use{family} ({available})',
        )
    return visible[:gpus] or [first]


def visible_gpus() -> list[str]:
    """Return the GPUs of this job as ``cuda:N``, the Nth of those that the scheduler has left it.

    Parts of a GPU count as they are listed: a process sees one of them at most, but each process can have its own.
    """
    listed, count = _listed(), gpu_count()
    return _names(len(listed) if count and listed and listed[0].startswith('MIG-') else count)


def _listed() -> list[str]:
    """Return the GPUs that the environment names, by number or by name; empty if it leaves them all."""
    return [one.strip() for one in os.environ.get(_visibility(), '').split(',') if one.strip()]


def _visibility() -> str:
    """Return which variable says what is visible: AMD's own goes before that which it shares with NVIDIA."""
    return 'HIP_VISIBLE_DEVICES' if 'HIP_VISIBLE_DEVICES' in os.environ else 'CUDA_VISIBLE_DEVICES'


def alone(device: str) -> tuple[str, dict[str, str]]:
    """Return what a program that knows no numbers calls a device, and the environment in which it gets that one.

    ``cuda:1`` is the ``cuda`` of a program that sees no other GPU: the second of those that a scheduler may have left
    this process.
    """
    kind, _, number = device.partition(':')
    if kind != 'cuda':
        return kind, {}
    listed = _listed()
    return kind, {_visibility(): listed[int(number or 0)] if listed else number or '0'}
