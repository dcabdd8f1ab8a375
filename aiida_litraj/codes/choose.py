"""Finding the code for a potential, and what is known of its environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..calculations.validation import PROBE_EXTRA
from ..contract.potential import ProbeReport
from .computers import find_computer
from .problems import SetupProblem
from .register import COMPUTER

if TYPE_CHECKING:
    from aiida.orm import AbstractCode, Computer


def computer_of(code: AbstractCode) -> Computer:
    """Return the computer on which the jobs of a code run.

    :raises SetupProblem: if the code ships the engine and was not set up for a computer.
    """
    if getattr(code, 'computer', None) is not None:
        return code.computer
    label = code.base.extras.get(COMPUTER, None)
    if label is None:
        raise SetupProblem(
            f'the code {code.label!r} was not set up for a computer',
            f'Set it up: aiida-litraj setup --name {code.label} --engine-python PYTHON --computer COMPUTER',
        )
    return find_computer(label)


def report_of(code: AbstractCode) -> ProbeReport | None:
    """Return what the last probe found in the environment of a code; ``None`` if there was none or it is outdated."""
    stored = code.base.extras.get(PROBE_EXTRA, None)
    if stored is None:
        return None
    try:
        return ProbeReport.model_validate(stored)
    except ValueError:
        return None


def require_device(code: AbstractCode, device: str | None) -> None:
    """Refuse a GPU for jobs that run on this machine at once, where the probe has found none.

    Behind a queue the job may come to another node than the probe did.

    :raises SetupProblem: naming the devices there are.
    """
    report = report_of(code)
    if report is None or not report.devices or not (device or '').startswith('cuda'):
        return
    computer = computer_of(code)
    if (computer.transport_type, computer.scheduler_type) != ('core.local', 'core.direct'):
        return
    if not any(found.startswith('cuda') for found in report.devices):
        raise SetupProblem(
            f'the device {device!r} is not there: the environment of the code {code.label!r} on {computer.label} has '
            f'{", ".join(report.devices)}',
            'Use --device cpu, or after a change of the environment: aiida-litraj setup again.',
        )


def list_codes() -> list[AbstractCode]:
    """Return the codes that run the engine, those replaced by newer ones left out, in the order of their names."""
    from aiida.orm import AbstractCode, QueryBuilder

    query = QueryBuilder().append(AbstractCode, filters={'extras': {'has_key': PROBE_EXTRA}})
    return sorted((code for code in query.all(flat=True) if not code.is_hidden), key=lambda code: code.label)


def families_of(code: AbstractCode) -> list[str]:
    """Return the families available in the environment of a code."""
    report = report_of(code)
    return [] if report is None else [family.family for family in report.families if family.available]


def _require_engine(code: AbstractCode, codes: list[AbstractCode]) -> None:
    """Refuse a code that gives labels, naming those that run potentials.

    :raises SetupProblem: if it is one.
    """
    from .dft import plugins_of_labels

    if code.default_calc_job_plugin not in plugins_of_labels():
        return
    there = ', '.join(f'{one.label} ({"/".join(families_of(one)) or "no family"})' for one in codes)
    raise SetupProblem(
        f'the code {code.full_label} is of {code.default_calc_job_plugin}: it gives labels, and runs no potentials',
        f'Codes that do: {there}.' if there else 'Make one that does: aiida-litraj setup --engine-python PYTHON',
    )


def choose_code(name: str | None, family: str | None) -> AbstractCode:
    """Return the code called ``name``, or the one whose environment has the family.

    Of several with the family it is the one that is called after it. A named code is not judged here: who has the
    potential checks that they fit.

    :raises SetupProblem: if there is none, or several fit.
    """
    codes = list_codes()
    known = ', '.join(code.label for code in codes) or 'none yet'
    if name is not None:
        from aiida.common.exceptions import MultipleObjectsError, NotExistent
        from aiida.orm import load_code

        label = name.partition('@')[0]
        code = next((code for code in codes if code.label == label), None)
        if code is None:
            try:
                code = load_code(name)
            except (NotExistent, MultipleObjectsError, ValueError) as error:
                raise SetupProblem(
                    f'there is no code {name!r} (there are: {known})', 'Make one: aiida-litraj setup --help'
                ) from error
        _require_engine(code, codes)
        return code
    fitting = codes if family is None else [code for code in codes if family in families_of(code)]
    named_after = [code for code in fitting if code.label == family]
    if len(fitting) == 1 or named_after:
        return (named_after or fitting)[0]
    if not fitting:
        wanted = 'a code' if family is None else f'a code with the family {family!r}'
        raise SetupProblem(
            f'there is no {wanted.removeprefix("a ")} (codes: {known})',
            # The label of GPAW itself is that of the code that gives labels.
            'Make one: examples/environment.sh gpaw; aiida-litraj setup --name gpaw-engine --engine-python '
            '.venv-gpaw/bin/python'
            if family == 'gpaw'
            else f'Make one: aiida-litraj setup --name {family or "NAME"} --engine-python PYTHON',
        )
    labels = ', '.join(code.label for code in fitting)
    raise SetupProblem(f'several codes fit: {labels}', 'Choose one with --code NAME.')
