"""A job that asks an environment what it can do, where its jobs run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob
from aiida.orm import Computer

from .base import RUNTIME_OPTIONS, own_packages

STDOUT, STDERR = 'probe.json', 'probe.err'
RESOURCES = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}


def probe_options(options: Mapping[str, Any], computer: Computer, walltime_s: int) -> dict[str, Any]:
    """Return ``metadata.options`` with which the engine is asked as the jobs of a code with these options run.

    It is done in a moment, and a short walltime is let in earlier.
    """
    kept = {name: value for name, value in options.items() if name not in RUNTIME_OPTIONS}
    walltime = min(int(kept.get('max_wallclock_seconds') or walltime_s), walltime_s)
    return own_packages({'resources': RESOURCES, **kept, 'max_wallclock_seconds': walltime}, computer)


class ProbeCalculation(CalcJob):
    """``litraj-engine probe`` as a job; what it prints is retrieved, and read by who has asked.

    It has no entry point, because nobody launches it by name; workers find it by its module.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the one input, the code."""
        super().define(spec)
        spec.inputs['code'].required = True
        spec.inputs['metadata']['options']['withmpi'].default = False

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Run the engine's probe, and fetch what it prints."""
        code = CodeInfo()
        code.code_uuid = self.inputs.code.uuid
        code.cmdline_params = ['probe']
        code.stdout_name, code.stderr_name = STDOUT, STDERR
        info = CalcInfo()
        info.codes_info = [code]
        info.retrieve_list = [STDOUT, STDERR]
        return info
