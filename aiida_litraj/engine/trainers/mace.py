"""The trainer mace: ``mace_run_train``, from scratch, or on from a model, with replay in a head beside the new one.

Native options: those of ``mace_run_train``, by their names without dashes.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...contract.errors import LitrajError
from ...contract.units import EV_PER_ANG3_OF_GPA
from ..models.devices import alone
from ..models.elements import SYMBOLS
from .epochs import told
from .interface import Order, Start, Trainer, check_offered
from .process import last_words

GPA = 1.0 / EV_PER_ANG3_OF_GPA
"""An eV/Ang^3 in GPa."""
INPUT, WATCH = 'input.yaml', 'watch.json'
"""Files of a training: options of mace; what its watch has to know."""
_NAME, _PARENT = 'litraj', 'parent.model'
_REPLAY, _REPLAY_VALID = 'replay.xyz', 'replay_valid.xyz'
_NEUTRAL = {
    'E0s': 'energy_references',
    'batch_size': 'batch_size',
    'default_dtype': 'dtype',
    'ema': 'ema_decay',
    'ema_decay': 'ema_decay',
    'energy_weight': 'loss.energy_weight',
    'forces_weight': 'loss.force_weight',
    'hidden_irreps': 'architecture.channels and architecture.lmax',
    'huber_delta': 'loss.huber_delta',
    'loss': 'loss.kind',
    'lr': 'learning_rate',
    'lr_factor': 'schedule.factor',
    'lr_scheduler_gamma': 'schedule.factor',
    'max_L': 'architecture.lmax',
    'max_num_epochs': 'epochs',
    'num_channels': 'architecture.channels',
    'num_interactions': 'architecture.layers',
    'optimizer': 'optimizer',
    'patience': 'early_stop_epochs',
    'r_max': 'architecture.cutoff_ang',
    'scheduler': 'schedule.kind',
    'scheduler_patience': 'schedule.patience_epochs',
    'stress_weight': 'loss.stress_weight',
    'valid_batch_size': 'batch_size',
    'weight_decay': 'weight_decay',
    'weight_pt_head': 'replay.weight',
}
"""Native options that say what another parameter says, and are refused for it: two answers would be one too many."""
_OWN = {
    'checkpoints_dir', 'config', 'device', 'distributed', 'downloads_dir', 'dry_run', 'energy_key', 'error_table',
    'eval_interval', 'force_mh_ft_lr', 'forces_key', 'foundation_model', 'foundation_model_elements', 'help',
    'keep_checkpoints', 'launcher', 'log_dir', 'model_dir', 'multiheads_finetuning', 'name', 'plot', 'pt_train_file',
    'pt_valid_file', 'real_pt_data_ratio_threshold', 'restart_latest', 'results_dir', 'save_all_checkpoints',
    'save_cpu', 'seed', 'stress_key', 'train_file', 'valid_file', 'wandb', 'work_dir',
}  # fmt: skip
"""What the frame sets by itself: native options that it refuses."""
_NOT_WATCHED = {
    'allow_random_padding_pt', 'atomic_numbers', 'compute_polarizability', 'enable_cueq', 'enable_oeq',
    'filter_type_pt', 'foundation_head', 'foundation_model_kwargs', 'foundation_model_readout', 'head_key', 'heads',
    'lbfgs', 'les_arguments', 'lora', 'lora_alpha', 'lora_rank', 'num_samples_pt', 'only_cueq', 'plot_frequency',
    'plot_interaction_e', 'skip_evaluate_heads', 'start_swa', 'statistics_file', 'subselect_pt', 'swa', 'test_dir',
    'test_file', 'valid_fraction',
}  # fmt: skip
"""What changes the course of a training in ways that are not followed here, or does nothing in it."""
_MODELS = ('MACE', 'ScaleShiftMACE')


def _refuse(reason: str) -> LitrajError:
    return LitrajError('ERROR_JOB_INVALID', reason=f'the trainer mace {reason}')


def arguments(options: Mapping[str, Any]) -> Any:
    """Return options as mace's own parser has them."""
    from mace.tools import build_default_arg_parser

    words = [f'--{name}={value}' for name, value in options.items() if not isinstance(value, bool)]
    parsed = build_default_arg_parser().parse_args(words)
    for name, value in options.items():
        if isinstance(value, bool):  # some are flags, some are not
            setattr(parsed, name, value)
    return parsed


