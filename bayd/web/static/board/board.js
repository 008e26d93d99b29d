// All bays at a glance: who waits for staff, what concerns the whole range, and a row for each bay.

import { get } from "../lib/calls.js";
import { h, icon, rebuild, setText, show } from "../lib/dom.js";
import { Live } from "../lib/live.js";
import { ACTS } from "./acts.js";
import { ActDialog, BayDialog, ScreensDialog } from "./dialogs.js";
import { refusalText } from "./refusals.js";
import { Row } from "./row.js";
import { Waits } from "./waits.js";

const TICK_MS = 500;

export class Board {
  /** `putOut()` is called when the daemon knows this browser no more. */
  constructor(words, page, putOut) {
    this.words = words;
    this.page = page;
    this.putOut = putOut;
    this.rows = new Map();
    this.retired = new Map(); // rows that stand in no table: bays that are configured no more, once looked at
    this.pressed = new Set(); // acts without a form that are under way
    this.fresh = false;
    this.waits = new Waits(words, page.currency, (call) => this.answers(call));
    this.range = document.getElementById("range");
    this.body = document.getElementById("bays");
    this.band = document.getElementById("band");
    this.said = document.getElementById("said");
    this.today = this.dayOf(Date.now()); // until the daemon has said it
  }

  begin() {
    show(document.getElementById("as-of"), false);
    this.band.replaceChildren(h("div.band", { role: "alert", hidden: true, "data-testid": "stale" },
      icon("offline"), h("p", {}, h("strong", {}, this.words.say("stale.title")), " ", this.words.say("stale.text"))));
    setInterval(() => this.tick(), TICK_MS);
    this.live = new Live({
      changed: (bay, state) => this.changed(bay, state),
      range: (news) => { this.news = news; this.drawRange(); },
      now: (text) => this.isNow(text),
      linked: (fresh) => this.linked(fresh),
      refused: (status) => status === 401 && this.putOut(),
    });
  }

  /** Buttons for the head. */
  headButtons() {
    if (this.page.me.role !== "staff") return [];
    return [h("button", { type: "button", "data-testid": "screens", onclick: () => new ScreensDialog(this).open() }, this.words.say("screens.open"))];
  }

  changed(number, state) {
    if (!this.rows.has(number)) this.rows.set(number, new Row(this, number));
    this.rows.get(number).changed(state);
    if (!this.drawing) {
      this.drawing = true;
      requestAnimationFrame(() => { this.drawing = false; this.draw(); });
    }
  }

  linked(fresh) {
    this.fresh = fresh;
    document.documentElement.dataset.fresh = String(fresh);
    show(this.band.firstChild, !fresh);
    this.draw();
  }

  /** Told to those who hear the page, and shown for a moment. */
  tell(text, picture = "check") {
    setText(this.said, text);
    const note = h("p.toast", { "data-testid": "toast" }, icon(picture), text);
    document.querySelector(".toast")?.remove();
    document.body.append(note);
    setTimeout(() => note.remove(), 5_000);
  }

  // Who waits

  calls() {
    const found = [];
    for (const [bay, { state, age }] of this.rows) {
      if (state.help_called) found.push({ kind: "help", bay, minutes: null, amount: null, since: state.help_for_s + age });
      const { asked } = state.extension;
      if (asked !== null) found.push({ kind: "time", bay, minutes: asked.minutes, amount: asked.amount, request: asked.request_id, since: asked.waits_s + age });
    }
    return found;
  }

  answers({ kind, bay }) {
    if (this.page.me.role !== "staff") return [];
    const acts = kind === "help" ? ["help/acknowledge"] : ["extend/approve", "extend/decline"];
    return acts.map((name, place) => this.actButton(name, bay, this.rows.get(bay).state, place === 0));
  }

  /** Pressed for what it stands beside, though the bay may have changed since it was drawn. */
  actButton(name, number, state, main = false) {
    const { words } = this;
    const label = words.say(`act.${name}`);
    return h(`button${main ? ".main" : ""}`, {
      type: "button", disabled: !this.fresh, "data-testid": `${name}-${number}`,
      "aria-label": words.say("act.for", { act: label, bay: number }),
      onclick: () => this.beginAct(name, number, state),
    }, label);
  }

