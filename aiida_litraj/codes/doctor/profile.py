"""Is there a profile."""

from __future__ import annotations

import warnings

from .case import Case
from .finding import Answer, broken, ok


def check(case: Case) -> Answer:
    """Look for the profile in the configuration; it is not loaded yet."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        from aiida.common.exceptions import AiidaException
        from aiida.manage.configuration import get_config, get_profile
        from aiida.manage.configuration.settings import AiiDAConfigDir
    folder = AiiDAConfigDir.get()
    try:
        config = get_config(create=False)
    except AiidaException as error:
        return broken(
            f'there is no AiiDA configuration in {folder}: {str(error).splitlines()[0]}',
            'aiida-litraj setup; or, if it is elsewhere: export AIIDA_PATH=FOLDER',
        )
    loaded = get_profile()
    name = case.profile or (loaded.name if loaded is not None else config.default_profile_name)
    if name is None or name not in config.profile_names:
        known = ', '.join(config.profile_names) or 'none'
        return broken(
            f'there is no profile {name or "at all"} in {folder} (there are: {known})',
            f'aiida-litraj {f"--profile {name} " if name else ""}setup',
        )
    case.profile = name
    return ok(f'{name} in {folder}', name=name, folder=str(folder))
