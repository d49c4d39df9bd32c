// The theme follows the system until it is chosen here; then the sections, top to bottom.
function setTheme(name) {
  document.documentElement.dataset.theme = name;
  const button = document.getElementById("theme");
  button.setAttribute("aria-pressed", String(name === "dark"));
}

const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
let themeChosen = false;
setTheme(prefersDark.matches ? "dark" : "light");
const retheme = (name) => { setTheme(name); drawLegend(); drawAll(); };
prefersDark.addEventListener("change", () => { if (!themeChosen) retheme(prefersDark.matches ? "dark" : "light"); });
document.getElementById("theme").addEventListener("click", () => {
  themeChosen = true;
  retheme(theme() === "dark" ? "light" : "dark");
});

function render() {
  document.getElementById("main").replaceChildren();
  document.getElementById("sections").replaceChildren();
  plots.clear();
  curvePlots.length = 0;
  whenRunsChange.length = 0;
  document.getElementById("made").textContent = `made ${DATA.made.replace("T", " ")} by oger ${DATA.oger}`;
  drawLegend();
  headlineSection();
  curvesSection();
  mapSection();
  browserSection();
  histogramsSection();
  bonusSection();
  alarmsSection();
  costSection();
  setupSection();
}

render();
document.documentElement.dataset.ready = "true";
if (DATA.watched) follow();
