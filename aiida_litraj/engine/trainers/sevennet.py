"""The trainer sevennet: ``sevenn train``, from scratch or on from a potential that has one fidelity.

Native options: the sections ``model``, ``train`` and ``data`` of sevenn's ``input.yaml``.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from ...contract.errors import LitrajError
from ...contract.units import EV_PER_ANG3_OF_GPA
from .data import write_set
from .epochs import told
from .interface import Order, Start, Trainer, check_offered
from .process import last_words
from .sevennet_file import READOUT, plain, with_energies, write_potential

KBAR = 10.0 / EV_PER_ANG3_OF_GPA
"""An eV/Ang^3 in kbar, in which sevenn counts the errors of stresses."""
_RECORD = [['Energy', 'RMSE'], ['Force', 'ComponentRMSE'], ['Stress_GPa', 'ComponentRMSE'], ['TotalLoss', 'None']]
_NEUTRAL = {
    'data.batch_size': 'batch_size',
    'data.dtype': 'dtype',
    'data.shift': 'energy_references',
    'model.channel': 'architecture.channels',
    'model.cutoff': 'architecture.cutoff_ang',
    'model.lmax': 'architecture.lmax',
    'model.num_convolution_layer': 'architecture.layers',
    'train.epoch': 'epochs',
    'train.force_loss_weight': 'loss.force_weight',
    'train.is_train_stress': 'loss.stress_weight',
    'train.loss': 'loss.kind',
    'train.loss_param': 'loss.huber_delta',
    'train.optim_param': 'learning_rate and weight_decay',
    'train.optimizer': 'optimizer',
    'train.scheduler': 'schedule.kind',
    'train.scheduler_param': 'schedule',
    'train.stress_loss_weight': 'loss.stress_weight',
}
"""Native options that say what another parameter says, and are refused for it: two answers would be one too many."""
_OWN = {
    'data.data_format', 'data.data_format_args', 'data.load_trainset_path', 'data.load_validset_path',
    'data.save_by_label', 'data.save_by_train_valid', 'data.save_dataset_path',
    'model.chemical_species', 'train.best_metric', 'train.continue', 'train.csv_log', 'train.device',
    'train.error_record', 'train.per_epoch', 'train.random_seed', 'train.train_shuffle', 'train.use_modality',
}  # fmt: skip
"""What the frame sets by itself: native options that it refuses."""


def _refuse(reason: str) -> LitrajError:
    return LitrajError('ERROR_JOB_INVALID', reason=f'the trainer sevennet {reason}')


def _schedule(order: Order) -> dict[str, Any]:
    schedule = order.parameters.schedule
    if schedule.kind == 'plateau':
        plateau = {'factor': schedule.factor, 'patience': schedule.patience_epochs, 'threshold': 0.0}
        return {'scheduler': 'reducelronplateau', 'scheduler_param': plateau}
    factor = 1.0 if schedule.factor is None else schedule.factor
    return {'scheduler': 'exponentiallr', 'scheduler_param': {'gamma': factor}}


def _train_section(order: Order, checkpoint: Path | None) -> dict[str, Any]:
    parameters, loss = order.parameters, order.parameters.loss
    section: dict[str, Any] = {
        'random_seed': order.seed,
        'device': order.device,
        'epoch': parameters.epochs,
        'per_epoch': 1,
        'train_shuffle': True,
        'loss': loss.kind,
        'loss_param': {} if loss.huber_delta is None else {'delta': loss.huber_delta},
        'force_loss_weight': loss.force_weight / loss.energy_weight,  # sevenn's weight of energies is one
        'optimizer': parameters.optimizer,
        'optim_param': {'lr': parameters.learning_rate, 'weight_decay': parameters.weight_decay},
        **_schedule(order),
        'is_train_stress': loss.stress_weight > 0,
        'stress_loss_weight': loss.stress_weight / loss.energy_weight / KBAR**2,
        'error_record': _RECORD,
        'best_metric': 'TotalLoss',
    }
    if checkpoint is not None:
        anew = order.resume is None
        section['continue'] = {
            'checkpoint': os.path.relpath(checkpoint, order.work),
            'reset_optimizer': anew,
            'reset_scheduler': anew,
            'reset_epoch': anew,
        }
    return section


def _merge(sections: dict[str, dict[str, Any]], native: dict[str, Any]) -> None:
    """Put native options into the sections, beside what stands there.

    :raises LitrajError: ``ERROR_JOB_INVALID`` for what sevenn does not know (it would ignore it), or the frame sets.
    """
    from sevenn import _const

    known = {
        'model': {*_const.DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG, *READOUT},
        'train': set(_const.DEFAULT_TRAINING_CONFIG),
        'data': set(_const.DEFAULT_DATA_CONFIG),
    }
    for name, options in native.items():
        if name not in sections:
            raise _refuse(f'has no native section {name}, but {", ".join(sections)}')
        if not isinstance(options, dict):
            raise _refuse(f'has options by their names in the native section {name}, not {options!r}')
        for option in options:
            called = f'{name}.{option}'
            if called in _NEUTRAL:
                raise _refuse(f'is told {called} by {_NEUTRAL[called]}: give that, and leave {called} out of native')
            if called in _OWN:
                raise _refuse(f'is told {called} by the engine: leave it out of native')
            if option not in known[name]:
                raise _refuse(f'has no native option {name}.{option}')
        sections[name] |= options


def _parent(order: Order) -> tuple[dict[str, Any], Path | None]:
    """Return the architecture of the parent in sevenn's terms, and a file of it with the energies that are wanted.

    :raises LitrajError: ``ERROR_JOB_INVALID`` if it has several fidelities.
    """
    from sevenn import _const
    from sevenn.util import load_checkpoint

    assert order.parent is not None
    checkpoint = load_checkpoint(str(order.parent_file or order.parent.name))
    config = checkpoint.config
    if config.get('use_modality', False):
        modals = ', '.join(config.get('_modal_map') or ())
        raise _refuse(
            f'goes on from potentials of one fidelity, and {order.parent.name or order.parent.file} has several '
            f'({modals}): take 7net-0, or another that has one'
        )
    settings = {*_const.DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG, *READOUT}
    known = sorted(name for name in settings if config.get(name) is not None)
    model = plain({name: config[name] for name in known if name != 'conv_denominator'})  # that is one of the weights
    model['chemical_species'] = 'auto'  # those of the parent
    if order.resume is not None:
        return model, None
    state = checkpoint.build_model().state_dict()
    path = order.work / 'parent.pth'
    write_potential(config, with_energies(config, state, order.references_ev, order.offsets_ev), path)
    return model, path


def start(order: Order) -> Start:
    """Return how to start ``sevenn train``.

    :raises LitrajError: ``ERROR_JOB_INVALID`` for what sevenn does not do, naming the parameter.
    """
    import yaml

    check_offered(order.parameters)
    parameters, checkpoint = order.parameters, order.resume
    data: dict[str, Any] = {
        'batch_size': parameters.batch_size,
        'data_format_args': {'format': 'extxyz'},
        'load_trainset_path': os.path.relpath(order.train, order.work),
        'load_validset_path': os.path.relpath(order.valid, order.work),
    }
    if order.parent is not None:
        model, parent = _parent(order)
        checkpoint = checkpoint or parent
    else:
        architecture, references = parameters.architecture, order.references_ev
        assert architecture is not None
        assert references is not None
        model = {
            'chemical_species': sorted(order.symbols),
            'cutoff': architecture.cutoff_ang,
            'channel': architecture.channels,
            'lmax': architecture.lmax,
            'num_convolution_layer': architecture.layers,
        }
        data['shift'] = [references[symbol] for symbol in sorted(order.symbols)]
    sections = {'model': model, 'train': _train_section(order, checkpoint), 'data': data}
    _merge(sections, dict(parameters.native))
    text = yaml.safe_dump(sections, sort_keys=False)
    (order.work / 'input.yaml').write_text(text)
    (order.work / 'seed.json').write_text(json.dumps(order.seed))
    return Start([sys.executable, '-m', f'{__package__}.run_sevennet'], text)


def export(order: Order, checkpoint: Path, target: Path) -> None:
    """Write the potential of a checkpoint, without the state of the optimiser, times and places."""
    import torch

    content = torch.load(checkpoint, map_location='cpu', weights_only=False)
    write_potential(content['config'], content['model_state_dict'], target)


TRAINER = Trainer(
    name='sevennet',
    family='sevennet',
    package='sevenn',
    start=start,
    epochs=told,
    export=export,
    why=lambda order: last_words(order.work),
    write=partial(write_set, prefix=''),
)
