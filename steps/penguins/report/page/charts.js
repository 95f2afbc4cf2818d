"use strict";
// Elements and charts. Every text from the data becomes a text node or an attribute, never markup.

const WIDTH = 320, HEIGHT = 190;
const MARGIN = { top: 8, right: 10, bottom: 34, left: 50 };
// The shapes of clusters, so that they differ without colours, too: paths around (0, 0).
const SHAPES = [
  "M-3.2,0a3.2,3.2 0 1,0 6.4,0a3.2,3.2 0 1,0 -6.4,0Z",
  "M-3,-3H3V3H-3Z",
  "M0,-4L3.8,3H-3.8Z",
  "M0,-4.4L4.4,0L0,4.4L-4.4,0Z",
  "M0,4L3.8,-3H-3.8Z",
  "M-1.3,-4H1.3V-1.3H4V1.3H1.3V4H-1.3V1.3H-4V-1.3H-1.3Z",
  "M-4,-2.4L-2.4,-4L0,-1.6L2.4,-4L4,-2.4L1.6,0L4,2.4L2.4,4L0,1.6L-2.4,4L-4,2.4L-1.6,0Z",
  "M0,-4.6L1.3,-1.5L4.5,-1.4L2,0.7L2.8,4L0,2.2L-2.8,4L-2,0.7L-4.5,-1.4L-1.3,-1.5Z",
];
const NOISE_SHAPE = "M-2.6,-2.6L2.6,2.6M-2.6,2.6L2.6,-2.6";
const N_COLOURS = 8;

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

// Write what was measured with four significant digits: 0.1, 297.3, 1.2e+32. Whole numbers and texts stay as they are.
function format(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number") return String(value);
  return Number.isSafeInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
}

function percent(share) {
  return share === null || share === undefined ? "" : `${format(Number((100 * share).toPrecision(3)))} %`;
}

