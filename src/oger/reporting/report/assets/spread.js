// Histograms of the reward's factors over the steps, and bonus against length.
const FACTOR_TITLES = {
  divergence: "Divergence D", entropy_last: "Entropy at the last token, nats", entropy_mean: "Mean token entropy, nats",
  confidence: "Confidence c", bonus: "Bonus",
};

function histogramTraces(name, rows, place) {
  const look = familyLook(0);
  const style = getComputedStyle(document.documentElement);
  const [now, first] = [rows[place], rows[0]];
  const counts = now && now.counts[name];
  if (!counts) return [];
  const [low, high] = now.ranges[name];
  const width = (high - low) / counts.length;
  const middle = counts.map((_, bin) => low + (bin + 0.5) * width);
  const shares = (values) => { const sum = values.reduce((total, value) => total + value, 0); return values.map((value) => (sum ? value / sum : 0)); };
  const traces = [{
    type: "bar", x: middle, y: shares(counts), width, customdata: counts, marker: { color: transparent(look.colour, 0.75) },
    hovertemplate: "%{x:.3f}: %{customdata} rows<extra></extra>",
  }];
  if (first.counts[name] && first.counts[name].length === counts.length) {
    traces.push({ type: "scatter", mode: "lines", x: middle, y: shares(first.counts[name]), hoverinfo: "skip",
      line: { shape: "hvh", dash: "dot", width: 2, color: style.getPropertyValue("--text") } });
  }
  return traces;
}

function histogramsSection() {
  const made = section("histograms", "Histograms of the reward's factors");
  if (!RUNS.some((run) => run.histograms.length)) {
    made.append(element("p", {}, "No histogram is stored in these runs."));
    return;
  }
  const figures = [];
  const slider = element("input", { type: "range", id: "histogram-step", min: 0, value: 0, step: 1 });
  const said = element("output", { id: "histogram-said", for: "histogram-step" });
  const rows = () => (choice.value === "" ? [] : RUNS[Number(choice.value)].histograms);
  const update = (restart) => {
    const last = Math.max(rows().length - 1, 0);
    slider.max = last;
    if (restart) slider.value = last;
    const row = rows()[Number(slider.value)];
    const total = row ? Math.max(0, ...Object.values(row.counts).map((counts) => counts.reduce((sum, count) => sum + count, 0))) : 0;
    said.textContent = row ? `${row.from === row.to ? `step ${row.to}` : `steps ${row.from} to ${row.to}`}: ${total} rows` : "no shown run has histograms";
    slider.setAttribute("aria-valuetext", said.textContent);
    for (const { box } of figures) draw(box);
  };
  const choice = runChoice("histogram-run", (run) => run.histograms.length > 0, () => update(true));
  slider.addEventListener("input", () => update(false));
  for (const [name, title] of Object.entries(FACTOR_TITLES)) {
    figures.push(figure(title, `Share of rows by ${title}; dotted: the first stored batch. What lies beyond the range is in the outermost bin.`, () => ({
      data: histogramTraces(name, rows(), Number(slider.value)),
      layout: { bargap: 0, xaxis: { fixedrange: true }, yaxis: { fixedrange: true, rangemode: "tozero", tickformat: ".0%" } },
    })));
  }
  made.append(
    element("p", { class: "faint" }, "Among the correct online rows of a rollout batch. In a run of many batches neighbouring ones are added up."),
    element("div", { class: "row" }, labelled("run", choice), labelled("step", slider, true), said),
    element("div", { class: "grid" }, ...figures.map((made) => made.node)));
  update(true);
}

function bonusSection() {
  const made = section("bonus", "Bonus against length");
  const paid = RUNS.filter((run) => run.bonus_length.total > 0);
  if (!paid.length) {
    made.append(element("p", {}, "No stored correct online row has a bonus in these runs."));
    return;
  }
  const lines = paid.map((run) => {
    const { total, tokens, correlation } = run.bonus_length;
    const shown = tokens.length < total ? `${tokens.length} of ${total} rows, evenly chosen` : `${total} rows`;
    return `${run.label}: ${shown}, correlation ${correlation === null ? "not defined" : fixed(correlation, 2)}`;
  });
  const { box, node } = figure("Bonus of correct online rows against their length", `${lines.join("; ")}. A strong correlation means that the encoder pays for length.`, () => ({
    data: shownRuns().filter((run) => RUNS[run].bonus_length.total > 0).map((run) => {
      const look = familyLook(DATA.families[run]);
      const { tokens, bonus, step } = RUNS[run].bonus_length;
      return {
        type: "scatter", mode: "markers", name: plain(RUNS[run].label), x: tokens, y: bonus, customdata: step,
        marker: { symbol: `${SYMBOLS[run % SYMBOLS.length]}-open`, size: 7, color: look.colour, opacity: 0.7 },
        hovertemplate: `${plain(RUNS[run].label)}, step %{customdata}<br>%{x} tokens, bonus %{y:.3f}<extra></extra>`,
      };
    }),
    layout: {
      showlegend: paid.length > 1, legend: { orientation: "h", y: -0.2 },
      xaxis: { title: { text: "tokens" } }, yaxis: { title: { text: "bonus" } },
    },
  }), true);
  made.append(node);
  box.setAttribute("aria-label", `Bonus against length. ${lines.join("; ")}.`);
  draw(box);
}
