// A sweep: the table of its groups, the heat map, and one group in detail.

const PAGE_ROWS = 50;

function valueName(sweep, group, index) {
  if (index === null || index === undefined) return "";
  const parts = [`${sweep.swept} ${group.values[index][0]}`];
  sweep.fixed.forEach((name, place) => { if (sweep.varies[place]) parts.push(`${name} ${group.values[index][place + 1]}`); });
  return parts.join(", ");
}

function atBest(group, key) {
  return group.best === null ? null : group.metrics[key][group.best];
}

function groupColumns(sweep) {
  const best = (group) => (group.best === null ? null : group.values[group.best][0]);
  const columns = [
    { name: sweep.group_columns.join(", "), isText: true, value: (group) => group.name },
    { name: "records", value: (group) => group.n },
    { name: `chosen ${sweep.swept}`, value: best, show: exact },
    { name: "clusters", value: (group) => atBest(group, "n_clusters") },
    { name: "in clusters", value: (group) => (group.best === null ? null : group.coverage[group.best]), show: percent },
    { name: "silhouette", value: (group) => atBest(group, "silhouette") },
    { name: `silhouette by ${sweep.swept}`, value: (group) => atBest(group, "silhouette"), isCurve: true },
    { name: "remarks", isText: true, isLong: true, value: (group) => group.failure || group.warning },
    { name: "run", isText: true, value: (group) => group.run_id },
    { name: "model", isText: true, value: (group) => group.model },
  ];
  return columns;
}

function compare(a, b) {
  const [aIsMissing, bIsMissing] = [a, b].map((value) => value === null || value === undefined || value === "");
  if (aIsMissing || bIsMissing) return aIsMissing - bIsMissing;
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
}

function drawSweep(step) {
  const { sweep } = step, columns = groupColumns(sweep);
  const state = { column: 0, isDescending: false, filter: "", onlyRemarks: false, page: 0, group: firstGroup(sweep), metric: "silhouette" };
  const status = h("p", { class: "soft", role: "status" });
  const body = h("tbody"), heat = h("div"), detail = h("section", { "aria-label": `one group of ${step.name}` });
  const headers = columns.map((column, index) => h("th", { scope: "col", class: kind(column) },
    column.isCurve ? column.name : h("button", { type: "button", onclick: () => sortBy(index) }, column.name, h("span", { "aria-hidden": "true" }))));

  function sortBy(index) {
    state.isDescending = state.column === index ? !state.isDescending : false;
    Object.assign(state, { column: index, page: 0 });
    drawTable();
  }

  function shownGroups() {
    const words = state.filter.toLocaleLowerCase(), { value } = columns[state.column];
    const found = sweep.groups.filter((group) => group.name.toLocaleLowerCase().includes(words) && (!state.onlyRemarks || group.warning || group.failure));
    const signed = state.isDescending ? -1 : 1;
    return found.sort((a, b) => {
      const [x, y] = [value(a), value(b)], isMissing = (one) => one === null || one === undefined || one === "";
      return isMissing(x) || isMissing(y) ? compare(x, y) : signed * compare(x, y);
    });
  }

  function drawTable() {
    const groups = shownGroups(), n_pages = Math.max(1, Math.ceil(groups.length / PAGE_ROWS));
    state.page = Math.min(state.page, n_pages - 1);
    const page = groups.slice(state.page * PAGE_ROWS, (state.page + 1) * PAGE_ROWS);
    headers.forEach((header, index) => {
      const isSorted = index === state.column;
      header.setAttribute("aria-sort", isSorted ? (state.isDescending ? "descending" : "ascending") : "none");
      const arrow = header.querySelector("span");
      if (arrow) arrow.textContent = isSorted ? (state.isDescending ? " ▼" : " ▲") : "";
    });
    body.replaceChildren(...page.map((group) => groupRow(sweep, columns, group, state.group, show)));
    const more = n_pages > 1 ? `, page ${state.page + 1} of ${n_pages}` : "";
    status.textContent = `${count(groups.length, "group")} of ${sweep.groups.length.toLocaleString("en")}${more}. ${sweep.remark}`;
    previous.disabled = state.page === 0;
    next.disabled = state.page >= n_pages - 1;
    pager.hidden = n_pages === 1;
    drawHeat(step, page, state, heat, show);
  }

  function show(group, isAsked = true) {
    state.group = group;
    for (const row of body.rows) row.classList.toggle("current", row.group === group);
    detail.replaceChildren(...(group ? drawGroup(step, group) : []));
    if (isAsked) { detail.firstElementChild.focus(); detail.scrollIntoView({ block: "nearest" }); }
  }

  const turn = (by) => () => { state.page += by; drawTable(); };
  const previous = h("button", { type: "button", onclick: turn(-1) }, "previous groups");
  const next = h("button", { type: "button", onclick: turn(1) }, "next groups");
  const pager = h("div", { class: "controls pager" }, previous, next);
  const filter = h("input", { type: "search", oninput: (event) => { Object.assign(state, { filter: event.target.value, page: 0 }); drawTable(); } });
  const only = h("input", { type: "checkbox", onchange: (event) => { Object.assign(state, { onlyRemarks: event.target.checked, page: 0 }); drawTable(); } });
  const metric = h("select", { onchange: (event) => { state.metric = event.target.value; drawTable(); } },
    sweep.metrics.map(({ key, name }) => h("option", { value: key, selected: key === state.metric }, name)));
  const caption = `The groups and their chosen ${sweep.swept}. A name opens the group below; a heading sorts.`;
  const parts = [
    h("div", { class: "controls" }, h("label", {}, "Find a group", filter), h("label", {}, only, "only with remarks")),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `groups of ${step.name}` },
      h("table", { class: "groups" }, h("caption", {}, caption), h("thead", {}, h("tr", {}, headers)), body)),
    status, pager,
    h("h3", {}, "Groups and values"),
    h("div", { class: "controls" }, h("label", {}, "Shown", metric)), heat,
    detail,
  ];
  drawTable();
  show(state.group, false);
  return parts;
}

