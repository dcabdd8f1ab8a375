"""A Slurm cluster on one machine, with accounting, two GPUs that are none, and ssh: ``cluster.py COMMAND [FOLDER]``.

Everything is below one folder and on ports of its own; there is no systemd. Standard library only, so that it runs
where nothing of the project is installed. See docs/source/howto/testbed.md.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template

HERE = Path(__file__).resolve().parent
DEFAULT = HERE.parents[1] / 'build' / 'testbed'
FAILED, USAGE, NO_PACKAGES, NO_ROOT, FORBIDDEN = 1, 2, 3, 4, 5
"""Exit codes; argparse has taken the second."""
STATE = 'testbed.json'
ALIAS, NODE, PARTITION, GPUS, CPUS = 'testbed', 'node1', 'gpu', 2, 4
MARK = 'LITRAJ_TESTBED'
"""Variable in the environment of daemons, logins and their jobs that names the folder to which they belong."""
READY_S, END_S, POLL_S = 60.0, 10.0, 0.05
"""How long a daemon may take to answer, and to end when asked to."""
LONGEST_SOCKET = 107
"""Characters of the name of a socket, less one for the byte that ends it: Linux, unix(7)."""
PRIVILEGES = Path('/run/sshd')
"""The empty folder that sshd is compiled to want."""
PROGRAMS = {
    'munged': 'munge', 'slurmctld': 'slurm-wlm', 'slurmd': 'slurm-wlm', 'sbatch': 'slurm-wlm', 'slurmdbd': 'slurmdbd',
    'mariadbd': 'mariadb-server', 'mariadb-install-db': 'mariadb-server', 'sshd': 'openssh-server',
    'ssh-keygen': 'openssh-client',
}  # fmt: skip
"""What is run, and the Debian package that has it."""
TRIAL = 'import os; os.chroot("/"); os.setgroups([]); os.setgid(65534); os.setuid(65534)'
"""What sshd does of which only root is able."""
DAEMONS = ('munged', 'mariadbd', 'slurmdbd', 'slurmctld', 'slurmd', 'sshd')
"""In the order in which they start; each needs those before it."""


class TestbedError(Exception):
    """A reason for which the cluster cannot be had, in a sentence, with the exit code of the program."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Cluster:
    """Where a cluster is: its folder, the ports of its daemons, and whether /run/sshd was made for it."""

    folder: Path
    ports: dict[str, int]
    made_privileges: bool

    @property
    def slurm_conf(self) -> Path:
        return self.folder / 'etc' / 'slurm.conf'

    def pid_file(self, daemon: str) -> Path:
        return self.folder / 'run' / f'{daemon}.pid'

    def log(self, daemon: str) -> Path:
        return self.folder / 'log' / f'{daemon}.log'

    def store(self) -> None:
        content = json.dumps({**asdict(self), 'folder': str(self.folder)}, indent=2)
        (self.folder / STATE).write_text(content, encoding='utf-8')

    @classmethod
    def load(cls, folder: Path) -> Cluster | None:
        """Return the cluster of a folder, or ``None`` where there is none."""
        try:
            content = json.loads((folder / STATE).read_text(encoding='utf-8'))
        except FileNotFoundError:
            return None
        return cls(**{**content, 'folder': folder})


# --- processes -------------------------------------------------------------------------------------------------------


def started(pid: int) -> str | None:
    """Return when a process was started, in ticks since the boot, or ``None`` if there is none that still runs."""
    try:
        # The name, in parentheses, may have blanks in it.
        fields = Path(f'/proc/{pid}/stat').read_text(encoding='utf-8').rpartition(')')[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in 'ZX' else fields[19]


def pid_of(cluster: Cluster, daemon: str) -> int | None:
    """Return the process number of a daemon of this cluster, or ``None`` if it does not run."""
    try:
        pid, when = cluster.pid_file(daemon).read_text(encoding='utf-8').split()
    except (FileNotFoundError, ValueError):
        return None
    # A number that another process has been given since is none of ours.
    return int(pid) if started(int(pid)) == when else None


def members(cluster: Cluster) -> dict[int, str]:
    """Return the processes of this cluster and when each was started: daemons, logins, jobs, and all that they started.

    They are found by the pid files, by ``MARK`` in their environment, and by their parents.
    """
    parents: dict[int, int] = {}
    marked = {pid for daemon in DAEMONS if (pid := pid_of(cluster, daemon))}
    mark = f'{MARK}={cluster.folder}'.encode()
    for entry in Path('/proc').iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            parents[int(entry.name)] = int((entry / 'stat').read_text().rpartition(')')[2].split()[1])
            if mark in (entry / 'environ').read_bytes().split(b'\0'):
                marked.add(int(entry.name))
    found = set(marked)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: when for pid in found - {os.getpid()} if (when := started(pid))}


