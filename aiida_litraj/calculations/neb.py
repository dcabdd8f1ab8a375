"""Optimises paths of hops with the nudged elastic band: one job, any number of paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida.orm import Bool, to_aiida_type

from ..contract.neb import CONFIGURATIONS, NebItem, NebJob, NebParameters
from ..contract.potential import PotentialSpec
from ..contract.runtime import Runtime
from ..data.frames import FramesData
from ..data.path import PathData
from .base import LitrajCalcJob
from .validation import check_paths


class NebCalculation(LitrajCalcJob):
    """Runs ``litraj-engine`` on paths: ends relaxed, band optimised, saddle verified if asked for."""

    task = 'neb'
    parameters_model = NebParameters
    item_type = PathData
    items_help = 'Initial paths by name; the displacement of the mobile ion in a path is the hop.'

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs and outputs."""
        super().define(spec)
        spec.input(
            'keep_configurations',
            valid_type=Bool,
            required=False,
            serializer=to_aiida_type,
            help='Whether every configuration that is evaluated comes back, labelled; changes no other number.',
        )
        spec.output_namespace(
            CONFIGURATIONS,
            valid_type=FramesData,
            dynamic=True,
            required=False,
            help='With ``keep_configurations``: all that were evaluated for a path, labelled, by the name of the '
            'path, also where that has failed. An end that paths share is with the first of them.',
        )
        spec.output_namespace(
            'paths',
            valid_type=PathData,
            dynamic=True,
            required=False,
            help='Optimised paths by name, with energies and forces; those that failed are missing.',
        )

    @classmethod
    def check_items(cls, items: Mapping[str, PathData]) -> None:
        """Refuse paths that cannot be optimised.

        :raises ValueError: naming the first that is at fault.
        """
        check_paths(items)

    @classmethod
    def symbols(cls, inputs: Mapping[str, Any]) -> set[str]:
        """Return the elements that the potential has to cover."""
        return {symbol for path in (inputs.get('paths', None) or {}).values() for symbol in path.symbols}

    def job(
        self, potential: PotentialSpec, parameters: NebParameters, runtime: Runtime, items: dict[str, PathData]
    ) -> NebJob:
        """Return the job of these paths."""
        listed = [NebItem(id=name, mobile=path.mobile) for name, path in items.items()]
        keep = 'keep_configurations' in self.inputs and self.inputs.keep_configurations.value
        return NebJob(
            potential=potential, parameters=parameters, runtime=runtime, items=listed, keep_configurations=keep
        )

    def item_arrays(self, item: PathData, parameters: NebParameters) -> dict[str, Any]:
        """Return the arrays of a path as they go into a job."""
        fixed = item.fixed
        return {
            'positions': item.get_positions(),
            'cell': item.cell,
            'pbc': np.array(item.pbc, dtype=bool),
            'numbers': item.numbers,
            'fixed': np.zeros(item.natoms, dtype=bool) if fixed is None else fixed,
        }
