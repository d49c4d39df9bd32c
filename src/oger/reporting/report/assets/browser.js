// The group browser: stored groups with every factor of each row's reward, searched and filtered.
const PAGE = 20;
const ROW_FILTERS = {
  any: ["any row", () => true],
  correct: ["correct rollout", (row) => row.origin !== "teacher" && row.outcome === 1],
  wrong: ["wrong rollout", (row) => row.origin !== "teacher" && row.outcome === 0],
  undecided: ["rollout that could not be judged", (row) => row.origin !== "teacher" && row.outcome === null],
  replaced: ["replaced rollout", (row) => row.origin === "replaced"],
  "replaced-correct": ["replaced rollout that was correct", (row) => row.origin === "replaced" && row.outcome === 1],
  teacher: ["teacher row", (row) => row.origin === "teacher"],
  truncated: ["row cut by the length limit", (row) => row.truncated],
};
const FACTORS = [
  ["R", "outcome", "outcome"], ["D", "divergence", "divergence from the teachers"],
  ["H last", "entropy_last", "entropy the last token was drawn from, nats"], ["H mean", "entropy_mean", "mean token entropy, nats"],
  ["c", "confidence", "confidence"], ["bonus", "bonus", "weighted sum of the shaping rewards"],
  ["reward", "reward", "reward"], ["advantage", "advantage", "reward relative to the group"],
];

let allGroups = [];
let groupsShown = PAGE;

function verdict(row) {
  return row.outcome === 1 ? "correct" : row.outcome === 0 ? "wrong" : "undecided";
}

function marked(text, query) {
  if (!query) return [text];
  const parts = [];
  const low = text.toLowerCase();
  if (low.length !== text.length) return [text]; // a letter whose lower case is longer: places would not fit
  let from = 0;
  for (let at = low.indexOf(query); at >= 0; at = low.indexOf(query, from)) {
    parts.push(text.slice(from, at), element("mark", {}, text.slice(at, at + query.length)));
    from = at + query.length;
  }
  parts.push(text.slice(from));
  return parts;
}

function rowName(row) {
  return row.origin === "teacher" ? `teacher ${row.teacher || ""}`.trim() : row.origin;
}

function left(cut) {
  return cut ? element("p", { class: "faint" }, `${cut} characters in the middle are left out.`) : null;
}

function trajectory(row, query) {
  return element("div", { class: "trajectory", "data-origin": row.origin, "data-outcome": verdict(row) },
    element("p", {}, element("strong", {}, `${row.row} ${rowName(row)} `),
      element("span", { class: `tag ${verdict(row)}` }, row.outcome === null ? "? undecided" : row.outcome === 1 ? "✓ correct" : "✗ wrong"), " ",
      `${row.tokens} tokens `, row.truncated ? element("span", { class: "tag" }, "cut by the length limit") : null),
    element("pre", { class: "text", tabindex: "0" }, ...marked(row.text, query)), left(row.cut));
}

function groupBody(group, rows, query) {
  const shapings = [...new Set(group.rows.flatMap((row) => Object.keys(row.shaping || {})))];
  const hidden = group.rows.length - rows.length;
  return [
    element("pre", { class: "text", tabindex: "0" }, ...marked(group.prompt, query)), left(group.prompt_cut),
    table("Every factor of the rewards of this group",
      ["row", ...FACTORS.map(([head]) => head), ...shapings.map((name) => `shaping: ${name}`), "tokens"],
      rows.map((row) => [`${row.row} ${rowName(row)}`, ...FACTORS.map(([, name]) => fixed(row[name])),
        ...shapings.map((name) => fixed((row.shaping || {})[name])), String(row.tokens)])),
    hidden ? element("p", { class: "faint" }, `${hidden} other rows of this group do not match the filter.`) : null,
    ...rows.map((row) => trajectory(row, query)),
  ].filter(Boolean);
}

