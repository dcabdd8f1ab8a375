"""Headers of pseudopotential files of both versions of the format."""

from __future__ import annotations

import pytest

from aiida_litraj.data.upf import functional_name, read_upf_header

SECOND = """<UPF version="2.0.1">
<PP_INFO>
Suggested minimum cutoff for wavefunctions:  78. Ry
Suggested minimum cutoff for charge density: 355. Ry
</PP_INFO>
<PP_HEADER
generated="by hand" element="{element}" pseudo_type="{kind}" relativistic="{relativistic}"
functional="{functional}" wfc_cutoff="{wfc}" rho_cutoff="0.0E+00" z_valence="3.0"/>
</UPF>
"""
FIRST = """<PP_INFO>
</PP_INFO>
<PP_HEADER>
   0                   Version Number
  Au                   Element
   US                  Ultrasoft pseudopotential
    T                  Nonlinear Core Correction
 SLA  PW   PBE  PBE    PBE   Exchange-Correlation functional
   11.00000000000      Z valence
</PP_HEADER>
"""


def second(**changes: str) -> str:
    usual = {'element': 'Li', 'kind': 'PAW', 'relativistic': 'scalar', 'functional': 'PBESOL', 'wfc': '7.5E+01'}
    return SECOND.format(**{**usual, **changes})


def test_second_version() -> None:
    header = read_upf_header(second(functional=' SLA  PW   PSX  PSC'))
    assert (header.element, header.functional, header.kind, header.spin_orbit) == ('Li', 'PBEsol', 'paw', False)
    # Of the attribute where it has a number, else of the text.
    assert (header.cutoff_wfc_ry, header.cutoff_rho_ry) == (75.0, 355.0)
    assert read_upf_header(second(relativistic='full')).spin_orbit


def test_first_version() -> None:
    header = read_upf_header(FIRST)
    assert (header.element, header.functional, header.kind) == ('Au', 'PBE', 'us')
    assert header.cutoff_wfc_ry is None
    assert read_upf_header(f'{FIRST}<PP_ADDINFO>\n</PP_ADDINFO>').spin_orbit


@pytest.mark.parametrize(
    ('text', 'name'),
    [
        ('SLA PW PBX PBC', 'PBE'),
        ('sla+pw+pbx+pbc', 'PBE'),
        ('PBESOL', 'PBEsol'),
        ('SLA PZ NOGX NOGC', 'LDA'),
        # Not LDA: another local part. Not PBE: half of it.
        ('SLA PW NOGX NOGC', 'SLA PW NOGX NOGC'),
        ('SLA PW PBX PSC', 'SLA PW PBX PSC'),
        ('SCAN', 'SCAN'),
    ],
)
def test_functionals(text: str, name: str) -> None:
    assert functional_name(text) == name


@pytest.mark.parametrize(
    ('content', 'told'),
    [('plane text', 'no PP_HEADER'), (second(functional=''), 'functional'), (second(kind=''), 'pseudo_type')],
)
def test_what_is_no_pseudopotential_is_refused(content: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_upf_header(content)
