// Elements and texts. Nothing in this script parses markup: every text of a ledger is set as text.
"use strict";

// Characters that are not seen, or that turn text around (as printable.py has them): they are shown by their number.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;
const DASH = "–";

const byId = (id) => document.getElementById(id);

function numbered(character) {
  const code = character.codePointAt(0);
  const [mark, digits] = code < 256 ? ["x", 2] : code < 65536 ? ["u", 4] : ["U", 8];
  return `\\${mark}${code.toString(16).padStart(digits, "0")}`;
}

/** One line of at most `limit` characters, with nothing in it that is not seen. */
function shown(text, limit = 160) {
  const line = String(text).replace(/\s+/g, " ").trim();
  return (line.length > limit ? `${line.slice(0, limit)}…` : line).replace(UNSEEN, numbered);
}

/** A record as JSON. What JSON leaves as it is, and nobody would see, is escaped as JSON would have it. */
function pretty(value) {
  return JSON.stringify(value, null, 2).replace(UNSEEN, (character) =>
    character === "\n" ? "\n" : [...Array(character.length).keys()]
      .map((place) => `\\u${character.charCodeAt(place).toString(16).padStart(4, "0")}`).join(""));
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

const el = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);
const svg = (name, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

/** Epoch seconds as `2026-11-22 14:02:03Z`. */
function moment(epoch, digits = 0) {
  if (epoch === null) return DASH;
  const text = new Date(epoch * 1000).toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, digits ? 20 + digits : 19)}Z`;
}

function duration(seconds) {
  if (seconds === null) return DASH;
  if (seconds < 120) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  const whole = Math.round(seconds);
  const parts = [["d", Math.floor(whole / 86400)], ["h", Math.floor(whole / 3600) % 24], ["min", Math.floor(whole / 60) % 60], ["s", whole % 60]];
  const first = parts.findIndex(([, count]) => count > 0);
  return parts.slice(first, first + 2).map(([unit, count]) => `${count} ${unit}`).join(" ");
}

const counted = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

function table(label, heads, rows, attributes = {}) {
  const head = el("thead", {}, el("tr", {}, heads.map((each) => (each instanceof Node ? each : el("th", { scope: "col" }, each)))));
  // Wider than a small screen: then it is scrolled, also with the keyboard.
  return el("div", { class: "wide", tabindex: "0", role: "group", "aria-label": label },
    el("table", attributes, head, el("tbody", {}, rows)));
}
