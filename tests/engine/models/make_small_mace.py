"""Makes ``small_mace.model``: a small MACE fitted to ``li2o_frames.npz``, in the environment of mace.

``python tests/engine/models/make_small_mace.py`` takes up to twenty minutes on one core and prints the file's sha256.
The model stands in for a foundation model, whose weights are a download: good for one lithium hop in a small cell of
Li2O, and for nothing else. It is kept as a file, for a training gives other last digits on another processor. The file
is a pickle of mace's classes: make it again when mace or torch is changed in ``constraints`` and no longer reads it.

Along the path it has one maximum, within 1 meV of its teacher SevenNet-0 (0.3215 eV). Across it, it is too soft: the
second mode at the top has -0.1 eV/Ang^2 where its teacher has +0.45, so the top is no saddle of first order here.
"""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# e3nn 0.4.4, which mace pins, reads a pickle of its own on import; importing mace first would set the same.
os.environ.setdefault('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')

FRAMES = Path(__file__).with_name('li2o_frames.npz')
MODEL = Path(__file__).with_name('small_mace.model')
SPECIES = (3, 8)
CUTOFF_ANG = 4.0
BATCH = 8
SEED = 3
HELD_OUT_EVERY = 10
"""One frame in so many is not trained on: every tenth from the fourth on."""
ENERGY_WEIGHT = 500.0
"""Of an energy per atom against a force: what an optimiser stops on is the force, what is asked for is the energy."""


@dataclass(frozen=True)
class Round:
    """One round of training.

    :ivar soft_ev_per_ang: frames with smaller forces (root mean square) count fully, others the less the larger
        theirs are.
    """

    epochs: int
    learning_rate: float
    soft_ev_per_ang: float


ROUNDS = (Round(40, 0.01, soft_ev_per_ang=0.2), Round(30, 0.004, soft_ev_per_ang=0.04))
"""The second is for the soft modes at the top of the path, whose forces the first leaves in its error."""


def untrained(dtype: str = 'float64') -> Any:
    """Return a MACE of Li and O with random weights."""
    import torch
    from e3nn import o3
    from mace import modules
    from mace.tools import torch_tools

    torch.manual_seed(SEED)
    with torch_tools.default_dtype(dtype):
        return modules.ScaleShiftMACE(
            r_max=CUTOFF_ANG,
            num_bessel=6,
            num_polynomial_cutoff=5,
            max_ell=2,
            interaction_cls=modules.interaction_classes['RealAgnosticResidualInteractionBlock'],
            interaction_cls_first=modules.interaction_classes['RealAgnosticInteractionBlock'],
            num_interactions=2,
            num_elements=len(SPECIES),
            hidden_irreps=o3.Irreps('16x0e+16x1o'),
            MLP_irreps=o3.Irreps('16x0e'),
            atomic_energies=np.zeros((1, len(SPECIES))),
            avg_num_neighbors=24.0,
            atomic_numbers=list(SPECIES),
            correlation=2,
            gate=torch.nn.functional.silu,
            radial_MLP=[32, 32],
            pair_repulsion=True,
            atomic_inter_scale=1.0,
            atomic_inter_shift=[0.0],
            heads=['Default'],
        )


def held_out(n_frames: int) -> np.ndarray:
    """Return which frames (n_frames,) a model made by :func:`train` has not seen."""
    return np.arange(n_frames) % HELD_OUT_EVERY == HELD_OUT_EVERY // 3


def batches_of(model: Any, dtype: str, soft: float) -> list[tuple[dict[str, Any], Any, Any, Any]]:
    """Return graphs, energies per atom, forces, and weights, of 1 in the mean."""
    import torch

    from aiida_litraj.contract import PotentialReport
    from aiida_litraj.engine.models import Configuration
    from aiida_litraj.engine.models.mace import MaceEvaluator

    data = np.load(FRAMES)
    chosen = np.random.default_rng(SEED).permutation(np.flatnonzero(~held_out(len(data['positions']))))
    energies = (data['energies'] - data['energies'].mean()) / len(data['numbers'])
    weights = 1.0 / (soft**2 + (data['forces'] ** 2).mean(axis=(1, 2)))
    weights /= weights.mean()
    evaluator = MaceEvaluator(model, 0, PotentialReport(family='mace', name='x'), 'cpu', dtype, batched=True)
    periodic = np.ones(3, dtype=bool)
    batches = []
    for start in range(len(chosen) // BATCH):
        which = chosen[start :: len(chosen) // BATCH]
        graphs = evaluator._batch(
            [Configuration(data['numbers'], data['positions'][i], data['cell'], periodic) for i in which]
        )
        values = (values[which] for values in (energies, data['forces'].reshape(len(energies), -1), weights))
        batches.append((graphs, *(torch.tensor(value, dtype=getattr(torch, dtype)) for value in values)))
    return batches


def train(model: Any, dtype: str, this: Round) -> None:
    """Fit ``model`` to the frames, energies relative to their mean."""
    import torch

    batches = batches_of(model, dtype, this.soft_ev_per_ang)
    for parameter in model.parameters():
        parameter.requires_grad = True
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=this.learning_rate, amsgrad=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, this.learning_rate, total_steps=this.epochs * len(batches), pct_start=0.1, final_div_factor=1e3
    )
    rng = np.random.default_rng(SEED)
    for _ in range(this.epochs):
        for index in rng.permutation(len(batches)):
            graphs, energies, forces, weights = batches[index]
            output = model(dict(graphs), training=True, compute_force=True)
            n_atoms = graphs['ptr'][1]
            force_error = (output['forces'].reshape(forces.shape) - forces).square().mean(dim=1)
            energy_error = (output['energy'] / n_atoms - energies).square()
            optimizer.zero_grad()
            (weights * (force_error + ENERGY_WEIGHT * energy_error)).mean().backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimizer.step()
            schedule.step()
    model.eval()


def make(path: Path) -> None:
    """Write a trained model in float64 to ``path``; the training itself is in float32, twice as fast."""
    import torch

    torch.set_num_threads(1)
    single, double = untrained('float32'), untrained('float64')
    for this in ROUNDS:
        train(single, 'float32', this)
    weights = dict(single.named_parameters())
    with torch.no_grad():
        for name, parameter in double.named_parameters():
            parameter.copy_(weights[name])
    torch.save(double.eval(), path)


if __name__ == '__main__':
    sys.path.insert(0, str(Path(__file__).parents[3]))  # the engine need not be installed beside mace
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else MODEL
    make(target)
    print(f'{hashlib.sha256(target.read_bytes()).hexdigest()}  {target}')
