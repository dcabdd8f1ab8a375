"""The trainer graph_pes: ``graph-pes-train``, from scratch or on from a model of graph-pes.

Native options: the sections ``model``, options of the architecture, and ``fitting`` of graph-pes's configuration file.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...contract.errors import LitrajError
from ...contract.frames import Frames
from ...contract.train import Architecture
from .data import write_set
from .epochs import told
from .interface import Order, Start, Trainer, check_offered
from .process import last_words

INPUT, WATCH = 'input.yaml', 'watch.json'
"""Files of a training: configuration of graph-pes; what its watch has to know."""
OFFSET = 'offset'
"""The component of a potential that has the energies of the elements."""
_PARENT = 'parent.pt'
_LABELS = {'REF_energy': 'energy', 'REF_forces': 'forces'}
_FITTING: dict[str, set[str] | None] = {
    'pre_fit_model': None,
    'max_n_pre_fit': None,
    'trainer_kwargs': {'gradient_clip_val', 'gradient_clip_algorithm'},
    'optimizer': {'amsgrad', 'betas', 'eps'},
    'loader_kwargs': {'num_workers', 'pin_memory'},
}
"""Options of the section ``fitting`` that change nothing of what the frame sets, with theirs."""


def _refuse(reason: str) -> LitrajError:
    return LitrajError('ERROR_JOB_INVALID', reason=f'the trainer graph_pes {reason}')


def of_architecture(architecture: Architecture, symbols: tuple[str, ...]) -> dict[str, Any]:
    """Return the options of a model that follow from the neutral ones."""
    options: dict[str, Any] = {'cutoff': architecture.cutoff_ang, 'layers': architecture.layers}
    if architecture.model == 'NequIP':
        features = {'channels': architecture.channels, 'l_max': architecture.lmax, 'use_odd_parity': True}
        return options | {'elements': list(symbols), 'features': features}
    options['channels'] = architecture.channels
    if architecture.model == 'MACE':
        hidden = ' + '.join(f'{degree}{"eo"[degree % 2]}' for degree in range(architecture.lmax + 1))
        options |= {'elements': list(symbols), 'hidden_irreps': hidden}
    return options


def _from_scratch(order: Order, native: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section ``model``.

    :raises LitrajError: ``ERROR_JOB_INVALID`` for native options that the model does not know, or the frame sets.
    """
    from graph_pes import models

    architecture = order.parameters.architecture
    assert architecture is not None
    assert architecture.model is not None
    assert order.references_ev is not None
    options = of_architecture(architecture, order.symbols)
    known = inspect.signature(getattr(models, architecture.model)).parameters
    for name in native:
        if name in options or name == 'direct_force_predictions':
            raise _refuse(f'is told model.{name} by the other parameters: leave it out of native')
        if name not in known:
            raise _refuse(f'has no native option model.{name} of {architecture.model}, but {", ".join(known)}')
    energies = {symbol: float(order.references_ev[symbol]) for symbol in order.symbols}
    return {OFFSET: {'+FixedOffset': energies}, 'many_body': {f'+{architecture.model}': options | dict(native)}}


def _with_energies(model: Any, order: Order) -> Any:
    """Return a model that counts from the energies of the elements that are wanted.

    :raises LitrajError: ``ERROR_JOB_INVALID`` if it has none that could be set.
    """
    from graph_pes.models import AdditionModel, FixedOffset

    from ..models.elements import SYMBOLS

    components = dict(model.models.items()) if isinstance(model, AdditionModel) else {}
    own = components.get(OFFSET)
    if not isinstance(own, FixedOffset):
        if order.references_ev is not None:
            raise _refuse(
                f'sets energies of elements where a model has a component {OFFSET} of them, which this one has not: '
                'take energy_references least_squares, or parent'
            )
        if not order.offsets_ev:
            return model
        offset = FixedOffset(**{symbol: float(value) for symbol, value in order.offsets_ev.items()})
        return AdditionModel(**{OFFSET: offset.to(next(model.parameters()).dtype), 'many_body': model})
    values = own._offsets.data
    for symbol, value in (order.references_ev or {}).items():
        values[SYMBOLS.index(symbol)] = value
    for symbol, value in (order.offsets_ev or {}).items():
        values[SYMBOLS.index(symbol)] += value
    return model


