// Learning curves: a line for each family of runs that differ only in their seed, its band, and one zoom for all.
const curvePlots = [];

const SMOOTHING = { none: ["none", 0], light: ["light", 0.06], strong: ["strong", 0.2] };
const FEWEST_SMOOTHED = 15; // points; a few validations stay as they are
const LEAST_SPAN = 0.05; // of the y axis of a share: noise of a value that stands still is not drawn as a change

// What lies along the x axis. Short runs are told in minutes.
function acrossOf(name) {
  const longest = Math.max(0, ...RUNS.flatMap((run) => run.curves.hours).filter((hours) => hours !== null));
  return {
    step: { title: "step", digits: 0, values: (run) => RUNS[run].curves.step },
    tokens: { title: "tokens generated", digits: 0, values: (run) => RUNS[run].curves.tokens },
    hours: longest < 2
      ? { title: "minutes of training", digits: 2, values: (run) => RUNS[run].curves.hours.map((hours) => (hours === null ? null : 60 * hours)) }
      : { title: "hours of training", digits: 3, values: (run) => RUNS[run].curves.hours },
  }[name];
}

// Points [x, y, step] of a metric of a run.
function series(run, metric) {
  const { step, values } = RUNS[run].curves;
  const across = acrossOf(state.across).values(run);
  const points = [];
  (values[metric] || []).forEach((value, place) => {
    if (value !== null && across[place] !== null) points.push([across[place], value, step[place]]);
  });
  return points;
}

// Where a run was at a step, along the x axis.
function placeOf(run, step) {
  const at = RUNS[run].curves.step.findIndex((each) => each >= step);
  return at < 0 ? null : acrossOf(state.across).values(run)[at];
}

// A centred running mean over a share of the points, over fewer of them at the ends.
function smoothed(points) {
  const share = SMOOTHING[state.smoothing][1];
  if (!share || points.length < FEWEST_SMOOTHED) return points;
  const half = Math.max(1, Math.round((points.length * share) / 2));
  return points.map(([x, , step], place) => {
    const near = points.slice(Math.max(0, place - half), place + half + 1);
    return [x, near.reduce((sum, point) => sum + point[1], 0) / near.length, step];
  });
}

// Points in the zoomed range and the ones just outside, so that lines leave the frame and the y axis fits what is seen.
function inRange(points) {
  if (!state.range) return points;
  const [low, high] = state.range;
  return points.filter(([x], place) => {
    const next = points[place + 1];
    const last = points[place - 1];
    return (x >= low && x <= high) || (x < low && next && next[0] >= low) || (x > high && last && last[0] <= high);
  });
}

// Mean, lowest and highest at the steps that every run has: [x, mean, step, lowest, highest].
function band(lines) {
  const others = lines.slice(1).map((points) => new Map(points.map((point) => [point[2], point])));
  return lines[0].filter((point) => others.every((points) => points.has(point[2]))).map((point) => {
    const all = [point, ...others.map((points) => points.get(point[2]))];
    const ys = all.map((each) => each[1]);
    const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
    return [mean(all.map((each) => each[0])), mean(ys), point[2], Math.min(...ys), Math.max(...ys)];
  });
}

