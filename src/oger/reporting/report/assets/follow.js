// A page that `oger report --watch` serves asks for new data and draws itself again in place: what was chosen, opened and
// typed stays, and so does the part of the page that is looked at.
const ASK_EVERY_MS = 2000;

function kept() {
  const controls = [...document.querySelectorAll("main input[id], main select[id]")]
    .map(({ id, value, type, max }) => ({ id, value, atEnd: type === "range" && value === max }));
  const open = [...document.querySelectorAll("main details")]
    .map((each) => [each.id || each.dataset.key, each.open]).filter(([key]) => key);
  const focus = document.activeElement && document.activeElement.id;
  return { controls, open: new Map(open), focus, scroll: window.scrollY };
}

function restore({ controls, open, focus, scroll }) {
  for (const { id, value, atEnd } of controls) {
    const box = document.getElementById(id);
    if (!box) continue;
    const wanted = atEnd ? box.max : value;
    if (box.value === wanted) continue;
    box.value = wanted;
    for (const kind of ["input", "change"]) box.dispatchEvent(new Event(kind, { bubbles: true }));
  }
  for (const each of document.querySelectorAll("main details")) {
    const was = open.get(each.id || each.dataset.key);
    if (was !== undefined) each.open = was;
  }
  const focused = focus && document.getElementById(focus);
  if (focused) focused.focus({ preventScroll: true });
  window.scrollTo(0, scroll);
}

function refresh(data) {
  const before = kept();
  const range = state.range;
  const runs = data.runs;
  Object.assign(DATA, data);
  DATA.runs = RUNS;
  RUNS.splice(0, RUNS.length, ...runs);
  render();
  if (range) zoom(range);
  restore(before);
}

function follow() {
  const said = document.getElementById("following");
  said.hidden = false;
  const ask = async () => {
    try {
      const answer = await fetch(`data.json?after=${DATA.version}`, { cache: "no-store" });
      if (answer.status === 200) refresh(await answer.json());
      said.textContent = answer.ok ? "● live" : `the server answered ${answer.status}`;
    } catch {
      said.textContent = "no longer followed: oger report has ended";
    }
    setTimeout(ask, ASK_EVERY_MS);
  };
  ask();
}
