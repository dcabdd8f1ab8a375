// Plots in two dimensions: barriers beside the reference, ROC curves, and energies along a path.

const SYMBOLS = ['circle', 'square', 'diamond', 'triangle-up', 'cross', 'star'];
const MANY_POINTS = 3000;
const CONFIG = {
  responsive: true, displaylogo: false, scrollZoom: false,
  modeBarButtonsToRemove: ['select2d', 'lasso2d', 'autoScale2d', 'toggleSpikelines', 'hoverClosestCartesian', 'hoverCompareCartesian'],
};

function colourOf(number) { return MODEL.style.colours[number % MODEL.style.colours.length]; }

function symbolOf(number) { return SYMBOLS[number % SYMBOLS.length]; }

function layoutOf(x, y, more) {
  const axis = {
    showline: true, linecolor: MODEL.style.ink, ticks: 'outside', gridcolor: '#eceff2', zeroline: false, automargin: true,
    tickfont: {size: 12}, separatethousands: true,
  };
  return {
    font: {family: 'system-ui, sans-serif', size: 13, color: MODEL.style.ink},
    paper_bgcolor: '#fff', plot_bgcolor: '#fff', hovermode: 'closest', dragmode: 'zoom',
    margin: {l: 56, r: 12, t: 30, b: 44},
    hoverlabel: {bgcolor: '#fff', bordercolor: MODEL.style.grey, font: {color: MODEL.style.ink, size: 13}, align: 'left'},
    legend: {orientation: 'h', y: innerWidth < 600 ? -0.26 : -0.16, yanchor: 'top', x: 0, font: {size: 13}, itemsizing: 'constant'},
    xaxis: {...axis, title: {text: x, standoff: 8}}, yaxis: {...axis, title: {text: y, standoff: 8}},
    ...more,
  };
}

// Barriers of all potentials over those of the reference; `kept` are the hops that are shown.
function drawParity(place, points, definition, kept, withFailed) {
  const reference = points[`reference_${definition}_ev`];
  const texts = points.name.map((name, hop) => `<b>${inert(name)}</b><br>${inert(points.formula[hop])}`);
  const total = kept.length * points.potentials.length;
  const type = total > MANY_POINTS ? 'scattergl' : 'scatter';
  const traces = [];
  let low = 0, high = 0.1;
  points.potentials.forEach((one, number) => {
    for (const failed of withFailed ? [false, true] : [false]) {
      const hops = kept.filter(hop => one[`${definition}_ev`][hop] !== null && reference[hop] !== null && one.converged[hop] === !failed);
      if (!hops.length && failed) continue;
      const x = hops.map(hop => reference[hop]), y = hops.map(hop => one[`${definition}_ev`][hop]);
      for (let k = 0; k < x.length; k++) { high = Math.max(high, x[k], y[k]); low = Math.min(low, x[k], y[k]); }
      traces.push({
        type, mode: 'markers', name: inert(failed ? `${one.called}, failed` : one.called), x, y, customdata: hops, text: hops.map(hop => texts[hop]),
        legendgroup: String(number), showlegend: !failed, hoverlabel: {namelength: 60},
        marker: {
          color: colourOf(number), symbol: symbolOf(number) + (failed ? '-open' : ''), size: total > 20000 ? 4 : total > 1000 ? 6 : 9,
          opacity: total > 20000 ? 0.35 : failed ? 0.9 : 0.75, line: {width: failed ? 1 : total > 1000 ? 0 : 0.8, color: failed ? colourOf(number) : '#fff'},
        },
        hovertemplate: '%{text}<br>reference %{x:.3f} eV<br>potential %{y:.3f} eV',
      });
    }
  });
  const pad = 0.04 * (high - low), range = [low - (low < 0 ? pad : 0), high + pad];
  const layout = layoutOf('Barrier of the reference (eV)', 'Barrier of the potential (eV)', {
    height: 520,
    shapes: [{type: 'line', layer: 'below', x0: range[0], y0: range[0], x1: range[1], y1: range[1], line: {color: MODEL.style.grey, width: 1, dash: 'dot'}}],
  });
  Object.assign(layout.xaxis, {range, constrain: 'domain'});
  Object.assign(layout.yaxis, {range, scaleanchor: 'x', constrain: 'domain'});
  place.dataset.points = traces.reduce((sum, trace) => sum + trace.x.length, 0);
  return Plotly.react(place, traces, layout, CONFIG);
}

function drawRoc(place, points, definition) {
  const curves = points.roc[definition] || [];
  const traces = curves.map(one => ({
    type: 'scatter', mode: 'lines', name: inert(points.potentials[one.potential].called), x: one.x, y: one.y,
    line: {color: colourOf(one.potential), width: 2.2, dash: ['solid', 'dash', 'dot', 'dashdot'][one.potential % 4]},
  }));
  const layout = layoutOf('Bad hops called good (share)', 'Good hops called good (share)', {
    height: 520, shapes: [{type: 'line', layer: 'below', x0: 0, y0: 0, x1: 1, y1: 1, line: {color: MODEL.style.grey, width: 1, dash: 'dot'}}],
  });
  Object.assign(layout.xaxis, {range: [-0.02, 1.02], constrain: 'domain'});
  Object.assign(layout.yaxis, {range: [-0.02, 1.02], scaleanchor: 'x', constrain: 'domain'});
  return Plotly.react(place, traces, layout, CONFIG);
}

// Energies of all tracks along their paths; `onImage` is called with the image that is clicked.
function drawProfiles(place, hop, names, onImage) {
  const traces = [];
  for (const [track, one] of Object.entries(hop.tracks)) {
    if (!one.e) continue;
    const look = lookOf(track, names);
    if (one.curve) {
      const last = one.s[one.s.length - 1];
      traces.push({
        type: 'scatter', mode: 'lines', x: one.curve.map((_, k) => last * k / (one.curve.length - 1)), y: one.curve, hoverinfo: 'skip',
        line: {color: look.colour, width: track === 'reference' ? 4 : 2, dash: look.dash}, legendgroup: track, showlegend: false,
      });
    }
    traces.push({
      type: 'scatter', mode: one.curve ? 'markers' : 'markers+lines', x: one.s, y: one.e, name: inert(look.name), legendgroup: track,
      marker: {color: '#fff', size: 9, symbol: look.symbol, line: {color: look.colour, width: 2}}, line: {color: look.colour, width: 1.5, dash: look.dash},
      customdata: one.e.map((_, k) => k), hovertemplate: 'image %{customdata}: %{y:.3f} eV',
    });
  }
  const layout = layoutOf('Path coordinate (Å)', 'Energy (eV)', {height: 400});
  Plotly.react(place, traces, layout, CONFIG);
  place.removeAllListeners && place.removeAllListeners('plotly_click');
  place.on('plotly_click', event => { if (event.points[0].customdata !== undefined) onImage(event.points[0].customdata); });
  return traces.length > 0;
}

// Name, colour, symbol and dashes of a track: of the reference, of the guess, or of a potential by its number.
function lookOf(track, names) {
  if (track === 'reference') return {name: 'reference', colour: MODEL.style.ink, symbol: 'circle', dash: 'solid'};
  if (track === 'initial') return {name: 'initial guess', colour: MODEL.style.grey, symbol: 'x', dash: 'dash'};
  const number = Number(track.slice(1));
  return {name: names[number], colour: colourOf(number), symbol: symbolOf(number), dash: 'solid'};
}
