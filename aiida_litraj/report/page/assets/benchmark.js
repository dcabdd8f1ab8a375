// A benchmark: leaderboard, points to click, the hop that is open, and all hops as a table.

const DEFINITIONS = {range: 'highest − lowest image (as LiTraj)', forward: 'highest − first image'};

function benchmarkOf(section) {
  const points = section.benchmark, names = points.potentials.map(one => one.called);
  const definitions = [...new Set(section.tables.map(one => one.definition).filter(Boolean))];
  const state = {definition: definitions[0] || 'range', words: [], failed: true, open: null};
  const haystack = points.name.map((name, hop) => [name, points.material[hop], points.formula[hop]].join(' ').toLowerCase());
  const tables = section.tables.map(one => ({one, made: tableOf(one, openHop)}));
  const hopTables = definitions.map(definition => ({one: {definition, hops: true}, made: tableOf(hopRows(points, definition), openHop)}));
  const parity = make('div', {class: 'plot', 'data-plot': 'parity'}), curve = make('div', {class: 'plot', 'data-plot': 'roc'});
  const curveBlock = make('section', {class: 'block'}, make('h3', {}, `Good hops told from bad ones, at ${points.threshold_ev} eV`), curve);
  const detail = make('section', {class: 'detail', 'aria-live': 'polite', tabindex: '-1'});
  const count = make('span', {class: 'count'});

  function openHop(hop) {
    state.open = hop;
    showHop(detail, section, hop, state.definition, names);
    mark();
    detail.scrollIntoView({block: 'nearest', behavior: 'smooth'});
  }
  function mark() {
    for (const {made} of [...tables, ...hopTables]) {
      made.element.querySelectorAll('tr[data-hop]').forEach(row => row.classList.toggle('open', Number(row.dataset.hop) === state.open));
    }
  }
  function kept() {
    return points.name.map((_, hop) => hop).filter(hop => state.words.every(word => haystack[hop].includes(word)));
  }
  function draw() {
    const hops = kept(), found = new Set(hops);
    count.textContent = `${hops.length.toLocaleString('en-US')} of ${points.name.length.toLocaleString('en-US')} hops`;
    for (const {one, made} of [...tables, ...hopTables]) {
      made.element.hidden = Boolean(one.definition) && one.definition !== state.definition;
      if (one.hops) made.restrict(state.words.length ? row => found.has(one.hops === true ? row : one.hops[row]) : null);
    }
    whenSeen(parity, async () => {
      await drawParity(parity, points, state.definition, hops, state.failed);
      if (!parity.dataset.ready) parity.on('plotly_click', event => openHop(event.points[0].customdata));
      parity.dataset.ready = 'yes';
    });
    curveBlock.hidden = !points.roc[state.definition];
    if (!curveBlock.hidden) whenSeen(curve, () => drawRoc(curve, points, state.definition));
    if (state.open !== null) showHop(detail, section, state.open, state.definition, names);
    mark();
  }

  const filter = make('input', {type: 'search', placeholder: 'Hop, compound or material', 'aria-label': 'Filter hops', on: {input: later(() => { state.words = words(filter.value); draw(); })}});
  const failed = make('input', {type: 'checkbox', checked: true, on: {change: () => { state.failed = failed.checked; draw(); }}});
  const choice = make('select', {on: {change: () => { state.definition = choice.value; draw(); }}}, definitions.map(one => make('option', {value: one}, DEFINITIONS[one] || one)));
  const board = tables.filter(({one}) => one.role === 'leaderboard'), rest = tables.filter(({one}) => one.role !== 'leaderboard');
  const part = (...roles) => rest.filter(({one}) => roles.includes(one.role)).map(({made}) => made.element);
  const parts = [
    make('div', {class: 'tools'}, labelled('Barrier', choice), labelled('Hops', filter), make('label', {}, failed, make('span', {}, 'failed ones too')), count),
    board.map(({made}) => made.element),
    make('div', {class: 'pair'},
      make('section', {class: 'block'}, make('h3', {}, 'Barriers beside the reference'), parity, make('p', {class: 'note'}, 'Click a point for its energies and its path. Open symbols: not converged.')),
      curveBlock),
    detail, part('worst'), part('failures'), rest.filter(({one}) => !['worst', 'failures', 'groups'].includes(one.role)).map(({made}) => made.element),
    part('groups'), hopTables.map(({made}) => made.element),
  ];
  detail.append(make('p', {class: 'hint'}, 'No hop is open: click a point, or a name in a table.'));
  draw();
  return parts;
}

// All hops as a table: barrier and error of each potential.
function hopRows(points, definition) {
  const number = (name, unit, digits) => ({name, kind: 'number', digits, unit, about: ''});
  const text = name => ({name, kind: 'text', digits: null, unit: '', about: ''});
  const columns = [text('Hop'), text('Compound'), text('Material'), number('Reference', 'eV', 3)];
  for (const one of points.potentials) columns.push(number(one.called, 'eV', 3), number('error', 'eV', 3), number('path error', 'Å', 3), text('converged'));
  const reference = points[`reference_${definition}_ev`];
  const rows = points.name.map((name, hop) => {
    const row = [name, points.formula[hop], points.material[hop], reference[hop]];
    for (const one of points.potentials) {
      const own = one[`${definition}_ev`][hop];
      row.push(own, own === null || reference[hop] === null ? null : own - reference[hop], one.path_error_ang[hop], one.converged[hop]);
    }
    return row;
  });
  return {title: 'All hops', columns, rows, hops: points.name.map((_, hop) => hop), definition, role: 'hops'};
}