def _loss(order: Order) -> dict[str, Any]:
    loss = order.parameters.loss
    options: dict[str, Any] = {'energy_weight': loss.energy_weight, 'forces_weight': loss.force_weight}
    if loss.kind == 'huber':
        return options | {'loss': 'huber', 'huber_delta': loss.huber_delta, 'stress_weight': loss.stress_weight}
    if loss.stress_weight:
        return options | {'loss': 'stress', 'stress_weight': loss.stress_weight}
    return options | {'loss': 'weighted'}


def _schedule(order: Order) -> dict[str, Any]:
    schedule = order.parameters.schedule
    if schedule.kind == 'plateau':
        patience = schedule.patience_epochs
        return {'scheduler': 'ReduceLROnPlateau', 'lr_factor': schedule.factor, 'scheduler_patience': patience}
    return {'scheduler': 'ExponentialLR', 'lr_scheduler_gamma': 1.0 if schedule.factor is None else schedule.factor}


def _common(order: Order) -> dict[str, Any]:
    """Return what is told to mace of every training."""
    parameters = order.parameters
    options: dict[str, Any] = {
        'name': _NAME,
        'seed': order.seed % 2**32,  # numpy takes no more
        'device': alone(order.device)[0],
        'train_file': 'train.xyz',
        'valid_file': 'valid.xyz',
        'energy_key': 'REF_energy',
        'forces_key': 'REF_forces',
        'stress_key': 'REF_stress',
        'max_num_epochs': parameters.epochs,
        'batch_size': parameters.batch_size,
        'valid_batch_size': parameters.batch_size,
        'optimizer': parameters.optimizer,
        'lr': parameters.learning_rate,
        'weight_decay': parameters.weight_decay,
        **_schedule(order),
        **_loss(order),
        'eval_interval': 1,
        'save_all_checkpoints': True,
        'patience': parameters.epochs + 1,
        'plot': False,
        'wandb': False,
        'multiheads_finetuning': False,
        'restart_latest': order.resume is not None,
    }
    if parameters.ema_decay is not None:
        options |= {'ema': True, 'ema_decay': parameters.ema_decay}
    return options


def _from_scratch(order: Order) -> dict[str, Any]:
    architecture = order.parameters.architecture
    assert architecture is not None
    assert order.references_ev is not None
    dtype = order.parameters.dtype
    energies = {SYMBOLS.index(symbol): float(order.references_ev[symbol]) for symbol in order.symbols}
    return {
        'r_max': architecture.cutoff_ang,
        'num_channels': architecture.channels,
        'max_L': architecture.lmax,
        'num_interactions': architecture.layers,
        'default_dtype': 'float64' if dtype == 'native' else dtype,
        'E0s': repr(energies),
    }


def _one_head(model: Any, asked: Any) -> Any:
    """Return a model with one of its heads alone: the one of that name, of no name the one called default."""
    from mace.tools.scripts_utils import remove_pt_head
    from mace.tools.torch_tools import default_dtype

    heads = list(getattr(model, 'heads', None) or ['Default'])
    if len(heads) == 1:
        return model
    head = asked or next(name for name in heads if name.lower() == 'default')
    with default_dtype(next(model.parameters()).dtype):  # mace makes the new model in torch's default
        return remove_pt_head(model, head)


def _from_parent(order: Order) -> dict[str, Any]:
    """Return what is told of the parent, of which all elements stay, and one head.

    Its file has the energies that are wanted, but with replay: then they are of the new head alone.
    """
    import torch
    from mace.modules import ScaleShiftMACE

    from ..models.mace import local_file

    assert order.parent is not None
    called = str(order.parent.name or order.parent.file)
    path = order.parent_file or local_file(called)
    assert path is not None  # the engine has loaded it
    model = torch.load(path, map_location='cpu', weights_only=False)
    if type(model) is not ScaleShiftMACE:
        raise _refuse(f'goes on from ScaleShiftMACE models, and {called} is a {type(model).__name__}: take another')
    model = _one_head(model, order.parent.options.get('head'))
    energies = model.atomic_energies_fn.atomic_energies
    wanted = energies.clone()
    kinds = {SYMBOLS[int(number)]: kind for kind, number in enumerate(model.atomic_numbers)}
    for symbol, value in (order.references_ev or {}).items():
        if symbol in kinds:
            wanted[..., kinds[symbol]] = value
    for symbol, offset in (order.offsets_ev or {}).items():
        wanted[..., kinds[symbol]] += offset
    if order.replay is None:
        energies.copy_(wanted)  # of one head mace goes on from these whatever E0s it is told
        told = 'foundation'
    else:
        numbers = [int(number) for number in model.atomic_numbers]
        told = repr(dict(zip(numbers, wanted.flatten().tolist(), strict=True)))
    torch.save(model, order.work / _PARENT)
    dtype = order.parameters.dtype
    native = str(next(model.parameters()).dtype).removeprefix('torch.')
    return {
        'foundation_model': _PARENT,
        'foundation_model_elements': True,
        'default_dtype': native if dtype == 'native' else dtype,
        'E0s': told,
        **_replay(order),
    }


