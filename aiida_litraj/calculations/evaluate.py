"""Evaluates configurations as they are: one job, any number of blocks, each of any number of configurations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida.common.datastructures import CalcInfo
from ase.data import chemical_symbols

from ..contract import files
from ..contract.evaluate import EvaluateItem, EvaluateJob, EvaluationParameters
from ..contract.potential import PotentialSpec
from ..contract.runtime import Runtime
from ..data.frames import FramesData
from .base import LitrajCalcJob
from .validation import check_elements, check_names


class EvaluateCalculation(LitrajCalcJob):
    """Runs ``litraj-engine`` on configurations: energies, forces and stresses, without a step."""

    task = 'evaluate'
    parameters_model = EvaluationParameters
    item_type = FramesData
    items_help = 'Blocks of configurations by name; labels that they have are not looked at.'

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs and outputs."""
        super().define(spec)
        spec.output_namespace(
            'predictions',
            valid_type=FramesData,
            dynamic=True,
            required=False,
            help='The configurations of each block, in the same order, with what the potential says of them; NaN of '
            'those that failed, whose info has the reason.',
        )

    @classmethod
    def check_items(cls, items: Mapping[str, FramesData]) -> None:
        """Refuse a job without configurations.

        :raises ValueError: naming what is at fault.
        """
        check_names(items, 'frames', 'FramesData')

    @classmethod
    def check_together(cls, inputs: Mapping[str, Any]) -> None:
        """Refuse also a potential that covers not a single configuration of a block.

        One that covers some evaluates those: the others are named in the results.

        :raises ValueError: naming the elements that it lacks.
        """
        super().check_together(inputs)
        potential = inputs.get('potential', None)
        for name, node in (inputs.get('frames', None) or {}).items():
            if potential is not None and not covers_any(potential, node):
                try:
                    check_elements(potential, node.base.attributes.get('elements'))
                except ValueError as error:
                    raise ValueError(f'frames.{name}: {error}') from error

    @classmethod
    def symbols(cls, inputs: Mapping[str, Any]) -> set[str]:
        """Return none: that some configurations are not covered is said of them alone."""
        return set()

    def job(
        self, potential: PotentialSpec, parameters: EvaluationParameters, runtime: Runtime, items: dict[str, Any]
    ) -> EvaluateJob:
        """Return the job of these blocks."""
        listed = [EvaluateItem(id=name) for name in items]
        elements = self.inputs.potential.elements
        return EvaluateJob(
            potential=potential, parameters=parameters, runtime=runtime, items=listed, elements=elements
        )  # fmt: skip

    def item_arrays(self, item: FramesData, parameters: EvaluationParameters) -> dict[str, Any]:
        """Return the arrays of a block as they go into a job."""
        frames = item.frames
        return {
            'offsets': np.asarray(frames.offsets, dtype=np.int64),
            'numbers': frames.numbers.astype(np.int64),
            'positions': frames.positions,
            'cells': frames.cells,
            'pbc': frames.pbc,
        }

    def _calc_info(self) -> CalcInfo:
        """Return what AiiDA needs; the arrays of the result become nodes, and are not kept beside them."""
        info = super()._calc_info()
        info.retrieve_list = [name for name in info.retrieve_list if name != files.RESULT_ARRAYS]
        info.retrieve_temporary_list = [*info.retrieve_temporary_list, files.RESULT_ARRAYS]
        return info


def covers_any(potential: Any, node: FramesData) -> bool:
    """Return whether a potential covers at least one configuration of a block, as far as it can tell."""
    elements = node.base.attributes.get('elements')
    if not potential.covers(list(elements)):
        return True
    if node.n_frames == 1:
        return False
    frames, lacking = node.frames, set(potential.covers(list(elements)))
    strange = [number for number, symbol in enumerate(chemical_symbols) if symbol in lacking]
    without = np.add.reduceat(np.isin(frames.numbers, strange), frames.offsets[:-1]) == 0
    return bool(without.any())