// The hop that is open: numbers, profile and path.
function showHop(place, section, hop, definition, names) {
  const points = section.benchmark, drawn = points.paths.includes(hop);
  const columns = [['Path'], ['Barrier', 'number', 3, 'eV'], ['Error', 'number', 3, 'eV'], ['Path error', 'number', 3, 'Å'], ['Converged'], ['Steps', 'number'], ['Model calls', 'number'], ['Ended'], ['Reason'], ['Node', 'uuid']]
    .map(([name, kind, digits, unit]) => ({name, kind: kind || 'text', digits: digits ?? null, unit: unit || '', about: ''}));
  const reference = points[`reference_${definition}_ev`][hop];
  const guess = points[`initial_${definition}_ev`][hop];
  const rows = [['reference', reference, null, null, null, null, null, null, null, points.reference_uuid[hop]]];
  if (points.initial_uuid[hop]) rows.push(['initial guess', guess, guess === null || reference === null ? null : guess - reference, points.potentials[0].initial_path_error_ang[hop], null, null, null, null, null, points.initial_uuid[hop]]);
  for (const one of points.potentials) {
    const own = one[`${definition}_ev`][hop];
    const ended = [...new Set([one.status[hop], one.label[hop]].filter(Boolean))].join(', ') || null;
    rows.push([one.called, own, own === null || reference === null ? null : own - reference, one.path_error_ang[hop], one.converged[hop], one.n_steps[hop], one.model_calls[hop], ended, one.reason[hop], one.path_uuid[hop]]);
  }
  const title = make('h3', {}, points.name[hop], make('span', {class: 'count'}, [points.formula[hop], points.material[hop]].filter(Boolean).join(' · ')));
  const profile = make('div', {class: 'plot', 'data-plot': 'profile'}), path = make('div', {class: 'plot', 'data-plot': 'path'});
  const table = tableOf({title: `Hop ${points.name[hop]}`, columns, rows}).element;
  table.querySelector('h3').remove();
  const command = `aiida-litraj report ${section.pk} --size 1000`;
  const plots = drawn
    ? make('div', {class: 'pair'}, make('div', {}, profile), make('div', {}, path))
    : make('p', {class: 'note'}, 'The path of this hop is not in this page, which holds those that are furthest off. For all of them: ', make('code', {}, command));
  place.replaceChildren(title, plots, table);
  place.dataset.hop = hop;
  if (drawn) drawHop(profile, path, pathsOf(section.id)[hop], names);
}

async function drawHop(profile, path, hop, names) {
  const tracks = Object.keys(hop.tracks), most = Math.max(...Object.values(hop.tracks).map(one => one.n));
  const positions = await unpackHop(hop);
  const energies = hop.tracks[tracks[0]].e, saddle = energies ? energies.indexOf(Math.max(...energies)) : 0;
  const slider = make('input', {type: 'range', min: '0', max: String(most - 1), value: String(saddle), 'aria-label': 'Image of the path', on: {input: () => draw()}});
  const shown = make('output', {});
  const atoms = make('select', {'aria-label': 'Atoms of', on: {change: () => draw()}}, tracks.map(track => make('option', {value: track}, lookOf(track, names).name)));
  const whole = make('input', {type: 'checkbox', on: {change: () => draw()}});
  path.before(make('div', {class: 'tools'}, labelled('Image', slider, shown), labelled('Atoms of', atoms), make('label', {}, whole, make('span', {}, 'whole cell'))));
  function draw() {
    shown.textContent = `${slider.value} / ${most - 1}`;
    return drawPath(path, hop, positions, names, Number(slider.value), atoms.value, whole.checked);
  }
  if (!drawProfiles(profile, hop, names, image => { slider.value = String(image); draw(); })) profile.replaceChildren(make('p', {class: 'note'}, 'No energies are known along these paths.'));
  await draw();
  path.dataset.ready = 'yes';
}

// Wait with a drawing until its place comes into view, so that the page is there at once; the latest one counts.
function whenSeen(place, act) {
  place.pending = act;
  if (place.dataset.seen) { place.pending = null; return act(); }
  if (place.watched) return undefined;
  place.watched = new IntersectionObserver(entries => {
    if (!entries.some(entry => entry.isIntersecting)) return;
    place.watched.disconnect();
    place.dataset.seen = 'yes';
    const pending = place.pending;
    place.pending = null;
    pending();
  }, {rootMargin: '400px'});
  place.watched.observe(place);
  return undefined;
}

function labelled(text, ...fields) { return make('label', {}, make('span', {}, text), fields); }

function later(act) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(act, 150); };
}