  /** At once when there is nothing to say, else after the form. */
  async beginAct(name, number, state = this.rowOf(number).state) {
    const act = ACTS[name];
    const dialog = new ActDialog(this, name, number, state);
    if (act.fields(state, this).length === 0) {
      const pressed = `${name} ${number}`;
      if (this.pressed.has(pressed)) return; // a double click
      this.pressed.add(pressed);
      const answer = await dialog.send({});
      this.pressed.delete(pressed);
      if (!answer.ok) dialog.open(answer);
      return;
    }
    dialog.open();
  }

  // The range

  isNow(text) {
    const today = this.dayOf(text);
    if (today === this.today) return;
    this.today = today;
    this.draw();
  }

  drawRange() {
    if (this.news === undefined) return;
    const { words, news: { central, warnings } } = this;
    const lines = central.online ? [] : [[words.say("range.central_away", { count: central.outbox }), null, null]];
    for (const warning of warnings) {
      const { bay, since } = warning;
      const said = words.warning(warning);
      lines.push([bay === null ? said : words.say("range.at", { bay, text: said }), since && this.moment(since), this.leftOpen(warning) ? bay : null]);
    }
    rebuild(this.range, lines, () => lines.map(([text, since, retired]) => {
      const look = this.look(text, since);
      if (retired !== null) look.append(this.retiredButton(retired));
      return look;
    }));
  }

  /** Whether staff settle it at a bay that has no row. */
  leftOpen({ bay, code }) {
    return bay !== null && !this.rows.has(bay) && code !== "retired_bay_unreadable" && this.page.me.role === "staff";
  }

  // Bays that are configured no more: there is what they left open, and nothing else

  retiredButton(number) {
    const { words } = this;
    return h("button", {
      type: "button", "data-testid": `retired-${number}`, "aria-label": words.say("bays.open", { bay: number }),
      onclick: () => this.openRetired(number),
    }, words.say("bays.open_short"));
  }

  async openRetired(number) {
    if (this.opening) return;
    this.opening = true;
    const answer = await get(`/api/v1/bays/${encodeURIComponent(number)}`);
    this.opening = false;
    if (this.dialog) return; // opened meanwhile
    if (!answer.ok) {
      this.tell(refusalText(this.words, answer), "warning");
      return;
    }
    this.retired.set(number, new Row(this, number));
    this.acted(number, answer.document);
    new BayDialog(this, number).open();
  }

  rowOf(number) {
    return this.rows.get(number) ?? this.retired.get(number);
  }

  /** What an act has made of its bay; of all others the events tell. */
  acted(number, state) {
    this.retired.get(number)?.changed(state);
  }

  // The bays

  draw() {
    if (this.rows.size === 0) return; // nothing is known yet: what was drawn with the page stays
    const rows = [...this.rows.values()].sort((a, b) => b.urgency - a.urgency || a.number.localeCompare(b.number, "en", { numeric: true }));
    for (const row of rows) row.draw();
    this.drawRange();
    const shown = this.body.children;
    if (shown.length !== rows.length || rows.some((row, place) => shown[place] !== row.element)) {
      const focused = document.activeElement;
      this.body.replaceChildren(...rows.map((row) => row.element));
      if (this.body.contains(focused)) focused.focus({ preventScroll: true });
    }
    this.dialog?.changed();
    this.tick();
  }

  tick() {
    const rows = [...this.rows.values()];
    if (rows.some((row) => row.outdated)) {
      this.draw();
      return;
    }
    for (const row of rows) row.tick();
    if (rows.length > 0) this.waits.draw(this.calls(), this.words.say("calls.none"), this.fresh);
  }

  look(text, since = null) {
    const when = since === null ? null : h("span.quiet", {}, ` ${this.words.say("bay.since", { time: since })}`);
    return h("p.look", {}, icon("warning"), h("span", {}, text, when));
  }

  timeOfDay(text) {
    const options = { hour: "2-digit", minute: "2-digit", hour12: false, timeZone: this.page.timezone };
    return new Intl.DateTimeFormat("en-GB", options).format(new Date(text));
  }

  /** The time of day, with the date where that is not today's. */
  moment(text) {
    const day = this.dayOf(text);
    return day === this.today ? this.timeOfDay(text) : `${day} ${this.timeOfDay(text)}`;
  }

  dayOf(text) {
    return new Intl.DateTimeFormat("en-CA", { timeZone: this.page.timezone }).format(new Date(text));
  }

  freeBays() {
    const isFree = ({ state }) => ["free", "grace"].includes(state.phase) && state.booked === 0;
    return [...this.rows].filter(([, row]) => isFree(row)).map(([number]) => number);
  }
}
