"""Is there space where AiiDA keeps its files."""

from __future__ import annotations

import os
from pathlib import Path

from .case import Case
from .finding import Answer, broken, ok, warning

LEAST_GIB, FEW_GIB = 0.5, 5.0
"""Below the first the next job may not be stored; below the second the next campaign."""
FEW_INODES = 10_000


def check(case: Case) -> Answer:
    """Look at the file systems of the configuration and the repository."""
    from aiida.manage.configuration import get_config

    profile = get_config().get_profile(case.profile)
    places = {Path(get_config().dirpath)}
    if profile.storage_config.get('filepath'):
        places.add(Path(profile.storage_config['filepath']))
    elif str(profile.storage_config.get('repository_uri', '')).startswith('file://'):
        places.add(Path(profile.storage_config['repository_uri'].removeprefix('file://')))
    free = {place: free_gib(place) for place in places if place.exists()}
    tightest = min(free, key=lambda place: free[place])
    for place in free:
        if not os.access(place, os.W_OK):
            return broken(f'{place} cannot be written', f'Let yourself: chmod u+w {place}')
        inodes = os.statvfs(place)
        if inodes.f_files and inodes.f_favail < FEW_INODES:
            return broken(
                f'the file system of {place} has only {inodes.f_favail} inodes left, and each file takes one',
                'Pack the repository: verdi daemon stop; verdi storage maintain --full; verdi daemon start',
            )
    text = f'{free[tightest]:.1f} GiB free at {tightest}'
    clean = 'Free some: verdi storage maintain --full (with the daemon stopped), or move other files away'
    if free[tightest] < LEAST_GIB:
        return broken(text, clean, free_gib=free[tightest])
    if free[tightest] < FEW_GIB:
        return warning(text, clean, free_gib=free[tightest])
    return ok(text, free_gib=free[tightest])


def free_gib(place: Path) -> float:
    """Return what this user can still write there."""
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize / 2**30
