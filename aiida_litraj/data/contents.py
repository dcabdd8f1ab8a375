"""Files of many nodes read from the repository together: one by one they cost ten times as much."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from aiida.manage import get_manager


def read_contents(keys: Iterable[str], check: bool = True) -> dict[str, bytes]:
    """Return the contents of files by their key (sha256) in the profile's repository.

    :param check: compare each content with its key.
    :raises FileNotFoundError: if one is missing.
    :raises ValueError: if one is damaged.
    """
    wanted = list(dict.fromkeys(keys))
    repository = get_manager().get_profile_storage().get_repository()
    contents = {key: stream.read() for key, stream in repository.iter_object_streams(wanted)}
    if len(contents) < len(wanted):
        missing = next(key for key in wanted if key not in contents)
        raise FileNotFoundError(f'the repository of the profile lacks the file with the sha256 {missing}')
    for key, content in contents.items() if check else ():
        if hashlib.sha256(content).hexdigest() != key:
            raise ValueError(
                f'the repository of the profile is damaged: the file with the sha256 {key} has other bytes. '
                'aiida-litraj dataset verify NAME tells which entries it concerns'
            )
    return contents
