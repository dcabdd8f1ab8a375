"""What all calculation jobs of the engine share: exit codes from the one table, and how the engine is run."""

from __future__ import annotations

from typing import Any

from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob
from aiida.engine.processes.calcjobs.calcjob import CalcJobProcessSpec
from aiida.orm import RemoteData
from pydantic import ValidationError

from ..contract import files
from ..contract.errors import TABLE
from ..contract.runtime import Runtime
from .validation import explain, refuse

RUNTIME_OPTIONS: dict[str, tuple[Any, str]] = {
    'device': (str, 'Where the potential is evaluated: auto, cpu, cuda or cuda:N.'),
    'processes': (int, 'Worker processes; by default one per available core on a CPU, one on a GPU.'),
    'threads_per_process': (int, 'Threads of each worker process.'),
    'batch_atoms': (int, 'Atoms per model call on a GPU; by default what fits into its memory.'),
    'kernels': (str, 'Faster kernels of the family, checked against the plain ones at the start.'),
    'max_seconds': (
        (int, float),
        'Clock of the engine, after which it checkpoints and ends; by default a little less than '
        '``max_wallclock_seconds``.',
    ),
    'max_item_seconds': (
        (int, float),
        'Time after which one path is given up, so that the others can go on; by default as long as it takes.',
    ),
}


def register_exit_codes(spec: Any) -> None:
    """Add every line of the table of errors to a process specification."""
    for code in TABLE:
        if issubclass(type(spec), CalcJobProcessSpec):
            spec.exit_code(code.status, code.label, code.message, invalidates_cache=code.invalidates_cache)
        else:
            spec.exit_code(code.status, code.label, code.message)


def runtime_of(options: Any) -> Runtime:
    """Return how the engine shall run, from ``metadata.options``.

    Without ``max_seconds`` the engine gets 95 % of the walltime less a minute to load and to write, or half of a
    walltime too short for that.

    :raises ValueError: if an option is malformed, naming it.
    """
    values = {name: options[name] for name in RUNTIME_OPTIONS if options.get(name, None) is not None}
    wallclock = options.get('max_wallclock_seconds', None)
    if 'max_seconds' not in values and wallclock:
        values['max_seconds'] = max(0.95 * wallclock - 60.0, 0.5 * wallclock)
    try:
        return Runtime(**values)
    except ValidationError as error:
        raise ValueError(explain(error, 'metadata.options')) from error


class LitrajCalcJob(CalcJob):
    """A calculation job whose code is the engine.

    How a job runs cannot change its answer, so the runtime options stay out of the attributes of the node, which
    its hash is made of; they are kept in its ``metadata_inputs`` like all options.
    """

    CACHE_VERSION = 1
    task: str

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, options and exit codes."""
        super().define(spec)
        spec.input('parent_folder', valid_type=RemoteData, required=False, help='Job to resume: its checkpoint.')
        options = spec.inputs['metadata']['options']
        options['resources'].default = lambda: {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
        options['resources'].required = False  # a port whose default comes later does not notice by itself
        options['withmpi'].default = False
        options['parser_name'].default = f'litraj.{cls.task}'
        options['input_filename'].default = files.JOB
        options['output_filename'].default = files.STDOUT
        for name, (valid_type, help_text) in RUNTIME_OPTIONS.items():
            spec.input(f'metadata.options.{name}', valid_type=valid_type, required=False, help=help_text)
        options.validator = refuse(runtime_of, before=options.validator)
        register_exit_codes(spec)

    def _setup_metadata(self, metadata: dict[str, Any]) -> None:
        # A resumed job gives the unbroken job's answer to the last bit (and check_parent refuses to resume another),
        # so where it took up cannot matter: with it in the hash, a hop that was once cut off would never be reused.
        caching = self.node.base.caching
        caching._hash_ignored_inputs = [*caching._hash_ignored_inputs, 'parent_folder']
        options = metadata.get('options', {})
        metadata['options'] = {name: value for name, value in options.items() if name not in RUNTIME_OPTIONS}
        super()._setup_metadata(metadata)

    def engine_job(self, folder: Folder, job: str, arrays: bytes) -> CalcInfo:
        """Write the job and return what AiiDA needs to run the engine on it.

        The arrays are not kept with the calculation: they are those of the input nodes. Finished items are fetched
        only to be parsed, so that a job without a result still yields them.
        """
        with folder.open(files.JOB, 'w', encoding='utf-8') as handle:
            handle.write(job)
        with folder.open(files.ARRAYS, 'wb') as handle:
            handle.write(arrays)
        code = CodeInfo()
        code.code_uuid = self.inputs.code.uuid
        code.cmdline_params = ['run', files.JOB]
        code.stdout_name, code.stderr_name = files.STDOUT, files.STDERR
        info = CalcInfo()
        info.codes_info = [code]
        info.local_copy_list = []
        info.remote_copy_list = []
        if 'parent_folder' in self.inputs:
            parent = self.inputs.parent_folder
            # Copied, not linked: the engine goes on writing there, and the parent's own must stay as it was.
            info.remote_copy_list = [
                (parent.computer.uuid, f'{parent.get_remote_path()}/{name}', name)
                for name in (files.CHECKPOINT, files.ITEMS)
            ]
        info.provenance_exclude_list = [files.ARRAYS]
        info.retrieve_list = [files.RESULT, files.RESULT_ARRAYS, files.PROGRESS, files.STDOUT, files.STDERR]
        info.retrieve_temporary_list = [files.ITEMS]
        return info
