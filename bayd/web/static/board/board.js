// All bays at a glance. Who waits for staff stands on top, with a tone that grows urgent after two minutes.

import { get } from "../lib/calls.js";
import { canSound, chime, allowSound } from "../lib/chime.js";
import { h, icon, rebuild, setText, show } from "../lib/dom.js";
import { Live } from "../lib/live.js";
import { Countdown, clockText } from "../bay/clock.js";
import { ACTS, actsOf } from "./acts.js";
import { ActDialog, BayDialog, ScreensDialog } from "./dialogs.js";

const TICK_MS = 500;
const RANGE_EVERY_MS = 3_000;
const LATE_AFTER_S = 120;
const CALM = { notes: [660, 880], everyMs: 20_000, loudness: 0.35 };
const LATE = { notes: [988, 740, 988, 740, 988], everyMs: 5_000, loudness: 0.9 };
const PHASE_ICONS = {
  free: "check", booked: "clock", playing: "play", paused: "pause", grace: "flag", held: "lock", out_of_service: "stop",
};
const DEVICE_ICONS = { ok: "check", lost: "offline", fault: "warning", unknown: "wait", none: "none" };

export class Board {
  /** `putOut()` is called when the daemon knows this browser no more. */
  constructor(words, page, putOut) {
    this.words = words;
    this.page = page;
    this.putOut = putOut;
    this.bays = new Map();
    this.rows = new Map();
    this.fresh = false;
    this.calls = document.getElementById("calls");
    this.range = document.getElementById("range");
    this.body = document.getElementById("bays");
    this.band = document.getElementById("band");
    this.said = document.getElementById("said");
    this.sound = h("button.sound", { type: "button", "data-testid": "sound", onclick: () => { allowSound(); chime([660]); setTimeout(() => this.drawSound(), 200); } });
    this.screensButton = page.me.role === "staff"
      ? h("button", { type: "button", "data-testid": "screens", onclick: () => new ScreensDialog(this).open() }, words.say("screens.open"))
      : null;
    this.today = this.dayOf(Date.now()); // until the daemon has said it
    this.toldAt = -Infinity;
    this.known = new Set();
  }

  begin() {
    this.drawSound();
    show(document.getElementById("as-of"), false);
    this.band.replaceChildren(h("div.band", { role: "alert", hidden: true, "data-testid": "stale" },
      icon("offline"), h("p", {}, h("strong", {}, this.words.say("stale.title")), " ", this.words.say("stale.text"))));
    setInterval(() => this.tick(), TICK_MS);
    this.askRange();
    this.live = new Live({
      changed: (bay, state) => this.changed(bay, state),
      linked: (fresh) => this.linked(fresh),
      refused: (status) => status === 401 && this.putOut(),
    });
  }