function groupCard({ group, rows }, query, open) {
  const online = group.rows.filter((row) => row.origin !== "teacher");
  const correct = online.filter((row) => row.outcome === 1).length;
  const teachers = group.rows.filter((row) => row.origin === "teacher").map((row) => row.teacher || "teacher");
  const facts = [`${RUNS[group.run].label}, step ${group.step}, group ${group.group}`, `${correct} of ${online.length} rollouts correct`,
    teachers.length ? `teacher ${teachers.join(", ")}` : "no teacher row"].join(" · ");
  const key = `${group.run}-${group.step}-${group.group}`;
  const card = element("details", { class: "group", "data-key": key },
    element("summary", {}, element("strong", { class: "question" }, group.title), element("span", { class: "faint" }, facts)));
  const fill = () => { if (card.children.length === 1) card.append(...groupBody(group, rows, query)); };
  card.addEventListener("toggle", () => { if (card.open) fill(); });
  if (open) { card.open = true; fill(); }
  return card;
}

function matching() {
  const value = (id) => document.getElementById(id).value;
  const query = value("search").trim().toLowerCase();
  const run = value("group-run");
  const teacher = value("group-teacher");
  const test = ROW_FILTERS[value("group-rows")][1];
  const found = [];
  for (const group of allGroups) {
    if (!isShown(group.run) || (run !== "" && group.run !== Number(run))) continue;
    if (teacher !== "" && !group.rows.some((row) => row.teacher === teacher)) continue;
    const inPrompt = group.prompt.toLowerCase().includes(query);
    const rows = group.rows.filter((row) => test(row) && (inPrompt || row.text.toLowerCase().includes(query)));
    if (rows.length) found.push({ group, rows });
  }
  return { found, query };
}

function drawGroups() {
  const { found, query } = matching();
  const list = document.getElementById("group-list");
  const rows = found.reduce((sum, { rows }) => sum + rows.length, 0);
  document.getElementById("group-count").textContent = `${found.length} of ${allGroups.length} groups, ${rows} rows match.`;
  list.replaceChildren(...found.slice(0, groupsShown).map((each, place) => groupCard(each, query, place === 0)));
  document.getElementById("more-groups").hidden = found.length <= groupsShown;
}

function browserSection() {
  const made = section("groups", "Groups");
  allGroups = RUNS.flatMap((run, index) => run.groups.map((group) => ({ ...group, run: index })));
  if (!allGroups.length) {
    made.append(element("p", {}, "No group is stored in these runs."));
    return;
  }
  const again = () => { groupsShown = PAGE; drawGroups(); };
  const choose = (id, options) => element("select", { id, onchange: again },
    ...options.map(([value, text]) => element("option", { value }, text)));
  const teachers = [...new Set(allGroups.flatMap((group) => group.rows.map((row) => row.teacher)).filter(Boolean))].sort();
  const sampled = RUNS.map((run) => `${run.label}: ${run.groups.length} of ${run.groups_stored}`).join("; ");
  made.append(
    element("p", { class: "faint" },
      `Evenly chosen from the stored groups, at most ${DATA.groups_cap} of each run: ${sampled}. Long texts are cut in the middle and say so. `
      + "A replaced row gave way to a teacher and was not trained on. "
      + FACTORS.map(([head, , meaning]) => `${head}: ${meaning}`).join("; ") + "."),
    element("div", { class: "row" },
      labelled("search in prompts and texts", element("input", { type: "search", id: "search", oninput: again }), true),
      labelled("rows", choose("group-rows", Object.entries(ROW_FILTERS).map(([value, [text]]) => [value, text]))),
      labelled("teacher", choose("group-teacher", [["", "any"], ...teachers.map((name) => [name, name])])),
      labelled("run", choose("group-run", [["", "all shown"], ...RUNS.map((run, index) => [index, run.label])]))),
    element("p", { id: "group-count", role: "status", "aria-live": "polite" }),
    element("div", { id: "group-list" }),
    element("button", { type: "button", id: "more-groups", hidden: true, onclick: () => { groupsShown += PAGE; drawGroups(); } }, "More groups"));
  whenRunsChange.push(drawGroups);
  drawGroups();
}