function curveTraces(metric) {
  const traces = [];
  for (const family of new Set(DATA.families)) {
    const runs = shownRuns().filter((run) => DATA.families[run] === family && series(run, metric).length);
    if (!runs.length) continue;
    const look = familyLook(family);
    const raw = runs.map((run) => series(run, metric));
    const lines = raw.map(smoothed);
    const labels = runs.map((run) => plain(RUNS[run].label)).join(", ");
    const line = (points, column, more) => {
      const shown = inRange(points);
      return { type: "scatter", mode: "lines", x: shown.map((point) => point[0]), y: shown.map((point) => point[column]),
        customdata: shown.map((point) => point[2]), ...more };
    };
    const bold = (points, name) => line(points, 1, {
      mode: "lines+markers", name, line: { color: look.colour, dash: look.dash, width: 2 },
      marker: { symbol: look.symbol, size: 7, maxdisplayed: 8, color: look.colour },
      hovertemplate: `${name}<br>step %{customdata}: %{y:.4g}<extra></extra>`,
    });
    const behind = (points, name) => line(points, 1, {
      name: `${name}: not smoothed`, opacity: 0.35, hoverinfo: "skip", line: { color: look.colour, width: 1 },
    });
    const isSmoothed = lines.some((points, place) => points !== raw[place]);
    if (runs.length === 1) {
      if (isSmoothed) traces.push(behind(raw[0], labels));
      traces.push(bold(lines[0], labels));
      continue;
    }
    const middle = band(lines);
    const edge = { hoverinfo: "skip", line: { width: 0 }, name: `${labels}: range` };
    traces.push(line(middle, 3, edge), line(middle, 4, { ...edge, fill: "tonexty", fillcolor: transparent(look.colour, 0.18) }));
    if (isSmoothed) traces.push(behind(band(raw), labels));
    runs.forEach((run, place) => traces.push(line(lines[place], 1, {
      name: plain(RUNS[run].label), opacity: 0.4, line: { color: look.colour, width: 1 },
      hovertemplate: `${plain(RUNS[run].label)}<br>step %{customdata}: %{y:.4g}<extra></extra>`,
    })));
    traces.push(bold(middle, `mean of ${runs.length} seeds: ${labels}`));
  }
  return traces;
}

function shownAlarms() {
  return shownRuns().flatMap((run) => RUNS[run].alarms.map((alarm) => ({ ...alarm, run, x: placeOf(run, alarm.step) })))
    .filter((alarm) => alarm.x !== null);
}

function alarmColour() {
  return getComputedStyle(document.documentElement).getPropertyValue("--bad").trim();
}

function alarmLines() {
  return [...new Set(shownAlarms().map((alarm) => alarm.x))].map((x) => ({
    type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, layer: "below", line: { color: alarmColour(), width: 1, dash: "dot" },
  }));
}

// A mark at the top of the plot for each alarm; pointed at or touched, it says what rang.
function alarmMarks() {
  const alarms = shownAlarms().filter(({ x }) => !state.range || (x >= state.range[0] && x <= state.range[1]));
  if (!alarms.length) return [];
  return [{
    type: "scatter", mode: "markers", name: "alarms", yaxis: "y2", cliponaxis: false,
    x: alarms.map((alarm) => alarm.x), y: alarms.map(() => 1),
    text: alarms.map((alarm) => `${plain(RUNS[alarm.run].label)}, step ${alarm.step}: ${plain(alarm.name)}<br>${wrapped(alarm.message)}`),
    hovertemplate: "%{text}<extra></extra>", marker: { symbol: "triangle-down", size: 10, color: alarmColour() },
  }];
}

function inWords(panel) {
  const said = shownRuns().map((run) => {
    const points = series(run, panel.metric);
    if (!points.length) return null;
    const [first, last] = [points[0], points[points.length - 1]];
    return `${RUNS[run].label}: ${short(first[1])} at step ${first[2]}, ${short(last[1])} at step ${last[2]}`;
  }).filter(Boolean);
  return `${panel.title}. ${said.length ? said.join("; ") : "No shown run has it"}.`;
}

function lastPlace() {
  return Math.max(...RUNS.map((_, run) => acrossOf(state.across).values(run).at(-1) || 0)) || 1;
}

function curveLayout(yaxis) {
  return {
    xaxis: { title: { text: acrossOf(state.across).title, standoff: 4 }, range: state.range ? [...state.range] : [-0.02 * lastPlace(), 1.02 * lastPlace()] },
    yaxis: { fixedrange: true, ...yaxis },
    yaxis2: { overlaying: "y", range: [0, 1], fixedrange: true, visible: false },
    shapes: alarmLines(),
  };
}

