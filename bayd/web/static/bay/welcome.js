// Nobody plays: the bay waits for a PIN, shows a result, or is closed.

import { h, icon, rebuild, setText, show } from "../lib/dom.js";
import { Pad } from "./pad.js";

/** Free, booked, and the time after a session: words above, the PIN pad in the lower half. */
export class WelcomeScene {
  constructor(screen) {
    this.screen = screen;
    this.title = h("h1.welcome-title");
    this.text = h("p.welcome-text");
    this.result = h("p.result", { "data-testid": "result" });
    this.pad = new Pad(screen.words, (pin) => screen.act("pin", { pin }));
    this.sign = h("div.sign");
    this.head = h("div.welcome-head", {}, this.sign, this.title, this.text, this.result, this.pad.top);
    this.root = h("section.welcome", {}, this.head, this.pad.bottom);
  }

  close() {
    this.pad.close();
  }

  update(bay) {
    const { words } = this.screen;
    const over = bay.phase === "grace";
    const waits = bay.booked > 0;
    this.root.dataset.phase = bay.phase;
    const closed = !over && bay.mode.name === "closed";
    setText(this.title, words.say(over ? "grace.title" : closed ? "closed.title" : waits ? "booked.title" : "free.title"));
    setText(this.text, over ? words.say(waits ? "grace.next" : "grace.text") : this.modeText(bay, waits));
    rebuild(this.sign, closed, () => [icon(closed ? "stop" : "flag")]);
    this.sign.dataset.tone = closed ? "warn" : "good";
    const result = over ? this.resultTexts(bay.balls) : [];
    rebuild(this.result, result, () => result.map((text) => h("span", {}, text)));
    show(this.result, result.length > 0);
    const open = !closed && (!over || waits);
    if (!open) this.pad.forget();
    show(this.sign, !open);
    show(this.pad.top, open);
    show(this.pad.bottom, open);
    this.pad.update(bay.pin, this.screen.fresh, this.screen.heardAt);
    this.tick();
  }

  modeText({ mode }, waits) {
    const { words } = this.screen;
    if (mode.name === "closed") {
      return mode.until === null ? words.say("closed.text") : words.say("closed.until", { time: this.screen.dayAndTime(mode.until) });
    }
    if (waits) return words.say("booked.text");
    return words.say(mode.name === "free_play" ? "free.practice" : "free.text");
  }

  resultTexts(balls) {
    const { words } = this.screen;
    const parts = [];
    if (balls.counted > 0) parts.push(words.say("grace.balls", { count: balls.counted }));
    if (balls.balance > 0) parts.push(words.say("grace.balance", { count: balls.balance }));
    return parts;
  }

  /** A locked pad takes no PIN: nobody is asked for one. */
  tick() {
    this.pad.tick();
    show(this.text, !this.pad.isLocked || this.pad.bottom.hidden);
  }

  say() {
    this.pad.say();
  }
}

/** Kept by staff, or out of service. */
export class ClosedScene {
  constructor(screen) {
    this.screen = screen;
    this.sign = h("div.sign", { "data-tone": "warn" });
    this.title = h("h1.welcome-title");
    this.text = h("p.welcome-text");
    this.root = h("section.closed", {}, this.sign, this.title, this.text);
  }

  close() {}

  update(bay) {
    const { words } = this.screen;
    const held = bay.phase === "held";
    rebuild(this.sign, held, () => [icon(held ? "lock" : "stop")]);
    setText(this.title, words.say(held ? "held.title" : "out.title"));
    setText(this.text, words.say(held ? "held.text" : "out.text"));
  }

  tick() {}

  say() {}
}
