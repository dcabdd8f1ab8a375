"""The page in a real Chromium: it loads alone and without a complaint, sorts, filters and leads to every path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ase.io import read

from aiida_litraj.report.page.benchmark import benchmark_section
from aiida_litraj.report.page.paths import draw_paths
from aiida_litraj.report.page.tables import column, estimate, table
from aiida_litraj.report.page.write import write_report
from tests.fixtures.benchmarks import TWO, MadeUp, benchmark, tracks_of
from tests.fixtures.chromium import chromium, needs_chromium, open_page
from tests.fixtures.pages import UUID, model, section

pytestmark = [pytest.mark.browser, needs_chromium]
WIDE, NARROW = 1600, 360
MANY = 100_000
HOSTILE = '</script><script>window.ran=1</script><img src=x onerror="window.ran=1"><b>bold</b> & %{x}'
ROW = 'tbody tr'


def of_benchmark(n_hops: int = 40, **keywords: Any) -> dict[str, Any]:
    """Return the section of a benchmark with paths in a supercell of real crystals."""
    names = keywords.pop('names', [f'hop_{k:03d}' for k in range(n_hops)])
    potentials = keywords.pop('potentials', TWO)
    keys = ('reference', 'initial', *potentials)
    uuids = {key: {hop: f'{key}/{k}' for k, hop in enumerate(names)} for key in keys}
    made = benchmark(names=names, potentials=potentials, uuids=uuids, **keywords)
    found = benchmark_section(made.contents, made.leaderboard)
    tracks = tracks_of(read('examples/structures/Li3PO4_gamma.cif') * (1, 2, 2))

    def load(wanted: list[str]) -> dict[str, Any]:
        return {uuid: tracks.get(uuid.partition('/')[0], tracks['p0']) for uuid in wanted}

    found['benchmark']['paths'] = draw_paths(found['benchmark'], load, 2e6)
    return section(found)


@pytest.fixture(scope='module')
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope='module')
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(model(of_benchmark()), tmp_path_factory.mktemp('report'))[0]


@pytest.fixture(params=[WIDE, NARROW])
def opened(request: pytest.FixtureRequest, browser: Any, file: Path) -> Iterator[Any]:
    """The page on a wide and on a narrow screen; whatever a test does, it complains of nothing and asks for nothing."""
    page, seen = open_page(browser, file, request.param)
    yield page
    page.close()
    assert seen.errors == [] and seen.requests == []


def block(page: Any, title: str) -> Any:
    return page.locator(f'[data-title="{title}"]:not([hidden])').first


def cells(page: Any, title: str, place: int) -> list[str]:
    """Return a column of a table as it is shown, without intervals."""
    rows = block(page, title).locator(ROW)
    texts = rows.evaluate_all(f'rows => rows.map(row => row.children[{place}].childNodes[0].textContent)')
    return [str(text) for text in texts]


def fits(page: Any) -> bool:
    return bool(page.evaluate('document.documentElement.scrollWidth <= window.innerWidth'))


def numbers(texts: list[str]) -> list[float]:
    return [float(text.replace('−', '-')) for text in texts if text != '–']


def wait_for_parity(page: Any) -> Any:
    place = page.locator('[data-plot=parity]')
    place.scroll_into_view_if_needed()
    page.wait_for_selector('[data-plot=parity][data-ready=yes]')
    return place


def test_loads_and_never_needs_to_be_moved_sideways(opened: Any) -> None:
    assert opened.title() == 'A report'
    assert fits(opened)
    wait_for_parity(opened)
    block(opened, 'Worst cases').locator('button.hop').first.click()
    opened.wait_for_selector('[data-plot=path][data-ready=yes]')
    for each in opened.locator('details').all():
        each.evaluate('element => { element.open = true; }')
    assert fits(opened)


def test_leaderboard_is_sorted_by_what_is_clicked(opened: Any) -> None:
    assert cells(opened, 'Leaderboard', 0)[:2] == ['good potential', 'soft potential']
    head = block(opened, 'Leaderboard').locator('thead button', has_text=re.compile('^MAE')).first
    place = [text.split('eV')[0].strip() for text in block(opened, 'Leaderboard').locator('thead th').all_inner_texts()]
    mae = place.index('MAE')
    head.click()
    head.click()
    assert head.locator('xpath=..').get_attribute('aria-sort') == 'descending'
    shown = numbers(cells(opened, 'Leaderboard', mae)[:2])
    assert shown[0] > shown[1]
    # Floors are no competitors: they stay below, whatever is sorted by.
    assert cells(opened, 'Leaderboard', 0)[:2] == ['soft potential', 'good potential']
    assert all('a constant' in text or 'initial' in text for text in cells(opened, 'Leaderboard', 0)[2:])


def test_hops_are_filtered_everywhere_at_once(opened: Any) -> None:
    place = wait_for_parity(opened)
    before = int(place.get_attribute('data-points'))
    opened.get_by_label('Filter hops').fill('li3ps4')
    opened.wait_for_function(f'Number(document.querySelector("[data-plot=parity]").dataset.points) < {before}')
    assert set(cells(opened, 'All hops', 1)) == {'Li3PS4'} == set(cells(opened, 'Worst cases', 1))
    assert opened.get_by_text('5 of 40 hops').is_visible()
    opened.get_by_label('Filter hops').fill('li3ps4 nothing')
    opened.wait_for_selector('text=0 of 40 hops')
    assert cells(opened, 'All hops', 0) == []


def test_rows_of_one_table_are_filtered(opened: Any) -> None:
    board = block(opened, 'Leaderboard')
    board.get_by_label('Filter rows').fill('SOFT')
    assert cells(opened, 'Leaderboard', 0) == ['soft potential']


def test_definition_of_the_barrier_is_chosen(opened: Any) -> None:
    before = cells(opened, 'All hops', 3)
    opened.locator('.tools select').first.select_option('forward')
    after = cells(opened, 'All hops', 3)
    # Made up so that no image lies below the lowest: the range is never the smaller one.
    assert all(one >= other for one, other in zip(numbers(before), numbers(after))) and before != after
    assert opened.locator('[data-plot=roc]').is_hidden()


def test_point_leads_to_its_energies_and_its_path(opened: Any) -> None:
    place = wait_for_parity(opened)
    where = place.evaluate(LONELIEST)
    opened.mouse.move(where[0], where[1])
    opened.wait_for_selector('.hoverlayer text')
    assert f'hop_{where[2]:03d}' in str(opened.locator('[data-plot=parity] .hoverlayer').text_content())
    opened.mouse.click(where[0], where[1])
    opened.wait_for_selector('[data-plot=path][data-ready=yes]')
    assert opened.locator('.detail h3').first.inner_text().startswith(f'hop_{where[2]:03d}')
    drawn = opened.evaluate(DRAWN)
    assert drawn['width'] > 100 and drawn['colours'] > 20, drawn
    # Reference, two potentials; the straight guess has no energies.
    assert opened.locator('[data-plot=profile] .legendtext').all_text_contents() == [
        'reference', 'good potential', 'soft potential'
    ]  # fmt: skip


LONELIEST = """place => {
  const area = place._fullLayout, box = place.getBoundingClientRect();
  const points = place._fullData.flatMap(trace => trace.x.map((x, k) => [
    box.x + area.xaxis._offset + area.xaxis.l2p(x), box.y + area.yaxis._offset + area.yaxis.l2p(trace.y[k]),
    trace.customdata[k],
  ]));
  const room = one => Math.min(...points.filter(other => other !== one).map(
    other => Math.hypot(one[0] - other[0], one[1] - other[1])));
  return points.sort((one, other) => room(other) - room(one))[0];
}"""
"""Where the point is that is furthest from any other, and its hop."""
DRAWN = """() => {
  const canvas = document.querySelector('[data-plot=path] canvas'), flat = document.createElement('canvas');
  flat.width = canvas.width; flat.height = canvas.height;
  const gl = canvas.getContext('webgl2') || canvas.getContext('webgl');
  const data = new Uint8Array(4 * canvas.width * canvas.height);
  document.querySelector('[data-plot=path]')._fullLayout.scene._scene.glplot.redraw();
  gl.readPixels(0, 0, canvas.width, canvas.height, gl.RGBA, gl.UNSIGNED_BYTE, data);
  const colours = new Set();
  for (let k = 0; k < data.length; k += 4) {
    if (data[k + 3]) colours.add(data[k] * 65536 + data[k + 1] * 256 + data[k + 2]);
  }
  return {width: canvas.width, colours: colours.size};
}"""
"""How many colours there are in the picture in three dimensions."""


def test_images_and_atoms_of_a_path_are_chosen(opened: Any) -> None:
    block(opened, 'Worst cases').locator('button.hop').first.click()
    path = opened.locator('[data-plot=path]')
    opened.wait_for_selector('[data-plot=path][data-ready=yes]')
    assert path.get_attribute('data-image') == '3'  # the saddle
    around = int(path.get_attribute('data-atoms'))
    opened.get_by_label('Image of the path').fill('6')
    assert path.get_attribute('data-image') == '6'
    opened.get_by_text('whole cell').click()
    assert int(path.get_attribute('data-atoms')) == 126 > around
    opened.get_by_label('Atoms of').select_option('p1')
    # The legend is drawn when the scene is, some time after the choice.
    legend = opened.locator('[data-plot=path] .legendtext', has_text='atoms that differ')
    legend.wait_for(state='attached')
    assert legend.count() == 1


def test_uuid_is_copied_as_a_command(browser: Any, file: Path) -> None:
    page, seen = open_page(browser, file)
    page.context.grant_permissions(['clipboard-read', 'clipboard-write'])
    page.locator('#chain-7 .pairs button.node').click()
    page.wait_for_function('document.getElementById("said").textContent.startsWith("Copied")')
    assert page.evaluate('navigator.clipboard.readText()') == f'verdi node show {UUID}'
    page.close()
    assert seen.errors == []


def test_what_people_write_is_shown_and_never_run(browser: Any, tmp_path: Path) -> None:
    named = of_benchmark(
        names=[f'{HOSTILE}{k}' for k in range(24)], reason=HOSTILE,
        potentials={'a': MadeUp(HOSTILE, 0.8, 0.05, 0.5), 'b': MadeUp('plain')},
    )  # fmt: skip
    other = section(
        id='chain-8', title=HOSTILE, line=HOSTILE, problem=HOSTILE, warnings=[HOSTILE], description=HOSTILE,
        pairs=[[HOSTILE, HOSTILE]], exit_message=HOSTILE, exit_status=3,
        tables=[table(HOSTILE, [column(HOSTILE, unit=HOSTILE, about=HOSTILE)], [[HOSTILE]], note=HOSTILE)],
    )  # fmt: skip
    written = write_report(model(named, other, title=HOSTILE), tmp_path)[0]
    page, seen = open_page(browser, written)
    wait_for_parity(page)
    block(page, 'Failures').locator('button.hop').first.click()
    page.wait_for_selector('[data-plot=path][data-ready=yes]')
    assert page.evaluate('window.ran') is None
    assert page.locator('main b').all_inner_texts() == ['Warning: '] and page.locator('main img').count() == 0
    assert page.title() == HOSTILE == page.locator('h1').inner_text()
    assert cells(page, 'Failures', 4)[0] == HOSTILE
    legend = page.locator('[data-plot=parity] .legendtext').all_text_contents()
    assert any(text.startswith('</script><script>') and '<b>bold</b>' in text for text in legend)
    page.close()
    assert seen.errors == [] and seen.requests == []


def test_a_hundred_thousand_points(browser: Any, tmp_path: Path) -> None:
    """Half of them by each of two potentials; all hops can be filtered, and a row leads to its path."""
    found = of_benchmark(100, potentials={'a': MadeUp('one', failing=0.0), 'b': MadeUp('two', failing=0.0)})
    points = found['benchmark']
    for columns in (points, *points['potentials']):
        columns |= {
            key: one * (MANY // 200) for key, one in columns.items() if isinstance(one, list) and len(one) == 100
        }
    points['name'] = [f'hop_{k:05d}' for k in range(MANY // 2)]
    page, seen = open_page(browser, write_report(model(found), tmp_path)[0])
    place = wait_for_parity(page)
    assert int(place.get_attribute('data-points')) == MANY
    assert place.evaluate('place => place.data.every(trace => trace.type === "scattergl")')
    assert block(page, 'All hops').locator(ROW).count() < 100
    page.get_by_label('Filter hops').fill('hop_49999')
    page.wait_for_selector('text=1 of 50,000 hops')
    assert cells(page, 'All hops', 0) == ['hop_49999']
    page.get_by_label('Filter hops').fill('')
    page.wait_for_selector('text=50,000 of 50,000 hops')
    block(page, 'Worst cases').locator('button.hop').first.click()
    page.wait_for_selector('[data-plot=path][data-ready=yes]')
    page.close()
    assert seen.errors == [] and seen.requests == []


def test_hop_whose_path_is_not_in_the_page_says_how_to_get_it(browser: Any, tmp_path: Path) -> None:
    found = of_benchmark(12)
    found['benchmark']['paths'] = {}
    page, seen = open_page(browser, write_report(model(found), tmp_path)[0])
    block(page, 'Worst cases').locator('button.hop').first.click()
    assert 'aiida-litraj report 7 --size' in page.locator('.detail').inner_text()
    assert page.locator('[data-plot=path]').count() == 0
    page.close()
    assert seen.errors == []


def test_numbers_read_as_in_the_other_formats(browser: Any, tmp_path: Path) -> None:
    values = [0.0, 1.23456, 1234567, 1e9, 1.5e-7, -0.0321, 12345.6, None, True]
    shown = ['0', '1.23', '1,234,567', '1·10⁹', '1.5·10⁻⁷', '−0.0321', '12,346', '–', 'yes']
    rows = [[value, estimate(value, 0.5, 2.0)] for value in values]
    numbers = table('Numbers', [column('Value', 'number'), column('Rounded', 'estimate', 2, 'eV')], rows)
    page, _ = open_page(browser, write_report(model(section(tables=[numbers])), tmp_path)[0])
    assert cells(page, 'Numbers', 0) == shown
    assert block(page, 'Numbers').locator('td').nth(1).inner_text().split() == ['1.23', '[0.50,', '2.00]']
    page.close()
