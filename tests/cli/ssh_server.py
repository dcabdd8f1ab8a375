"""A small ssh server on the loopback for the tests: any command, any file, one key. ``python ssh_server.py HOME``.

It writes keys, ``known_hosts`` and a ``Host cluster`` of ``.ssh/config`` under HOME, and then prints its port.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import asyncssh

CONFIG = """Host cluster
  HostName 127.0.0.1
  Port {port}
  User somebody
  IdentityFile {folder}/user
  UserKnownHostsFile {folder}/known_hosts
"""


async def execute(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Run the command of a client in a shell."""
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_shell(
        str(process.command), stdin=pipe, stdout=pipe, stderr=pipe, executable='/bin/bash'
    )
    await process.redirect(stdin=child.stdin, stdout=child.stdout, stderr=child.stderr)
    process.exit(await child.wait())
    await process.wait_closed()


async def serve(home: Path) -> None:
    """Serve until killed."""
    folder = home / '.ssh'
    folder.mkdir(mode=0o700)
    host, user = (asyncssh.generate_private_key('ssh-ed25519') for _ in range(2))
    user.write_private_key(folder / 'user')
    (folder / 'user').chmod(0o600)
    user.write_public_key(folder / 'authorized_keys')
    server = await asyncssh.listen(
        '127.0.0.1',
        0,
        server_host_keys=[host],
        authorized_client_keys=str(folder / 'authorized_keys'),
        process_factory=execute,
        sftp_factory=True,
        encoding=None,
    )
    port = server.get_port()
    (folder / 'known_hosts').write_text(f'[127.0.0.1]:{port} {host.export_public_key().decode()}')
    (folder / 'config').write_text(CONFIG.format(port=port, folder=folder))
    print(port, flush=True)
    await asyncio.Event().wait()


if __name__ == '__main__':
    asyncio.run(serve(Path(sys.argv[1])))
