"""Is there a machine of that name, with an ssh server that answers."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

from .case import Case
from .finding import Answer, broken, ok

SPEAKS = ('Hostname', 'Port', 'User', 'IdentityFile', 'ProxyJump', 'ProxyCommand')
"""Words of a ``Host`` block, one of which at least it has."""


@dataclass(frozen=True)
class Way:
    """Where a name leads, by the ssh configuration of this user.

    :ivar configured: whether a ``Host`` block of the configuration speaks of the name.
    :ivar detour: whether another machine or a program stands in between, so that nothing can be said from here.
    """

    host: str
    port: int
    configured: bool
    detour: bool
    user: str = ''


def name_of(case: Case) -> str:
    """Return the name with which AiiDA calls the machine."""
    from aiida.orm import User

    parameters = case.there.get_authinfo(User.collection.get_default()).get_auth_params()
    return str(parameters.get('host') or case.there.hostname)


def way_of(case: Case) -> Way | None:
    """Return where the name of the machine leads; ``None`` if the configuration of ssh cannot be read."""
    import asyncssh
    from aiida.orm import User

    name = name_of(case)
    if case.there.transport_type == 'core.ssh':  # which goes by what it was configured with, not by ~/.ssh/config
        known = case.there.get_authinfo(User.collection.get_default()).get_auth_params()
        detour = bool(known.get('proxy_jump') or known.get('proxy_command'))
        return Way(name, int(known.get('port') or 22), True, detour, str(known.get('username') or ''))

    try:
        options = asyncio.run(asyncssh.SSHClientConnectionOptions.construct(host=name, config=()))
    except Exception:
        # Whatever the reader makes of a configuration or a key that is none; ssh itself says it better.
        return None
    detour = bool(options.tunnel) or bool(options.proxy_command)
    configured = any(options.config.get(word) for word in SPEAKS)
    return Way(str(options.host), int(options.port or 22), configured, detour, str(options.username))


def check(case: Case) -> Answer:
    """Resolve the name, open the port, and wait for the greeting of an ssh server."""
    name = name_of(case)
    way = way_of(case)
    if way is None:
        return broken(
            f'the ssh configuration has no readable entry for {name}', f'Correct ~/.ssh/config: ssh -v {name}'
        )
    block = f'Host {name} / HostName ADDRESS / User YOU / IdentityFile KEY'
    if way.detour:
        return ok(f'{name} is {way.host}, by way of another machine')
    try:
        addresses = _resolve(way)
    except OSError as error:
        remedy = 'Correct HostName there' if way.configured else f'Give it a block in ~/.ssh/config: {block}'
        return broken(f'the name {way.host} leads nowhere: {error.strerror or error}', f'{remedy}; then: ssh {name}')
    place = f'{way.host}:{way.port}'
    try:
        with socket.create_connection((addresses, way.port), timeout=case.limits.answer_s) as server:
            server.settimeout(case.limits.answer_s)
            greeting = server.recv(255)
    except ConnectionRefusedError:
        return broken(
            f'nothing listens on {place}: its ssh server does not run, or the port is another one',
            f'Ask the site whether it is down for maintenance, or correct Port in ~/.ssh/config; then: ssh {name}',
        )
    except OSError as error:
        return broken(
            f'{place} does not answer: {error.strerror or error}',
            f'See whether the network, a VPN or the machine is down: ssh -v {name}',
        )
    if b'SSH-' not in greeting:
        return broken(f'what listens on {place} is no ssh server', f'Correct Port in ~/.ssh/config: ssh -v {name}')
    known = '' if way.configured else ' (without a Host block in ~/.ssh/config)'
    return ok(f'{name} is {place}{known}')


def _resolve(way: Way) -> str:
    return str(socket.getaddrinfo(way.host, way.port, type=socket.SOCK_STREAM)[0][4][0])
