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


def cuda_devices() -> list[tuple[str, str]]:
    """Return name in torch and name of the product of each GPU, ``('cuda:0', 'NVIDIA H200')``; empty without torch."""
    hidden = os.environ.get('CUDA_VISIBLE_DEVICES')
    if (hidden is not None and hidden.strip() in ('', '-1')) or not any(Path(n).exists() for n in _DRIVER_NODES):
        return []
    try:
        import torch
    except ImportError:
        return []
    if not torch.cuda.is_available():
        return []
    return [(f'cuda:{i}', torch.cuda.get_device_name(i)) for i in range(torch.cuda.device_count())]


def resolve_device(device: str, kinds: Sequence[str] = ('cpu', 'cuda')) -> str:
    """Return ``cpu`` or ``cuda:N`` for ``auto``, ``cpu``, ``cuda`` or ``cuda:N``, for a family that knows ``kinds``.

    :raises LitrajError: ``ERROR_DEVICE`` if that device is not there, or the family cannot use it.
    """
    if device == 'cpu':
        return 'cpu'
    gpus = [name for name, _ in cuda_devices()] if 'cuda' in kinds else []
    if device == 'auto':
        return gpus[0] if gpus else 'cpu'
    wanted = 'cuda:0' if device == 'cuda' else device
    if not re.fullmatch(r'cuda:\d+', wanted) or wanted not in gpus:
        available = ', '.join(['cpu', *gpus])
        if 'cuda' not in kinds:
            available += ' for this family'
        raise LitrajError('ERROR_DEVICE', device=device, available=available)
    return wanted


def alone(device: str) -> tuple[str, dict[str, str]]:
    """Return what a program that knows no numbers calls a device, and the environment in which it gets that one.

    ``cuda:1`` is the ``cuda`` of a program that sees no other GPU: the second of those that a scheduler may have left
    this process.
    """
    kind, _, number = device.partition(':')
    if kind != 'cuda' or int(number or 0) == 0:
        return kind, {}
    visible = [one.strip() for one in os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',') if one.strip()]
    return kind, {'CUDA_VISIBLE_DEVICES': visible[int(number)] if visible else number}
