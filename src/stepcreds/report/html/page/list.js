// The list of credentials, and all that is known of one.
const HEADS = [["step", "Step"], ["run", "Run"], ["time", "On record"], ["access", "Declared → measured"], ["alive", "Alive"], ["after", "Proven after"], ["end", "How it ended"], ["need", "Found"], ["record", "Signature"]];

function list(rows) {
  if (!rows.length) {
    return [el("p", { class: "empty" }, ROWS.length ? "No credential matches. " : "There is no credential on record here. ",
      ROWS.length ? el("button", { type: "button", onclick: () => go({ ...EMPTY }, "q") }, "Clear filters") : "")];
  }
  const last = Math.ceil(rows.length / PAGE);
  const page = Math.min(Math.max(Number(state.page) || 1, 1), last);
  const some = printing ? rows.slice(0, PRINTED) : rows.slice((page - 1) * PAGE, page * PAGE);
  const opened = new Set(state.open.split(","));
  const lines = some.flatMap((row) => (opened.has(row.uid) ? [line(row, true), detail(row)] : [line(row, false)]));
  const heads = HEADS.map(([key, title]) => {
    const current = state.sort.replace("-", "") === key ? (state.sort.startsWith("-") ? "descending" : "ascending") : undefined;
    const numeric = ["alive", "after", "need", "access", "time"].includes(key);
    const next = current === undefined ? (numeric ? `-${key}` : key) : current === (numeric ? "descending" : "ascending") ? (numeric ? key : `-${key}`) : "";
    return el("th", { scope: "col", "aria-sort": current, class: ["alive", "after"].includes(key) ? "number" : undefined },
      printing ? title : el("button", { type: "button", id: `sort-${key}`, onclick: () => go({ sort: next, page: "1" }, null, `sort-${key}`) }, title));
  });
  const cut = printing && rows.length > PRINTED ? el("p", {}, `The first ${PRINTED} of ${counted(rows.length, "credential")}; the rest is in the file. A filter before printing chooses others.`) : null;
  return [cut, table("Credentials", heads, lines, { class: "list" }), pages("page", page, last, "Pages of credentials")];
}

function line(row, open) {
  const chain = CHAINS[row.chain];
  const [declared, measured, used] = access(row);
  const [record, tone] = RECORD[row.record] ?? [row.record, "notice"];
  const toggle = el("button", { type: "button", class: "plain", id: `row-${row.place}`, "aria-expanded": String(open), "aria-controls": open ? `detail-${row.place}` : undefined, onclick: () => flip(row) }, shown(row.step) || DASH);
  return el("tr", {},
    el("th", { scope: "row" }, toggle, printing && row.profile === row.step ? "" : el("span", { class: "sub" }, `profile ${shown(row.profile) || DASH}`)),
    el("td", { class: "run" }, shown(chain.repository) || DASH, el("span", { class: "sub" }, `${shown(chain.run_id)}${chain.run_attempt !== "1" ? ` attempt ${shown(chain.run_attempt)}` : ""} · ${shown(chain.job)}`)),
    el("td", { class: "when" }, moment(row.time)),
    el("td", { class: "run access" }, el("span", {}, `${declared} → ${measured}`), el("span", { class: "sub" }, `used: ${used}`)),
    el("td", { class: "number" }, lived(row)),
    el("td", { class: "number" }, duration(row.after)),
    el("td", { class: "ended" }, shown(row.verdict), (row.how === "renewed" || row.how === "most") && !row.verdict.startsWith("expires") ? el("span", { class: "sub" }, `expires ${moment(row.end)}`) : ""),
    el("td", {}, labels(row.kinds), row.gone ? el("span", { class: "sub" }, shown(row.gone, 200)) : ""),
    el("td", {}, el("span", { class: `label ${tone}` }, record)));
}

/** Opens or closes the details, where the focus is. */
function flip(row) {
  const opened = new Set(state.open.split(",").filter(Boolean));
  if (!opened.delete(row.uid)) opened.add(row.uid);
  go({ open: [...opened].join(",") }, null, `row-${row.place}`);
}

const textOf = (record, ...names) => {
  const value = names.reduce((inner, name) => (inner && typeof inner === "object" ? inner[name] : undefined), record);
  return typeof value === "string" ? value : Array.isArray(value) ? value.filter((each) => typeof each === "string").join(", ") : typeof value === "number" ? String(value) : "";
};

function copyable(text) {
  // What is copied is what is seen: no character in it steers the terminal that it is put into.
  const seen = shown(text, 2000);
  const button = el("button", { type: "button", class: "copy", onclick: async () => {
    try {
      await navigator.clipboard.writeText(seen);
      byId("status").textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(button.previousSibling);
      byId("status").textContent = "Selected: copy it with the keyboard.";
    }
  } }, "Copy");
  return [el("code", {}, seen), button];
}

