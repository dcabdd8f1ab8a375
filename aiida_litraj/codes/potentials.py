"""Potentials as nodes: imported once, after the engine of a code has loaded them and said what they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..calculations.validation import check_family
from .probe import probe_code
from .problems import SetupProblem

if TYPE_CHECKING:
    from aiida.orm import AbstractCode

    from ..contract.potential import PotentialReport, PotentialSpec
    from ..data import PotentialData


@dataclass(frozen=True)
class Request:
    """A potential to import: a ``name`` that its package knows, or a ``file``, with texts filled in if known."""

    family: str
    name: str | None = None
    file: Path | None = None
    sha256: str | None = None
    label: str | None = None
    licence: str | None = None
    citation: str | None = None
    options: Mapping[str, str | int | float | bool] | None = None

    @property
    def final_label(self) -> str:
        """Label of the node."""
        return self.label or self.name or (self.file.stem if self.file else '')


def import_potential(request: Request, code: AbstractCode) -> tuple[PotentialData, bool]:
    """Return the node of a potential and whether it was made just now; the same potential gives the same node.

    The environment of ``code`` loads it; elements, range and checksum are what the engine reports.

    :raises SetupProblem: if the engine does not load it, or its label belongs to another potential.
    :raises ValueError: if the file is missing, is no checkpoint, or has another checksum than asked for, or the
        environment of the code lacks the family.
    """
    draft = _node(request, request.sha256)  # checks the file's bytes before anything is sent anywhere
    check_family(code, draft)
    report = _load(code, draft.to_spec(), request.file)
    node = _node(request, report.sha256, report)
    earlier = find_same(node)
    if earlier is not None:
        if request.label is not None and earlier.label != request.label:
            _check_label(request.label, earlier)
            earlier.label = request.label
        return earlier, False
    _check_label(node.label, None)
    return node.store(), True


def _load(code: AbstractCode, spec: PotentialSpec, file: Path | None) -> PotentialReport:
    report = probe_code(code, spec, file)
    title = spec.name or str(file)
    if report.error is not None or report.potential is None:
        reason = re.sub(r'^ERROR_[A-Z_]+: ', '', report.error or f'the potential {title} did not load')
        if file is not None and spec.file is not None:
            reason = reason.replace(spec.file, str(file))  # it travels under another name
        raise SetupProblem(
            f'{reason} (said the engine of the code {code.label!r})',
            'Give it with --option KEY=VALUE, for example --option modal=PBE.'
            if 'option ' in reason
            else f'Check the family ({spec.family}) and the {"name" if file is None else "file"}.',
        )
    if spec.sha256 is not None and report.potential.sha256 not in (None, spec.sha256):
        raise SetupProblem(
            f'the potential {title} has sha256 {report.potential.sha256}, not {spec.sha256}', 'It is another version.'
        )
    return report.potential


def _node(request: Request, sha256: str | None, report: PotentialReport | None = None) -> PotentialData:
    from ..data import PotentialData

    known = known_texts(request.family, request.name) if request.file is None else {}
    common: dict[str, Any] = {
        'elements': report.elements if report else None,
        'cutoff_ang': report.cutoff_ang if report else None,
        'licence': request.licence or known.get('licence'),
        'citation': request.citation or known.get('citation'),
        'options': request.options,
        'sha256': sha256,
        'label': request.final_label,
    }
    if request.file is not None:
        return PotentialData.from_file(request.file, request.family, **common)
    return PotentialData.packaged(request.family, str(request.name), **common)


def known_texts(family: str, name: str | None) -> dict[str, str]:
    """Return licence and citation of a named potential as far as they are known, empty if not."""
    import yaml

    table = yaml.safe_load(Path(__file__).with_name('known_potentials.yml').read_text(encoding='utf-8'))
    entry = table.get(family) or {}
    texts = {**entry, **((entry.get('names') or {}).get(name) or {})}
    texts.pop('names', None)
    return texts


def find_same(node: PotentialData) -> PotentialData | None:
    """Return the stored potential with the same family, source, checksum and options, ``None`` if there is none."""
    from aiida.orm import QueryBuilder

    from ..data import PotentialData

    same = {'attributes.family': node.family, 'attributes.sha256': node.sha256}
    query = QueryBuilder().append(PotentialData, filters=same, tag='potential').order_by({'potential': 'id'})
    for candidate in query.all(flat=True):
        if candidate.name == node.name and candidate.options == node.options:
            return candidate
    return None


def _check_label(label: str, keep: PotentialData | None) -> None:
    """Refuse a label that another potential has: ``--potential LABEL`` must find one."""
    from aiida.orm import QueryBuilder

    from ..data import PotentialData

    taken = QueryBuilder().append(PotentialData, filters={'label': label}).all(flat=True)
    other = next((node for node in taken if keep is None or node.pk != keep.pk), None)
    if other is not None:
        raise SetupProblem(
            f'the label {label!r} belongs to another potential (pk {other.pk}, sha256 {str(other.sha256)[:12]})',
            'Choose another one with --label.',
        )


def list_potentials() -> list[PotentialData]:
    """Return all potentials, in the order of their labels."""
    from aiida.orm import QueryBuilder

    from ..data import PotentialData

    return sorted(QueryBuilder().append(PotentialData).all(flat=True), key=lambda node: (node.label, node.pk))


def load_potential(name: str) -> PotentialData:
    """Return the potential with this label, pk or uuid.

    Of several that are the same, as trainings taken from the cache leave them, it is the first.

    :raises SetupProblem: if there is none, or several have that label.
    """
    nodes = list_potentials()
    found = [node for node in nodes if node.label == name]
    if not found:
        found = [node for node in nodes if name == str(node.pk) or (len(name) >= 8 and node.uuid.startswith(name))]
    if len(found) == 1 or (found and found[0].sha256 is not None and all(_are_same(found[0], one) for one in found)):
        return found[0]
    if found:
        pks = ', '.join(str(node.pk) for node in found)
        raise SetupProblem(f'several potentials are called {name!r} (pk {pks})', 'Give the pk of one.')
    known = ', '.join(node.label for node in nodes) or 'none yet'
    raise SetupProblem(f'there is no potential {name!r} (there are: {known})', _how_to_import(name))


def _are_same(one: PotentialData, other: PotentialData) -> bool:
    keys = ('family', 'name', 'sha256', 'options')
    return all(getattr(one, key) == getattr(other, key) for key in keys)


def _how_to_import(name: str) -> str:
    """Return the command that would import a potential of this name, if a code's environment carries it."""
    from .choose import list_codes, report_of

    for code in list_codes():
        report = report_of(code)
        for family in report.families if report else []:
            if name in family.names:
                return f'Import it: aiida-litraj potential import --family {family.family} --name {name}'
    return 'Import one: aiida-litraj potential import --family FAMILY --name NAME (or --file CHECKPOINT)'
