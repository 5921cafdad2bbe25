// Credentials on a time axis: of each repository over the whole period, of each run from its first second to its last.
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2592000];
const BUCKETS = 180; // marks on one line

const across = (axis, time) => `${(Math.min(Math.max((time - axis.from) / (axis.to - axis.from), 0), 1) * 100).toFixed(3)}%`;

function block(axis, from, to, y, height, name) {
  const [left, right] = [parseFloat(across(axis, from)), parseFloat(across(axis, to))];
  // What is shorter than the eye can see is drawn a little longer, and still begins where it began.
  return svg("rect", { class: name, x: `${Math.min(left, 99.6)}%`, width: `${Math.max(right - left, 0.4).toFixed(3)}%`, y, height });
}

/** From the first credential to the last known end. An expiry far beyond all that is known is left to the words. */
function axisOf(rows) {
  const begins = rows.flatMap((row) => [row.start ?? row.time, row.command[0]]).filter((time) => time !== null);
  const from = begins.reduce((one, other) => Math.min(one, other), Infinity);
  const known = rows.flatMap((row) => [row.how === "proven" ? row.end : null, row.command[1], row.start ?? row.time]).filter((time) => time !== null);
  const last = known.reduce((one, other) => Math.max(one, other), from);
  const latest = rows.reduce((time, row) => Math.max(time, row.end ?? time), last);
  const span = Math.max(last - from, 1);
  const open = latest > last || rows.some((row) => row.how === "unknown" || row.how === "never");
  return { from: from - span * 0.01, to: Math.min(latest, last + span * 0.6) + span * (open ? 0.06 : 0.02) };
}

function axisLine(axis) {
  const span = axis.to - axis.from;
  const step = STEPS.find((each) => span / each <= 8) ?? span / 6;
  const line = svg("svg", { class: "axis", height: 18, "aria-hidden": "true" });
  for (let time = Math.ceil(axis.from / step) * step; time <= axis.to; time += step) {
    const x = across(axis, time);
    line.append(svg("line", { class: "grid", x1: x, x2: x, y1: 0, y2: 18 }));
    const text = moment(time, step < 1 ? 1 : 0);
    if (parseFloat(x) > 86) continue; // there is no room for it
    line.append(svg("text", { x, y: 13, dx: 3 }, step >= 86400 ? text.slice(0, 10) : step >= 60 && span > 86400 ? text.slice(5, 16) : text.slice(11, -1)));
  }
  return line;
}

/** One credential's bar: solid to a proven end, fading to an expiry, dashed where nobody knows. */
function bar(axis, row, y, height) {
  const parts = [];
  const begin = row.start ?? row.time;
  if (begin === null) return parts;
  if (row.how === "none") {
    const x = across(axis, begin);
    return [svg("line", { class: "refused", x1: x, x2: x, y1: y, y2: y + height })];
  }
  if (row.how === "proven") {
    parts.push(block(axis, begin, row.end, y, height, "life"));
    parts.push(svg("rect", { class: "cap", x: across(axis, row.end), y: y - 1, width: 3, height: height + 2 }));
  } else if (row.end !== null) {
    const alive = Math.min(row.command[1] ?? begin, row.end);
    parts.push(block(axis, begin, alive, y, height, "life"), block(axis, alive, row.end, y, height, "fading"));
  } else {
    parts.push(block(axis, begin, axis.to, y, height, "unknown"));
  }
  const [start, end] = row.command;
  if (start !== null) {
    const inner = height > 8 ? height * 0.3 : 0;
    parts.push(block(axis, start, end ?? start, y + inner, height - 2 * inner, "command"));
  }
  for (const [, from, to, certain] of row.overlaps) parts.push(block(axis, from, to ?? axis.to, y - 1, height + 2, certain ? "over" : "over maybe"));
  for (const [, from, to] of row.lived_in) parts.push(block(axis, from, to ?? axis.to, y + height, Math.max(2, height / 6), "into"));
  return parts;
}

function told(row) {
  const parts = [`${shown(row.step)}, profile ${shown(row.profile)}:`];
  parts.push(row.start === null ? (row.how === "none" ? "not issued" : `asked for ${moment(row.time)}, may exist`) : `issued ${moment(row.start)}`);
  if (row.command[0] !== null) parts.push(`command from ${moment(row.command[0])} to ${moment(row.command[1])}`);
  if (row.how === "proven") parts.push(`proven dead ${moment(row.end)}`);
  else if (row.end !== null) parts.push(`not proven dead, expires ${moment(row.end)}${row.how === "renewed" ? " unless it was renewed" : ""}`);
  else if (row.start !== null) parts.push(row.how === "never" ? "never expires" : "end unknown");
  for (const [place, from, to, certain] of row.overlaps) {
    parts.push(`${certain ? "overlaps" : "may overlap"} the command of ${shown(ROWS[place].step)} ${to === null ? "without a known end" : `for ${duration(to - from)}`}`);
  }
  return `${parts.join("; ")}.`.replace(":;", ":");
}