function count(number, word) {
  return `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
}

// A scale from numbers to pixels, linear or logarithmic, with its ticks.
function makeScale(values, from, to, wantsLog = false) {
  const known = values.filter((value) => Number.isFinite(value));
  let low = Math.min(...known), high = Math.max(...known);
  if (!known.length) [low, high] = [0, 1];
  const isLog = wantsLog && low > 0 && high / low > 2;
  if (isLog) {
    const [a, b] = [Math.log(low), Math.log(high)];
    const scale = (value) => from + ((Math.log(value) - a) / (b - a)) * (to - from);
    return Object.assign(scale, { ticks: logTicks(low, high), isLog });
  }
  if (high - low <= 1e-12 * Math.max(Math.abs(low), Math.abs(high))) [low, high] = [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
  const scale = (value) => from + ((value - low) / (high - low)) * (to - from);
  return Object.assign(scale, { ticks: linearTicks(low, high), isLog });
}

function linearTicks(low, high, number = 4) {
  const raw = (high - low) / number, power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw);
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.min(20, last - first + 1) }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

function logTicks(low, high) {
  const decades = Math.log10(high / low), factors = decades < 1.5 ? [1, 2, 3, 5, 7] : decades < 4 ? [1, 3] : [1];
  const every = Math.max(1, Math.ceil(decades / 6)), ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    if (decades >= 4 && power % every) continue;
    for (const factor of factors) {
      const tick = Number(`${factor}e${power}`);
      if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
    }
  }
  return ticks;
}

// Many orders of magnitude in one curve: without a logarithmic scale, one value flattens all others.
function isWide(values) {
  const known = values.filter((value) => Number.isFinite(value));
  return known.length > 0 && Math.min(...known) > 0 && Math.max(...known) / Math.min(...known) > 1000;
}

function drawAxes(x, y, xLabel, yLabel, width, height) {
  const { top, right, bottom, left } = MARGIN;
  const axes = s("g", { "aria-hidden": "true" });
  for (const tick of y.ticks) {
    axes.append(s("line", { class: "tick", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }));
    axes.append(s("text", { x: left - 5, y: y(tick) + 4, "text-anchor": "end" }, format(tick)));
  }
  for (const tick of x.ticks) {
    axes.append(s("line", { class: "tick", x1: x(tick), x2: x(tick), y1: height - bottom, y2: height - bottom + 4 }));
    axes.append(s("text", { x: x(tick), y: height - bottom + 15, "text-anchor": "middle" }, format(tick)));
  }
  axes.append(s("path", { class: "axis", d: `M${left},${top}V${height - bottom}H${width - right}` }));
  axes.append(s("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, shorten(xLabel, 48)));
  if (yLabel) {
    const middle = (top + height - bottom) / 2;
    axes.append(s("text", { x: 11, y: middle, "text-anchor": "middle", transform: `rotate(-90 11 ${middle})` }, shorten(yLabel, 30)));
  }
  return axes;
}

function shorten(text, length) {
  const signs = [...text];
  return signs.length > length ? `${signs.slice(0, length - 1).join("")}…` : text;
}

function pathOf(xs, ys, x, y) {
  let path = "", isOpen = false;
  xs.forEach((value, index) => {
    const number = ys[index];
    if (!Number.isFinite(number)) { isOpen = false; return; }
    path += `${isOpen ? "L" : "M"}${x(value).toFixed(1)},${y(number).toFixed(1)}`;
    isOpen = true;
  });
  return path;
}

// A chart of lines over one axis. `series` holds {name, x, y}; `chosen` is the value of x that was chosen, on the curve `ringed`.
// Returns its figure, which has a function `moveTo(x)` that moves the line of the present value.
function lineChart({ title, series, xLabel, yLabel = "", chosen = null, ringed = 0, level = null, band = null, marks = true, logX = false, logY = false, diagonal = false, square = false }) {
  const height = square ? WIDTH : HEIGHT, { top, right, bottom, left } = MARGIN;
  const xs = series.flatMap((one) => one.x), ys = series.flatMap((one) => one.y);
  if (band) ys.push(...band.low, ...band.high);
  if (level !== null) ys.push(level);
  const x = makeScale(xs, left, WIDTH - right, logX);
  const y = makeScale(ys, height - bottom, top, logY || isWide(ys));
  const picture = s("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": describeLines(title, series, chosen, ringed) });
  picture.append(drawAxes(x, y, xLabel, yLabel + (y.isLog && yLabel ? " (log scale)" : ""), WIDTH, height));
  if (diagonal) picture.append(s("path", { class: "chosen", d: `M${x(0)},${y(0)}L${x(1)},${y(1)}` }));
  if (band) {
    const there = pathOf(band.x, band.high, x, y), back = pathOf([...band.x].reverse(), [...band.low].reverse(), x, y);
    picture.append(s("path", { class: "band", d: `${there}${back.replace("M", "L")}Z` }));
  }
  series.forEach((one, index) => {
    const group = s("g", { class: `k${index % N_COLOURS}` }, s("path", { class: "line", d: pathOf(one.x, one.y, x, y) }));
    const shape = SHAPES[index % SHAPES.length];
    one.x.forEach((value, place) => {
      const number = one.y[place];
      if (marks && Number.isFinite(number)) {
        group.append(s("path", { class: "mark", d: shape, transform: `translate(${x(value).toFixed(1)},${y(number).toFixed(1)})` },
          s("title", {}, `${one.name ? `${one.name}: ` : ""}${format(value)}: ${format(number)}`)));
      }
      if (value === chosen && index === ringed && Number.isFinite(number)) {
        group.append(s("circle", { class: "ring", cx: x(value), cy: y(number), r: 7 }));
      }
    });
    picture.append(group);
  });
  if (chosen !== null) picture.append(s("line", { class: "chosen", x1: x(chosen), x2: x(chosen), y1: top, y2: height - bottom }));
  if (level !== null) picture.append(s("line", { class: "chosen", x1: left, x2: WIDTH - right, y1: y(level), y2: y(level) }));
  const cursor = s("line", { class: "cursor", y1: top, y2: height - bottom, visibility: "hidden" });
  picture.append(cursor);
  const figure = h("figure", {}, h("figcaption", {}, title, y.isLog ? " (log scale)" : ""), picture);
  if (series.some(({ name }) => name)) figure.append(legend(series.map((one, index) => ({ shape: SHAPES[index % SHAPES.length], colour: `k${index % N_COLOURS}`, name: one.name }))));
  figure.moveTo = (value) => fill(cursor, { x1: x(value), x2: x(value), visibility: "visible" }, []);
  return figure;
}

function describeLines(title, series, chosen, ringed) {
  const parts = series.map((one, index) => {
    const known = one.y.filter((value) => Number.isFinite(value));
    const range = known.length ? `from ${format(Math.min(...known))} to ${format(Math.max(...known))}` : "undefined everywhere";
    const place = one.x.indexOf(chosen), at = place >= 0 && index === ringed && Number.isFinite(one.y[place]) ? `, ${format(one.y[place])} at the chosen value ${format(chosen)}` : "";
    return `${one.name || "the curve"} ${range}${at}`;
  });
  return `${title}: ${shorten(parts.join("; "), 300)}`;
}

function legend(entries) {
  return h("ul", { class: "legend" }, entries.map(({ shape, colour, name }) =>
    h("li", {}, s("svg", { viewBox: "-6 -6 12 12", "aria-hidden": "true" }, s("path", { class: `mark ${colour}`, d: shape })), " ", h("span", { class: "name" }, name))));
}

// A small curve without axes, for a cell of a table.
function sparkline(xs, ys, chosen) {
  const x = makeScale(xs.map((_, index) => index), 4, 86), y = makeScale(ys, 18, 4, isWide(ys));
  const picture = s("svg", { class: "spark k0", viewBox: "0 0 90 22", "aria-hidden": "true" });
  picture.append(s("path", { class: "line", d: pathOf(xs.map((_, index) => index), ys, x, y) }));
  if (chosen !== null && Number.isFinite(ys[chosen])) picture.append(s("circle", { class: "ring", cx: x(chosen), cy: y(ys[chosen]), r: 3 }));
  return picture;
}

function shapeOf(label) {
  return label < 0 ? { shape: NOISE_SHAPE, colour: "noise" } : { shape: SHAPES[(label + Math.floor(label / N_COLOURS)) % SHAPES.length], colour: `k${label % N_COLOURS}` };
}

// The records of a group as points, whose shape and colour tell the cluster.
function scatter({ title, xs, ys, labels, xLabel, yLabel, names }) {
  const size = { width: 480, height: 360 }, { top, right, bottom, left } = MARGIN;
  const x = makeScale(xs, left, size.width - right), y = makeScale(ys, size.height - bottom, top);
  const sizes = new Map();
  labels.forEach((label) => sizes.set(label, (sizes.get(label) || 0) + 1));
  const clusters = [...sizes.keys()].sort((a, b) => a - b).filter((label) => label >= 0);
  const noise = sizes.get(-1) || 0;
  const text = `${title}: ${count(clusters.length, "cluster")} and ${count(noise, "noise record")} of ${count(labels.length, "record")} drawn`;
  const picture = s("svg", { viewBox: `0 0 ${size.width} ${size.height}`, role: "img", "aria-label": text });
  picture.append(drawAxes(x, y, xLabel, yLabel, size.width, size.height));
  const order = labels.map((_, index) => index).sort((a, b) => (labels[b] < 0) - (labels[a] < 0));
  for (const index of order) {
    const { shape, colour } = shapeOf(labels[index]);
    picture.append(s("path", { class: `mark ${colour}`, d: shape, transform: `translate(${x(xs[index]).toFixed(1)},${y(ys[index]).toFixed(1)})` },
      s("title", {}, `${names(index)}: ${labels[index] < 0 ? "noise" : `cluster ${labels[index]}`}, ${xLabel} ${format(xs[index])}, ${yLabel} ${format(ys[index])}`)));
  }
  const entries = clusters.slice(0, 24).map((label) => ({ ...shapeOf(label), name: `cluster ${label}: ${sizes.get(label)}` }));
  if (noise) entries.push({ ...shapeOf(-1), name: `noise: ${noise}` });
  if (clusters.length > 24) entries.push({ ...shapeOf(clusters[24]), name: `and ${clusters.length - 24} more clusters` });
  return h("figure", {}, h("figcaption", {}, text), picture, legend(entries));
}

// The classes of a column, which is {name, isText, isLong, isShort}.
function kind({ isText, isLong, isShort }) {
  return [isText && "text", isLong && "long", isShort && "short"].filter(Boolean).join(" ") || null;
}

// A table; cells are texts, numbers or elements.
function table(caption, columns, rows, attributes = {}) {
  const head = h("tr", {}, columns.map((column) => h("th", { scope: "col", class: kind(column) }, column.name)));
  const body = rows.map((row) => h("tr", {}, row.map((cell, index) =>
    h("td", { class: kind(columns[index]) }, cell instanceof Node ? cell : format(cell)))));
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h("table", attributes, h("caption", {}, caption), h("thead", {}, head), h("tbody", {}, body)));
}
