// Shows what the address asks for, and puts into the address what is asked for on the page.
let printing = false;
const FIELDS = ["q", "need", "repo", "profile", "record", "from", "to"];

function render() {
  const rows = matching();
  const alarms = rows.filter((row) => row.alarms).length;
  const status = rows.length === ROWS.length ? counted(rows.length, "credential") : `${rows.length.toLocaleString("en")} of ${counted(ROWS.length, "credential")}`;
  byId("status").textContent = `${status}, ${alarms.toLocaleString("en")} that ${alarms === 1 ? "needs" : "need"} attention${state.run ? "; one run only" : ""}.`;
  byId("repositories").replaceChildren(...(state.run ? [] : repositories(rows)).filter(Boolean));
  byId("runs").replaceChildren(...runs(rows).filter(Boolean));
  byId("list").replaceChildren(...list(rows).filter(Boolean));
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
  const shownRows = matching();
  let place = shownRows.findIndex((row) => row.uid === uid);
  if (place < 0) { // hidden by a filter
    if (!ROWS.some((row) => row.uid === uid)) return;
    Object.assign(state, { ...EMPTY, open: state.open });
    place = matching().findIndex((row) => row.uid === uid);
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
  addEventListener("beforeprint", () => { printing = true; for (const fold of document.querySelectorAll("#findings details")) fold.open = true; render(); });
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
  const all = JSON.parse(cell.dataset.levels);
  const [width, bottom, unit] = [all.length > 40 ? 2 : 7, 32, 7];
  const wide = Math.max(width - 1, 1.4);
  const drawn = { level: [], beyond: [], unmeasured: [], used: [], declared: [] };
  all.forEach(([declared, granted, used], place) => {
    const bar = (level, part) => `M${place * width} ${bottom}h${wide * part}v-${unit * level}h-${wide * part}z`;
    if (granted === null) drawn.unmeasured.push(bar(2, 1));
    else drawn[declared !== null && granted > declared ? "beyond" : "level"].push(bar(granted, 1));
    if (used !== null) drawn.used.push(bar(used, 0.5));
    if (declared !== null) drawn.declared.push(`M${place * width} ${bottom - unit * declared}h${width}`);
  });
  // One path for all runs: a page of forty repositories has thousands of them.
  cell.append(svg("svg", { class: "levels", width: all.length * width + 1, height: 34, role: "img", viewBox: `0 0 ${all.length * width + 1} 34`, "aria-label": `${counted(all.length, "run")}; the columns beside this say the same in words` },
    Object.entries(drawn).filter(([, parts]) => parts.length).map(([name, parts]) => svg("path", { class: name, d: parts.join("") }))));
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