function strip(run) {
  const rows = [...run.rows].sort((one, other) => (one.start ?? one.time ?? 0) - (other.start ?? other.time ?? 0));
  const axis = axisOf(rows);
  const lane = Math.max(3, Math.min(printing ? 5 : 9, Math.floor(72 / rows.length)));
  const drawn = rows.slice(0, 24);
  const picture = svg("svg", { height: lane * drawn.length + 4, role: "img", "aria-label": `${counted(run.rows.length, "credential")}${overlapping(run.rows)}` });
  drawn.forEach((row, place) => picture.append(...bar(axis, row, place * lane + 2, lane - 2)));
  return picture;
}

function lasted(run) {
  const last = run.rows.flatMap((row) => [row.how === "proven" ? row.end : null, row.command[1], row.time]).reduce((one, other) => Math.max(one, other ?? 0), 0);
  return `for ${duration(last - run.time)}`;
}

function overlapping(rows) {
  const count = rows.filter((row) => row.overlaps.length).length;
  return count ? `, ${count} of them overlapping another step` : "";
}

/** One run, large: a line for each credential, by job. */
function timeline(run) {
  const axis = axisOf(run.rows);
  const lines = [];
  for (const index of new Set(run.rows.map((row) => row.chain))) {
    const chain = CHAINS[index];
    const rows = run.rows.filter((row) => row.chain === index).sort((one, other) => (one.start ?? one.time ?? 0) - (other.start ?? other.time ?? 0));
    const signed = chain.signing === "partly signed" ? `partly signed: ${chain.signed} of ${chain.entries} records` : { "not checked": "signatures not checked" }[chain.signing] ?? chain.signing;
    lines.push(el("tr", {}, el("th", { colspan: 3, scope: "rowgroup" }, `Job ${shown(chain.job) || DASH}${chain.matrix ? ` (${shown(chain.matrix)})` : ""}`,
      el("span", { class: "sub" }, [shown(chain.file), counted(chain.entries, "record"), chain.closed ? "closed" : "open", signed, chain.findings ? counted(chain.findings, "finding") : "no finding"].join(" · ")))));
    for (const row of rows) {
      const picture = svg("svg", { height: 26, role: "img", "aria-label": told(row) }, bar(axis, row, 4, 18));
      const open = el("button", { type: "button", class: "plain", onclick: () => go({ open: row.uid }) }, shown(row.step) || DASH);
      lines.push(el("tr", {}, el("th", { scope: "row", class: "lane-label" }, open, el("span", { class: "sub" }, shown(row.profile))),
        el("td", { class: "strip" }, picture), el("td", {}, lived(row), el("span", { class: "sub" }, shown(row.verdict)), labels(row.kinds))));
    }
  }
  const head = [el("th", { scope: "col" }, "Step"), el("th", { scope: "col" }, el("span", {}, `Time (UTC), ${moment(axis.from).slice(0, 10)}`), axisLine(axis)), el("th", { scope: "col" }, "Lived")];
  return table(`Time line of run ${shown(run.chain.run_id)}`, head, lines, { class: "lanes" });
}

const FEW = 12; // repositories that are seen at first
let everyRepository = false;

/** Each repository over the whole period: a low mark for runs, a high one where something needs attention. */
function repositories(rows) {
  const groups = new Map();
  for (const row of rows) {
    const name = CHAINS[row.chain].repository;
    if (!groups.has(name)) groups.set(name, { name, rows: [], runs: new Set(), alarms: 0 });
    const group = groups.get(name);
    group.rows.push(row);
    group.runs.add(row.run);
    group.alarms += row.alarms > 0;
  }
  if (groups.size < 2) return [];
  const times = rows.map((row) => row.time).filter((time) => time !== null);
  const axis = { from: times.reduce((one, other) => Math.min(one, other), Infinity), to: times.reduce((one, other) => Math.max(one, other), 0) + 1 };
  const listed = [...groups.values()].sort((one, other) => other.alarms - one.alarms || TEXTS.compare(one.name, other.name));
  const lines = (everyRepository || printing ? listed : listed.slice(0, FEW)).map((group) =>
    el("tr", {}, el("th", { scope: "row" }, el("button", { type: "button", class: "plain", onclick: () => go({ repo: group.name, run: "", page: "1", runs: "1" }) }, shown(group.name) || DASH)),
      el("td", { class: "number" }, group.runs.size.toLocaleString("en")), el("td", { class: "number" }, group.rows.length.toLocaleString("en")),
      el("td", { class: "number" }, group.alarms ? el("span", { class: "label alarm" }, group.alarms.toLocaleString("en")) : "0"), el("td", { class: "strip" }, marks(axis, group))));
  return [el("h3", {}, "Repositories"), table("Repositories", ["Repository", "Runs", "Credentials", "Need attention", el("th", { scope: "col" }, "When", axisLine(axis))].map((each, place) =>
    each instanceof Node ? each : el("th", { scope: "col", class: place ? "number" : undefined }, each)), lines),
  lines.length < listed.length ? el("button", { type: "button", id: "every-repository", onclick: () => {
    everyRepository = true;
    render();
    byId("repositories").querySelectorAll("tbody button")[FEW].focus();
  } }, `All ${listed.length} repositories`) : null];
}

