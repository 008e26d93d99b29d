// The PIN pad: six digits by touch or keyboard, sent by themselves when the sixth is there.

import { h, icon, setText, show } from "../lib/dom.js";
import { clockText, Countdown } from "./clock.js";

const DIGITS = 6;
const FORGOTTEN_AFTER_MS = 15_000; // whoever began a PIN has gone
const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "clear", "0", "delete"];

export class Pad {
  /** `send(pin)` gives the answer of the daemon. */
  constructor(words, send) {
    this.words = words;
    this.send = send;
    this.digits = "";
    this.state = "ready"; // ready, checking
    this.refused = null;
    this.locked = new Countdown();
    this.usable = true;
    this.cells = Array.from({ length: DIGITS }, () => h("span.cell"));
    this.entered = h("div.cells", { role: "img" }, ...this.cells);
    this.message = h("p.pad-message", { role: "status", "data-testid": "pad-message" });
    this.keys = KEYS.map((name) => this.key(name));
    this.lock = h("div.pad-lock", { role: "status", "data-testid": "pad-lock" });
    this.grid = h("div.keys", { "data-testid": "keys" }, ...this.keys);
    this.top = h("div.pad-top", {}, this.entered, this.message);
    this.bottom = h("div.pad-keys", {}, this.grid, this.lock);
    this.onkey = (event) => this.typed(event);
    document.addEventListener("keydown", this.onkey);
    this.draw();
  }

  close() {
    clearTimeout(this.forgotten);
    document.removeEventListener("keydown", this.onkey);
  }

  key(name) {
    const content = name.length === 1 ? name : icon(name);
    const button = h("button.key", { type: "button", onclick: () => this.pressed(name) }, content);
    button.dataset.key = name;
    return button;
  }

  typed(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (/^[0-9]$/.test(event.key)) this.pressed(event.key);
    else if (event.key === "Backspace") this.pressed("delete");
    else if (event.key === "Escape") this.pressed("clear");
  }

  get isLocked() {
    return this.locked.left > 0;
  }

  pressed(name) {
    if (this.state !== "ready" || this.isLocked || !this.usable) return;
    this.refused = null;
    clearTimeout(this.forgotten);
    this.forgotten = setTimeout(() => this.forget(), FORGOTTEN_AFTER_MS);
    if (name === "clear") this.digits = "";
    else if (name === "delete") this.digits = this.digits.slice(0, -1);
    else if (this.digits.length < DIGITS) this.digits += name;
    if (this.digits.length === DIGITS) this.check();
    this.draw();
  }

  forget() {
    if (this.state !== "ready" || this.digits === "") return;
    this.digits = "";
    this.draw();
  }

  async check() {
    this.state = "checking";
    const pin = this.digits;
    this.draw();
    const answer = await this.send(pin);
    this.state = "ready";
    this.digits = "";
    this.refused = answer.ok ? null : answer;
    this.draw();
  }

  /** What the daemon knew of the pad then. */
  update(pin, usable, at) {
    this.locked.set(pin.locked_for_s, true, at);
    this.usable = usable;
    this.draw();
  }

  tick() {
    if (this.wasLocked || this.isLocked) this.draw();
  }

  draw() {
    const { words } = this;
    const locked = this.isLocked;
    if (locked) this.digits = "";
    this.cells.forEach((cell, place) => cell.classList.toggle("full", place < this.digits.length));
    this.entered.setAttribute("aria-label", words.say("pin.entered", { have: this.digits.length, of: DIGITS }));
    for (const button of this.keys) {
      const name = button.dataset.key;
      button.disabled = locked || this.state !== "ready" || !this.usable;
      if (name.length > 1) button.setAttribute("aria-label", words.say(name === "clear" ? "pin.clear" : "pin.delete"));
    }
    show(this.entered, !locked);
    show(this.grid, !locked);
    show(this.lock, locked);
    if (locked) this.drawLock();
    this.wasLocked = locked;
    setText(this.message, locked ? "" : this.text());
    this.message.dataset.tone = this.refused === null ? "calm" : "alarm";
  }

  drawLock() {
    if (!this.wasLocked) {
      this.seconds = h("span.lock-seconds", { role: "timer", "data-testid": "lock-seconds" });
      this.lock.replaceChildren(
        icon("lock"), h("p.lock-title", {}, this.words.say("pin.locked")), this.seconds,
        h("p.lock-how", {}, this.words.say("pin.locked_how")),
      );
    }
    setText(this.seconds, clockText(this.locked.left));
  }

  text() {
    if (this.state === "checking") return this.words.say("pin.checking");
    if (this.refused === null) return "";
    const { code, document } = this.refused;
    if (code === "wrong_pin") return this.words.say("pin.wrong", { count: document.tries_left ?? 0 });
    return this.words.refusal(code);
  }

  /** The language was switched. */
  say() {
    this.wasLocked = false;
    this.draw();
  }
}