  changed(number, state) {
    const kept = this.bays.get(number) ?? { time: new Countdown() };
    kept.state = state;
    kept.time.set(state.session?.remaining_s ?? 0, state.session !== null && !state.session.paused);
    kept.at = performance.now();
    this.bays.set(number, kept);
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
  tell(text) {
    setText(this.said, text);
    const note = h("p.toast", { "data-testid": "toast" }, icon("check"), text);
    document.querySelector(".toast")?.remove();
    document.body.append(note);
    setTimeout(() => note.remove(), 5_000);
  }

  // Who waits

  waits() {
    const found = [];
    for (const [number, { state, at }] of this.bays) {
      const passed = (performance.now() - at) / 1000;
      if (state.help_called) found.push({ kind: "help", number, state, since: state.help_for_s + passed });
      const { asked } = state.extension;
      if (asked !== null) found.push({ kind: "time", number, state, since: asked.waits_s + passed });
    }
    return found.sort((a, b) => b.since - a.since);
  }

  drawCalls() {
    const { words } = this;
    const waits = this.waits();
    const staff = this.page.me.role === "staff";
    const key = [waits.map((one) => [one.kind, one.number, one.since >= LATE_AFTER_S, one.state.extension.asked?.minutes, one.state.extension.asked?.amount]), this.fresh];
    rebuild(this.calls, key, () => {
      if (waits.length === 0) return [h("p.quiet.nobody", { "data-testid": "no-calls" }, words.say("calls.none"))];
      return [
        h("h2.calls-title", {}, words.say("calls.title")),
        h("ul", {}, ...waits.map((one) => {
          const late = one.since >= LATE_AFTER_S;
          const asked = one.state.extension.asked;
          const acts = one.kind === "help" ? ["help/acknowledge"] : ["extend/approve", "extend/decline"];
          const text = one.kind === "help" ? words.say("calls.help", { bay: one.number }) : this.asksText(one);
          const since = h("span.since", {});
          since.dataset.kind = one.kind;
          since.dataset.bay = one.number;
          return h(`li.call${late ? ".late" : ""}`, { "data-testid": `call-${one.kind}-${one.number}` },
            icon(late ? "warning" : one.kind === "help" ? "hand" : "plus"),
            h("div.call-text", {}, h("strong", {}, text),
              one.kind === "time" && asked.amount !== null ? h("span", {}, words.say("calls.price", { price: words.price(asked.amount, this.page.currency) })) : null,
              since),
            ...(staff ? acts.map((name, place) => this.actButton(name, one.number, one.state, place === 0)) : []));
        }))];
    });
    for (const one of waits) {
      const since = this.calls.querySelector(`.since[data-kind="${one.kind}"][data-bay="${CSS.escape(one.number)}"]`);
      if (since) setText(since, words.say(one.since >= LATE_AFTER_S ? "calls.late" : "calls.since", { time: clockText(Math.floor(one.since)) }));
    }
    this.ring(waits);
  }

  asksText(one) {
    return this.words.say("calls.time", { bay: one.number, count: one.state.extension.asked.minutes });
  }

  ring(waits) {
    const now = new Set(waits.map((one) => `${one.kind} ${one.number}`));
    const fresh = waits.filter((one) => !this.known.has(`${one.kind} ${one.number}`));
    this.known = now;
    if (fresh.length > 0) {
      setText(this.said, fresh.map((one) => this.words.say("calls.new", { what: one.kind === "help" ? this.words.say("calls.help", { bay: one.number }) : this.asksText(one) })).join(" "));
    }
    const late = waits.some((one) => one.since >= LATE_AFTER_S);
    document.documentElement.dataset.calls = waits.length === 0 ? "none" : late ? "late" : "some";
    if (waits.length === 0) {
      this.toldAt = -Infinity;
      return;
    }
    const { notes, everyMs, loudness } = late ? LATE : CALM;
    if (fresh.length === 0 && performance.now() - this.toldAt < everyMs) return;
    this.toldAt = performance.now();
    chime(notes, loudness);
  }

  drawSound() {
    const on = canSound();
    rebuild(this.sound, on, () => [icon(on ? "check" : "warning"), h("span", {}, this.words.say(on ? "sound.on" : "sound.off"))]);
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
  async beginAct(name, number, state = this.bays.get(number).state) {
    const act = ACTS[name];
    const dialog = new ActDialog(this, name, number, state);
    if (act.fields(state, this).length === 0) {
      const answer = await dialog.send({});
      if (!answer.ok) dialog.open(answer);
      return;
    }
    dialog.open();
  }

  // The range

  async askRange() {
    const answer = await get("/api/v1/range");
    if (answer.ok) this.drawRange(answer.document);
    setTimeout(() => this.askRange(), RANGE_EVERY_MS);
  }

  drawRange({ now, central, warnings }) {
    const { words } = this;
    const today = this.dayOf(now);
    if (today !== this.today) {
      this.today = today;
      this.draw();
    }
    const texts = central.online ? [] : [words.say("range.central_away", { count: central.outbox })];
    for (const { code, bay, text } of warnings) {
      const said = words.has(`warning.${code}`) ? words.say(`warning.${code}`) : text;
      texts.push(bay === null ? said : `${bay}: ${said}`);
    }
    rebuild(this.range, texts, () => texts.map((text) => this.look(text)));
  }

  // The bays

  draw() {
    const order = [...this.bays.keys()].sort((a, b) => this.urgency(b) - this.urgency(a) || a.localeCompare(b, "en", { numeric: true }));
    for (const number of order) this.drawRow(number);
    const shown = [...this.body.children].map((row) => row.dataset.bay);
    if (order.join() !== shown.join()) {
      const focused = document.activeElement;
      this.body.replaceChildren(...order.map((number) => this.rows.get(number)));
      if (this.body.contains(focused)) focused.focus();
    }
    this.drawCalls();
    this.dialog?.changed?.();
    this.tick();
  }

  urgency(number) {
    const { state } = this.bays.get(number);
    if (state.help_called || state.extension.asked !== null) return 3;
    if (state.warnings.length > 0) return 2;
    return state.dues.length > 0 || state.pin.locked_for_s > 0 ? 1 : 0;
  }

  drawRow(number) {
    let row = this.rows.get(number);
    if (row === undefined) {
      row = document.getElementById(`bay-${number}`) ?? h("tr", { id: `bay-${number}`, "data-bay": number });
      this.rows.set(number, row);
      this.body.append(row);
    }
    const { state } = this.bays.get(number);
    const still = { ...state, session: state.session && { ...state.session, remaining_s: 0 }, waiting: state.waiting && this.moment(state.waiting.since), help_for_s: 0, extension: { ...state.extension, asked: state.extension.asked && { ...state.extension.asked, waits_s: 0 } }, version: 0 };
    rebuild(row, [still, this.fresh, this.today], () => this.cells(number, state));
    row.dataset.urgent = String(this.urgency(number));
  }

  cells(number, state) {
    const { words } = this;
    const { session, balls } = state;
    const small = (text) => h("span.quiet", {}, text);
    const phase = h("span.phase", { "data-phase": state.phase, "data-testid": `phase-${number}` }, icon(PHASE_ICONS[state.phase]), words.say(`phase.${state.phase}`));
    return [
      h("th", { scope: "row" }, number),
      h("td", {}, phase, state.booked > 0 ? small(words.say("bay.booked", { count: state.booked })) : null, ...this.stateTexts(state).map(small)),
      h("td", {}, session ? h("span.left", { "data-testid": `left-${number}` }) : null,
        session && !session.paused ? small(words.say("bay.ends", { time: this.timeOfDay(session.ends_at) })) : null),
      h("td", {}, session ? session.player ?? words.say("bay.guest") : null, session?.game ? small(session.game.name) : null),
      h("td", {}, session ? words.say("bay.balls", { counted: balls.counted, read: balls.read }) : null,
        balls.balance > 0 ? small(words.say("bay.balance", { owed: balls.balance })) : null,
        session && balls.left !== null && balls.limit !== null ? small(words.say("bay.left", { left: balls.left, limit: balls.limit })) : null,
        balls.machine && balls.level !== "unknown" ? small(words.say("bay.level", { level: words.say(`level.${balls.level}`) })) : null),
      h("td.devices", {}, ...this.devices(state)),
      h("td", {}, ...this.looks(state)),
      h("td.open-cell", {}, h("button", {
        type: "button", "data-testid": `open-${number}`, "aria-label": words.say("bays.open", { bay: number }),
        onclick: () => new BayDialog(this, number).open(),
      }, words.say("bays.open_short"))),
    ];
  }

  /** Why and since when it is so; its mode where that is not the usual one. */
  stateTexts({ kept, waiting, mode }) {
    const { words } = this;
    const texts = [];
    if (kept !== null) texts.push(kept.since && words.say("bay.since", { time: this.moment(kept.since) }), kept.reason);
    if (waiting !== null) texts.push(words.say("bay.ready", { time: this.moment(waiting.since) }));
    const name = words.say(`mode.${mode.name}`);
    if (mode.by_staff) texts.push(words.say(mode.today ? "bay.mode_today" : "bay.mode_staff", { mode: name }), mode.reason);
    else if (mode.name !== "locked") {
      texts.push(mode.until === null ? words.say("bay.mode", { mode: name }) : words.say("bay.mode_until", { mode: name, time: this.moment(mode.until) }));
    }
    return texts.filter(Boolean);
  }

  devices(state) {
    const { words } = this;
    const chips = [];
    for (const name of ["reader", "dispenser", "screen"]) {
      const { state: is, reason } = state.devices[name];
      if (name === "screen" && is === "unknown") continue; // nobody reports of screens but those who pair them
      chips.push(h("span.device", { "data-state": is, title: reason || null }, icon(DEVICE_ICONS[is]), `${words.say(`device.${name}`)}: ${words.say(`device_state.${is}`)}`));
    }
    if (state.qod.state !== "off") chips.push(h("span.device", { "data-state": "plain" }, icon("clock"), `${words.say("device.qod")}: ${state.qod.state.replaceAll("_", " ")}`));
    return chips;
  }

  looks(state) {
    const { words } = this;
    const found = state.warnings.map(({ text, since }) => this.look(text, since));
    if (state.pin.locked_for_s > 0) found.push(this.look(words.say("bay.pad", { time: clockText(state.pin.locked_for_s) })));
    const due = state.dues.reduce((sum, one) => sum + one.amount, 0);
    if (state.dues.length > 0) found.push(h("p.due", {}, words.say("bay.due", { price: words.price(due, this.page.currency) })));
    return found;
  }

  look(text, since = null) {
    const when = since === null ? null : h("span.quiet", {}, ` ${this.words.say("bay.since", { time: this.moment(since) })}`);
    return h("p.look", {}, icon("warning"), h("span", {}, text, when));
  }

  tick() {
    for (const [number, { time, state }] of this.bays) {
      const left = this.rows.get(number)?.querySelector(".left");
      if (left && state.session) {
        setText(left, clockText(time.left));
        left.dataset.near = String(time.left < 300 && !state.session.paused);
      }
    }
    this.drawCalls();
    this.drawSound();
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
    return [...this.bays].filter(([, { state }]) => state.session === null && state.booked === 0).map(([number]) => number);
  }

  acts(number) {
    return actsOf(this.bays.get(number).state, this.page.me.role);
  }
}