def _replay(order: Order) -> dict[str, Any]:
    """Return what is told of configurations that the parent knew, and write them for mace.

    Their weight is that of each of them in the file: mace has ``weight_pt_head`` for sets that it fetches itself. It
    wants some to validate their head too, else it takes a part of them away: one, which is not evaluated.
    """
    replay = order.parameters.replay
    if order.replay is None or replay is None:
        return {}
    with order.replay.open(encoding='ascii') as given, (order.work / _REPLAY).open('w', encoding='ascii') as made:
        for line in given:
            made.write(f'config_weight={replay.weight!r} {line}' if line.startswith('Lattice=') else line)
    with (order.work / _REPLAY).open(encoding='ascii') as given:
        first = next(given)
        (order.work / _REPLAY_VALID).write_text(first + ''.join(next(given) for _ in range(int(first) + 1)))
    return {
        'multiheads_finetuning': True,
        'pt_train_file': _REPLAY,
        'pt_valid_file': _REPLAY_VALID,
        'force_mh_ft_lr': True,  # else mace has a learning rate and a moving average of its own
        'real_pt_data_ratio_threshold': 0.0,  # else mace repeats what is new where that is little
    }


def _merge(options: dict[str, Any], native: Mapping[str, Any]) -> None:
    """Put native options beside the others.

    :raises LitrajError: ``ERROR_JOB_INVALID`` for what mace does not know or take, or the frame sets.
    """
    from mace.tools import build_default_arg_parser

    known = {action.dest for action in build_default_arg_parser()._actions}
    for name in native:
        if name not in known:
            raise _refuse(f'has no native option {name}')
        if name in _NEUTRAL:
            raise _refuse(f'is told {name} by {_NEUTRAL[name]}: give that, and leave {name} out of native')
        if name in _OWN:
            raise _refuse(f'is told {name} by the engine: leave it out of native')
        if name in _NOT_WATCHED or name.startswith(('wandb_', 'swa_', 'pt_', 'pseudolabel_')):
            raise _refuse(f'does not offer the native option {name}: leave it out')
    options |= native
    if options.get('model', 'MACE') not in _MODELS:
        raise _refuse(f'offers the models {", ".join(_MODELS)}, not {options["model"]}: leave the native model out')
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            arguments(options)
        except SystemExit as error:
            reason = said.getvalue().strip().splitlines()[-1:]
            raise _refuse(f'does not take a native option: {"".join(reason)}') from error


def start(order: Order) -> Start:
    """Return how to start ``mace_run_train``.

    :raises LitrajError: ``ERROR_JOB_INVALID`` for what is not offered, naming the parameter.
    """
    import yaml

    check_offered(order.parameters)
    options = _common(order) | (_from_scratch(order) if order.parent is None else _from_parent(order))
    _merge(options, order.parameters.native)
    for name, path in (('train', order.train), ('valid', order.valid)):
        (order.work / f'{name}.xyz').symlink_to(os.path.relpath(path, order.work))  # by the suffix mace reads it
    resume = None
    if order.resume is not None:
        folder = order.work / 'checkpoints'
        folder.mkdir()
        placed = folder / f'{_NAME}_run-{options["seed"]}_epoch-{order.epochs_done}.pt'
        placed.symlink_to(os.path.relpath(order.resume, folder))
        resume = os.path.relpath(placed, order.work)
    text = yaml.safe_dump(options, sort_keys=False)
    (order.work / INPUT).write_text(text)
    watch = {'seed': order.seed, 'done': order.epochs_done, 'resume': resume}
    (order.work / WATCH).write_text(json.dumps(watch))
    return Start([sys.executable, '-m', f'{__package__}.run_mace'], text, alone(order.device)[1])


def export(order: Order, checkpoint: Path, target: Path) -> None:
    """Write the potential of a checkpoint: the whole model, as the epoch was evaluated."""
    import torch

    target.write_bytes(torch.load(checkpoint, map_location='cpu', weights_only=False)['potential'])


TRAINER = Trainer(
    name='mace',
    family='mace',
    package='mace-torch',
    start=start,
    epochs=told,
    export=export,
    why=lambda order: last_words(order.work),
)
