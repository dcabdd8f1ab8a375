"""What all calculation jobs of the engine share: exit codes from the one table, and how the engine is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob
from aiida.engine.processes.calcjobs.calcjob import CalcJobProcessSpec
from aiida.orm import Computer, Data, Dict, RemoteData, to_aiida_type

from ..contract import files
from ..contract.arrays import pack_arrays
from ..contract.errors import BY_LABEL, TABLE
from ..contract.job import Job, Parameters
from ..contract.result import ITEMS
from ..contract.runtime import Runtime
from ..data.potential import REPOSITORY_NAME, PotentialData
from .secrets import refuse_secrets
from .validation import check_parameters, check_together, refuse, validated

RUNTIME_OPTIONS: dict[str, tuple[Any, str]] = {
    'device': (str, 'Where the potential is evaluated: auto, cpu, cuda or cuda:N.'),
    'gpus': (
        int,
        'GPUs that the job uses, a process each; by default all that are visible to it, or the one of cuda:N. A '
        'training uses one.',
    ),
    'processes': (int, 'Worker processes on a CPU; by default one per available core.'),
    'threads_per_process': (int, 'Threads of each worker process.'),
    'ranks_per_process': (int, 'MPI ranks that share an evaluation, of the family gpaw; by default one, without MPI.'),
    'batch_atoms': (int, 'Atoms per model call on a GPU; by default what fits into its memory.'),
    'kernels': (str, 'Faster kernels of the family, checked against the plain ones at the start.'),
    'max_seconds': (
        (int, float),
        'Clock of the engine, after which it checkpoints and ends; by default a little less than '
        '``max_wallclock_seconds``.',
    ),
    'max_item_seconds': (
        (int, float),
        'Time after which one item is given up, so that the others can go on; by default as long as it takes.',
    ),
    'checkpoint_seconds': ((int, float), 'How often the state of a replica is put on disk, by default every 30 s.'),
}
KEEP_FOLDER = 'keep_folder'
"""Name of an option that the engine is not told of, and which changes no answer either."""


def register_exit_codes(spec: Any, beside: Mapping[str, Any] | None = None) -> None:
    """Add every line of the table of errors to a process specification.

    :param beside: exit codes of a chain that this one ends as, whose own (of ``BaseRestartWorkChain``) are added too.
    """
    for code in TABLE:
        if issubclass(type(spec), CalcJobProcessSpec):
            spec.exit_code(code.status, code.label, code.message, invalidates_cache=code.invalidates_cache)
        else:
            spec.exit_code(code.status, code.label, code.message)
    for label, own in (beside or {}).items():
        if label not in BY_LABEL:
            spec.exit_code(own.status, label, own.message)


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
    return validated(values, Runtime, 'metadata.options')


def check_options(options: Any) -> None:
    """Refuse options that the engine cannot take, or that must not be stored.

    :raises ValueError: naming the first that is at fault.
    """
    refuse_secrets(options)
    runtime_of(options)


def own_packages(options: Mapping[str, Any], computer: Computer) -> dict[str, Any]:
    """Return ``metadata.options`` with which a job on AiiDA's own machine finds none of AiiDA's packages by accident.

    The workers of the daemon name them all in ``PYTHONPATH``, and a Python of another environment would take them for
    its own: GPAW, say, a numpy that it is not built for. The lines of computer and code come later and may set it anew.
    """
    if computer.transport_type != 'core.local':
        return dict(options)
    return {**options, 'environment_variables': {'PYTHONPATH': '', **(options.get('environment_variables') or {})}}


class LitrajCalcJob(CalcJob):
    """A calculation job whose code is the engine: a potential, parameters, and items of one kind by their names.

    A task gives the model of its parameters, the type of node of an item, and what of it goes into the job.

    How a job runs cannot change its answer by more than round-off, and what that grows to in dynamics and trainings is
    as good, so the runtime options stay out of the attributes of the node, which its hash is made of; they are kept in
    its ``metadata_inputs`` like all options.

    :cvar resumable: labels of failures that leave a checkpoint from which another run may do better.
    """

    CACHE_VERSION = 1
    task: str
    parameters_model: type[Parameters]
    item_type: type[Data]
    items_help: str
    resumable: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def items_name(cls) -> str:
        """Return the name of the namespace of the items."""
        return ITEMS[cls.task]

    @classmethod
    def check_items(cls, items: Mapping[str, Any]) -> None:
        """Refuse items that the engine cannot do anything with.

        :raises ValueError: naming the first that is at fault.
        """
        raise NotImplementedError

    @classmethod
    def check_together(cls, inputs: Mapping[str, Any]) -> None:
        """Refuse inputs that do not go together; those that are not there are not judged.

        :raises ValueError: naming input and remedy.
        """
        check_together(inputs, cls.task, cls.symbols(inputs))

    @classmethod
    def symbols(cls, inputs: Mapping[str, Any]) -> set[str]:
        """Return the elements that the potential has to cover."""
        raise NotImplementedError

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, options and exit codes."""
        super().define(spec)
        spec.input('potential', valid_type=PotentialData, help='The interatomic potential.')
        spec.input(
            'parameters',
            valid_type=Dict,
            serializer=to_aiida_type,
            validator=refuse(lambda node: check_parameters(node.get_dict(), cls.parameters_model)),
            help='Every number of the science, as in the contract; a protocol gives a full set.',
        )
        spec.input_namespace(
            cls.items_name(),
            valid_type=cls.item_type,
            dynamic=True,
            validator=refuse(cls.check_items),
            help=cls.items_help,
        )
        spec.inputs.validator = refuse(cls.check_together, before=spec.inputs.validator)
        spec.output(
            'results',
            valid_type=Dict,
            required=False,
            help='How the job and each item ended, and the audit of the run; the content of the result file.',
        )
        spec.default_output_node = 'results'
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
        spec.input(
            f'metadata.options.{KEEP_FOLDER}',
            valid_type=bool,
            required=False,
            help='Leave the folder of the job on its computer also when its restarting chain has finished well.',
        )
        options.validator = refuse(check_options, before=options.validator)
        register_exit_codes(spec)

    def _setup_metadata(self, metadata: dict[str, Any]) -> None:
        # A resumed job gives the unbroken job's answer (to the last bit on one CPU with the same threads; on another
        # device a sample as good of dynamics or training), and check_parent refuses to resume another, so where it took
        # up cannot matter: with it in the hash, a hop that was once cut off would never be reused.
        caching = self.node.base.caching
        caching._hash_ignored_inputs = [*caching._hash_ignored_inputs, 'parent_folder']
        options = own_packages(metadata.get('options', {}), metadata.get('computer') or self.inputs.code.computer)
        unhashed = (*RUNTIME_OPTIONS, KEEP_FOLDER)
        metadata['options'] = {name: value for name, value in options.items() if name not in unhashed}
        super()._setup_metadata(metadata)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the job file and the arrays of all items.

        The arrays are not kept with the calculation: they are those of the input nodes. Finished items are fetched
        only to be parsed, so that a job without a result still yields them.
        """
        # Only a training can do without a potential.
        potential, items = self.inputs.get('potential', None), dict(sorted(self.inputs[self.items_name()].items()))
        parameters = self.parameters_model.model_validate(self.inputs.parameters.get_dict())
        spec = None if potential is None else potential.to_spec()
        job = self.job(spec, parameters, runtime_of(self.inputs.metadata.options), items)
        with folder.open(files.JOB, 'w', encoding='utf-8') as handle:
            handle.write(job.model_dump_json(indent=1))
        with folder.open(files.ARRAYS, 'wb') as handle:
            handle.write(pack_arrays(self.job_arrays(items, parameters)))
        info = self._calc_info()
        if potential is not None and potential.staged_name is not None:
            info.local_copy_list.append((potential.uuid, REPOSITORY_NAME, potential.staged_name))
        return info

    def job(self, potential: Any, parameters: Any, runtime: Runtime, items: dict[str, Any]) -> Job[Any, Any]:
        """Return the job of these items.

        :param potential: its ``PotentialSpec``, ``None`` where a task is done without.
        """
        raise NotImplementedError

    def job_arrays(self, items: Mapping[str, Any], parameters: Any) -> dict[str, Any]:
        """Return all arrays of a job, by default those of its items."""
        arrays: dict[str, Any] = {}
        for name, item in items.items():
            arrays |= {f'{name}/{key}': value for key, value in self.item_arrays(item, parameters).items()}
        return arrays

    def item_arrays(self, item: Any, parameters: Any) -> dict[str, Any]:
        """Return the arrays of an item as they go into a job."""
        raise NotImplementedError

    def _calc_info(self) -> CalcInfo:
        """Return what AiiDA needs to run the engine on the job."""
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
