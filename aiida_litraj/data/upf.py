"""Headers of pseudopotential files in the format UPF, versions 1 and 2: which element, functional and kind."""

from __future__ import annotations

import re
from dataclasses import dataclass

PSEUDO_KINDS = {'paw': 'PAW', 'us': 'ultrasoft', 'nc': 'norm-conserving'}
_SHORT = {'PBE': 'PBE', 'PBESOL': 'PBEsol', 'PZ': 'LDA', 'LDA': 'LDA', 'REVPBE': 'revPBE', 'PW91': 'PW91'}
_GRADIENTS = {
    ('PBX', 'PBC'): 'PBE',
    ('PBE', 'PBE'): 'PBE',
    ('PSX', 'PSC'): 'PBEsol',
    ('NOGX', 'NOGC'): 'LDA',
    ('REVX', 'PBC'): 'revPBE',
    ('HHNX', 'PBC'): 'RPBE',
    ('GGX', 'GGC'): 'PW91',
    ('B88', 'BLYP'): 'BLYP',
}
"""Gradient parts of exchange and correlation, as ``funct.f90`` of Quantum ESPRESSO names them."""
_ATTRIBUTE = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|\'([^\']*)\')')
_SUGGESTED = re.compile(r'Suggested minimum cutoff for (wavefunctions|charge density):\s*([\d.]+)')


@dataclass(frozen=True)
class UpfHeader:
    """What a pseudopotential is.

    :ivar functional: by its usual name, such as ``PBEsol``; as the file says it where that is none known here.
    :ivar kind: ``paw``, ``us`` or ``nc``.
    :ivar spin_orbit: whether it is fully relativistic, for spin-orbit coupling.
    :ivar cutoff_wfc_ry: least cutoff of wave functions that its author suggests, in Ry; None if not told.
    :ivar cutoff_rho_ry: the same of the density.
    """

    element: str
    functional: str
    kind: str
    spin_orbit: bool = False
    cutoff_wfc_ry: float | None = None
    cutoff_rho_ry: float | None = None


def read_upf_header(content: str) -> UpfHeader:
    """Return what the header of a file in the format UPF says.

    :raises ValueError: if it is no such file, or does not tell element, functional or kind.
    """
    found = re.search(r'<PP_HEADER(.*?)(?:/>|</PP_HEADER>)', content, re.DOTALL)
    if found is None:
        raise ValueError('it has no PP_HEADER: not a file in the format UPF')
    fields = {name: one or other for name, one, other in _ATTRIBUTE.findall(found[1])}
    if 'element' not in fields:
        fields = _first_version(found[1])
    values = {name: fields.get(name, '').strip() for name in ('element', 'functional', 'pseudo_type')}
    missing = [name for name, value in values.items() if not value]
    if missing:
        raise ValueError(f'its PP_HEADER does not tell {missing[0]}')
    suggested = dict(_SUGGESTED.findall(content[: found.start()]))
    return UpfHeader(
        element=values['element'].capitalize(),
        functional=functional_name(values['functional']),
        kind=_kind(values['pseudo_type']),
        # A section of its own in version 1, attributes in version 2.
        spin_orbit='<PP_ADDINFO' in content or 'full' in fields.get('relativistic', '') or _true(fields.get('has_so')),
        cutoff_wfc_ry=_positive(fields.get('wfc_cutoff'), suggested.get('wavefunctions')),
        cutoff_rho_ry=_positive(fields.get('rho_cutoff'), suggested.get('charge density')),
    )


def functional_name(text: str) -> str:
    """Return the usual name of a functional that Quantum ESPRESSO calls ``text``, such as ``SLA PW PSX PSC``."""
    words = re.split(r'[\s+-]+', text.strip().upper())
    if len(words) == 1:
        return _SHORT.get(words[0], text.strip())
    local, gradient = words[:2], tuple(words[2:4])
    name = _GRADIENTS.get(gradient, '')  # type: ignore[call-overload]
    fits = local[0] == 'SLA' and (local[1] == {'LDA': 'PZ', 'BLYP': 'LYP'}.get(name, 'PW'))
    return name if name and fits else ' '.join(words)


def _first_version(block: str) -> dict[str, str]:
    """Return the fields of a header of version 1: a value, then what it is."""
    fields = {}
    for line in block.splitlines():
        words = line.split()
        if line.rstrip().endswith('Element'):
            fields['element'] = words[0]
        elif 'Exchange-Correlation' in words:
            fields['functional'] = ' '.join(words[:4])
        elif line.rstrip().lower().endswith('pseudopotential') and len(words) > 1:
            fields['pseudo_type'] = words[0]
    return fields


def _kind(text: str) -> str:
    kind = text.upper()
    return 'paw' if kind == 'PAW' else 'us' if kind.startswith('US') else 'nc'


def _true(text: str | None) -> bool:
    return (text or '').strip().strip('.').lower() in ('t', 'true')


def _positive(*texts: str | None) -> float | None:
    for text in texts:
        try:
            value = float((text or '0').strip().lower().replace('d', 'e'))
        except ValueError:
            continue
        if value > 0.0:
            return value
    return None