def wait_for(true: Callable[[], bool], seconds: float) -> bool:
    """Return whether a condition has come true in time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def end(processes: dict[int, str], seconds: float = END_S) -> None:
    """End processes, with force those that do not want to."""

    def left() -> list[int]:
        return [pid for pid, when in processes.items() if started(pid) == when]

    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if wait_for(lambda: not left(), seconds):
            return
    raise TestbedError(f'these processes do not end: {", ".join(map(str, left()))}')


def program(name: str) -> str:
    """Return the path of a program; those of root may not be in the path of who calls."""
    return shutil.which(name, path=f'{os.environ.get("PATH", "")}:/usr/local/sbin:/usr/sbin:/sbin') or name


def environment(cluster: Cluster) -> dict[str, str]:
    """Return the environment of the daemons."""
    kept = {key: os.environ[key] for key in ('PATH', 'HOME', 'LANG', 'TZ') if key in os.environ}
    sockets = {'MYSQL_UNIX_PORT': str(cluster.folder / 'run' / 'mariadb.socket')}
    return {**kept, **sockets, 'SLURM_CONF': str(cluster.slurm_conf), MARK: str(cluster.folder)}


def call(cluster: Cluster, *command: str) -> subprocess.CompletedProcess[str]:
    """Return a command that has ended, run with the cluster's environment; 124 if it would not end."""
    try:
        return subprocess.run(
            [program(command[0]), *command[1:]], env=environment(cluster), capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=READY_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, '', f'no answer within {READY_S:.0f} s')


def demand(cluster: Cluster, *command: str) -> None:
    """Run a command that must succeed."""
    done = call(cluster, *command)
    if done.returncode:
        raise TestbedError(f'{command[0]} failed with {done.returncode}: {(done.stderr or done.stdout).strip()}')


# --- files -----------------------------------------------------------------------------------------------------------


def free_ports(names: tuple[str, ...]) -> dict[str, int]:
    """Return ports of the loopback on which nothing listens."""
    with contextlib.ExitStack() as stack:
        sockets = {name: stack.enter_context(socket.socket()) for name in names}
        for each in sockets.values():
            each.bind(('127.0.0.1', 0))
        return {name: each.getsockname()[1] for name, each in sockets.items()}


def check_folder(folder: Path) -> None:
    """Raise unless a new cluster may be made in a folder."""
    if folder.exists() and any(entry.name not in ('log', 'lock') for entry in folder.iterdir()):
        raise TestbedError(f'{folder} has other files in it; give an empty folder, or one that does not exist', USAGE)
    longest = str(folder / 'run' / 'mariadb.socket')
    if len(longest.encode()) > LONGEST_SOCKET:
        raise TestbedError(f'{longest} is too long a name for a socket; give a folder nearer to the root', USAGE)
    if not re.fullmatch(r'[\w/.+-]+', str(folder)):
        raise TestbedError(f'{folder} has characters in its name that files of Slurm or ssh cannot hold', USAGE)


def make_folder(folder: Path) -> Cluster:
    """Return a new cluster with all its files, none of its daemons started."""
    for name in ('etc', 'ssh', 'run', 'log', 'dev', 'work', 'spool/slurmctld', 'spool/slurmd'):
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    for log in (folder / 'log').iterdir():
        log.unlink()
    cluster = Cluster(folder, free_ports(('slurmctld', 'slurmd', 'slurmdbd', 'sshd')), not PRIVILEGES.exists())
    cluster.store()
    for index in range(GPUS):
        (folder / 'dev' / f'gpu{index}').symlink_to(os.devnull)
    for name in ('host_key', 'user_key'):
        demand(cluster, 'ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', ALIAS, '-f', str(folder / 'ssh' / name))
    host_key = (folder / 'ssh' / 'host_key.pub').read_text(encoding='utf-8')
    (folder / 'ssh' / 'known_hosts').write_text(f'[127.0.0.1]:{cluster.ports["sshd"]} {host_key}', encoding='utf-8')
    make_munge_key(cluster)
    write_configuration(cluster)
    return cluster