function facts(title, pairs) {
  const there = pairs.filter(([, value]) => value !== "" && value !== undefined && value !== null && value.length !== 0);
  if (!there.length) return null;
  return el("div", {}, el("h3", {}, title), el("dl", {}, there.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))));
}

const toOther = (place) => el("a", { href: address({ open: ROWS[place].uid, page: "1", run: ROWS[place].run, q: "", need: "", repo: "", profile: "", record: "", from: "", to: "" }) }, shown(ROWS[place].step));

function detail(row) {
  const chain = CHAINS[row.chain];
  const records = recordsOf(row);
  const kind = (name) => records.find((record) => record.kind === `credential.${name}`) ?? {};
  const [requested, issued] = [kind("requested"), kind("issued")];
  const closed = row.closing === null ? {} : records[row.closing];
  const privileges = [closed, ...records].map((record) => record.privileges).find((each) => each && each.granted) ?? closed.privileges ?? {};
  const [declared, measured, used] = access(row);
  const id = (text) => (text ? copyable(text) : "");
  const findings = FINDINGS.filter((finding) => finding.place === row.place);
  const statements = Array.isArray(privileges.used?.statements) ? privileges.used.statements : [];
  const notes = [
    row.excess ? [row.command[0] !== null ? "Its command ran with more than its profile declares." : row.kinds.includes("refused") ? "It could do more than its profile declares: it was ended before its command, which never had it." : "It could do more than its profile declares, and no command is on record for it."] : null,
    ...row.overlaps.map(([place, from, to, certain]) => [certain ? "It lived while " : "It may have lived while ", toOther(place), ` ran its command${to === null ? ", and nobody knows until when" : `, for ${certain ? "" : "at most "}${duration(to - from)} from ${moment(from)}`}.`]),
    row.more_overlaps ? [`And while ${counted(row.more_overlaps, "other command")} ran.`] : null,
    ...row.lived_in.slice(0, 50).map(([place, from, to, certain]) => ["The credential of ", toOther(place), ` ${certain ? "lived" : "may have lived"} while this one's command ran${to === null ? "" : `, for ${certain ? "" : "at most "}${duration(to - from)}`}.`]),
    ...row.shared.map((number) => {
      const others = SHARED[number].places.filter((place) => ROWS[place].step_uid !== row.step_uid);
      return [`The same ${{ lease_id: "lease", token_accessor: "token", db_user: "database user" }[SHARED[number].what]} stands on record for `,
        ...others.slice(0, 20).flatMap((place, index) => [index ? ", " : "", toOther(place)]), others.length > 20 ? ` and ${others.length - 20} more` : "", "."];
    }),
    ...records.filter((record) => record.kind === "credential.leaked").flatMap((record) => (Array.isArray(record.places) ? record.places : []).map((each) =>
      [`Left in ${textOf(each, "file")}${each.line ? `, line ${each.line}` : ""}${textOf(each, "name") ? `, as ${textOf(each, "name")}` : ""}: ${each.removed ? "taken out" : "still there"}.`])),
    ...(Array.isArray(kind("left").changes) ? kind("left").changes : []).map((each) => [`Otherwise in the database than before its command: ${textOf(each, "what")}.`]),
    textOf(kind("left"), "unknown") ? [`What changed in the database meanwhile is not known: ${textOf(kind("left"), "unknown")}.`] : null,
    ...records.filter((record) => record.kind === "token.revoke_failed").map((record) => [`Its Vault token was not revoked: ${textOf(record, "detail")}.`]),
    textOf(requested, "inherited") ? [`Set when its step began: ${textOf(requested, "inherited")}.`] : null,
    ...findings.map((finding) => [`verify, ${finding.check} (${finding.certainty}), line ${finding.line}: ${finding.meaning}.`]),
  ].filter(Boolean).map((parts) => el("li", {}, parts.map((part) => (part instanceof Node ? part : part.replace(/\S.*\S|\S/su, (text) => shown(text, 600))))));
  const granted = Array.isArray(privileges.granted?.findings) ? privileges.granted.findings : [];
  const body = [
    notes.length ? [el("h3", {}, "Found"), el("ul", {}, notes)] : "",
    el("div", { class: "groups" },
      facts("Where", [["Repository", shown(chain.repository)], ["Repository id", id(chain.repository_id)], ["Run", id(chain.run_id)], ["Attempt", shown(chain.run_attempt)], ["Job", shown(chain.job)], ["Matrix", shown(chain.matrix)], ["Step", shown(row.step)],
        ["Step's id", id(row.step_uid)], ["Who", shown(chain.actor)], ["Ref", shown(chain.ref)], ["Commit", id(chain.commit)], ["CI", shown(chain.ci)], ["File", shown(chain.file, 300)], ["Chain", id(chain.chain_uid)]]),
      facts("Credential", [["Id", id(row.uid)], ["Profile", shown(row.profile)], ["Role", shown(textOf(requested, "role"))], ["Issued from", shown(textOf(requested, "creds"))], ["Database", shown(textOf(requested, "database"))], ["User", id(textOf(issued, "db_user"))],
        ["Lease", id(textOf(issued, "lease_id"))], ["Token accessor", id(textOf(requested, "token_accessor"))], ["Login request", id(textOf(issued, "request_id", "login"))], ["Issue request", id(textOf(issued, "request_id", "creds"))], ["Handed over by", shown(row.delivery)], ["Policies", shown(textOf(issued, "policies"), 600)]]),
      facts("Life", [["Asked for", moment(row.time, 3)], ["Issued", moment(row.start, 3)], ["Command began", moment(row.command[0], 3)], ["Command ended", moment(row.command[1], 3)], ["Exit code", row.exit === null ? "none on record" : String(row.exit)], ["Command's SHA-256", id(textOf(closed, "step", "command_sha256"))],
        ["Locked", shown([textOf(closed, "lock", "status"), textOf(closed, "lock", "detail")].filter(Boolean).join(": "), 400)], ["Revoked", shown([textOf(closed, "revoke", "status"), textOf(closed, "revoke", "method"), textOf(closed, "revoke", "time")].filter(Boolean).join(", "))],
        ["Proven dead", row.how === "proven" ? `${moment(row.end, 3)}: ${shown(textOf(closed, "verified", "method"))}` : "no"], ["Vault's lookup", shown(textOf(closed, "verified", "lookup"))], ["Login refused", shown(textOf(closed, "verified", "db_login"))], ["Witness", shown(textOf(closed, "verified", "witness"))],
        ["Expires", row.how === "proven" ? shown(textOf(issued, "expire_time")) : row.end === null ? (row.how === "never" ? "never" : "not known") : moment(row.end, 3)], ["Alive", lived(row)], ["Proven after", row.after === null ? "" : `${duration(row.after)} after its command`], ["Verdict", shown(row.verdict)]]),
      facts("Access", [["Declared", declared], ["In", shown(textOf(requested, "declared", "schemas"), 600)], ["Reason", shown(textOf(requested, "declared", "reason"), 600)], ["Measured", measured], ["By", shown(textOf(privileges, "measured_by"), 400)], ["Beyond", shown(textOf(privileges, "excess"), 2000)], ["Used", used], ["Used, seen by", shown(textOf(privileges, "used", "by"))],
        ["Digest", id(textOf(privileges, "granted", "digest"))]])),
    granted.length ? [el("h3", {}, "What it could do"), table("What it could do", ["Standing", "Level", "It can", "Through", "Finding"], granted.map((each) =>
      el("tr", {}, el("td", {}, shown(textOf(each, "standing"))), el("td", {}, shown(textOf(each, "level"))), el("td", {}, shown(textOf(each, "what"), 400), textOf(each, "because") ? el("span", { class: "sub" }, shown(textOf(each, "because"), 400)) : ""), el("td", {}, shown(textOf(each, "via"), 300)), el("td", {}, el("code", {}, shown(`${textOf(each, "code")} ${textOf(each, "subject")}`, 300))))))] : "",
    statements.length ? [el("h3", {}, "What it used, at least"), table("What it used", ["Statements", "Calls", "Rows", "As"], statements.map((each) =>
      el("tr", {}, el("td", {}, shown(textOf(each, "kind"))), el("td", {}, shown(textOf(each, "calls"))), el("td", {}, shown(textOf(each, "rows"))), el("td", {}, shown(textOf(each, "role")) || "its own user"))))] : "",
    textOf(privileges, "used", "gaps") ? el("p", {}, `Not counted: ${shown(textOf(privileges, "used", "gaps"), 1000)}.`) : "",
    el("h3", {}, "Records"), records.map((record) => recordOf(record, chain)),
  ];
  return el("tr", { class: "detail", id: `detail-${row.place}` }, el("td", { colspan: HEADS.length }, el("div", { role: "group", "aria-label": `Details of ${shown(row.step)}` }, body)));
}

const unfolded = new Set(); // event_uid of the records that are open

function recordOf(record, chain) {
  const number = typeof record.seq === "number" ? record.seq + 1 : 0;
  const covered = chain.checkpoints.find(([size]) => size >= number);
  const by = covered && number ? `signed up to line ${covered[0]} by ${shown(covered[2])} at ${shown(covered[1])}` : chain.signing === "not checked" ? "signature not checked" : "not signed";
  const text = el("pre", { tabindex: "0", role: "group", "aria-label": `Record on line ${number}` });
  const show = () => { if (fold.open && !text.firstChild) text.append(pretty(record)); };
  const fold = el("details", { open: printing || unfolded.has(record.event_uid), ontoggle: () => {
    if (!printing) unfolded[fold.open ? "add" : "delete"](record.event_uid);
    show();
  } }, el("summary", {}, el("code", {}, shown(textOf(record, "kind"))), ` · line ${number || "unknown"} · ${shown(textOf(record, "time"))} · ${by}`), text);
  show();
  return fold;
}