def _from_parent(order: Order, native: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the section ``model`` and the type of the parent's numbers; a file of it has the energies that are wanted.

    :raises LitrajError: ``ERROR_JOB_INVALID`` for native options, or energies that it cannot take.
    """
    import torch
    from graph_pes.models import load_model

    if native:
        raise _refuse(f'takes the model of the parent as it is: leave model.{next(iter(native))} out of native')
    assert order.parent_file is not None  # the family knows none by name
    model = load_model(order.parent_file)
    dtype = str(next(model.parameters()).dtype).removeprefix('torch.')
    torch.save(_with_energies(model, order), order.work / _PARENT)
    return {'+load_model': {'path': _PARENT}}, dtype


def _loss(order: Order) -> list[dict[str, Any]]:
    loss = order.parameters.loss
    metric = 'MSE' if loss.kind == 'mse' else {'+Huber': {'delta': loss.huber_delta}}
    terms: list[dict[str, Any]] = []
    if loss.energy_weight:
        terms.append({'+PerAtomEnergyLoss': {'metric': metric, 'weight': loss.energy_weight}})
    for name, weight in (('forces', loss.force_weight), ('stress', loss.stress_weight)):
        if weight:
            terms.append({'+PropertyLoss': {'property': name, 'metric': metric, 'weight': weight}})
    return terms


def _schedule(order: Order) -> dict[str, Any] | None:
    """Return the schedule in torch's terms; graph-pes steps it after each batch, on a plateau after each epoch."""
    schedule = order.parameters.schedule
    if schedule.kind == 'constant':
        return None
    if schedule.kind == 'plateau':
        patience = {'patience': schedule.patience_epochs, 'threshold': 0.0}
        return {'name': 'ReduceLROnPlateau', 'factor': schedule.factor, **patience}
    with order.train.open(encoding='ascii') as lines:
        n_frames = sum(line.startswith('Lattice="') for line in lines)
    return {'name': 'StepLR', 'step_size': -(-n_frames // order.parameters.batch_size), 'gamma': schedule.factor}


def _fitting(order: Order, native: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section ``fitting``.

    :raises LitrajError: ``ERROR_JOB_INVALID`` for native options that are not offered.
    """
    parameters = order.parameters
    gpu = order.device.startswith('cuda')
    section: dict[str, Any] = {
        'pre_fit_model': order.parent is None,
        'keep': 'last',
        'trainer_kwargs': {
            'max_epochs': parameters.epochs,
            'accelerator': 'gpu' if gpu else 'cpu',
            'devices': [int(order.device.partition(':')[2] or 0)] if gpu else 1,
            'num_sanity_val_steps': 0,
        },
        'loader_kwargs': {'batch_size': parameters.batch_size, 'num_workers': 0, 'persistent_workers': False},
        'optimizer': {
            'name': {'adam': 'Adam', 'adamw': 'AdamW'}[parameters.optimizer],
            'lr': parameters.learning_rate,
            'weight_decay': parameters.weight_decay,
        },
        'scheduler': _schedule(order),
    }
    for name, value in native.items():
        if name not in _FITTING:
            raise _refuse(f'does not offer the native option fitting.{name}, but {", ".join(_FITTING)}')
        offered = _FITTING[name]
        if offered is None:
            section[name] = value
            continue
        for option in value if isinstance(value, dict) else {str(value): None}:
            if option not in offered:
                raise _refuse(
                    f'does not offer the native option fitting.{name}.{option}, but {", ".join(sorted(offered))}'
                )
        section[name] = section[name] | value
    return section


def _sections(native: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the native options of model and fitting.

    :raises LitrajError: ``ERROR_JOB_INVALID`` for another section.
    """
    for name, options in native.items():
        if name not in ('model', 'fitting'):
            raise _refuse(f'has no native section {name}, but model, fitting')
        if not isinstance(options, dict):
            raise _refuse(f'has options by their names in the native section {name}, not {options!r}')
    return dict(native.get('model', {})), dict(native.get('fitting', {}))


def start(order: Order) -> Start:
    """Return how to start ``graph-pes-train``.

    :raises LitrajError: ``ERROR_JOB_INVALID`` for what is not offered, naming the parameter.
    """
    import yaml

    check_offered(order.parameters)
    of_model, of_fitting = _sections(order.parameters.native)
    dtype = 'float32'
    if order.parent is None:
        model = _from_scratch(order, of_model)
    else:
        model, dtype = _from_parent(order, of_model)
    labels = _LABELS | ({'REF_stress': 'stress'} if order.parameters.loss.stress_weight else {})
    for name, path in (('train', order.train), ('valid', order.valid)):
        (order.work / f'{name}.xyz').symlink_to(os.path.relpath(path, order.work))  # by the suffix it is read
    config: dict[str, Any] = {
        'model': model,
        'data': {name: {'path': f'{name}.xyz', 'property_map': dict(labels)} for name in ('train', 'valid')},
        'loss': _loss(order),
        'fitting': _fitting(order, of_fitting),
        'general': {
            'seed': order.seed % 2**32,  # numpy takes no more
            'root_dir': '.',
            'run_id': 'run',
            'progress': 'logged',
            'torch': {
                'dtype': dtype if order.parameters.dtype == 'native' else order.parameters.dtype,
                'float32_matmul_precision': 'highest',
            },
        },
        'wandb': None,  # which would be asked for a logger on the net
    }
    text = yaml.safe_dump(config, sort_keys=False)
    (order.work / INPUT).write_text(text)
    resume = None if order.resume is None else os.path.relpath(order.resume, order.work)
    (order.work / WATCH).write_text(json.dumps({'seed': order.seed, 'done': order.epochs_done, 'resume': resume}))
    environment = {
        'PYTHONHASHSEED': '0',  # the order of sets would change from run to run
        'SLURM_JOB_NAME': 'interactive',  # else Lightning takes the tasks of a job of Slurm for its own
        'WANDB_MODE': 'disabled',
    }
    return Start([sys.executable, '-m', f'{__package__}.run_graph_pes'], text, environment)


def export(order: Order, checkpoint: Path, target: Path) -> None:
    """Write the potential of a checkpoint: the whole model, as graph-pes loads it."""
    import torch

    target.write_bytes(torch.load(checkpoint, map_location='cpu', weights_only=False)['potential'])


def write(frames: Frames, path: Path) -> None:
    """Write a set of configurations.

    :raises LitrajError: ``ERROR_JOB_INVALID`` if some have a stress and some have none.
    """
    if frames.stresses is not None and not np.isfinite(frames.stresses).all():
        raise _refuse(
            'learns stresses where each configuration has one, and some are not periodic: leave those out, or set '
            'loss.stress_weight to zero'
        )
    write_set(frames, path)


TRAINER = Trainer(
    name='graph_pes',
    family='graph_pes',
    package='graph-pes',
    start=start,
    epochs=told,
    export=export,
    why=lambda order: last_words(order.work),
    write=write,
)
