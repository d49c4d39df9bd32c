// The data, the elements and the state that every section shares. All text enters the page through textContent.
const DATA = JSON.parse(document.getElementById("data").textContent);
const RUNS = DATA.runs;

const state = { hidden: new Set(), range: null, smoothing: "light", across: "step" };
const whenRunsChange = [];

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function section(id, title, ...children) {
  const made = element("section", { id, "aria-labelledby": `${id}-title` }, element("h2", { id: `${id}-title` }, title), ...children);
  document.getElementById("main").append(made);
  document.getElementById("sections").append(element("a", { href: `#${id}` }, title));
  return made;
}

// A number with so many decimals as the terminal has it, where halves that are exact go to the even digit: 31.25 is 31.2.
function decimals(value, digits) {
  const half = Math.abs(value) * 2 ** (digits + 1); // an odd whole number where exactly half a unit is to be rounded
  const up = Math.abs(value).toFixed(digits);
  const size = half % 2 === 1 && Number(up.at(-1)) % 2 ? (Math.abs(value) - 10 ** -digits / 4).toFixed(digits) : up;
  return value < 0 && Number(size) !== 0 ? `−${size}` : size;
}

function fixed(value, digits) {
  return value === null || value === undefined ? "-" : decimals(value, digits === undefined ? 3 : digits);
}

function short(value) {
  if (value === null || value === undefined) return "-";
  const text = Math.abs(value) >= 1000 || (value !== 0 && Math.abs(value) < 0.001) ? value.toPrecision(3) : String(+value.toPrecision(4));
  return text.replace(/-/g, "−");
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "-";
  if (seconds < 120) return `${seconds.toFixed(0)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(1)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function isShown(run) {
  return !state.hidden.has(run);
}

function shownRuns() {
  return RUNS.map((_, run) => run).filter(isShown);
}

// A table in a box of its own that scrolls sideways, on a narrow screen a card for each row; columns of numbers are set
// right, long values are broken. The roles are said, since cards lose those of a table.
function table(caption, heads, rows, longValues) {
  const numbers = heads.map((_, column) => rows.every((row) => /^([−+]?\d.*|-)$/.test(String(row[column]))));
  const kind = (column) => (column === 0 ? null : longValues ? "value" : numbers[column] ? "number" : null);
  const cell = (value, column) => (column === 0
    ? element("th", { scope: "row", role: "rowheader" }, String(value))
    : element("td", { class: kind(column), role: "cell", "data-head": heads[column] }, String(value)));
  return element("div", {}, element("p", { class: "faint" }, caption), element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    element("table", { "aria-label": caption, role: "table", class: "rows" },
      element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, ...heads.map((head, column) => element("th", { scope: "col", role: "columnheader", class: kind(column) }, head)))),
      element("tbody", { role: "rowgroup" }, ...rows.map((row) => element("tr", { role: "row" }, ...row.map(cell)))))));
}

function labelled(text, control, wide) {
  return element("label", { class: wide ? "wide" : null }, text, control);
}

// A choice between the shown runs; it follows the legend and keeps its run while that is shown.
function runChoice(id, has, onchange) {
  const choice = element("select", { id, onchange });
  const fill = () => {
    const before = choice.value;
    const possible = shownRuns().filter((run) => has(RUNS[run]));
    choice.replaceChildren(...possible.map((run) => element("option", { value: run }, RUNS[run].label)));
    if (possible.includes(Number(before)) && before !== "") choice.value = before;
    choice.disabled = possible.length === 0;
  };
  whenRunsChange.push(() => { fill(); onchange(); });
  fill();
  return choice;
}
