// What the page holds, and which of it the address asks for.
const DATA = JSON.parse(byId("data").textContent);
const { chains: CHAINS, rows: ROWS, kinds: KINDS, shared: SHARED, findings: FINDINGS } = DATA;
const KIND = new Map(KINDS.map((kind) => [kind.key, kind]));
const PAGE = 50; // credentials
const RUNS_PAGE = 20;
const PRINTED = 1000; // credentials on paper: more is for the file itself

/** Runs with their credentials, and for each row what is compared with a search. */
const RUNS = new Map();
const HAYSTACK = [];

for (const [place, row] of ROWS.entries()) {
  const chain = CHAINS[row.chain];
  row.place = place;
  row.alarms = row.kinds.filter((key) => KIND.get(key).tier === "alarm").length;
  row.lived_in = []; // other credentials that lived during its command
  row.run = [chain.repository, chain.run_id, chain.run_attempt].join("|");
  if (!RUNS.has(row.run)) RUNS.set(row.run, { key: row.run, chain, rows: [], time: row.time ?? 0, alarms: 0 });
  const run = RUNS.get(row.run);
  run.rows.push(row);
  run.time = Math.min(run.time, row.time ?? run.time);
  run.alarms += row.alarms;
  HAYSTACK.push([
    chain.repository, chain.run_id, chain.job, chain.matrix, chain.actor, chain.ref, chain.commit, chain.file, chain.chain_uid,
    row.step, row.profile, row.declared, row.level, row.user, row.verdict, row.record, row.delivery, ...row.ids,
    ...row.kinds.map((key) => KIND.get(key).title),
  ].join("\n").toLowerCase());
}
const RUNS_IN_ORDER = [...RUNS.values()].sort((one, other) => (other.alarms > 0) - (one.alarms > 0) || other.time - one.time);
for (const row of ROWS) {
  for (const [place, start, end, certain] of row.overlaps) ROWS[place].lived_in.push([row.place, start, end, certain]);
}

const EMPTY = { q: "", need: "", repo: "", run: "", profile: "", record: "", from: "", to: "", sort: "", page: "1", runs: "1", open: "" };
const state = { ...EMPTY };

// What a datetime-local field takes, and writes no warning about.
const FIELD_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?$/;

/** Whether the address's fragment is a state of the page; else it names a section, and the state stays as it is. */
function readAddress() {
  const fragment = location.hash.slice(1);
  if (fragment && !fragment.includes("=")) return false;
  const given = new URLSearchParams(fragment);
  for (const name of Object.keys(EMPTY)) state[name] = given.get(name) ?? EMPTY[name];
  for (const name of ["from", "to"]) if (!FIELD_TIME.test(state[name])) state[name] = "";
  return true;
}

function address(changes = {}) {
  const wanted = { ...state, ...changes };
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(wanted)) if (value !== EMPTY[name]) given.set(name, value);
  return `#${given.toString().replace(/^$/, "q=")}`;
}

/** Epoch seconds of what a datetime-local field has, taken as UTC; null for none. */
function utc(text) {
  const time = Date.parse(`${text}Z`);
  return text && Number.isFinite(time) ? time / 1000 : null;
}

/** What is asked for, in the order that is asked for. */
function matching() {
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  const [from, to] = [utc(state.from), utc(state.to)];
  return everyRow().filter((row) =>
    (!state.need || (state.need === "any" ? row.alarms > 0 : row.kinds.includes(state.need))) &&
    (!state.repo || CHAINS[row.chain].repository === state.repo) &&
    (!state.run || row.run === state.run) &&
    (!state.profile || row.profile === state.profile) &&
    (!state.record || row.record === state.record) &&
    (from === null || (row.time !== null && row.time >= from)) &&
    (to === null || (row.time !== null && row.time <= to)) &&
    words.every((word) => HAYSTACK[row.place].includes(word)));
}

const TEXTS = new Intl.Collator("en", { numeric: true });
const SORTS = {
  need: (row) => row.alarms, step: (row) => row.step, run: (row) => row.run, time: (row) => row.time, access: (row) => row.excess,
  alive: (row) => (row.how === "never" || row.how === "unknown" ? Infinity : row.alive), after: (row) => row.after,
  end: (row) => row.verdict, record: (row) => row.record,
};

const orders = new Map(); // by `state.sort`: ten thousand rows are sorted once, not with every key that is pressed

function everyRow() {
  if (!orders.has(state.sort)) orders.set(state.sort, sorted(ROWS));
  return orders.get(state.sort);
}

/** Without a wish: what needs attention first, of these the newest. */
function sorted(rows) {
  const falling = state.sort.startsWith("-");
  const name = state.sort.replace("-", "");
  const key = Object.hasOwn(SORTS, name) ? SORTS[name] : null; // the address may name anything
  const compare = (one, other) => {
    if (one === null || other === null) return (one === null) - (other === null);
    const order = typeof one === "string" ? TEXTS.compare(one, other) : one - other;
    return falling ? -order : order;
  };
  if (!key) return [...rows].sort((one, other) => (other.alarms > 0) - (one.alarms > 0) || (other.time ?? 0) - (one.time ?? 0));
  const keys = new Map(rows.map((row) => [row, key(row)]));
  return [...rows].sort((one, other) => compare(keys.get(one), keys.get(other)) || one.place - other.place);
}

const blocks = new Map();

/** The records of one credential, as they stand in the ledger. */
function recordsOf(row) {
  const number = Math.floor(row.place / DATA.block);
  if (!blocks.has(number)) blocks.set(number, JSON.parse(byId(`records-${number}`).textContent));
  return blocks.get(number)[row.place % DATA.block];
}

const RECORD = {
  signed: ["signed", "good"], unsigned: ["unsigned", "notice"], "not checked": ["not checked", "notice"], tampered: ["tampered", "alarm"],
};

const labels = (keys) => keys.map((key) => el("span", { class: `label ${KIND.get(key).tier}` }, KIND.get(key).title));

/** How long it lived, in words that promise no more than is on record. */
function lived(row) {
  if (row.how === "none") return DASH;
  if (row.how === "never") return "no end";
  if (row.alive === null) return "unknown";
  return (row.how === "proven" ? "" : "at most ") + duration(row.alive) + (row.how === "renewed" ? ", unless renewed" : "");
}

function access(row) {
  const measured = row.level ? row.level + (row.excess ? `, ${row.excess} beyond` : "") : "not measured";
  return [row.declared ? shown(row.declared) : "none declared", measured, row.used ? shown(row.used) : "not measured"];
}
