"""Blocks of configurations, and jobs that evaluate them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase.build import bulk, make_supercell

from aiida_litraj.contract import PotentialSpec, Runtime, files, pack_arrays, unpack_arrays
from aiida_litraj.contract.evaluate import (
    EvaluateItem,
    EvaluateItemResult,
    EvaluateJob,
    EvaluateResult,
    EvaluationParameters,
)

VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])


def crystals(sizes: Sequence[int], seed: int = 0, symbol: str = 'Ar') -> list[ase.Atoms]:
    """Crystals of Morse atoms of several sizes, off their sites, in cells that are sheared."""
    rng = np.random.default_rng(seed)
    made = []
    for size in sizes:
        atoms = make_supercell(bulk(symbol, 'fcc', a=3.8), np.diag([size, 2, 2]))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.05 * rng.uniform(-1, 1, (3, 3))), scale_atoms=True)
        atoms.positions += rng.uniform(-0.1, 0.1, atoms.positions.shape)
        made.append(atoms)
    return made


def arrays_of(frames: Sequence[ase.Atoms]) -> dict[str, Any]:
    return {
        'offsets': np.concatenate([[0], np.cumsum([len(atoms) for atoms in frames])]),
        'numbers': np.concatenate([atoms.numbers for atoms in frames]).astype(np.int64),
        'positions': np.concatenate([atoms.positions for atoms in frames]),
        'cells': np.array([atoms.cell.array for atoms in frames]),
        'pbc': np.array([atoms.pbc for atoms in frames]),
    }


def write_job(
    folder: Path,
    blocks: Mapping[str, Any],
    spec: PotentialSpec | None = None,
    runtime: Mapping[str, Any] | None = None,
    stress: bool = True,
    elements: list[str] | None = None,
) -> Path:
    """Write a job of blocks, each a list of atoms or its arrays, into ``folder`` and return it."""
    job = EvaluateJob(
        potential=spec or PotentialSpec(family='toy', name='morse'),
        parameters=EvaluationParameters(dtype='native', stress=stress),
        runtime=Runtime(**(runtime or {})),
        items=[EvaluateItem(id=name) for name in blocks],
        elements=elements,
    )
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        f'{name}/{key}': value
        for name, block in blocks.items()
        for key, value in (block if isinstance(block, dict) else arrays_of(block)).items()
    }
    (folder / files.JOB).write_text(job.model_dump_json())
    (folder / files.ARRAYS).write_bytes(pack_arrays(arrays))
    return folder


@dataclass(frozen=True)
class Evaluated:
    """What a run has left behind."""

    folder: Path
    result: EvaluateResult
    arrays: dict[str, Any]

    def __getitem__(self, name: str) -> EvaluateItemResult:
        return next(item for item in self.result.items if item.id == name)

    @property
    def calls(self) -> int:
        assert self.result.audit is not None
        return self.result.audit.model_calls

    @classmethod
    def read(cls, folder: Path) -> Evaluated:
        result = EvaluateResult.model_validate_json((folder / files.RESULT).read_bytes())
        return cls(folder, result, unpack_arrays(folder / files.RESULT_ARRAYS))
