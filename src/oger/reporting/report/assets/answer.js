// The strip at the top: what each run answers. How far accuracy moved on each test set, and what that cost.
const signed = (value) => `${value < 0 ? "" : "+"}${decimals(100 * value, 1)}`;
const percent = (value) => decimals(100 * value, 1);

function count(value) {
  if (value === null || value === undefined) return "-";
  const [size, unit] = value >= 1e9 ? [1e9, " G"] : value >= 1e6 ? [1e6, " M"] : value >= 1e4 ? [1e3, " k"] : [1, ""];
  return `${+(value / size).toPrecision(3)}${unit}`;
}

// Whether the interval lies above 0, below it, or on both sides.
function direction(change) {
  if (change.low === null) return "unsure";
  return change.low > 0 ? "up" : change.high < 0 ? "down" : "unsure";
}

function changeCell(set, at) {
  const change = set.change[at];
  if (!change) {
    const known = set.after || set.before;
    if (!known || known[at] === null) return element("td", {}, element("span", { class: "faint" }, "not measured"));
    return element("td", {}, element("span", { class: "big" }, `${percent(known[at])} %`), element("span", { class: "faint" }, set.after ? "after" : "before training"));
  }
  const way = direction(change);
  const interval = change.low === null ? "no interval stored" : `[${signed(change.low)}, ${signed(change.high)}]${change.paired ? "" : " *"}`;
  return element("td", { class: way },
    element("span", { class: "big" }, `${{ up: "▲ ", down: "▼ ", unsure: "" }[way]}${signed(change.value)}`),
    element("span", {}, interval),
    element("span", { class: "faint" }, `${percent(set.before[at])} → ${percent(set.after[at])} %`));
}

function changeTable(sets) {
  return element("table", { class: "change", "aria-label": "Change of accuracy in points" },
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "points"), ...["pass@1", "pass@8"].map((at) => element("th", { scope: "col" }, at)))),
    element("tbody", {}, ...sets.map((set) => element("tr", {}, element("th", { scope: "row" }, set.title), changeCell(set, "pass@1"), changeCell(set, "pass@8")))));
}

function costLine(run) {
  const { seconds, training_seconds: training, tokens, machine } = run.headline;
  const counted = tokens !== null ? tokens : run.curves.tokens[run.curves.tokens.length - 1];
  return [
    training !== null ? `${duration(training)} of training` : null,
    seconds !== null ? `${duration(seconds)} in all` : null,
    counted ? `${count(counted)} tokens generated` : null, machine,
  ].filter(Boolean).join(" · ");
}

function heldOut(points) {
  const [first, last] = points;
  return `held-out accuracy ${percent(first[1])} % at step ${first[0]}${last[0] > first[0] ? `, ${percent(last[1])} % at step ${last[0]}` : ""}`;
}

function answerCard(run, index) {
  const { method, model, options, steps, max_steps: most, sets, held_out: held } = run.headline;
  const tests = Object.values(sets);
  const rang = [...new Set(run.alarms.map((alarm) => alarm.name))];
  const name = model ? model.split("/").filter(Boolean).slice(-2).join("/") : "model unknown";
  return element("article", { class: "answer", "data-run": index },
    element("h3", {}, swatch(DATA.families[index]), element("span", {}, run.label),
      element("span", { class: run.finished ? "tag correct" : "tag wrong" }, run.finished ? "finished" : "not finished")),
    element("p", {}, element("strong", {}, method || "method unknown"), ` · ${name} · ${run.finished || !most ? `${steps} steps` : `step ${steps} of ${most}`} · seed ${options.seed ?? "-"}`),
    tests.length ? changeTable(tests) : null,
    held && !tests.some((set) => set.after) ? element("p", {}, heldOut(held)) : null,
    element("p", { class: "faint" }, costLine(run) || "no cost recorded yet"),
    rang.length ? element("p", { class: "rang" }, element("a", { href: "#alarms" }, `▼ ${rang.length} alarm${rang.length > 1 ? "s" : ""}: ${rang.join(", ")}`)) : null);
}

function answerStrip() {
  const changes = RUNS.flatMap((run) => Object.values(run.headline.sets)).flatMap((set) => Object.values(set.change)).filter(Boolean);
  const notes = [];
  if (changes.length) {
    notes.push("Points of accuracy after training minus before, with 95 % bootstrap intervals over problems; ▲ and ▼ mark intervals without 0. "
      + "They say what other problems would have given, not what other seeds would.");
  }
  if (changes.some((change) => change.low !== null && !change.paired)) {
    notes.push(" * computed from the intervals before and after as if these were of different problems, which is wider: this run stored no paired one.");
  }
  return element("div", {},
    element("div", { class: "strip" }, ...RUNS.map(answerCard)),
    notes.length ? element("p", { class: "faint" }, ...notes) : null);
}
