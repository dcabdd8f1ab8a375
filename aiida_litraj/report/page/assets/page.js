// The page: what is reported, a section for each chain, and what it was made with.

const MODEL = JSON.parse(document.getElementById('model').textContent);
let PATHS = null;

// Paths are the bulk of the page: read when the first of them is asked for.
function pathsOf(section) {
  PATHS = PATHS || JSON.parse(document.getElementById('paths').textContent);
  return PATHS[section];
}

function sectionOf(section) {
  const pairs = section.pairs.filter(([, value]) => value !== null);
  return make('section', {id: section.id, class: 'chain', 'data-kind': section.kind},
    make('h2', {}, section.title),
    section.line ? make('p', {class: 'line'}, section.line) : null,
    section.problem ? make('p', {class: 'problem'}, section.problem) : null,
    section.warnings.map(text => make('p', {class: 'warning'}, make('b', {}, 'Warning: '), text)),
    section.description ? make('p', {}, section.description) : null,
    make('dl', {class: 'pairs'}, [...pairs.map(([name, value]) => [name, cellText(value)]), ['Chain', null]].map(([name, value]) =>
      make('div', {}, make('dt', {}, name), make('dd', {}, value === null ? [`pk ${section.pk} `, nodeButton(section.uuid), stateOf(section)] : value)))),
    section.benchmark ? benchmarkOf(section) : make('div', {class: section.picture ? 'beside' : null}, make('div', {}, section.tables.map(one => tableOf(one).element)), section.picture ? pictureOf(section) : null),
    make('details', {class: 'provenance', 'data-title': 'provenance'}, make('summary', {}, 'Settings, versions, checksums, costs and nodes'), section.provenance.map(one => tableOf(one).element)));
}

function stateOf(section) {
  const status = section.exit_status ? ` [${section.exit_status}] ${section.exit_message || ''}` : '';
  return ` ${section.state || 'not known'}${status}`;
}

function pictureOf(section) {
  // Two dots of the figure to one of the page: sharp where screens are fine.
  const image = make('img', {srcset: `data:image/png;base64,${section.picture} 2x`, alt: `${section.title}: ${section.line || ''}`});
  return make('figure', {}, make('div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': `Figure of ${section.title}`}, image));
}

function build() {
  const versions = Object.entries(MODEL.versions).map(([name, version]) => `${name} ${version}`).join(', ');
  const count = MODEL.sections.length;
  document.getElementById('head').append(
    make('h1', {}, MODEL.title),
    make('p', {class: 'line'}, `${count} ${count === 1 ? 'chain' : 'chains'} · written ${MODEL.written} · ${versions}`));
  const places = MODEL.sections.map(one => [one.id, one.title]);
  if (MODEL.overview.rows.length) places.unshift(['overview', 'Over all tasks']);
  if (MODEL.potentials.rows.length) places.push(['potentials', 'Potentials']);
  document.getElementById('contents').append(make('ul', {}, places.map(([id, title]) => make('li', {}, make('a', {href: `#${id}`}, title)))));
  const main = document.getElementById('main');
  if (MODEL.overview.rows.length) main.append(make('section', {id: 'overview', class: 'chain'}, tableOf(MODEL.overview).element));
  for (const one of MODEL.sections) main.append(sectionOf(one));
  if (MODEL.potentials.rows.length) main.append(make('section', {id: 'potentials', class: 'chain'}, tableOf(MODEL.potentials).element));
  document.getElementById('foot').append(
    make('p', {}, 'Every result is a node of an AiiDA database: a click on its number copies the command that shows it. Plots: plotly.js, MIT licence.'),
    make('p', {id: 'said', class: 'aside', 'aria-live': 'polite'}));
  document.documentElement.dataset.built = 'yes';
}

build();
