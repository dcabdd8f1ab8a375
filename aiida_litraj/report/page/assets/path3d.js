// The path of a hop in three dimensions: where the ion goes by each track, and all atoms of one of them.

const GRID_ANG = 0.01;
const MOVED_ANG = 0.1;
const AROUND_ANG = 4.2;
const BOND = 1.15;

// Positions of a track, image by image, in Ang: see pack in paths.py.
async function unpackTrack(track, base) {
  const bytes = Uint8Array.from(atob(track.xyz), sign => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const many = planes.length / 4, each = many / track.n;
  const steps = new Int32Array(many);
  for (let k = 0; k < many; k++) {
    const zigzag = planes[k] + planes[k + many] * 256 + planes[k + 2 * many] * 65536 + planes[k + 3 * many] * 16777216;
    steps[k] = zigzag % 2 ? -(zigzag + 1) / 2 : zigzag / 2;
  }
  for (let k = 0; k < many; k++) steps[k] += k >= each ? steps[k - each] : base ? base[k] : 0;
  return {steps, n: track.n, atoms: each / 3, at: (image, atom, axis) => steps[image * each + 3 * atom + axis] * GRID_ANG};
}

async function unpackHop(hop) {
  const names = Object.keys(hop.tracks), found = {};
  let base = null;
  for (const name of names) {
    found[name] = await unpackTrack(hop.tracks[name], base);
    base = base || found[name].steps;
  }
  return found;
}

function symbolsOf(hop) { return hop.symbols.flatMap(([symbol, number]) => Array(number).fill(symbol)); }

// Draw an image of all tracks; of the track `atomsOf` the atoms around the hop, or all of them and the cell, and how they
// are off those of the first track.
function drawPath(place, hop, positions, names, image, atomsOf, whole) {
  const first = Object.keys(positions)[0], one = positions[atomsOf];
  const shown = atomsShown(hop, one, positions[first], Math.min(image, one.n - 1), whole);
  const traces = [whole ? cellTrace(hop.cell) : null, bondTrace(hop, one, image, shown), ...atomTraces(hop, one, image, shown)];
  if (atomsOf !== first) traces.push(shiftTrace(positions[first], one, image, shown, lookOf(atomsOf, names)));
  for (const [track, ion] of Object.entries(positions)) traces.push(ionTrace(hop, ion, lookOf(track, names), image));
  const layout = {
    font: {family: 'system-ui, sans-serif', size: 13, color: MODEL.style.ink}, height: 440, margin: {l: 0, r: 0, t: 0, b: 0},
    uirevision: String(whole), showlegend: true, legend: {orientation: 'h', x: 0, y: 0, yanchor: 'top', font: {size: 12}, itemsizing: 'constant'},
    hoverlabel: {bgcolor: '#fff', font: {color: MODEL.style.ink}},
    scene: {...roomOf(traces, (whole ? 1.5 : 2.1) * Math.min(1, place.clientWidth / 460)), camera: {projection: {type: 'orthographic'}, eye: viewOf(positions, hop.mobile)}},
  };
  place.dataset.image = image;
  place.dataset.atoms = shown.length;
  return Plotly.react(place, traces.filter(Boolean), layout, {...CONFIG, modeBarButtonsToRemove: ['tableRotation', 'resetCameraLastSave3d', 'hoverClosest3d']});
}

// Axes that hold all that is drawn, with the same scale along each, so that its longest side has the given size.
function roomOf(traces, size) {
  const spans = ['x', 'y', 'z'].map(axis => {
    const values = traces.filter(Boolean).flatMap(trace => trace[axis]).filter(value => value !== null);
    return [Math.min(...values) - 0.7, Math.max(...values) + 0.7];
  });
  const scale = size / Math.max(...spans.map(([low, high]) => high - low));
  const [x, y, z] = spans.map(([low, high]) => scale * (high - low));
  const [xaxis, yaxis, zaxis] = spans.map(range => ({visible: false, showspikes: false, range, autorange: false}));
  return {aspectmode: 'manual', aspectratio: {x, y, z}, xaxis, yaxis, zaxis};
}

// From where to look: across the hop, so that the way on which an ion leaves the straight line is seen.
function viewOf(positions, ion) {
  const from = (one, image) => [0, 1, 2].map(axis => one.at(image, ion, axis));
  let way = [1, 0, 0], aside = [0, 0, 1], most = 0.05;
  for (const one of Object.values(positions)) {
    const first = from(one, 0), last = from(one, one.n - 1);
    way = last.map((value, axis) => value - first[axis]);
    for (let k = 1; k < one.n - 1; k++) {
      const off = from(one, k).map((value, axis) => value - first[axis] - way[axis] * k / (one.n - 1));
      if (Math.hypot(...off) > most) [most, aside] = [Math.hypot(...off), off];
    }
  }
  const eye = cross(way, aside), size = Math.hypot(...eye);
  return size < 1e-6 ? {x: 0.8, y: 1, z: 0.4} : {x: eye[0] / size, y: eye[1] / size, z: eye[2] / size + 0.15};
}

function cross(a, b) { return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]; }

