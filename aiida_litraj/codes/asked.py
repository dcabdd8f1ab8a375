"""What a person wants of a site in the site's own words: GPUs, modules, an account; and what becomes of it in a job.

Everything here ends in a header of a batch script or in lines of shell, so that nothing passes that could be more than
one word of them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PositiveFloat, PositiveInt, ValidationError

from ..calculations.base import RUNTIME_OPTIONS
from ..calculations.validation import explain
from ..contract.base import Model
from .problems import SetupProblem

SLURM, DIRECT = 'core.slurm', 'core.direct'
GPUS_OPTION = 'gpus'
"""Option of a job: how many GPUs it uses, with a process for each."""
_WORD = re.compile(r"[^\s'\"`$\\;]+")
_CLOCK = re.compile(r'(?:(\d+)-)?(\d{1,3}):(\d{2})(?::(\d{2}))?')
_SPAN = re.compile(r'(\d+)\s*(s|min|h|d)')
_SPANS = {'s': 1, 'min': 60, 'h': 3600, 'd': 86400}


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise ValueError('one word is wanted, without blanks, quotes, $, ; or backslashes: it goes into a batch script')
    return text


def _line(text: str) -> str:
    if not text.strip() or any(character in text for character in '\n\r\0'):
        raise ValueError('a name on one line is wanted')
    return text


def _seconds(value: Any) -> Any:
    """Return a time in seconds, which may be written as 7200, 2h, 30min, 02:00:00 or 1-12:00:00."""
    if not isinstance(value, str):
        return value
    if clock := _CLOCK.fullmatch(value.strip()):
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return ((24 * days + hours) * 60 + minutes) * 60 + seconds
    if span := _SPAN.fullmatch(value.strip()):
        return int(span[1]) * _SPANS[span[2]]
    raise ValueError('write a time as 7200 (seconds), 30min, 2h, 1d, "02:00:00" or "1-12:00:00"')


def _list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Word = Annotated[str, AfterValidator(_word)]
Line = Annotated[str, AfterValidator(_line)]


class Gpus(Model):
    """GPUs of a job.

    ``request`` is how the site wants them asked for; by default ``gres`` with Slurm, and nothing where there is no
    queue. ``none`` asks for nothing: the partition brings the GPU along.
    """

    request: Literal['gres', 'gpus', 'gpus-per-task', 'gpus-per-node', 'none'] | None = None
    type: Word | None = None
    count: PositiveInt = 1
    constraint: Word | None = None

    def lines(self, request: str) -> list[str]:
        """Return the lines of the header of a batch script of Slurm."""
        amount = f'{self.type}:{self.count}' if self.type else str(self.count)
        said = {
            'gres': [f'--gres=gpu:{amount}'],
            # Slurm refuses GPUs per task without a number of tasks; the engine is one, and starts its processes itself.
            'gpus-per-task': ['--ntasks=1', f'--gpus-per-task={amount}'],
            'gpus': [f'--gpus={amount}'],
            'gpus-per-node': [f'--gpus-per-node={amount}'],
            'none': [],
        }[request]
        constraint = [f'--constraint={self.constraint}'] if self.constraint else []
        return [f'#SBATCH {line}' for line in [*said, *constraint]]


class Asked(Model):
    """What an entry of a code asks of its site, beside the raw ``options`` and ``prepend_text``."""

    gpus: Gpus | None = None
    modules: Annotated[tuple[Line, ...], BeforeValidator(_list)] = ()
    conda: Line | None = None
    account: Word | None = None
    partition: Word | None = None
    qos: Word | None = None
    walltime: Annotated[int | None, BeforeValidator(_seconds), Field(ge=60)] = None
    cores: PositiveInt | None = None
    memory_gib: PositiveFloat | None = None

    @property
    def script(self) -> str:
        """Lines of shell that bring the environment, every name in quotes."""
        lines = [f'module load {" ".join(map(shlex.quote, self.modules))}'] if self.modules else []
        if self.conda is not None:
            # A batch job has not been through the start-up file in which conda puts its function.
            lines += ['. "$(conda info --base)/etc/profile.d/conda.sh"', f'conda activate {shlex.quote(self.conda)}']
        return '\n'.join(lines)

    def options(self, scheduler: str, raw: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Return ``metadata.options`` of the jobs of a code: what the fields say, and what ``raw`` says beside it.

        :raises SetupProblem: if the scheduler has no such thing, or the same is said twice.
        """
        said: dict[str, Any] = {
            'account': self.account,
            'queue_name': self.partition,
            'qos': self.qos,
            'max_wallclock_seconds': self.walltime,
            'max_memory_kb': None if self.memory_gib is None else round(self.memory_gib * 2**20),
            'resources': None
            if self.cores is None
            else {'num_machines': 1, 'num_mpiprocs_per_machine': 1, 'num_cores_per_mpiproc': self.cores},
        }
        said = {key: value for key, value in said.items() if value is not None}
        self._check_scheduler(scheduler, name)
        for key in set(said) & set(raw):
            if said[key] != raw[key]:
                raise SetupProblem(
                    f'the code {name!r} says options.{key} = {raw[key]!r}, and {said[key]!r} by a field of its own',
                    'Leave one of the two out.',
                )
        options = {**said, **raw}
        if self.gpus is not None:
            options |= self._gpu_options(self.gpus, scheduler, raw, name)
        return options

    def _check_scheduler(self, scheduler: str, name: str) -> None:
        if scheduler == DIRECT:
            queued = [field for field in ('account', 'partition', 'qos') if getattr(self, field) is not None]
            if queued:
                raise SetupProblem(
                    f'{queued[0]} = {getattr(self, queued[0])!r} of the code {name!r} wants a queue, and its computer '
                    f'has the scheduler {DIRECT}, which has none',
                    f'Leave it out, or give the computer a queue: scheduler: {SLURM}',
                )

    @staticmethod
    def _gpu_options(gpus: Gpus, scheduler: str, raw: Mapping[str, Any], name: str) -> dict[str, Any]:
        request = gpus.request or ('gres' if scheduler == SLURM else 'none')
        lines = gpus.lines(request)
        if lines and scheduler != SLURM:
            raise SetupProblem(
                f'gpus of the code {name!r} are asked for by {lines[-1].removeprefix("#SBATCH ")!r}, and the scheduler '
                f'of its computer is {scheduler}, not {SLURM}',
                'Say gpus: {request: none}, and what this scheduler wants in options: {custom_scheduler_commands: ...}',
            )
        own = str(raw.get('custom_scheduler_commands') or '')
        if request != 'none' and re.search(r'--(gres|gpus)', own):
            raise SetupProblem(
                f'GPUs of the code {name!r} are asked for twice, by gpus and by options.custom_scheduler_commands '
                f'= {own!r}',
                'Leave one of the two out.',
            )
        commands = '\n'.join([*lines, *filter(None, [own.strip()])])
        options: dict[str, Any] = {'custom_scheduler_commands': commands} if commands else {}
        options['device'] = raw.get('device', 'cuda')
        if gpus.count > 1 and GPUS_OPTION in RUNTIME_OPTIONS:
            options.setdefault(GPUS_OPTION, raw.get(GPUS_OPTION, gpus.count))
        return options


FIELDS = tuple(Asked.model_fields)


def read_asked(entry: Mapping[str, Any], name: str) -> Asked:
    """Return what the fields of an entry ask for; the others are not looked at.

    :param name: what the entry is to the one who wrote it, such as ``the code 'sevennet'``.
    :raises SetupProblem: naming each field that is not as it should be, of unknown ones the nearest known.
    """
    values = {key: value for key, value in entry.items() if key in FIELDS and value is not None}
    try:
        return Asked.model_validate(values)
    except ValidationError as error:
        raise SetupProblem(
            f'in {name}: {explain(error, "", Asked).replace("; .", "; ").removeprefix(".")}',
            'Commented templates: aiida-litraj setup --template slurm-gpu',
        ) from error
