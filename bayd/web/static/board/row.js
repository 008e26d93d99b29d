// One bay of the board as a row of its table: drawn anew when something happened, its clocks every half second.

import { h, icon, rebuild, setText } from "../lib/dom.js";
import { Countdown, clockText } from "../bay/clock.js";
import { BayDialog } from "./dialogs.js";

const NEAR_S = 300;
const PHASE_ICONS = {
  free: "check", booked: "clock", playing: "play", paused: "pause", grace: "flag", held: "lock", out_of_service: "stop",
};
const DEVICE_ICONS = { ok: "check", lost: "offline", fault: "warning", unknown: "wait", none: "none" };

export class Row {
  constructor(board, number) {
    this.board = board;
    this.number = number;
    this.left = new Countdown();
    this.pad = new Countdown(); // until its lock is over; nobody tells when it is
    this.element = document.getElementById(`bay-${number}`) ?? h("tr", { id: `bay-${number}`, "data-bay": number });
  }

  changed(state) {
    this.state = state;
    this.at = performance.now();
    this.left.set(state.session?.remaining_s ?? 0, state.session !== null && !state.session.paused);
    this.pad.set(state.pin.locked_for_s, true);
  }

  /** How long ago, in seconds, this was so. */
  get age() {
    return (performance.now() - this.at) / 1000;
  }

  get padLocked() {
    return this.pad.left > 0;
  }

  /** The clock alone has changed more than the clocks that it shows. */
  get outdated() {
    return this.drawnLocked !== this.padLocked;
  }

  get urgency() {
    const { state } = this;
    if (state.help_called || state.extension.asked !== null) return 3;
    if (state.warnings.length > 0) return 2;
    return state.dues.length > 0 || this.padLocked ? 1 : 0;
  }

  draw() {
    const { state, board } = this;
    this.drawnLocked = this.padLocked;
    const moves = { version: 0, help_for_s: 0, waiting: state.waiting && board.moment(state.waiting.since), pin: this.drawnLocked };
    const still = { ...state, ...moves, session: state.session && { ...state.session, remaining_s: 0 } };
    rebuild(this.element, [still, board.today], () => this.cells());
    this.element.dataset.urgent = String(this.urgency);
  }

  tick() {
    const left = this.element.querySelector(".left");
    if (left !== null) {
      setText(left, clockText(this.left.left));
      left.dataset.near = String(this.left.left < NEAR_S && !this.state.session?.paused); // drawn when there was one
    }
    const pad = this.element.querySelector(".pad-left");
    if (pad !== null) setText(pad, this.board.words.say("bay.pad", { time: clockText(this.pad.left) }));
  }

  cells() {
    const { number, state, board } = this;
    const { words } = board;
    const { session, balls } = state;
    const small = (text) => h("span.quiet", {}, text);
    const phase = h("span.phase", { "data-phase": state.phase, "data-testid": `phase-${number}` }, icon(PHASE_ICONS[state.phase]), words.say(`phase.${state.phase}`));
    const player = session === null ? null : session.player ?? words.say("bay.guest");
    return [
      h("th", { scope: "row" }, number),
      h("td.state", {}, phase, h("div.notes", {}, ...this.stateTexts().map(small))),
      h("td", {}, session ? h("span.left", { "data-testid": `left-${number}` }) : null,
        session && !session.paused ? small(words.say("bay.ends", { time: board.timeOfDay(session.ends_at) })) : null),
      h("td", {}, player === null ? null : h("span.name", { title: player }, player), session?.game ? small(session.game.name) : null,
        ...(session === null ? this.nextTexts().map(small) : [])),
      h("td", {}, session ? words.say("bay.balls", { counted: balls.counted, read: balls.read }) : null,
        ...this.payoutTexts().map(small),
        balls.balance > 0 ? small(words.say("bay.balance", { owed: balls.balance })) : null,
        session && balls.left !== null && balls.limit !== null ? small(words.say("bay.left", { left: balls.left, limit: balls.limit })) : null,
        balls.machine && balls.level !== "unknown" ? small(words.say("bay.level", { level: words.say(`level.${balls.level}`) })) : null),
      h("td.devices", {}, ...this.devices()),
      h("td.looks", {}, ...this.looks()),
      h("td.open-cell", {}, h("button", {
        type: "button", "data-testid": `open-${number}`, "aria-label": words.say("bays.open", { bay: number }),
        onclick: () => new BayDialog(board, number).open(),
      }, words.say("bays.open_short"))),
    ];
  }