function firstGroup(sweep) {
  return sweep.groups.find((group) => group.best !== null) || sweep.groups[0] || null;
}

function groupRow(sweep, columns, group, current, show) {
  const cells = columns.map((column, index) => {
    const value = column.value(group);
    if (index === 0) return h("td", { class: "text" }, h("button", { type: "button", class: "name", onclick: () => show(group) }, value));
    if (column.isCurve) return h("td", {}, sparkline(group.values, group.metrics.silhouette, group.best));
    if (column.name === "run") return h("td", { class: "text short" }, link(group.url, value.slice(0, 8)));
    if (column.name === "model") return h("td", { class: "text short" }, value ? link(group.model_url, value.replace("models:/", "").slice(0, 10)) : "");
    if (column.name === "remarks") return h("td", { class: `${kind(column)} ${group.failure ? "failed" : "warning"}` }, value);
    return h("td", { class: kind(column) }, column.show ? column.show(value) : format(value));
  });
  const row = h("tr", { class: group === current ? "current" : null }, cells);
  row.group = group;
  return row;
}

function link(url, text) {
  return url ? h("a", { href: url, target: "_blank", rel: "noopener" }, text) : h("span", {}, text);
}

// The heat map: a row for each group of the page, a column for each value. Each cell has its number, too.
function drawHeat({ name, sweep }, groups, state, place, show) {
  const numbers = (group) => (state.metric === "coverage" ? group.coverage : group.metrics[state.metric]);
  const known = groups.flatMap(numbers).filter((value) => Number.isFinite(value)).sort((a, b) => a - b);
  const shade = (value) => {  // the rank, which one extreme value does not flatten
    let low = 0, high = known.length;
    while (low < high) { const middle = (low + high) >> 1; if (known[middle] < value) low = middle + 1; else high = middle; }
    return known.length > 1 ? low / (known.length - 1) : 0;
  };
  const n_values = Math.max(0, ...groups.map((group) => group.values.length));
  const shared = groups.length > 0 && groups.every((group) => JSON.stringify(group.values) === JSON.stringify(groups[0].values));
  const heads = Array.from({ length: n_values }, (_, index) => h("th", { scope: "col" }, shared ? valueName(sweep, groups[0], index).replace(`${sweep.swept} `, "") : `${index + 1}.`));
  const rows = groups.map((group) => h("tr", {},
    h("th", { scope: "row", class: "text" }, h("button", { type: "button", class: "name", onclick: () => show(group) }, shorten(group.name, 40))),
    Array.from({ length: n_values }, (_, index) => {
      const value = (numbers(group) || [])[index], isChosen = index === group.best;
      const style = Number.isFinite(value) ? `background: rgba(var(--heat), ${(0.06 + 0.44 * shade(value)).toFixed(2)})` : null;
      const text = state.metric === "coverage" ? percent(value) : format(Number.isFinite(value) ? Number(value.toPrecision(3)) : null);
      return h("td", { class: isChosen ? "chosen" : null, style, title: group.values[index] ? valueName(sweep, group, index) : null },
        text, isChosen ? h("span", { class: "hidden" }, " (chosen)") : null);
    })));
  const what = shared ? `a column for each ${sweep.swept}` : `a column for each place in the group's own list of ${sweep.swept}, the smallest first`;
  place.replaceChildren(h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `groups and values of ${name}` },
    h("table", { class: "heat" }, h("caption", {}, `A row for each group above, ${what}; a stronger colour is a higher rank; the chosen value has a frame.`),
      h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "text" }, sweep.group_columns.join(", ")), heads)), h("tbody", {}, rows))));
}