// The y axis of a share, which lies between 0 and 1: from 0 where that is usual, and never closer than LEAST_SPAN.
function shareAxis(traces, fromZero) {
  const values = traces.flatMap((trace) => trace.y).filter((value) => value !== null);
  const [low, high] = [fromZero ? 0 : Math.min(...values), Math.max(...values)];
  if (!values.length || low < 0 || high > 1 || high - low >= LEAST_SPAN) return { rangemode: fromZero ? "tozero" : "normal" };
  const start = fromZero ? 0 : Math.min(Math.max(0, (low + high - LEAST_SPAN) / 2), 1 - LEAST_SPAN);
  const room = LEAST_SPAN / 20; // for the line that lies on an edge
  return { range: [start - room, start + LEAST_SPAN + room] };
}

function curveFigure(panel) {
  const caption = [panel.metric, panel.unit, panel.definition].filter(Boolean).join(" · ");
  const made = figure(panel.title, caption, () => {
    made.box.setAttribute("aria-label", inWords(panel));
    const traces = curveTraces(panel.metric);
    const isShare = panel.unit === "share";
    return {
      data: [...traces, ...alarmMarks()],
      layout: curveLayout(isShare || panel.bounded ? shareAxis(traces, isShare) : {}),
    };
  });
  made.box.classList.add("curve");
  curvePlots.push(made.box);
  return made;
}

// The test sets before training, at step 0, and after it, with their intervals.
function testFigure() {
  const title = "Test accuracy before and after";
  const sets = [...new Set(RUNS.flatMap((run) => Object.keys(run.headline.sets)))];
  const made = figure(title, "pass@1 of the untrained policy at step 0, and of the trained one; bars are 95 % intervals over problems.", () => {
    const traces = shownRuns().flatMap((run) => sets.map((name, place) => {
      const set = RUNS[run].headline.sets[name];
      if (!set) return null;
      const look = familyLook(DATA.families[run]);
      const ends = [[0, set.before], [placeOf(run, RUNS[run].headline.steps) ?? 0, set.after]]
        .filter(([, summary]) => summary && summary["pass@1"] !== null);
      const bars = (side) => ends.map(([, summary]) => (summary.ci95 ? Math.abs(summary.ci95[side] - summary["pass@1"]) : 0));
      return {
        type: "scatter", mode: "lines+markers", name: `${plain(RUNS[run].label)}, ${plain(set.title)}`,
        x: ends.map(([x]) => x), y: ends.map(([, summary]) => summary["pass@1"]),
        error_y: { type: "data", symmetric: false, array: bars(1), arrayminus: bars(0), width: 5, thickness: 1.5 },
        line: { color: look.colour, dash: place ? "dot" : "solid", width: 2 }, cliponaxis: false,
        marker: { symbol: place ? `${SYMBOLS[place % SYMBOLS.length]}-open` : look.symbol, size: 9, color: look.colour },
        hovertemplate: `${plain(RUNS[run].label)}, ${plain(set.title)}: %{y:.1%}<extra></extra>`,
      };
    }).filter(Boolean));
    made.box.setAttribute("aria-label", `${title}. ${traces.map((trace) => `${trace.name}: ${trace.y.map((y) => `${percent(y)} %`).join(", then ")}`).join("; ")}.`);
    return {
      data: traces,
      layout: { ...curveLayout({ rangemode: "tozero", tickformat: ".0%" }), showlegend: traces.length <= 4, legend: { orientation: "h", y: -0.25, x: 0 } },
    };
  });
  made.box.id = "tests-plot";
  return made;
}

function drawCurves() {
  for (const box of [...curvePlots, document.getElementById("tests-plot")]) if (box && plots.has(box)) draw(box);
}

function zoom(range) {
  state.range = range && range[1] > range[0] ? range : null;
  const told = (value) => +value.toFixed(acrossOf(state.across).digits);
  document.getElementById("zoom-from").value = state.range ? told(state.range[0]) : "";
  document.getElementById("zoom-to").value = state.range ? told(state.range[1]) : "";
  drawCurves();
}

