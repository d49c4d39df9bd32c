// The map: teachers and rollouts in the plane, and how far the policy is from the teachers at each stored step.
const KINDS = {
  correct: ["correct rollouts", 2, "circle"],
  wrong: ["wrong rollouts", 7, "x-thin"],
  undecided: ["undecided rollouts", 5, "square-open"],
  replaced: ["replaced rollouts", 0, "diamond-open"],
};
const TEACHER_SYMBOLS = ["triangle-up", "triangle-down", "star", "pentagon", "hourglass", "bowtie"];

function bounds(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = 0.06 * (high - low) || 1;
  return [low - room, high + room];
}

// Equal responses lie on one another: one marker, and how many it stands for beside it.
function stacked(points) {
  const places = new Map();
  for (const point of points) {
    const place = `${point.x} ${point.y}`;
    if (places.has(place)) places.get(place).count += 1;
    else places.set(place, { ...point, count: 1 });
  }
  return [...places.values()];
}

function mapTraces(view, step) {
  const colours = COLOURS[theme()];
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--text");
  const markers = (points, name, more) => ({
    type: "scatter", mode: "markers+text", name, x: points.map((point) => point.x), y: points.map((point) => point.y),
    textposition: "middle right", cliponaxis: false, ...more,
  });
  const responses = (points, name, marker) => {
    const shown = stacked(points);
    return markers(shown, name, {
      text: shown.map(({ count }) => (count > 1 ? ` ×${count}` : "")), customdata: shown.map((point) => wrapped(point.text)),
      hovertemplate: `${name}<br>%{customdata}<extra></extra>`, marker,
    });
  };
  const traces = [];
  const teachers = view.points.filter((point) => point.kind === "teacher");
  [...new Set(teachers.map((point) => point.label))].sort().forEach((label, place) => {
    traces.push(responses(teachers.filter((point) => point.label === label), `teacher ${plain(label)}`, {
      symbol: TEACHER_SYMBOLS[place % TEACHER_SYMBOLS.length], size: 12, color: style.getPropertyValue("--faint"), line: { width: 1, color: ink },
    }));
  });
  const online = view.points.filter((point) => point.kind !== "teacher");
  const steps = view.steps.map((each) => each.step).filter((each) => each <= step);
  const centres = steps.map((each) => {
    const points = online.filter((point) => point.step === each);
    const mean = (axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
    return { x: mean("x"), y: mean("y") };
  });
  traces.push(markers(centres, "mean of the rollouts, step by step", {
    mode: "lines+markers", customdata: steps, hovertemplate: "mean of the rollouts at step %{customdata}<extra></extra>",
    line: { color: ink, width: 2, dash: "dot" }, marker: { size: 6, symbol: "circle", color: ink },
  }));
  for (const [kind, [name, colour, symbol]] of Object.entries(KINDS)) {
    const points = online.filter((point) => point.kind === kind && point.step === step);
    traces.push(responses(points, name, { symbol, size: 10, color: colours[colour], line: { width: 2, color: colours[colour] } }));
  }
  return traces;
}

// The names of the first and the last mean, each on the side on which the fewest marks lie, on a ground of their own.
function endNames(traces, perPixel) {
  const style = getComputedStyle(document.documentElement);
  const means = traces.find((trace) => trace.customdata && trace.mode === "lines+markers");
  const marks = traces.flatMap((trace) => trace.x.map((x, place) => [x, trace.y[place]]));
  const sides = [0, 1, 2, 3, 4, 5, 6, 7].map((eighth) => [Math.cos((eighth * Math.PI) / 4), Math.sin((eighth * Math.PI) / 4)]);
  const room = ([x, y]) => Math.min(...marks.map(([a, b]) => Math.hypot((a - x) / perPixel[0], (b - y) / perPixel[1])));
  return [...new Set([0, means.x.length - 1])].filter((place) => place >= 0).map((place) => {
    const at = (side) => [means.x[place] + 42 * side[0] * perPixel[0], means.y[place] + 34 * side[1] * perPixel[1]];
    const [across, up] = sides.reduce((best, side) => (room(at(side)) > room(at(best)) ? side : best));
    return {
      x: means.x[place], y: means.y[place], text: `step ${means.customdata[place]}`, ax: 42 * across, ay: -34 * up,
      showarrow: true, arrowhead: 0, arrowwidth: 1, arrowcolor: style.getPropertyValue("--faint"), standoff: 4,
      bgcolor: style.getPropertyValue("--back"), borderpad: 1,
    };
  });
}

function away(row) {
  return row.divergence === null ? "no divergence stored" : `mean divergence from the teachers ${fixed(row.divergence, 2)}`;
}

function mapInWords(view, step) {
  const row = view.steps.find((each) => each.step === step);
  if (!row) return "no rollouts";
  const count = (kind) => view.points.filter((point) => point.kind === kind && point.step === step).length;
  const kinds = Object.keys(KINDS).filter((kind) => count(kind)).map((kind) => `${count(kind)} ${kind}`).join(", ");
  const first = view.steps[0];
  return `step ${step}: ${kinds}; ${away(row)}${first.step < step && first.divergence !== null ? ` (${fixed(first.divergence, 2)} at step ${first.step})` : ""}`;
}

function mapSection() {
  const made = section("map", "Map of trajectories");
  if (!RUNS.some((run) => run.map.views.length)) {
    made.append(element("p", {}, "No stored group has teachers to be compared with, so there is nothing to map."));
    return;
  }
  const slider = element("input", { type: "range", id: "map-step", min: 0, step: 1, value: 0 });
  const said = element("output", { id: "map-said", for: "map-step" });
  const views = element("select", { id: "map-view" });
  const about = element("p", { class: "faint" });
  const current = () => (choice.value === "" ? null : RUNS[Number(choice.value)].map.views[Number(views.value)] || null);
  const numbers = element("div", {});
  const update = () => {
    const view = current();
    const steps = view ? view.steps : [];
    slider.max = Math.max(steps.length - 1, 0);
    said.textContent = !view ? "no shown run has a map" : steps.length ? mapInWords(view, steps[Number(slider.value)].step) : "no rollouts";
    slider.setAttribute("aria-valuetext", said.textContent);
    box.setAttribute("aria-label", view ? `${view.title}. ${said.textContent}.` : said.textContent);
    about.textContent = view
      ? `${RUNS[Number(choice.value)].map.about}. Principal components 1 (across) and 2 (up) of all steps together hold ${view.explained.map((share) => `${(100 * share).toFixed(0)} %`).join(" and ")} of the variance; `
        + `${view.prompts} prompt${view.prompts > 1 ? "s" : ""}. The axes stay while the step changes; near each other means alike to the encoder.`
      : "";
    draw(box);
  };
  const fill = () => {
    const run = choice.value === "" ? null : RUNS[Number(choice.value)];
    views.replaceChildren(...(run ? run.map.views : []).map((view, index) => element("option", { value: index }, view.title)));
    show();
  };
  const show = () => {
    const view = current();
    slider.value = 0;
    numbers.replaceChildren(...(view ? [table("Each step in numbers; the divergence is the mean over its rollouts", ["step", "mean divergence from the teachers", "correct rollouts", "rollouts"],
      view.steps.map((row) => [String(row.step), fixed(row.divergence), String(row.correct), String(row.rollouts)]))] : []));
    update();
  };
  const { box, node } = figure("Teachers and rollouts by principal components", "", () => {
    const view = current();
    if (!view || !view.steps.length) return { data: [], layout: {} };
    const data = mapTraces(view, view.steps[Number(slider.value)].step);
    const ranges = ["x", "y"].map((axis) => bounds(view.points.map((point) => point[axis])));
    return {
      data,
      layout: {
        showlegend: true, legend: { orientation: "h", y: -0.1 }, xaxis: { range: ranges[0] }, yaxis: { range: ranges[1] },
        annotations: endNames(data, ranges.map(([low, high], axis) => (high - low) / (axis ? box.clientHeight : box.clientWidth))),
      },
    };
  }, true);
  const choice = runChoice("map-run", (run) => run.map.views.length > 0, () => fill());
  views.addEventListener("change", show);
  slider.addEventListener("input", update);
  made.append(
    element("div", { class: "row" }, labelled("run", choice), labelled("prompts", views, true)),
    element("div", { class: "row" }, labelled("step", slider, true), said), node, about,
    element("details", { id: "map-numbers" }, element("summary", {}, "Every step in numbers"), numbers));
  fill();
}