def make_munge_key(cluster: Cluster) -> None:
    """Make the secret by which the daemons know each other."""
    key = cluster.folder / 'etc' / 'munge.key'
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)


def write_configuration(cluster: Cluster) -> None:
    """Fill in the files of ``etc`` beside this one."""
    values = {
        'FOLDER': cluster.folder, 'HOST': socket.gethostname().partition('.')[0], 'NODE': NODE, 'PARTITION': PARTITION,
        'GPUS': GPUS, 'LAST_GPU': GPUS - 1, 'CPUS': max(CPUS, os.cpu_count() or 1), 'MEMORY': memory_mib(),
        'ALIAS': ALIAS, 'MARK': MARK, 'USE_PAM': 'yes' if root_is_locked() else 'no',
        **{f'{name.upper()}_PORT': port for name, port in cluster.ports.items()},
    }  # fmt: skip
    for source in (HERE / 'etc').iterdir():
        target = cluster.folder / ('ssh/config' if source.name == 'ssh.conf' else f'etc/{source.name}')
        target.write_text(Template(source.read_text(encoding='utf-8')).substitute(values), encoding='utf-8')
        target.chmod(0o600)


def memory_mib() -> int:
    """Return the memory of this machine."""
    return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') // 2**20


def root_is_locked() -> bool:
    """Return whether sshd lets root in by PAM only: it takes a password that begins with ``!`` for a closed account."""
    return any(line.startswith('root:!') for line in Path('/etc/shadow').read_text(encoding='utf-8').splitlines())


# --- daemons ---------------------------------------------------------------------------------------------------------


def command_of(cluster: Cluster, daemon: str) -> list[str]:
    """Return the command of a daemon that stays in the foreground and logs to its standard error."""
    folder, run = cluster.folder, cluster.folder / 'run'
    if daemon == 'munged':
        files = {
            'key-file': folder / 'etc' / 'munge.key', 'socket': run / 'munge.socket', 'seed-file': run / 'munge.seed',
            'pid-file': run / 'munged.own.pid', 'log-file': cluster.log('munged'),
        }  # fmt: skip
        # With force: neither root nor a folder below /tmp is to its liking.
        return ['munged', '--foreground', '--force', *(f'--{name}={path}' for name, path in files.items())]
    if daemon == 'mariadbd':
        return ['mariadbd', f'--defaults-file={folder / "etc" / "mariadb.cnf"}']
    if daemon == 'slurmd':
        return ['slurmd', '-D', '-N', NODE, '-f', str(cluster.slurm_conf)]
    if daemon == 'slurmctld':
        return ['slurmctld', '-D', '-f', str(cluster.slurm_conf)]
    if daemon == 'slurmdbd':
        return ['slurmdbd', '-D']
    return ['sshd', '-D', '-e', '-f', str(folder / 'etc' / 'sshd.conf')]


def answers(cluster: Cluster, daemon: str) -> bool:
    """Return whether a daemon does its work."""
    run = cluster.folder / 'run'
    if daemon == 'munged':
        return call(cluster, 'munge', f'--socket={run / "munge.socket"}', '--no-input').returncode == 0
    if daemon == 'mariadbd':
        ping = ('mariadb-admin', '--no-defaults', f'--socket={run / "mariadb.socket"}', 'ping')
        return (run / 'mariadb.socket').exists() and call(cluster, *ping).returncode == 0
    if daemon == 'slurmdbd':
        return listens(cluster, daemon) and call(cluster, 'sacctmgr', '--noheader', 'show', 'cluster').returncode == 0
    if daemon == 'slurmctld':
        return listens(cluster, daemon) and call(cluster, 'scontrol', 'ping').returncode == 0
    if daemon == 'slurmd':
        state = call(cluster, 'sinfo', '--noheader', '--format=%t').stdout.strip()
        # A controller that did not reach the accounting at once tries again after ten seconds, and keeps what it has.
        return state in ('idle', 'mix', 'alloc') and 'DBD Agent queue size: 0\n' in call(cluster, 'sdiag').stdout
    return listens(cluster, daemon)


