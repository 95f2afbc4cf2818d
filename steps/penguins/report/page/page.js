// The report: what was asked and answered at the top, then a section for each step.

const data = JSON.parse(document.getElementById("data").textContent);

function facts(pairs) {
  return h("dl", {}, pairs.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

function answers() {
  const columns = [{ name: "step", isText: true, isShort: true }, { name: "answer", isText: true, isLong: true }, { name: "status", isText: true, isShort: true }, { name: "rows left out" }, { name: "seconds" }, { name: "run", isText: true, isShort: true }];
  const rows = data.steps.map((step) => [
    h("a", { href: `#${step.name}` }, step.name),
    h("span", {}, step.answer, step.answer && step.error ? " " : "", h("span", { class: "failed" }, step.error)),
    step.status, step.left_out, step.seconds, link(step.url, step.run_id.slice(0, 8))]);
  return table("What each step answers", columns, rows, { class: "answers" });
}

function drawStep(step, index) {
  const parts = [h("h2", { id: step.name, class: index ? null : "first" }, step.name, step.question ? h("span", { class: "soft" }, ` – ${step.question}`) : null)];
  if (step.answer) parts.push(h("p", { class: "answer" }, step.answer));
  if (step.error) parts.push(h("p", { class: "failed" }, step.error));

  if (step.sweep) parts.push(...drawSweep(step));
  parts.push(...drawPrediction(step));
  parts.push(h("details", {}, h("summary", {}, "Data, code, versions and parameters"), facts([...step.facts, ...step.parameters])));
  return h("section", { "aria-labelledby": step.name }, parts);
}

function drawPrediction({ name, metrics, roc, confusion, alphas, coefficients }) {
  const parts = [], charts = [];
  if (metrics.length) parts.push(table(`Metrics of ${name}`, [{ name: "metric", isText: true }, { name: "value" }, { name: "meaning", isText: true }], metrics));
  if (roc) {
    charts.push(lineChart({ title: `ROC curve, on the held-out records${roc.remark}`, series: roc.curves, xLabel: "false positive rate", yLabel: "true positive rate", marks: false, diagonal: true, square: true }));
  }
  if (alphas) {
    const { x, y, low, high, best, unit } = alphas;
    charts.push(lineChart({ title: `cross-validated error of ${unit}, the band is ± one standard deviation over the folds`, series: [{ name: "", x, y }], band: { x, low, high }, xLabel: "alpha (strength of the penalty, log scale)", yLabel: "RMSE", chosen: best, logX: true }));
  }
  if (charts.length) parts.push(h("div", { class: "charts" }, charts));
  if (confusion) parts.push(drawConfusion(name, confusion));
  if (coefficients) parts.push(drawCoefficients(name, coefficients));
  return parts;
}

function drawConfusion(step, { classes, rows, remark }) {
  const largest = rows.map((row) => row.reduce((sum, number) => sum + number, 0));
  const head = h("tr", {}, h("th", { scope: "col", class: "text" }, "true \\ predicted"), classes.map((name) => h("th", { scope: "col" }, name)));
  const body = rows.map((row, index) => h("tr", {}, h("th", { scope: "row", class: "text" }, classes[index]),
    row.map((number, place) => h("td", {
      class: place === index ? "chosen" : null, style: number ? `background: rgba(var(--heat), ${(0.06 + (0.44 * number) / largest[index]).toFixed(2)})` : null,
    }, number || "·"))));
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `confusion matrix of ${step}` }, h("table", { class: "heat confusion" },
    h("caption", {}, `Confusion matrix of the held-out records: a row for each true class; a frame marks the right ones. ${remark}`), h("thead", {}, head), h("tbody", {}, body)));
}

function drawCoefficients(step, { rows, n_all, columns, remark }) {
  const isIntercept = (row) => row[row.length - 2] === "(intercept)";
  const largest = Math.max(...rows.filter((row) => !isIntercept(row)).map((row) => Math.abs(row[row.length - 1])), Number.MIN_VALUE);
  const bar = (value) => h("span", { class: "bar", "aria-hidden": "true" },
    h("i", { class: value < 0 ? "below" : null, style: value < 0 ? `right: 50%; width: ${(-50 * value) / largest}%` : `left: 50%; width: ${(50 * value) / largest}%` }));
  const lines = rows.map((row) => [...row, isIntercept(row) ? "" : bar(row[row.length - 1])]);
  const kinds = [...columns.map((name, index) => ({ name, isText: index < columns.length - 1 })), { name: h("span", { class: "hidden" }, "bar"), isText: true }];
  const caption = `Coefficients of ${step}, the largest first${n_all > rows.length ? ` (${rows.length} of ${n_all})` : ""}. ${remark}`;
  return h("details", { open: rows.length <= 30 }, h("summary", {}, "Coefficients"), table(caption, kinds, lines, { class: "coefficients" }));
}

const MOST_COMPARED = 500;

// The choices of several sweeps for the same groups, side by side.
function sideBySide() {
  const sweeps = data.steps.filter((step) => step.sweep);
  if (sweeps.length < 2) return [];
  const all = [...new Set(sweeps.flatMap((step) => step.sweep.groups.map((group) => group.name)))], names = all.slice(0, MOST_COMPARED);
  const maps = sweeps.map((step) => new Map(step.sweep.groups.map((group) => [group.name, group])));
  const rows = names.map((name) => [name, ...maps.flatMap((groups, index) => {
    const group = groups.get(name), { sweep } = sweeps[index];
    if (!group || group.best === null) return [group ? "none" : "", null, null, null];
    return [valueName(sweep, group, group.best), atBest(group, "n_clusters"), percent(1 - group.coverage[group.best]), atBest(group, "silhouette")];
  })]);
  const columns = [{ name: "group", isText: true }, ...sweeps.flatMap((step) => [{ name: `${step.name}: chosen`, isText: true }, { name: "clusters" }, { name: "noise" }, { name: "silhouette" }])];
  return [h("section", { "aria-labelledby": "side-by-side" }, h("h2", { id: "side-by-side" }, "The sweeps side by side"), table(`The choice of each algorithm${all.length > names.length ? `, of the first ${names.length} of ${all.length} groups` : ""}`, columns, rows))];
}

document.getElementById("report").append(
  h("h1", {}, data.title), answers(), ...data.remarks.map((remark) => h("p", { class: "failed" }, remark)), facts(data.facts),
  h("details", {}, h("summary", {}, "Parameters"), facts(data.parameters)), ...data.steps.map(drawStep), ...sideBySide());
