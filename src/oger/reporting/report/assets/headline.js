// What each run is and what it reached; what was missing or damaged; the legend.
function accuracy(summary) {
  if (!summary || summary["pass@1"] === null) return "-";
  const interval = summary.ci95 ? ` [${summary.ci95.map(percent).join(", ")}]` : "";
  return percent(summary["pass@1"]) + interval;
}

function atEight(summary) {
  if (!summary || summary["pass@8"] === null) return "-";
  const interval = summary["pass@8_ci95"] ? ` [${summary["pass@8_ci95"].map(percent).join(", ")}]` : "";
  return percent(summary["pass@8"]) + interval;
}

function headlineSection() {
  const made = section("headline", RUNS.length > 1 ? "What changed, run by run" : "What changed");
  made.append(answerStrip());
  const option = (value) => (value === null || value === undefined ? "-" : String(value));
  for (const run of RUNS) {
    if (!run.finished) made.append(element("p", { class: "note" }, `${run.label} is ${run.state}.`));
    for (const problem of run.problems) made.append(element("p", { class: "note problem" }, `${run.label}: ${problem}.`));
  }
  const more = element("details", { id: "all-numbers" }, element("summary", {}, "Every run in numbers"));
  made.append(more);
  more.append(table("What was run. Bonus weight is the factor of the exploration reward (exploration_weight).",
    ["run", "state", "preset", "teacher rows", "bonus weight", "seed", "steps", "time", "best held-out accuracy"],
    RUNS.map((run) => {
      const { options, steps, max_steps, seconds, training_seconds, best } = run.headline;
      return [
        run.label, run.finished ? "finished" : "not finished", option(options.preset), option(options.teacher_rows),
        option(options.exploration_weight), option(options.seed), max_steps ? `${steps} of ${max_steps}` : steps,
        seconds !== null ? duration(seconds) : training_seconds ? `${duration(training_seconds)} (steps alone)` : "-",
        best ? `${percent(best.outcome)} % at step ${best.step}` : "-",
      ];
    })));
  const rows = [];
  for (const run of RUNS) {
    for (const set of Object.values(run.headline.sets)) {
      const tries = set.after || set.before;
      rows.push([run.label, set.title, accuracy(set.before), accuracy(set.after), atEight(set.before), atEight(set.after),
        tries.problems === null ? "-" : `${tries.problems} x ${option(tries.samples)}`]);
    }
  }
  if (rows.length) {
    more.append(element("p", {}), table("Problems solved, % [95 % bootstrap interval over problems]",
      ["run", "test set", "pass@1 before", "pass@1 after", "pass@8 before", "pass@8 after", "problems x tries"], rows));
  } else {
    more.append(element("p", { class: "faint" }, "No evaluation before or after training is stored yet."));
  }
}

function swatch(family) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const line = document.createElementNS(space, "line");
  const look = familyLook(family);
  svg.setAttribute("width", "30");
  svg.setAttribute("height", "10");
  svg.setAttribute("aria-hidden", "true");
  for (const [name, value] of Object.entries({ x1: 0, x2: 30, y1: 5, y2: 5, stroke: look.colour, "stroke-width": 3, "stroke-dasharray": SWATCHES[family % SWATCHES.length] })) {
    line.setAttribute(name, value);
  }
  svg.append(line);
  return svg;
}

function drawLegend() {
  document.getElementById("legend").hidden = RUNS.length < 2;
  document.getElementById("controls").classList.toggle("loose", RUNS.length < 2);
  document.getElementById("legend").replaceChildren(...RUNS.map((run, index) => {
    const button = element("button", { type: "button", "aria-pressed": String(isShown(index)), "data-run": index },
      swatch(DATA.families[index]), run.label);
    button.addEventListener("click", () => {
      if (!state.hidden.delete(index)) state.hidden.add(index);
      button.setAttribute("aria-pressed", String(isShown(index)));
      for (const change of whenRunsChange) change();
      drawAll();
    });
    return button;
  }));
}