def listens(cluster: Cluster, daemon: str) -> bool:
    """Return whether a daemon takes connections."""
    with socket.socket() as client:
        return client.connect_ex(('127.0.0.1', cluster.ports[daemon])) == 0


def start(cluster: Cluster, daemon: str) -> None:
    """Start a daemon, unless it runs, and wait until it does its work."""
    if pid_of(cluster, daemon) is None:
        prepare(cluster, daemon)
        command = command_of(cluster, daemon)
        with cluster.log(daemon).open('ab') as log:
            process = subprocess.Popen(
                [program(command[0]), *command[1:]], cwd=cluster.folder, env=environment(cluster),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        cluster.pid_file(daemon).write_text(f'{process.pid} {started(process.pid)}', encoding='utf-8')
    if not wait_for(lambda: pid_of(cluster, daemon) is None or answers(cluster, daemon), READY_S):
        raise TestbedError(f'{daemon} does not answer. {cluster.log(daemon)} says:\n{tail(cluster.log(daemon))}')
    if pid_of(cluster, daemon) is None:
        raise TestbedError(f'{daemon} has ended at once. {cluster.log(daemon)} says:\n{tail(cluster.log(daemon))}')
    if daemon == 'slurmdbd':
        done = call(cluster, 'sacctmgr', '--immediate', 'add', 'cluster', 'testbed')
        if done.returncode and 'already exists' not in done.stdout:
            raise TestbedError(f'sacctmgr failed with {done.returncode}: {(done.stderr or done.stdout).strip()}')


def prepare(cluster: Cluster, daemon: str) -> None:
    """Make what a daemon wants to be there."""
    if daemon == 'sshd':
        PRIVILEGES.mkdir(mode=0o755, exist_ok=True)
    data = cluster.folder / 'database'
    if daemon == 'mariadbd' and not (data / 'mysql').exists():
        defaults = f'--defaults-file={cluster.folder / "etc" / "mariadb.cnf"}'
        own = ('--auth-root-authentication-method=socket', '--auth-root-socket-user=root')
        demand(cluster, 'mariadb-install-db', defaults, '--skip-test-db', *own)


def tail(path: Path, lines: int = 5) -> str:
    """Return the last lines of a log."""
    return '\n'.join(path.read_text(encoding='utf-8', errors='replace').splitlines()[-lines:])


# --- commands --------------------------------------------------------------------------------------------------------


def check_machine() -> None:
    """Raise unless a cluster can be brought up here."""
    missing = sorted({package for name, package in PROGRAMS.items() if not shutil.which(program(name))})
    if missing:
        install = f'apt-get install -y --no-install-recommends {" ".join(missing)}'
        raise TestbedError(f'packages of the system are missing; as root: {install}', NO_PACKAGES)
    if os.geteuid() != 0:
        raise TestbedError('Slurm runs jobs as any user: run this as root', NO_ROOT)


def check_rights() -> None:
    """Raise unless root may do here what its daemons do: a container often takes some of that away.

    sshd shuts the part that speaks to strangers into an empty folder as another user, and munged, which vouches for
    users, runs only where nobody could deceive it.
    """
    done = subprocess.run([sys.executable, '-I', '-c', TRIAL], capture_output=True, text=True, check=False)
    if done.returncode:
        words = done.stderr.strip().splitlines()[-1:]
        raise TestbedError(f'sshd could not become another user here: {"".join(words)}', FORBIDDEN)
    with tempfile.TemporaryDirectory() as name:
        cluster = Cluster(Path(name), {}, made_privileges=False)
        for folder in ('etc', 'run', 'log'):
            (cluster.folder / folder).mkdir()
        try:
            make_munge_key(cluster)
            start(cluster, 'munged')
        except (TestbedError, OSError) as error:
            raise TestbedError(f'munged will not run here: {" ".join(str(error).split())}', FORBIDDEN) from error
        finally:
            if pid := pid_of(cluster, 'munged'):
                end({pid: str(started(pid))}, seconds=1.0)  # a signal that finds it in accept() may be lost on it


def up(folder: Path) -> Cluster:
    """Return the cluster of a folder, brought up; what of it runs already is left alone."""
    check_machine()
    if Cluster.load(folder) is None:
        check_folder(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(folder):
        cluster = Cluster.load(folder) or make_folder(folder)
        for daemon in DAEMONS:
            start(cluster, daemon)
    return cluster


def down(folder: Path) -> bool:
    """End all processes of the cluster of a folder and remove its files but the logs; return whether there was one."""
    cluster = Cluster.load(folder)
    if cluster is None:
        return False
    with locked(folder):
        if pid_of(cluster, 'slurmctld') and pid_of(cluster, 'slurmd'):
            call(cluster, 'scancel', '--user=root')
            wait_for(lambda: not call(cluster, 'squeue', '--noheader').stdout.strip(), END_S)
        # The parents of those that stay for longer are lost with the daemons.
        everything = members(cluster)
        for daemon in reversed(DAEMONS):
            if pid := pid_of(cluster, daemon):
                end({pid: everything[pid]})
        end({**everything, **members(cluster)})
        if cluster.made_privileges and not other_sshd():
            with contextlib.suppress(FileNotFoundError):
                PRIVILEGES.rmdir()
        for entry in folder.iterdir():
            if entry.name not in ('log', 'lock', STATE):
                shutil.rmtree(entry)
        # Last, so that what was broken off can be done again.
        (folder / STATE).unlink()
    (folder / 'lock').unlink()
    return True


def other_sshd() -> bool:
    """Return whether a server that is not of this cluster needs the folder that all of them share."""
    for entry in Path('/proc').iterdir():
        with contextlib.suppress(OSError):
            name = (entry / 'comm').read_text(encoding='utf-8').strip() if entry.name.isdigit() else ''
            if name == 'sshd' and started(int(entry.name)):
                return True
    return False


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let only one program at a time change the cluster of a folder."""
    with (folder / 'lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def description(cluster: Cluster) -> dict[str, object]:
    """Return what a test needs to know, and a person to go on."""
    folder = cluster.folder
    config = folder / 'ssh' / 'config'
    return {
        'folder': str(folder),
        'work_dir': str(folder / 'work'),
        'logs': str(folder / 'log'),
        'slurm_conf': str(cluster.slurm_conf),
        'partition': PARTITION,
        'node': NODE,
        'gpus': GPUS,
        'ssh': {
            'host': ALIAS,
            'config': str(config),
            'port': cluster.ports['sshd'],
            'user': 'root',
            'key': str(folder / 'ssh' / 'user_key'),
        },
        'pids': {daemon: pid_of(cluster, daemon) for daemon in DAEMONS},
        'next': {
            'log in': f'ssh -F {config} {ALIAS}',
            'ask here': f'SLURM_CONF={cluster.slurm_conf} sinfo',
            'for AiiDA': f'put "Include {config}" at the top of ~/.ssh/config',
            'take down': f'{HERE / "down"} {folder}',
        },
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('command', choices=('up', 'down', 'check'))
    parser.add_argument('folder', nargs='?', type=Path, default=DEFAULT, help=f'default: {DEFAULT}')
    given = parser.parse_args(arguments)
    folder = given.folder.resolve()
    try:
        if given.command == 'check':
            check_machine()
            check_rights()
        elif given.command == 'up':
            print(json.dumps(description(up(folder)), indent=2))
        elif down(folder):
            print(f'nothing is left in {folder} but the logs')
        else:
            print(f'there is no cluster in {folder}')
    except TestbedError as error:
        print(f'error: {error}', file=sys.stderr)
        if given.command == 'up' and error.code == FAILED:
            print(f'What has been started is taken down by\n  {HERE / "down"} {folder}', file=sys.stderr)
        return error.code
    return 0


if __name__ == '__main__':
    sys.exit(main())