function drawGroup({ name, sweep }, group) {
  const heading = h("h3", { tabindex: -1 }, `${sweep.group_columns.join(", ")}: `, h("span", { class: "name" }, group.name));
  const parts = [heading];
  if (group.failure) parts.push(h("p", { class: "failed" }, `This group failed: ${group.failure}`));
  if (group.choice) parts.push(h("p", { class: "answer" }, group.choice));
  if (group.warning) parts.push(h("p", { class: "warning" }, `Warning: ${group.warning}`));
  parts.push(h("p", { class: "soft" }, [group.run_id && `run ${group.run_id}`, group.model && `model ${group.model}`].filter(Boolean).join(", ")));
  if (!group.values.length) return parts;
  const charts = metricCharts(sweep, group);
  parts.push(h("div", { class: "beside" }, clustersOfGroup(sweep, group, charts), group.noise ? noiseOfGroup(name, sweep, group) : null));
  parts.push(h("h4", {}, `Every ${sweep.swept} that was tried`), h("div", { class: "charts" }, charts, distanceCharts(sweep, group)));
  if (group.profiles.length) parts.push(profilesOfGroup(name, sweep, group));
  parts.push(valuesOfGroup(name, sweep, group));
  return parts;
}

function exact(value) {
  return value === null ? "" : String(value);
}

function curveName(sweep, fixed) {
  return sweep.fixed.map((one, place) => `${one} ${fixed[place]}`).join(", ");
}

function curves(sweep, group, numbers) {
  const series = new Map();
  group.values.forEach(([value, ...fixed], index) => {
    const name = curveName(sweep, fixed);
    if (!series.has(name)) series.set(name, { name, x: [], y: [] });
    series.get(name).x.push(value);
    series.get(name).y.push(numbers[index]);
  });
  const all = [...series.values()];
  if (all.length === 1) all[0].name = "";
  return all;
}

function metricCharts(sweep, group) {
  const chosen = group.best === null ? null : group.values[group.best][0];
  const tried = group.values.map(([value]) => value);
  const logX = sweep.is_distance && Math.max(...tried) > 20 * Math.min(...tried);
  const noise = group.coverage.map((share) => (share === null ? null : 1 - share));
  const wanted = [...sweep.metrics.filter(({ key }) => key !== "coverage").map(({ key, name }) => [name, group.metrics[key]]), ["share of noise", noise]];
  const names = [...new Set(group.values.map(([, ...fixed]) => curveName(sweep, fixed)))];
  const ringed = group.best === null ? -1 : names.indexOf(curveName(sweep, group.values[group.best].slice(1)));
  return wanted.map(([title, numbers]) => lineChart({ title, series: curves(sweep, group, numbers), xLabel: sweep.label, chosen, ringed, logX }));
}

function distanceCharts(sweep, group) {
  const level = group.best === null || !sweep.is_distance ? null : group.values[group.best][0];
  return group.distances.map(({ min_samples, share, distance }) => lineChart({
    title: `distance to nearest record number ${min_samples}${level === null ? "" : `; the line is the chosen ${sweep.swept}`}`,
    series: [{ name: "", x: share, y: distance }], xLabel: "share of the records", level, marks: false, logY: true,
  }));
}

