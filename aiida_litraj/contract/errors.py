"""The one table of exit codes. A number is never reused; the ranges follow the house rules.

2xx bad input, 30x unreadable result, 31x-35x engine or environment, 40x-41x restartable: none of these is a valid
source for the cache. 5xx physics said no, 7xx usable with a caveat: these are valid. 301, 302, 401 and 402 belong to
``BaseRestartWorkChain``.
"""

from __future__ import annotations

from typing import NamedTuple

FIRST_VERDICT = 500
"""From here on an exit code says something of physics, and nothing of the engine or where it ran."""


class ExitCode(NamedTuple):
    """One line of the table; ``message`` may hold fields in braces for ``str.format``."""

    status: int
    label: str
    message: str

    @property
    def invalidates_cache(self) -> bool:
        """Whether a calculation that ended so must not be reused."""
        return self.status < FIRST_VERDICT


TABLE: tuple[ExitCode, ...] = (
    ExitCode(200, 'ERROR_JOB_INVALID', 'the job file does not validate: {reason}'),
    ExitCode(201, 'ERROR_ELEMENTS_NOT_COVERED', 'the potential {potential} does not cover {elements}'),
    ExitCode(202, 'ERROR_ITEM_INVALID', 'the item is malformed: {reason}'),
    ExitCode(203, 'ERROR_PSEUDO_MISSING', 'the pseudopotential family {family} has none for {elements}'),
    ExitCode(303, 'ERROR_RESULT_MISSING', 'the engine left no {file}: see {log}'),
    ExitCode(304, 'ERROR_RESULT_INVALID', 'the result file does not validate: {reason}'),
    ExitCode(305, 'ERROR_RESULT_SCHEMA', 'the result has schema version {found}, this plugin reads {expected}'),
    ExitCode(306, 'ERROR_RESULT_ARRAYS', 'the arrays of the result do not match it: {reason}'),
    ExitCode(310, 'ERROR_ENGINE_CRASHED', 'the engine crashed: {reason}'),
    ExitCode(311, 'ERROR_EVALUATION', 'the potential cannot evaluate a configuration: {reason}'),
    ExitCode(312, 'ERROR_TRAINER', 'the trainer {trainer} ended without a potential: {reason}'),
    ExitCode(313, 'ERROR_TRAINED_UNUSABLE', 'the trained potential does not give what the trainer said: {reason}'),
    ExitCode(320, 'ERROR_FAMILY_MISSING', 'this environment lacks the family {family}: pip install {package}'),
    ExitCode(321, 'ERROR_POTENTIAL_NOT_LOADED', 'the potential {potential} could not be loaded: {reason}'),
    ExitCode(322, 'ERROR_POTENTIAL_CHECKSUM', 'the potential {potential} has sha256 {found}, not {expected}'),
    ExitCode(323, 'ERROR_DTYPE', 'the potential {potential} cannot be evaluated in {dtype}: it offers {offered}'),
    ExitCode(324, 'ERROR_NO_STRESS', 'the potential {potential} gives no stress, which {task} needs'),
    ExitCode(330, 'ERROR_DEVICE', 'the device {device} is not there: this node has {available}'),
    ExitCode(331, 'ERROR_KERNELS', 'the {kernels} kernels failed their check against the plain ones: {reason}'),
    ExitCode(332, 'ERROR_ENVIRONMENT', 'the environment of the code cannot run the engine: {reason}'),
    ExitCode(340, 'ERROR_SETUP_MISSING', 'the DFT code has no PAW set-up for {element}: {remedy}'),
    ExitCode(341, 'ERROR_MPI', 'MPI could not start the DFT code: {reason}'),
    ExitCode(342, 'ERROR_DFT_CRASHED', 'the DFT code ended without a result: {reason}'),
    ExitCode(
        400, 'ERROR_OUT_OF_TIME', '{n_done} of {n_total} {items} finished before the time ran out or a signal came'
    ),
    ExitCode(410, 'ERROR_DEVICE_MEMORY', 'out of memory on {device} with one configuration of {atoms} atoms'),
    ExitCode(411, 'ERROR_ITEM_OUT_OF_TIME', 'given up after {seconds} s in {phase}, step {step}: max_item_seconds'),
    ExitCode(500, 'ERROR_NOT_CONVERGED', 'residual force {fmax} eV/Ang after {steps} steps, asked for {target}'),
    ExitCode(501, 'ERROR_PARTIAL', '{n_converged} of {n_total} {items} converged'),
    ExitCode(502, 'ERROR_ENDPOINT_NOT_CONVERGED', 'the {end} did not relax: {fmax} eV/Ang after {steps} steps'),
    ExitCode(503, 'ERROR_ENDPOINT_MOVED', 'the relaxed ends describe another hop: {reason}'),
    ExitCode(504, 'ERROR_NON_FINITE', 'the potential returned an energy or force that is not finite in {phase}'),
    ExitCode(505, 'ERROR_EXPLODED', 'a force of {fmax} eV/Ang in {phase}, above the limit {limit}'),
    ExitCode(506, 'ERROR_VOLUME', 'the volume is {ratio} times that of the start, outside {least} to {most}'),
    ExitCode(507, 'ERROR_STRESS_LEFT', 'a stress of {stress} GPa is left after {steps} steps, asked for {target}'),
    ExitCode(508, 'ERROR_RELAXED_UNUSABLE', 'the relaxed structure cannot be gone on with: {reason}'),
    ExitCode(510, 'ERROR_UNSTABLE', 'the replica died after {time} fs: {reason}'),
    ExitCode(515, 'ERROR_TRAINING_DIVERGED', 'the training diverged in epoch {epoch}: {reason}'),
    ExitCode(520, 'ERROR_SCF_NOT_CONVERGED', 'self-consistency was not reached: {reason}'),
)

BY_LABEL: dict[str, ExitCode] = {code.label: code for code in TABLE}
SUCCESS = ExitCode(0, 'SUCCESS', 'all converged')


def stands(status: int) -> bool:
    """Return whether all that a job which ended with this code was to do is done: it went well, or physics said no."""
    return status == SUCCESS.status or status >= FIRST_VERDICT


class LitrajError(Exception):
    """An error of the table: ``LitrajError('ERROR_DEVICE', device='cuda', available='cpu')``."""

    def __init__(self, label: str, **fields: object) -> None:
        self.code = BY_LABEL[label]
        self.fields = fields
        super().__init__(self.code.message.format(**fields))
