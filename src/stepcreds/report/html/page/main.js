// Shows what the address asks for, and puts into the address what is asked for on the page.
let printing = false;
const FIELDS = ["q", "need", "repo", "profile", "record", "from", "to"];

function render() {
  const rows = matching();
  const ordered = sorted(rows);
  const alarms = rows.filter((row) => row.alarms).length;
  const status = rows.length === ROWS.length ? counted(rows.length, "credential") : `${rows.length.toLocaleString("en")} of ${counted(ROWS.length, "credential")}`;
  byId("status").textContent = `${status}, ${alarms.toLocaleString("en")} that ${alarms === 1 ? "needs" : "need"} attention${state.run ? "; one run only" : ""}.`;
  byId("repositories").replaceChildren(...(state.run ? [] : repositories(rows)).filter(Boolean));
  byId("runs").replaceChildren(...runs(rows).filter(Boolean));
  byId("list").replaceChildren(...list(ordered).filter(Boolean));
  for (const name of FIELDS) if (byId(name).value !== state[name]) byId(name).value = state[name];
}

/** To another state of the page. `section` is what is to be seen then, `focus` what is to have the focus. */
function go(changes, section = null, focus = null) {
  const opening = changes.open !== undefined && changes.open !== "" && focus === null;
  Object.assign(state, changes);
  remember("pushState");
  render();
  if (opening) reveal();
  if (section) (byId(section).querySelector("button") ?? byId(section)).focus();
  if (focus) (byId(focus)?.disabled ? byId("status") : byId(focus))?.focus();
}

/** Turns to the page that has the credential last opened, and goes there. */
function reveal() {
  const uid = state.open.split(",").at(-1);
  const shownRows = sorted(matching());
  let place = shownRows.findIndex((row) => row.uid === uid);
  if (place < 0) { // hidden by a filter
    if (!ROWS.some((row) => row.uid === uid)) return;
    Object.assign(state, { ...EMPTY, open: state.open });
    place = sorted(matching()).findIndex((row) => row.uid === uid);
  }
  state.page = String(Math.floor(place / PAGE) + 1);
  remember("replaceState");
  render();
  const button = byId(`row-${ROWS.find((row) => row.uid === uid).place}`);
  button.scrollIntoView({ block: "start" });
  button.focus({ preventScroll: true });
}

function options(id, values) {
  byId(id).append(...values.map(([value, text]) => el("option", { value }, text)));
}

function begin() {
  const count = (key) => ROWS.filter((row) => row.kinds.includes(key)).length;
  const distinct = (values) => [...new Set(values)].filter(Boolean).sort(TEXTS.compare).map((value) => [value, shown(value, 60)]);
  options("need", KINDS.filter((kind) => count(kind.key)).map((kind) => [kind.key, `${kind.title} (${count(kind.key)})`]));
  options("repo", distinct(CHAINS.map((chain) => chain.repository)));
  options("profile", distinct(ROWS.map((row) => row.profile)));
  options("record", distinct(ROWS.map((row) => row.record)).map(([value]) => [value, (RECORD[value] ?? [value])[0]]));
  for (const name of FIELDS) {
    byId(name).addEventListener("input", () => {
      Object.assign(state, { [name]: byId(name).value, page: "1", runs: "1" });
      remember("replaceState");
      render();
    });
  }
  byId("clear").addEventListener("click", () => go({ ...EMPTY }));
  addEventListener("hashchange", arrive);
  addEventListener("popstate", arrive);
  addEventListener("beforeprint", () => { printing = true; for (const fold of document.querySelectorAll("details.more")) fold.open = true; render(); });
  addEventListener("afterprint", () => { printing = false; render(); });
  const themes = { "": ["light", "light"], light: ["dark", "dark"], dark: ["", "as the system"] };
  byId("theme").addEventListener("click", () => {
    const [next, word] = themes[document.documentElement.dataset.theme ?? ""];
    if (next) document.documentElement.dataset.theme = next;
    else delete document.documentElement.dataset.theme;
    byId("theme").textContent = `Theme: ${word}`;
  });
  for (const cell of document.querySelectorAll("[data-levels]")) levels(cell);
  for (const mark of document.querySelectorAll("[data-mark]")) legend(mark);
  byId("theme").hidden = byId("interactive").hidden = false;
  arrive();
}

/** The address that was last read or written: a browser tells of some changes twice, and of ours as well. */
let arrived = null;

function remember(how) {
  history[how](null, "", address());
  arrived = location.hash;
}

function arrive() {
  if (location.hash === arrived) return;
  const first = arrived === null;
  arrived = location.hash;
  if (!readAddress() && !first) return;
  render();
  if (state.open) reveal();
  else if (state.need && !first) byId("credentials").focus();
}

/** What was declared, granted and used in each run of a profile, by height: read, write, ddl, admin. */
function levels(cell) {
  const runs = JSON.parse(cell.dataset.levels);
  const picture = svg("svg", { height: 34, role: "img", "aria-label": `${counted(runs.length, "run")}; the columns beside this say the same in words` });
  const width = Math.min(100 / runs.length, 4);
  const [bottom, unit] = [32, 7];
  runs.forEach(([declared, granted, used], place) => {
    const x = `${(place * width).toFixed(2)}%`;
    const bar = (level, name, part) => svg("rect", { class: `level ${name}`, x, width: `${(width * part).toFixed(2)}%`, y: bottom - unit * level, height: unit * level });
    if (granted === null) picture.append(bar(2, "unmeasured", 0.7));
    else picture.append(bar(granted, declared !== null && granted > declared ? "beyond" : "", 0.8));
    if (used !== null) picture.append(bar(used, "used", 0.4));
    if (declared !== null) picture.append(svg("line", { class: "declared", x1: x, x2: `${((place + 0.9) * width).toFixed(2)}%`, y1: bottom - unit * declared, y2: bottom - unit * declared }));
  });
  cell.append(picture);
}

function legend(mark) {
  const row = { start: 0, time: 0, end: 8, how: "proven", command: [1.5, 6.5], overlaps: [], lived_in: [] };
  const drawn = {
    proven: row, most: { ...row, how: "most", command: [1.5, 4] }, unknown: { ...row, how: "unknown", end: null, command: [1.5, 4] },
    overlap: { ...row, overlaps: [[0, 4, 8, true]] }, maybe: { ...row, how: "most", end: 9, command: [1, 3], overlaps: [[0, 5, 9, false]] }, none: { ...row, how: "none", start: 5 },
  }[mark.dataset.mark];
  mark.append(...bar({ from: 0, to: 10 }, drawn, 2, 13));
}

begin();
