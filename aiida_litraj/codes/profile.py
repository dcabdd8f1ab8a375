"""The AiiDA profile: the one there is, or a new one that needs no service."""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass
from typing import Any

from .problems import SetupProblem

LOCK_MILLISECONDS = 60_000
CACHED = 'aiida.calculations:litraj.*'
"""Calculations that a new profile takes from the cache: the same job of the same potential gives the same answer."""
CACHED_DFT = ('aiida.calculations:ase.ase', 'aiida.calculations:quantumespresso.pw')
"""Calculations of other plugins that make labels: a second launch of a batch then computes what is missing only."""


@dataclass(frozen=True)
class ProfileState:
    """Which profile is loaded, and whether it was made just now."""

    name: str
    created: bool
    folder: str


def load_or_create(name: str | None = None) -> ProfileState:
    """Load the profile ``name`` (the default one if ``None``), after making it if there is none, as ``presto`` does.

    A new profile has SQLite for a database and the ZeroMQ broker, so that nothing else need run on the machine.

    :raises SetupProblem: if a named profile is not there although others are, or it can't be made or loaded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # says that it makes the folder: so does the report of this command
        from aiida.manage.configuration import get_config, get_profile

        config = get_config(create=True)
    loaded = get_profile()
    if loaded is not None and name in (None, loaded.name):
        return ProfileState(loaded.name, False, str(config.dirpath))
    created = False
    if name is None and config.default_profile_name is not None:
        name = config.default_profile_name
    if name is None or name not in config.profile_names:
        _create(name)
        created = True
    return ProfileState(load(name), created, str(config.dirpath))


def load(name: str | None = None) -> str:
    """Load an existing profile (the default one if ``None``) and return its name.

    :raises SetupProblem: if it is not there or its storage can't be opened.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        from aiida.common.exceptions import AiidaException
        from aiida.manage.configuration import get_config, get_profile, load_profile
    loaded = get_profile()
    if loaded is not None and name in (None, loaded.name):
        return str(loaded.name)
    try:
        config = get_config(create=False)
        known = config.profile_names
    except AiidaException:
        known = []
    if not known:
        raise SetupProblem(
            f'there is no AiiDA profile yet (looked in {_folder()})',
            'Make one with: aiida-litraj setup. Or is it elsewhere? After the quickstart, in its folder: '
            'export AIIDA_PATH=$PWD/.aiida',
        )
    if name is not None and name not in known:
        raise SetupProblem(
            f'there is no AiiDA profile {name!r}',
            f'There are: {", ".join(known)}. Make it with: aiida-litraj --profile {name} setup',
        )
    try:
        found = str(load_profile(name, allow_switch=True).name)
        wait_for_locks()
        return found
    except (AiidaException, OSError) as error:
        raise SetupProblem(
            f'the AiiDA profile {name or "(default)"} does not load: {error}', 'Try: verdi status'
        ) from error


def wait_for_locks() -> None:
    """Let the loaded profile wait a minute for another process that writes to the same SQLite file.

    By itself SQLite gives up after five seconds, which on a busy disk ends a launch because somebody asks for its
    status. A database server needs none of this.
    """
    from aiida.manage import get_manager
    from sqlalchemy import event

    session = get_manager().get_profile_storage().get_session()
    engine = session.get_bind()
    if engine.dialect.name != 'sqlite' or event.contains(engine, 'connect', _be_patient):
        return
    event.listen(engine, 'connect', _be_patient)
    _be_patient(session.connection().connection.driver_connection)


def _be_patient(connection: Any, _record: Any = None) -> None:
    connection.execute(f'PRAGMA busy_timeout = {LOCK_MILLISECONDS}')


def _folder() -> str:
    """Return the folder in which AiiDA looks for its configuration."""
    from aiida.manage.configuration.settings import AiiDAConfigDir

    return str(AiiDAConfigDir.get())


def _create(name: str | None) -> None:
    from aiida.cmdline.commands.cmd_verdi import verdi
    from aiida.manage.configuration import get_config

    earlier = get_config().default_profile_name
    arguments = ['presto', '--non-interactive', '--use-zeromq']
    if name is not None:
        arguments += ['--profile-name', name]
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            verdi.main(args=arguments, standalone_mode=False)
    except (Exception, SystemExit) as error:
        tail = said.getvalue().strip().splitlines()[-1:] or [str(error)]
        raise SetupProblem(f'no AiiDA profile could be made: {tail[0]}', 'Try: verdi presto') from error
    config = get_config()
    made = name or config.default_profile_name
    config.set_option('caching.enabled_for', [CACHED, *CACHED_DFT], scope=made)
    if earlier is not None:  # presto makes its profile the default one; that is not ours to decide
        config.set_default_profile(earlier, overwrite=True)
    config.store()