function marks(axis, group) {
  const width = (axis.to - axis.from) / BUCKETS;
  const [low, high] = [new Set(), new Set()];
  for (const row of group.rows) {
    if (row.time !== null) (row.alarms ? high : low).add(Math.min(Math.floor((row.time - axis.from) / width), BUCKETS - 1));
  }
  // One path for all marks: a page of forty repositories has thousands of them.
  const drawn = (places, name, height) => svg("path", { class: name, d: [...places].map((place) => `M${place * 10} 21h7v-${height}h-7z`).join("") });
  return svg("svg", { class: "marks", height: 22, viewBox: `0 0 ${BUCKETS * 10} 22`, preserveAspectRatio: "none", role: "img",
    "aria-label": `${counted(group.rows.length, "credential")} over the period, ${group.alarms.toLocaleString("en")} that need attention`,
    onclick: ({ currentTarget, clientX }) => {
      const box = currentTarget.getBoundingClientRect();
      const from = axis.from + Math.floor(((clientX - box.left) / box.width) * BUCKETS) * width;
      const field = (time) => new Date(time * 1000).toISOString().slice(0, 19);
      go({ from: field(Math.floor(from)), to: field(Math.ceil(from + width)), repo: group.name, run: "", page: "1", runs: "1" }, "runs");
    } },
  svg("path", { class: "base", d: `M0 21h${BUCKETS * 10}` }), drawn(low, "tick", 9), drawn(high, "tick alarm", 20));
}

function runs(rows) {
  const wanted = new Set(rows.map((row) => row.run));
  const found = RUNS_IN_ORDER.filter((run) => wanted.has(run.key));
  if (found.length === 1) {
    const [run] = found;
    const back = RUNS.size > 1 ? el("button", { type: "button", onclick: () => go({ run: "", page: "1" }, "runs") }, "All runs") : null;
    return [el("h3", {}, `${shown(run.chain.repository)}, run ${shown(run.chain.run_id)}${run.chain.run_attempt !== "1" ? `, attempt ${shown(run.chain.run_attempt)}` : ""}`), back, timeline(run)];
  }
  if (!found.length) return [];
  const last = Math.ceil(found.length / RUNS_PAGE);
  const page = printing ? 1 : Math.min(Math.max(Number(state.runs) || 1, 1), last);
  const some = printing ? found.slice(0, PRINTED) : found.slice((page - 1) * RUNS_PAGE, page * RUNS_PAGE);
  const lines = some.map((run) => {
    const keys = KINDS.filter((kind) => run.rows.some((row) => row.kinds.includes(kind.key))).map((kind) => kind.key);
    return el("tr", {}, el("th", { scope: "row" },
      el("button", { type: "button", class: "plain", onclick: () => go({ run: run.key, page: "1" }, "runs") }, `${shown(run.chain.repository)} run ${shown(run.chain.run_id)}`),
      run.chain.run_attempt !== "1" ? el("span", { class: "sub" }, `attempt ${shown(run.chain.run_attempt)}`) : ""),
    el("td", { class: "when" }, moment(run.time), el("span", { class: "sub" }, lasted(run))), el("td", { class: "number" }, run.rows.length), el("td", { class: "strip" }, strip(run)), el("td", {}, labels(keys)));
  });
  return [el("h3", {}, "Runs"), table("Runs", ["Run", "Began", el("th", { scope: "col", class: "number" }, "Credentials"), "Each credential's life, on the run's own axis", "Found"], lines), pages("runs", page, last, "Pages of runs")];
}

function pages(name, page, last, label) {
  if (last < 2 || printing) return null;
  const to = (number) => () => go({ [name]: String(number) }, null, `${name}-${number < page ? "back" : "on"}`);
  return el("nav", { class: "pages", "aria-label": label },
    el("button", { type: "button", id: `${name}-back`, disabled: page === 1, onclick: to(page - 1) }, "Previous"),
    el("span", {}, `Page ${page} of ${last}`),
    el("button", { type: "button", id: `${name}-on`, disabled: page === last, onclick: to(page + 1) }, "Next"));
}