// The atoms that are drawn: all, or those close to where the ion of the reference goes.
function atomsShown(hop, one, reference, image, whole) {
  const images = [...Array(reference.n).keys()];
  const near = atom => images.some(k => apart(axis => one.at(image, atom, axis) - reference.at(k, hop.mobile, axis)) < AROUND_ANG);
  return [...Array(one.atoms).keys()].filter(atom => atom !== hop.mobile && (whole || near(atom)));
}

function apart(along) { return Math.hypot(along(0), along(1), along(2)); }

function bondTrace(hop, one, image, shown) {
  const symbols = symbolsOf(hop), k = Math.min(image, one.n - 1), x = [], y = [], z = [];
  const bound = shown.filter(atom => symbols[atom] !== symbols[hop.mobile]);
  bound.forEach((a, number) => {
    for (const b of bound.slice(number + 1)) {
      const reach = BOND * (MODEL.elements[symbols[a]].radius + MODEL.elements[symbols[b]].radius);
      if (apart(axis => one.at(k, a, axis) - one.at(k, b, axis)) > reach) continue;
      x.push(one.at(k, a, 0), one.at(k, b, 0), null);
      y.push(one.at(k, a, 1), one.at(k, b, 1), null);
      z.push(one.at(k, a, 2), one.at(k, b, 2), null);
    }
  });
  if (!x.length) return null;
  return {type: 'scatter3d', mode: 'lines', x, y, z, line: {color: '#9aa5b1', width: 5}, hoverinfo: 'skip', showlegend: false};
}

function cellTrace(cell) {
  if (!cell) return null;
  const corner = bits => [0, 1, 2].map(axis => bits.reduce((sum, bit, k) => sum + (bit - 0.5) * cell[k][axis], 0));
  const x = [], y = [], z = [];
  for (let k = 0; k < 3; k++) {
    for (const [p, q] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
      for (const end of [0, 1]) {
        const bits = [0, 0, 0];
        bits[k] = end; bits[(k + 1) % 3] = p; bits[(k + 2) % 3] = q;
        const [a, b, c] = corner(bits);
        x.push(a); y.push(b); z.push(c);
      }
      x.push(null); y.push(null); z.push(null);
    }
  }
  return {type: 'scatter3d', mode: 'lines', x, y, z, line: {color: MODEL.style.grey, width: 2}, hoverinfo: 'skip', showlegend: false};
}

function atomTraces(hop, one, image, atoms) {
  const symbols = symbolsOf(hop), k = Math.min(image, one.n - 1), groups = new Map();
  for (const atom of atoms) groups.set(symbols[atom], [...(groups.get(symbols[atom]) || []), atom]);
  return [...groups].map(([symbol, some]) => ({
    type: 'scatter3d', mode: 'markers', name: inert(symbol),
    x: some.map(atom => one.at(k, atom, 0)), y: some.map(atom => one.at(k, atom, 1)), z: some.map(atom => one.at(k, atom, 2)),
    text: some.map(atom => `${inert(symbol)}, atom ${atom}`), hovertemplate: '%{text}<extra></extra>',
    marker: {color: MODEL.elements[symbol].colour, size: 6 + 11 * MODEL.elements[symbol].radius, opacity: 0.55, line: {color: MODEL.style.grey, width: 1}},
  }));
}

// Short lines from the atoms of the first track to those of another, where they differ.
function shiftTrace(first, other, image, atoms, look) {
  const a = Math.min(image, first.n - 1), b = Math.min(image, other.n - 1);
  const x = [], y = [], z = [];
  for (const atom of atoms) {
    const from = [0, 1, 2].map(axis => first.at(a, atom, axis)), to = [0, 1, 2].map(axis => other.at(b, atom, axis));
    if (apart(axis => to[axis] - from[axis]) < MOVED_ANG) continue;
    x.push(from[0], to[0], null); y.push(from[1], to[1], null); z.push(from[2], to[2], null);
  }
  if (!x.length) return null;
  return {type: 'scatter3d', mode: 'lines', x, y, z, line: {color: look.colour, width: 8}, hoverinfo: 'skip', name: `atoms that differ by over ${MOVED_ANG} Å`, showlegend: true};
}

function ionTrace(hop, one, look, image) {
  const images = [...Array(one.n).keys()];
  const along = axis => images.map(k => one.at(k, hop.mobile, axis));
  return {
    type: 'scatter3d', mode: 'lines+markers', name: inert(look.name), x: along(0), y: along(1), z: along(2),
    line: {color: look.colour, width: 7, dash: look.dash === 'dash' ? 'dash' : 'solid'},
    marker: {color: look.colour, size: images.map(k => k === Math.min(image, one.n - 1) ? 15 : 7), symbol: 'circle', opacity: 1, line: {color: '#fff', width: 1}},
    text: images.map(k => `${inert(look.name)}, image ${k}`), hovertemplate: '%{text}<extra></extra>',
  };
}
