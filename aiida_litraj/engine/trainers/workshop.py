"""What a job trains with: the trainer, the device, and what is known of the potential it goes on from."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path
from types import TracebackType

from ...contract.errors import LitrajError
from ...contract.potential import PotentialReport
from ...contract.train import TrainJob
from ..models import Evaluator, get_family, load
from ..models.devices import resolve_device
from ..models.refusal import own_copy
from ..workers import peak_memory_mb
from .registry import get_trainer

_MAXRSS_MB = 1.0 / (1 << 20) if sys.platform == 'darwin' else 1.0 / (1 << 10)


class Workshop:
    """A context manager with what a run tells of a pool of evaluations. It has one device, however many there are.

    :ivar report: of the parent; from scratch it says nothing but the family.
    :raises LitrajError: if there is no such trainer or device, the parent cannot be loaded, or what is asked for does
        not go together.
    """

    processes = 1
    halvings = 0
    model_seconds = 0.0
    seconds_per_call = None

    def __init__(self, job: TrainJob, directory: Path) -> None:
        self._spec, self._directory = job.potential, directory
        self.trainer = get_trainer(job.parameters.trainer)
        self.dtype = job.parameters.dtype
        _check(job, self.trainer.family)
        self.device = resolve_device(job.runtime.device, get_family(self.trainer.family).devices)
        self.devices = [self.device]
        self._copies = contextlib.ExitStack()
        self.parent_file: Path | None = None
        """A copy of the file of the parent, its sha256 checked; ``None`` from scratch, or where its package knows it by
        name."""
        try:
            if self._spec is not None and self._spec.file is not None:
                self.parent_file = self._copies.enter_context(own_copy(self._spec, directory / self._spec.file))
                self._directory = self.parent_file.parent
            self.report = PotentialReport(family=self.trainer.family) if self._spec is None else self.parent().report
        except BaseException:
            self._copies.close()
            raise

    def parent(self) -> Evaluator:
        """Return the parent, loaded anew: it is not kept beside a training, which wants the memory."""
        assert self._spec is not None
        return load(self._spec, self._directory, self.device)

    @property
    def worker_cpu_seconds(self) -> float:
        """Processor time in s of the trainers that have ended."""
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    @property
    def peak_memory_mb(self) -> float:
        """Largest resident memory of this process plus that of the largest trainer that has ended, in MB."""
        return peak_memory_mb() + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _MAXRSS_MB

    def __enter__(self) -> Workshop:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the copy of the parent."""
        self._copies.close()


def _check(job: TrainJob, family: str) -> None:
    """Refuse a job whose parts do not go together.

    :raises LitrajError: ``ERROR_JOB_INVALID``, saying what to change.
    """
    parameters, spec = job.parameters, job.potential
    wrong = None
    if (job.runtime.gpus or 1) > 1:
        wrong = (
            f'gpus is {job.runtime.gpus}, but a training uses one: leave it out, and give each training a job of its '
            'own where they shall go on side by side'
        )
    elif spec is None:
        if parameters.architecture is None:
            wrong = 'architecture is needed where a training starts from scratch: give it, or a potential to go on from'
        elif parameters.energy_references == 'parent':
            wrong = 'energy_references is parent, but there is no potential to go on from: take least_squares or given'
        elif parameters.replay is not None:
            wrong = 'replay is what a parent knew, but there is no potential to go on from: leave it out'
    elif spec.family != family:
        wrong = (
            f'the trainer {parameters.trainer} goes on from potentials of the family {family}, not {spec.family}: take '
            f'the trainer of {spec.family}, or a potential of {family}'
        )
    elif parameters.architecture is not None:
        wrong = 'architecture is that of the potential the training goes on from: leave it out, or the potential'
    if wrong is not None:
        raise LitrajError('ERROR_JOB_INVALID', reason=wrong)