// The picture of the clusters, with a slider over the values and the choice of two axes.
function clustersOfGroup(sweep, group, charts) {
  const { points } = group, start = group.best ?? 0, place = h("div"), output = h("output");
  const slider = h("input", { type: "range", min: 0, max: group.values.length - 1, step: 1, value: start, "aria-label": sweep.swept });
  const axes = points ? axesOf(sweep, points) : [];
  const pick = (index) => h("select", {}, axes.map(({ name }, at) => h("option", { value: at, selected: at === index }, name)));
  // At first, the two features with the most distinct values.
  const n_distinct = (index) => new Set(axes[index].numbers).size;
  const ranked = axes.map((_, index) => index).filter((index) => index < sweep.features.length).sort((a, b) => n_distinct(b) - n_distinct(a));
  const [left, right] = ranked.slice(0, 2).sort((a, b) => a - b);
  const [first, second] = [pick(left), pick(right ?? left)];
  function draw() {
    const index = Number(slider.value), isChosen = index === group.best;
    const text = `${valueName(sweep, group, index)}${isChosen ? " (chosen)" : ""}`;
    output.textContent = text;
    slider.setAttribute("aria-valuetext", text);
    for (const chart of charts) chart.moveTo(group.values[index][0]);
    if (!points) return;
    const [x, y] = [axes[first.value], axes[second.value]];
    place.replaceChildren(scatter({ title: text, xs: x.numbers, ys: y.numbers, labels: points.labels[index], xLabel: x.name, yLabel: y.name, names: (at) => points.names[at] }));
  }
  for (const control of [slider, first, second]) control.addEventListener("input", draw);
  draw();
  const controls = [h("label", {}, `Value of ${sweep.swept}`, slider), output];
  if (points) controls.push(h("label", {}, "across", first), h("label", {}, "up", second));
  const remark = points && points.n_all > points.names.length ? `${points.names.length} of ${count(points.n_all, "record")} are drawn, a random sample.` : "";
  return h("div", {}, h("h4", {}, "The clusters"), h("div", { class: "controls" }, controls),
    points ? place : h("p", { class: "soft" }, sweep.no_points), h("p", { class: "soft" }, remark));
}

function axesOf(sweep, points) {
  const axes = points.features.map((numbers, index) => ({ name: sweep.features[index], numbers }));
  points.components.forEach((numbers, index) => axes.push({ name: `principal component ${index + 1} (${percent(points.explained[index])} of the variance)`, numbers }));
  return axes;
}

function profilesOfGroup(step, sweep, group) {
  const columns = [{ name: "cluster", isText: true }, { name: "records" }, { name: "share" }, ...sweep.profile_features.map((name) => ({ name })), { name: "most typical record", isText: true }];
  const rows = group.profiles.map(({ cluster, size, share, features, typical }) => [
    cluster < 0 ? "noise" : String(cluster), size, percent(share),
    ...features.map(([mean, deviation, median]) => `${format(median)} (${format(mean)} ± ${format(deviation)})`), typical]);
  return h("div", {}, h("h4", {}, `The clusters of ${valueName(sweep, group, group.best)}`),
    table(`The clusters of ${step}: of each feature the median, then mean ± standard deviation, in the table's own units`, columns, rows));
}

function noiseOfGroup(step, sweep, group) {
  const { columns, rows, n_all } = group.noise;
  const title = `Noise at the chosen ${valueName(sweep, group, group.best)}: ${count(n_all, "record")} of ${group.n.toLocaleString("en")}`;
  if (!n_all) return h("div", {}, h("h4", {}, title));
  const caption = rows.length < n_all ? `The first ${rows.length} noise records of ${step}; clusters.parquet has all` : `All noise records of ${step}; row is the place in the table, from 0`;
  return h("div", { class: "noise-records" }, h("h4", {}, title), table(caption, columns.map((name) => ({ name })), rows));
}

function valuesOfGroup(step, sweep, group) {
  const columns = [{ name: sweep.swept }, ...sweep.fixed.map((name) => ({ name })), ...sweep.metrics.map(({ name }) => ({ name })), { name: "remarks", isText: true, isLong: true }];
  const rows = group.values.map((params, index) => [
    ...params.map(exact), ...sweep.metrics.map(({ key }) => (key === "coverage" ? percent(group.coverage[index]) : group.metrics[key][index])),
    [index === group.best ? "chosen" : "", group.reasons[index]].filter(Boolean).join("; ")]);
  return h("details", {}, h("summary", {}, "The numbers"), table(`All values of ${sweep.swept} in ${step}`, columns, rows, { class: "values" }));
}
