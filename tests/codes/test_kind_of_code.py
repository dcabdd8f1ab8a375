"""A code of the wrong kind is refused with those of the right one by name."""

from __future__ import annotations

from typing import Any

import pytest
from aiida.orm import InstalledCode

from aiida_litraj.codes import SetupProblem, choose, register
from aiida_litraj.codes.dft import choose_dft_code

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')


def test_codes_of_the_other_kind(environment: Any, report: Any) -> None:
    engine = register.register(environment, report).code
    with pytest.raises(SetupProblem, match=r'gives no labels\. Make one that does: aiida-litraj setup-dft'):
        choose_dft_code(engine.label)
    dft = InstalledCode(
        label='gpaw', computer=choose.computer_of(engine), filepath_executable='/usr/bin/gpaw',
        default_calc_job_plugin='ase.ase',
    ).store()  # fmt: skip
    with pytest.raises(SetupProblem, match=r'toy.* runs potentials, and gives no labels\. Codes that do: gpaw@'):
        choose_dft_code(engine.label)
    with pytest.raises(SetupProblem, match=r'gpaw.* is of ase\.ase: .*runs no potentials\. Codes that do: toy \(toy\)'):
        choose.choose_code('gpaw', 'toy')
    assert choose_dft_code('gpaw').uuid == dft.uuid
    assert choose.choose_code('toy', 'toy').uuid == engine.uuid
