// Tables one can sort and filter; of long ones some rows are shown until more are asked for.

const FEW_ROWS = 25;
const MANY_ROWS = 200;
const FILTER_FROM = 8;

function tableOf(content, onHop) {
  const state = {column: null, down: false, words: [], shown: FEW_ROWS, restricted: null};
  const muted = new Set(content.muted || []);
  const order = content.rows.map((_, number) => number);
  const heads = content.columns.map((column, number) => headOf(column, () => sortBy(number)));
  const body = make('tbody');
  const more = make('button', {type: 'button', class: 'more', on: {click: () => { state.shown += MANY_ROWS; draw(); }}});
  const filter = make('input', {
    type: 'search', class: 'filter', placeholder: 'Filter rows', 'aria-label': `Filter rows of ${content.title}`,
    on: {input: () => { state.words = words(filter.value); state.shown = FEW_ROWS; draw(); }},
  });
  const texts = new Map();

  function textOf(row) {
    if (!texts.has(row)) {
      texts.set(row, content.rows[row].map((cell, k) => cellText(cell, content.columns[k].digits)).join(' ').toLowerCase());
    }
    return texts.get(row);
  }
  function sortBy(number) {
    state.down = state.column === number ? !state.down : false;
    state.column = number;
    heads.forEach((head, k) => head.setAttribute('aria-sort', k !== number ? 'none' : state.down ? 'descending' : 'ascending'));
    const sign = state.down ? -1 : 1;
    order.sort((a, b) => (muted.has(a) - muted.has(b)) || compare(content.rows[a][number], content.rows[b][number], sign) || a - b);
    draw();
  }
  function draw() {
    const found = order.filter(row => (!state.restricted || state.restricted(row)) && state.words.every(word => textOf(row).includes(word)));
    body.replaceChildren(...found.slice(0, state.shown).map(rowOf));
    more.hidden = found.length <= state.shown;
    more.textContent = `Show more (${(found.length - Math.min(state.shown, found.length)).toLocaleString('en-US')} left)`;
    table.dataset.rows = found.length;
  }
  function rowOf(row) {
    const hop = content.hops ? content.hops[row] : undefined;
    const cells = content.rows[row].map((cell, k) => {
      const column = content.columns[k];
      const place = make(k === 0 ? 'th' : 'td', {class: column.kind, scope: k === 0 ? 'row' : null});
      if (k === 0 && hop !== undefined && onHop) {
        place.append(make('button', {type: 'button', class: 'hop', on: {click: () => onHop(hop)}}, cellText(cell)));
      } else fillCell(place, cell, column);
      return place;
    });
    return make('tr', {class: muted.has(row) ? 'muted' : null, 'data-hop': hop}, cells);
  }

  const table = make('table', {}, make('thead', {}, make('tr', {}, heads)), body);
  draw();
  const many = content.rows.length >= FILTER_FROM || content.role === 'leaderboard';
  const parts = [
    many ? filter : null,
    make('div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': content.title}, table),
    more,
    content.note ? make('p', {class: 'note'}, content.note) : null,
  ];
  const long = content.role === 'long' || (content.role === 'groups' && content.rows.length > FEW_ROWS);
  const count = content.rows.length.toLocaleString('en-US');
  const block = long
    ? make('details', {class: 'block'}, make('summary', {}, `${content.title} (${count})`), parts)
    : make('section', {class: 'block'}, make('h3', {}, content.title, many && content.role !== 'leaderboard' ? make('span', {class: 'count'}, count) : null), parts);
  block.dataset.title = content.title;
  if (content.definition) block.dataset.definition = content.definition;
  return {element: block, restrict: test => { state.restricted = test; state.shown = FEW_ROWS; draw(); }};
}

function headOf(column, sort) {
  const unit = column.unit ? make('span', {class: 'unit'}, column.unit) : null;
  const button = make('button', {type: 'button', title: column.about || 'Sort', on: {click: sort}}, column.name, unit);
  return make('th', {scope: 'col', class: column.kind, 'aria-sort': 'none'}, button);
}

function words(text) { return text.toLowerCase().split(/\s+/).filter(Boolean); }

// Nothing comes last, whichever way it is sorted.
function compare(one, other, sign) {
  const a = rank(one), b = rank(other);
  if (a === null || a === undefined || b === null || b === undefined) return (a === null || a === undefined) - (b === null || b === undefined);
  if (typeof a === 'number' && typeof b === 'number') return sign * (a - b);
  return sign * String(a).localeCompare(String(b), 'en', {numeric: true});
}
