// Elements, numbers and what a cell of a table looks like. Texts of the model only ever become text of the page.

const NOTHING = '–';

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'on') for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    else if (name === 'class') element.className = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined) element.append(child);
  return element;
}

// Like number_text of tables.py.
function numberText(value, digits) {
  if (value === null || value === undefined) return NOTHING;
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value !== 'number') return String(value);
  const size = Math.abs(value);
  if (digits !== null && digits !== undefined && (size === 0 || size >= 0.5 * 10 ** -digits) && size < 1e6) {
    return minus(value.toFixed(digits));
  }
  const round = size >= 1e6 && size % 1e6 === 0;
  if (Number.isInteger(value) && !round) return minus(value.toLocaleString('en-US'));
  if (size < 1e-3 || size >= 1e6) {
    const [mantissa, power] = value.toExponential(2).split('e');
    return `${minus(String(Number(mantissa)))}·10${superscript(Number(power))}`;
  }
  return minus(size < 100 ? String(Number(value.toPrecision(3))) : Math.round(value).toLocaleString('en-US'));
}

function minus(text) { return text.replace('-', '−'); }

function superscript(number) { return String(number).replace(/./g, sign => '⁰¹²³⁴⁵⁶⁷⁸⁹⁻'['0123456789-'.indexOf(sign)]); }

function isEstimate(cell) { return cell !== null && typeof cell === 'object' && 'value' in cell; }

// What a cell is sorted by.
function rank(cell) {
  const value = isEstimate(cell) ? cell.value : cell;
  return typeof value === 'boolean' ? Number(value) : value;
}

function cellText(cell, digits) {
  if (isEstimate(cell)) return numberText(cell.value, digits);
  return cell !== null && typeof cell === 'object' ? JSON.stringify(cell) : numberText(cell, digits);
}

function fillCell(place, cell, column) {
  if (column.kind === 'uuid') {
    place.append(cell ? nodeButton(cell) : NOTHING);
    return;
  }
  const text = cellText(cell, column.digits);
  place.append(text);
  if (text.length > 40) place.classList.add('wide');
  if (isEstimate(cell) && cell.interval) {
    const ends = cell.interval.map(end => numberText(end, column.digits)).join(', ');
    place.append(make('span', {class: 'interval'}, `[${ends}]`));
  } else if (isEstimate(cell) && cell.reason) {
    place.title = cell.reason;
  }
}

// A uuid as a button that copies what shows its node.
function nodeButton(uuid) {
  const command = `verdi node show ${uuid}`;
  const button = make('button', {type: 'button', class: 'node', title: `Copy: ${command}`, 'data-copy': command}, uuid.slice(0, 8));
  button.setAttribute('aria-label', `Copy ${command}`);
  button.addEventListener('click', async event => {
    event.stopPropagation();
    await copy(command);
    button.textContent = 'copied';
    say(`Copied ${command}`);
    setTimeout(() => { button.textContent = uuid.slice(0, 8); }, 1500);
  });
  return button;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // A page from a file may not be let near the clipboard: by a selection it is.
    const area = make('textarea', {class: 'aside', readonly: true});
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
}

function say(text) { document.getElementById('said').textContent = text; }

// Plots read some marks in texts as HTML.
function inert(text) {
  return String(text === null || text === undefined ? NOTHING : text)
    .replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/%\{/g, '% {');
}
