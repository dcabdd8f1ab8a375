"""Numbers and words of extended xyz: exactly what ``float`` and ASE make of them, and what is wrong where they fail."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

from aiida_litraj.analysis.frames import from_ase
from aiida_litraj.contract.frames import Frames
from aiida_litraj.datasets.card import Keys
from aiida_litraj.datasets.extxyz import read_block
from aiida_litraj.datasets.extxyz.fixed import fixed_layout, parse_fixed

CELL = 'Lattice="4.0 0.0 0.0 0.5 5.0 0.0 0.0 0.25 6.0"'
HEAD = f'{CELL} Properties=species:S:1:pos:R:3'
GOOD = f'2\n{HEAD} energy=-1.5\nLi 0.0 0.0 0.0\nO 1.0 1.0 1.0\n'


def only(text: str, keys: Keys | None = None) -> Frames:
    """Return the one frame of a text."""
    (found,) = read_block(text.encode(), keys or Keys())
    assert found.frame is not None, found.reason
    return found.frame


def assert_same(ours: Frames, ase: list[Atoms]) -> None:
    """Every field equal to the last bit."""
    assert ours.to_bytes() == from_ase(ase).to_bytes()


def random_atoms(seed: int, n_atoms: int, symbols: list[str]) -> Atoms:
    """A labelled configuration as the published files have them."""
    rng = np.random.default_rng(seed)
    atoms = Atoms(
        rng.choice(symbols, n_atoms).tolist(),
        rng.normal(size=(n_atoms, 3)) * 30,
        cell=rng.normal(size=(3, 3)) * 10,
        pbc=rng.random(3) < 0.7,
        info={'material_id': f'mp-{seed}'},
    )
    stress = rng.normal(size=6)
    atoms.calc = SinglePointCalculator(
        atoms, energy=rng.normal(), forces=rng.normal(size=(n_atoms, 3)) * 10.0 ** rng.integers(-6, 3), stress=stress
    )
    return atoms


def tokens() -> list[str]:
    """Decimal numbers of all kinds."""
    rng = np.random.default_rng(5)
    found = [
        '0',
        '-0',
        '-0.0',
        '1e5',
        '1E-5',
        '-1.5e+300',
        '4.9e-324',
        '1e-400',
        '+1.5',
        '.5',
        '5.',
        '007.25',
        '1' * 25,
    ]
    found += [repr(x) for x in (rng.normal(size=300) * 10.0 ** rng.integers(-300, 300, 300)).tolist()]
    found += [f'{x:.8f}' for x in (rng.normal(size=300) * 10.0 ** rng.integers(-8, 8, 300)).tolist()]
    found += [f'{x:.25g}' for x in (rng.normal(size=300) * 10.0 ** rng.integers(-20, 20, 300)).tolist()]
    # Half-way between two doubles, where rounding is hardest.
    found += [
        '9007199254740993',
        '9007199254740993.0000001',
        '2.2250738585072011e-308',
        '1.00000000000000011102230246251',
    ]
    return found


@pytest.mark.parametrize('token', tokens())
def test_a_number_is_what_float_makes_of_it(token: str) -> None:
    frame = only(f'1\n{HEAD}:forces:R:3\nLi {token} 0.5 1.0 1.0 {token} 2.0\n')
    assert frame.forces is not None
    assert frame.positions[0, 0].tobytes() == np.float64(float(token)).tobytes()
    assert frame.forces[0, 1].tobytes() == np.float64(float(token)).tobytes()


@pytest.mark.parametrize(
    ('width', 'decimals'),
    # sign, a digit and the point take three places
    [(w, d) for w in (12, 16, 20, 24) for d in (1, 3, 6, 7, 8, 9, 12, 15, 16) if w - d >= 3],
)
def test_fixed_width_is_read_exactly(width: int, decimals: int) -> None:
    rng = np.random.default_rng(width * 100 + decimals)
    room = width - decimals - 2
    numbers = rng.uniform(-1, 1, (500, 3)) * 10.0 ** rng.integers(-3, min(room, 9), (500, 3))
    numbers[::50] = 0.0
    numbers[7] = -0.0
    rows = [' '.join(['Li', *(f'{x:{width}.{decimals}f}' for x in row)]) for row in numbers.tolist()]
    frame = only(f'500\n{HEAD}\n' + '\n'.join(rows) + '\n')
    expected = np.array([[float(word) for word in row.split()[1:]] for row in rows])
    assert frame.positions.tobytes() == expected.tobytes()


def test_the_fast_way_is_taken_for_what_ase_writes(tmp_path: Path) -> None:
    write(tmp_path / 'a.xyz', random_atoms(1, 40, ['Li', 'O', 'P']), format='extxyz')
    text = (tmp_path / 'a.xyz').read_bytes()
    rows = text.split(b'\n', 2)[2]
    first = rows[: rows.index(b'\n') + 1]
    layout = fixed_layout(first, 'SRRRRRR')
    assert layout is not None
    parsed = parse_fixed(np.frombuffer(rows, dtype=np.uint8).reshape(40, -1), layout)
    assert parsed is not None
    assert parsed[1].tolist() == [[float(word) for word in row.split()[1:]] for row in rows.decode().splitlines()]


@pytest.mark.parametrize(
    ('old', 'new'),
    [
        ('    ', '  1 '),  # two numbers where there was one
        ('0.5', '0,5'),
        ('-', '='),
        ('.', '5'),
        ('1', 'x'),
        ('1', '\xe9'),
        ('--', ' -'),
    ],
)
def test_a_row_of_the_right_width_but_not_of_numbers_is_refused(old: str, new: str) -> None:
    row = 'Li      1.50000000     -0.50000000      2.00000000\n'
    layout = fixed_layout(row.encode(), 'SRRR')
    assert layout is not None
    bad = row.replace(old, new, 1) if old in row else row.replace(' -', '--', 1)
    rows = np.frombuffer((row * 3 + bad).encode('latin1'), dtype=np.uint8).reshape(4, -1)
    assert parse_fixed(rows, layout) is None


def test_ours_and_ase_agree_on_what_ase_writes(tmp_path: Path) -> None:
    images = [random_atoms(seed, 1 + seed % 30, ['Li', 'O', 'P', 'S', 'Y']) for seed in range(60)]
    write(tmp_path / 'a.xyz', images, format='extxyz')
    found = read_block((tmp_path / 'a.xyz').read_bytes())
    assert_same(Frames.stack([one.frame for one in found if one.frame is not None]), read(tmp_path / 'a.xyz', ':'))


ODD = {
    'quoted words': f'1\n{HEAD} a="two words" b=\'single\' c=[1 2 3] d={{1.5 2}} f=T g=true h="x=y"\nLi 0 0 0\n',
    'logicals': f'1\n{HEAD} e="T F" f=T g=true\nLi 0 0 0\n',
    'escapes': f'1\n{HEAD} a="a \\"quoted\\" word" b="back\\\\slash"\nLi 0 0 0\n',
    'bare word': f'1\n{HEAD} have_energy other=3\nLi 0 0 0\n',
    'integers and reals': f'1\n{HEAD} i=7 n=-3 r=1.0 s=1e3 t=007 big=123456789012345678901234567890\nLi 0 0 0\n',
    'lists': f'1\n{HEAD} i="1 2 3" r="1 2.5 3" c=1,2,3 w=a,b one="4" name="mp-1 mp-2"\nLi 0 0 0\n',
    'json': f'1\n{HEAD} a="_JSON [[1, 2], [3, 4]]" b="_JSON {{\\"x\\": 1}}"\nLi 0 0 0\n',
    'words like numbers': f'1\n{HEAD} a=mp-123 b=12ab c=Iter1-2 d=1.2.3 e=- f=+ g=.\nLi 0 0 0\n',
    'pbc': f'1\n{HEAD} pbc="T F T"\nLi 0 0 0\n',
    'no lattice': '2\nProperties=species:S:1:pos:R:3 energy=-3.25\nLi 0.0 0.0 0.0\nO 1.0 1.0 1.0\n',
    'plain xyz': '2\n\nLi 0.0 0.0 0.0\nO 1.0 1.0 1.0\n',
    'stress': f'1\n{HEAD} energy=1.0 stress="1 2 3 2 5 6 3 6 9"\nLi 0 0 0\n',
    'virial': f'1\n{HEAD} energy=1.0 virial="1 2 3 4 5 6 7 8 9"\nLi 0 0 0\n',
    'freezed as integers': f'2\n{HEAD}:freezed:I:1\nLi 0.0 0.0 0.0 1\nO 1.0 1.0 1.0 0\n',
    'freezed as logicals': f'2\n{HEAD}:freezed:L:1\nLi 0.0 0.0 0.0 T\nO 1.0 1.0 1.0 F\n',
    'strings and vectors': f'2\n{HEAD}:tag:S:1:v:R:2\nLi 0.0 0.0 0.0 one 1 2\nO 1.0 1.0 1.0 two 3 4\n',
    'centroid': f'2\n{HEAD} edge_id=mp-1_0_1_0_0_0 em=0.25\nLi 0.0 0.0 0.0\nX 1.0 1.0 1.0\n',
    'another array of forces': f'1\n{HEAD}:force:R:3 energy=1.0\nLi 0 0 0 1.5 2.5 3.5\n',
    'atomic numbers': f'2\n{CELL} Properties=Z:I:1:pos:R:3\n3 0.0 0.0 0.0\n8 1.0 1.0 1.0\n',
    'columns in another order': f'2\n{CELL} Properties=pos:R:3:species:S:1\n0.0 0.0 0.0 Li\n1.0 1.0 1.0 O\n',
    'capitals': f'2\n{HEAD}\nLI 0.0 0.0 0.0\no 1.0 1.0 1.0\n',
    'windows': GOOD.replace('\n', '\r\n'),
    'no last line end': GOOD[:-1],
    'blank lines at the end': GOOD + '\n\n\n',
}


@pytest.mark.parametrize('name', ODD)
@pytest.mark.filterwarnings('ignore')
def test_ours_and_ase_agree_on_oddities(name: str, tmp_path: Path) -> None:
    path = tmp_path / 'odd.xyz'
    path.write_bytes(ODD[name].encode())
    (found,) = read_block(path.read_bytes())
    assert found.frame is not None, found.reason
    (atoms,) = read(path, ':', format='extxyz')
    frame = from_ase([atoms])
    for values in (*frame.arrays, *found.frame.arrays):
        assert np.array_equal(frame.arrays[values], found.frame.arrays[values])
    assert found.frame.info == frame.info
    for field in ('numbers', 'positions', 'cells', 'pbc', 'energies', 'forces', 'stresses'):
        ours, theirs = getattr(found.frame, field), getattr(frame, field)
        assert (ours is None) == (theirs is None)
        assert ours is None or ours.tobytes() == theirs.tobytes(), field


def test_an_identifier_of_digits_and_underscores_stays_a_word() -> None:
    """For Python, and for ASE, 1_0_2 is the number 102; here it is the name of a hop."""
    assert only(f'1\n{HEAD} edge_id=1_0_2 x=1_000.5\nLi 0 0 0\n').info == [{'edge_id': '1_0_2', 'x': '1_000.5'}]


def test_six_numbers_of_stress_are_in_the_order_of_voigt() -> None:
    frame = only(f'1\n{HEAD} stress="1 2 3 4 5 6"\nLi 0 0 0\n')
    assert frame.stresses is not None
    assert frame.stresses.tolist() == [[1, 2, 3, 4, 5, 6]]


def test_a_stress_that_is_not_symmetric_is_kept_whole() -> None:
    frame = only(f'1\n{HEAD} stress="1 2 3 4 5 6 7 8 9"\nLi 0 0 0\n')
    assert frame.info[0]['stress'] == [[1, 4, 7], [2, 5, 8], [3, 6, 9]]


def test_names_of_the_card_are_used() -> None:
    keys = Keys(energy='dft_energy', forces='dft_forces', stress='dft_stress')
    text = f'1\n{HEAD}:dft_forces:R:3 dft_energy=-2 energy=5 dft_stress="1 2 3 2 5 6 3 6 9"\nLi 0 0 0 1 2 3\n'
    frame = only(text, keys)
    assert frame.energies is not None and frame.energies.tolist() == [-2.0]
    assert frame.forces is not None and frame.forces.tolist() == [[1, 2, 3]]
    assert frame.stresses is not None and frame.stresses.tolist() == [[1, 5, 9, 6, 3, 2]]
    assert frame.info[0] == {'energy': 5}


BAD = {
    'unknown element': (f'1\n{HEAD}\nQq 0 0 0\n', 'there is no element Qq', 3),
    'unknown element, fixed width': (
        f'2\n{HEAD}\nLi       0.00000000       0.00000000       0.00000000\n'
        'Qq       0.00000000       0.00000000       0.00000000\n',
        'there is no element Qq',
        4,
    ),
    'a column short': (f'2\n{HEAD}\nLi 0 0 0\nO 1 1\n', '3 columns instead of 4', 4),
    'forces short': (f'2\n{HEAD}:forces:R:3\nLi 0 0 0 1 1\nO 1 1 1 1 1 1\n', '6 columns instead of 7', 3),
    'a column more and one less': (f'2\n{HEAD}\nLi 0 0 0 0\nO 1 1\n', '5 columns instead of 4', 3),
    'nan among positions': (f'2\n{HEAD}\nLi 0 0 0\nO 1 nan 1\n', 'not finite', 4),
    'nan among forces': (f'1\n{HEAD}:forces:R:3\nLi 0 0 0 1 NaN 1\n', 'not finite', 3),
    'infinite energy': (f'1\n{HEAD} energy=inf\nLi 0 0 0\n', 'not finite', 2),
    'nan in the cell': (f'1\n{HEAD.replace("4.0", "nan")}\nLi 0 0 0\n', 'not finite', 2),
    'energy is a word': (f'1\n{HEAD} energy=low\nLi 0 0 0\n', 'energy=low is not a number', 2),
    'word among numbers': (f'1\n{HEAD}\nLi 0 zero 0\n', 'pos: "zero" is not of the kind R', 3),
    'cell of eight numbers': (f'1\n{HEAD.replace("6.0", "")}\nLi 0 0 0\n', 'Lattice needs 9 numbers, not 8', 2),
    'no positions': (f'1\n{CELL} Properties=species:S:1\nLi\n', 'lacks species or pos', 2),
    'columns that are none': (f'1\n{CELL} Properties=species:S\nLi 0 0 0\n', 'not a list of name:kind:number', 2),
    'a logical that is none': (f'1\n{HEAD}:freezed:L:1\nLi 0 0 0 maybe\n', 'freezed: "maybe" is not of the kind L', 3),
    'no atoms': (f'0\n{HEAD}\n', 'has no atoms', 1),
    'too few rows': (f'3\n{HEAD}\nLi 0 0 0\n', 'announces 3 atoms, but 1 line follows', 1),
    'too many rows': (f'1\n{HEAD}\nLi 0 0 0\nLi 1 1 1\n', 'announces 1 atom, but 2 lines follow', 1),
    'not a number of atoms': (f'many\n{HEAD}\nLi 0 0 0\n', 'expected a number of atoms, found "many"', 1),
    'a broken quotation': (f'1\n{CELL[:-1]} Properties=species:S:1:pos:R:3\nLi 0 0 0\n', 'comment line', 2),
}


@pytest.mark.parametrize('name', BAD)
def test_a_malformed_configuration_says_what_and_where_and_costs_no_other(name: str) -> None:
    text, reason, line = BAD[name]
    found = read_block((GOOD + text + GOOD).encode(), first_line=101)
    bad = [one for one in found if one.frame is None]
    assert len(bad) == 1 and reason in str(bad[0].reason), bad
    assert bad[0].wrong_line == 100 + 4 + line
    good = [one.frame for one in found if one.frame is not None]
    assert len(good) == 2
    assert [one.to_bytes() for one in good] == [only(GOOD).to_bytes()] * 2
    assert [one.number for one in found] == list(range(len(found)))


def test_a_file_cut_off_keeps_what_came_before() -> None:
    found = read_block((GOOD + GOOD)[: -len('O 1.0 1.0 1.0\n')].encode())
    assert [one.frame is None for one in found] == [False, True]
    assert found[1].reason == 'announces 2 atoms, but 1 line follows'


def test_a_row_cut_off_in_a_number_is_not_taken_for_a_shorter_number() -> None:
    """The last row lacks its end and its line end: nothing says that the number was longer, but a column is missing."""
    text = GOOD[: -len(' 1.0\n')]
    assert read_block(text.encode())[0].frame is None


def test_bytes_that_are_no_text_are_a_problem() -> None:
    found = read_block(b'1\nLattice=\xff\xfe\nLi 0 0 0\n' + GOOD.encode())
    assert [one.frame is None for one in found] == [True, False]
    assert found[0].reason == 'the comment line is not UTF-8'


def test_nothing_at_all_is_no_configuration() -> None:
    assert read_block(b'') == []
    assert read_block(b'\n \n') == []


def test_neighbours_of_an_odd_configuration_are_read_the_fast_way_too(tmp_path: Path) -> None:
    images = [random_atoms(seed, 20, ['Li', 'O']) for seed in range(5)]
    buffer = io.StringIO()
    write(buffer, images, format='extxyz')
    lines = buffer.getvalue().splitlines(keepends=True)
    # A tab instead of a blank: the same width, but not the same layout.
    lines[22 * 2 + 5] = lines[22 * 2 + 5].replace('  ', ' \t', 1)
    path = tmp_path / 'a.xyz'
    path.write_text(''.join(lines))
    found = read_block(path.read_bytes())
    assert_same(Frames.stack([one.frame for one in found if one.frame is not None]), read(path, ':'))