  /** Why and since when it is so; its mode where that is not the usual one. */
  stateTexts() {
    const { state: { booked, kept, waiting, mode }, board } = this;
    const { words } = board;
    const texts = booked > 0 ? [words.say("bay.booked", { count: booked })] : [];
    if (kept !== null) texts.push(kept.since && words.say("bay.since", { time: board.moment(kept.since) }), kept.reason);
    if (waiting !== null) texts.push(words.say("bay.ready", { time: board.moment(waiting.since) }));
    const name = words.say(`mode.${mode.name}`);
    if (mode.by_staff) texts.push(words.say(mode.today ? "bay.mode_today" : "bay.mode_staff", { mode: name }), mode.reason);
    else if (mode.name !== "locked") {
      texts.push(mode.until === null ? words.say("bay.mode", { mode: name }) : words.say("bay.mode_until", { mode: name, time: board.moment(mode.until) }));
    }
    return texts.filter(Boolean);
  }

  /** What the machine does for this bay, or for whom before it. */
  payoutTexts() {
    const { state: { balls: { queue_place: place, paying }, devices }, board: { words } } = this;
    if (place === null || !paying || ["fault", "lost"].includes(devices.dispenser.state)) return [];
    return [place > 0 ? words.say("bay.queued", { count: place }) : words.say("bay.paying", { count: paying })];
  }

  /** Who comes next, for whom how long: for staff alone. */
  nextTexts() {
    const { state: { next_minutes: minutes, next_player: player }, board: { words } } = this;
    return minutes === null ? [] : [words.say("bay.next", { player: player ?? words.say("bay.guest"), count: minutes })];
  }

  /** What the bay's dialog says of it, above what can be done. */
  about() {
    const { state, board: { words } } = this;
    return [
      [words.say(`phase.${state.phase}`), ...this.stateTexts()].join(", "), ...this.nextTexts().map((text) => words.say("bay.coming", { guest: text })),
      ...state.warnings.map((one) => words.warning(one)),
    ];
  }

  devices() {
    const { state, board: { words } } = this;
    const chips = [];
    for (const name of ["reader", "dispenser", "screen"]) {
      const { state: is, reason } = state.devices[name];
      if (name === "screen" && is === "unknown") continue; // nobody reports of screens but those who pair them
      chips.push(h("span.device", { "data-state": is, title: reason || null }, icon(DEVICE_ICONS[is]), `${words.say(`device.${name}`)}: ${words.say(`device_state.${is}`)}`));
    }
    const qod = `qod.${state.qod.state}`; // none for off, idle and ended: nobody needs it there
    if (words.has(qod)) chips.push(h("span.device", { "data-state": "plain" }, icon("clock"), `${words.say("device.qod")}: ${words.say(qod)}`));
    return chips;
  }

  looks() {
    const { state, board } = this;
    const { words } = board;
    const found = state.warnings.map((one) => board.look(words.warning(one), one.since && board.moment(one.since)));
    if (this.drawnLocked) found.push(h("p.look", {}, icon("lock"), h("span.pad-left", {})));
    const due = state.dues.reduce((sum, one) => sum + one.amount, 0);
    if (state.dues.length > 0) found.push(h("p.due", {}, words.say("bay.due", { price: words.price(due, board.page.currency) })));
    return found;
  }
}
