"""What is shown of a melt-quench."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_litraj.cli.melt_quench import print_melt_quench

ANIONS = ('%PS4', '%P2S7', '%P2S6', '%other')


def result(formula: str, pairs: dict[str, float], shares: dict[str, float] | None) -> dict[str, Any]:
    stage = {
        'name': 'melt', 'start_ps': 0.0, 'stop_ps': 20.0, 'temperature_k': 1501.0, 'pressure_gpa': 0.02,
        'density_g_per_cm3': 1.834, 'coordination': {pair: {'mean': mean} for pair, mean in pairs.items()},
        'motifs': None if shares is None else {'ps4': 3.0}, 'motif_shares': shares,
    }  # fmt: skip
    facts = {'uuid': 'u', 'pk': 1, 'potential': 'morse', 'protocol': 'quick', 'n_atoms': 8, 'n_snapshots': 6}
    return {**facts, 'formula': formula, 'structure': '', 'stages': [stage], 'warnings': []}


def test_anions_of_a_thiophosphate_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    shares = {'PS4': 0.75, 'P2S7': 0.25, 'P2S6': 0.0, 'other': 0.0}
    print_melt_quench(result('Li3PS4', {'P-S': 3.91}, shares))
    said = capsys.readouterr().out
    assert all(name in said for name in (*ANIONS, 'P-S'))
    row = next(line for line in said.splitlines() if '0-20' in line)
    assert [cell for cell in row.split() if cell.strip('│|')][-5:] == ['3.91', '75', '25', '0', '0']


def test_without_phosphorus_there_are_no_columns_of_its_anions(capsys: pytest.CaptureFixture[str]) -> None:
    print_melt_quench(result('LiCl', {'Li-Cl': 4.5}, None))
    said = capsys.readouterr().out
    assert '%' not in said
    assert 'Li-Cl' in said and '4.50' in said and '1.834' in said


def test_warnings_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    print_melt_quench({**result('LiCl', {}, None), 'warnings': ['melt: the mean temperature is 7998 K']})
    assert 'Warning: melt: the mean temperature is 7998 K' in capsys.readouterr().err