function followZoom(box) {
  box.on("plotly_relayout", (change) => {
    if (change["xaxis.autorange"]) zoom(null);
    else if (change["xaxis.range[0]"] !== undefined) zoom([change["xaxis.range[0]"], change["xaxis.range[1]"]]);
    else if (change["xaxis.range"]) zoom([...change["xaxis.range"]]);
  });
}

function curvesSection() {
  const made = section("curves", "Learning curves");
  const typed = () => {
    const [from, to] = ["zoom-from", "zoom-to"].map((id) => document.getElementById(id).value);
    zoom(from === "" && to === "" ? null : [from === "" ? 0 : Number(from), to === "" ? lastPlace() : Number(to)]);
  };
  const many = new Set(DATA.families).size < RUNS.length;
  made.append(element("p", { class: "faint" },
    (many ? "Runs that differ only in their seed are one line, their mean, over the steps that all of them have; the band is from the lowest to the highest run, thin lines are the runs. " : "")
    + "Pale behind a smoothed line: the values themselves. A zoom in one plot holds in all; a double click undoes it. Dotted lines with a ▼ are alarms."));
  const binned = RUNS.filter((run) => run.curves.rows_per_point > 1);
  for (const run of binned) {
    made.append(element("p", { class: "faint" }, `${run.label}: each point is the mean of ${run.curves.rows_per_point} consecutive rows.`));
  }
  const has = (name) => RUNS.some((run) => run.curves[name].some((value) => value !== null));
  const choose = (id, options, chosen, onchange) => {
    const box = element("select", { id, onchange: () => onchange(box.value) }, ...options.map(([value, text]) => element("option", { value }, text)));
    box.value = chosen;
    return box;
  };
  const axes = [["step", "steps"], ["tokens", "tokens generated"], ["hours", "time"]].filter(([name]) => name === "step" || has(name));
  if (!axes.some(([name]) => name === state.across)) state.across = "step";
  made.append(element("div", { class: "row" },
    labelled("smoothing", choose("smoothing", Object.entries(SMOOTHING).map(([name, [text]]) => [name, text]), state.smoothing, (value) => { state.smoothing = value; drawCurves(); })),
    labelled("by", choose("across", axes, state.across, (value) => { state.across = value; zoom(null); })),
    labelled("from", element("input", { type: "number", id: "zoom-from", min: 0, step: "any", onchange: typed })),
    labelled("to", element("input", { type: "number", id: "zoom-to", min: 0, step: "any", onchange: typed })),
    element("button", { type: "button", id: "zoom-all", onclick: () => zoom(null) }, "All")));
  const grid = element("div", { class: "grid" });
  const main = DATA.panels.filter((panel) => panel.main && panel.recorded).map(curveFigure);
  const tests = RUNS.some((run) => Object.keys(run.headline.sets).length) ? testFigure() : null;
  grid.append(...(tests ? [tests.node] : []), ...main.map((made) => made.node));
  made.append(grid);
  const absent = DATA.panels.filter((panel) => panel.main && !panel.recorded);
  if (absent.length) {
    made.append(element("p", { class: "faint" }, `Recorded by none of these runs: ${absent.map((panel) => panel.metric).join(", ")}.`));
  }
  const others = DATA.panels.filter((panel) => !panel.main);
  if (others.length) made.append(otherCurves(others));
  for (const { box } of [...(tests ? [tests] : []), ...main]) { draw(box); followZoom(box); }
}

// The other metrics are drawn when they are first opened.
function otherCurves(panels) {
  const more = element("details", { id: "other-metrics" }, element("summary", {}, `${panels.length} other metrics`));
  more.addEventListener("toggle", () => {
    if (!more.open || more.querySelector(".grid")) return;
    const figures = panels.map(curveFigure);
    more.append(element("div", { class: "grid" }, ...figures.map((made) => made.node)));
    for (const { box } of figures) { draw(box); followZoom(box); }
  });
  return more;
}
