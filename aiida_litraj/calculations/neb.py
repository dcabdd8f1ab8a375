"""Optimises paths of hops with the nudged elastic band: one job, any number of paths."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.orm import Dict, to_aiida_type

from ..contract.arrays import pack_arrays
from ..contract.neb import NebItem, NebJob, NebParameters
from ..data.path import PathData
from ..data.potential import REPOSITORY_NAME, PotentialData
from .base import LitrajCalcJob, runtime_of
from .validation import check_inputs, check_parameters, check_paths, refuse


class NebCalculation(LitrajCalcJob):
    """Runs ``litraj-engine`` on paths: ends relaxed, band optimised, saddle verified if asked for."""

    task = 'neb'

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs and outputs."""
        super().define(spec)
        spec.input('potential', valid_type=PotentialData, help='The interatomic potential.')
        spec.input(
            'parameters',
            valid_type=Dict,
            serializer=to_aiida_type,
            validator=refuse(lambda node: check_parameters(node.get_dict())),
            help='Every number of the science, as in the contract; a protocol gives a full set.',
        )
        spec.input_namespace(
            'paths',
            valid_type=PathData,
            dynamic=True,
            validator=refuse(check_paths),
            help='Initial paths by name; the displacement of the mobile ion in a path is the hop.',
        )
        spec.inputs.validator = refuse(check_inputs, before=spec.inputs.validator)
        spec.output_namespace(
            'paths',
            valid_type=PathData,
            dynamic=True,
            required=False,
            help='Optimised paths by name, with energies and forces; those that failed are missing.',
        )
        spec.output(
            'results',
            valid_type=Dict,
            required=False,
            help='How the job and each path ended, and the audit of the run; the content of the result file.',
        )
        spec.default_output_node = 'results'

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the job file and the arrays of all paths."""
        potential, paths = self.inputs.potential, dict(sorted(self.inputs.paths.items()))
        job = NebJob(
            potential=potential.to_spec(),
            parameters=NebParameters.model_validate(self.inputs.parameters.get_dict()),
            runtime=runtime_of(self.inputs.metadata.options),
            items=[NebItem(id=name, mobile=path.mobile) for name, path in paths.items()],
        )
        arrays: dict[str, Any] = {}
        for name, path in paths.items():
            arrays |= {f'{name}/{key}': value for key, value in path_arrays(path).items()}
        info = self.engine_job(folder, job.model_dump_json(indent=1), pack_arrays(arrays))
        if potential.staged_name is not None:
            info.local_copy_list.append((potential.uuid, REPOSITORY_NAME, potential.staged_name))
        return info


def path_arrays(path: PathData) -> dict[str, Any]:
    """Return the arrays of a path as they go into a job."""
    fixed = path.fixed
    return {
        'positions': path.get_positions(),
        'cell': path.cell,
        'pbc': np.array(path.pbc, dtype=bool),
        'numbers': path.numbers,
        'fixed': np.zeros(path.natoms, dtype=bool) if fixed is None else fixed,
    }
