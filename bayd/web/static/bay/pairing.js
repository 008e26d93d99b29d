// A screen without a bay: it shows a code until staff have entered it, then it is let in.

import { post } from "../lib/calls.js";
import { h, icon, show } from "../lib/dom.js";

const LOOK_EVERY_MS = 2_000;
const AGAIN_AFTER_MS = 5_000;
const RENEW_BEFORE_S = 15;

export class PairingScene {
  /** `joined(bay)` is called once this browser is a bay's screen. */
  constructor(words, wished, joined) {
    this.words = words;
    this.joined = joined;
    this.code = h("p.pairing-code", { "data-testid": "pairing-code" });
    this.state = h("p.pairing-state", { role: "status" });
    this.title = h("h1");
    this.how = h("p.pairing-how");
    this.wished = wished;
    this.root = h("section.pairing", {}, icon("screen"), this.title, this.code, this.how, this.state);
    this.timer = null;
    this.over = false;
    this.say();
    this.begin();
  }

  close() {
    this.over = true;
    clearTimeout(this.timer);
  }

  say() {
    this.title.textContent = this.wished ? this.words.say("pairing.title_for", { bay: this.wished }) : this.words.say("pairing.title");
    this.how.textContent = this.wished
      ? this.words.say("pairing.how_for", { bay: this.wished })
      : this.words.say("pairing.how");
    show(this.how, this.code.textContent !== "");
    this.state.textContent = this.words.say(this.code.textContent ? "pairing.waiting" : "pairing.connecting");
  }

  later(what, pauseMs) {
    if (!this.over) this.timer = setTimeout(() => what.call(this), pauseMs);
  }

  async begin() {
    const answer = await post("/api/v1/screens/code");
    if (this.over) return;
    if (!answer.ok) {
      this.code.textContent = "";
      this.say();
      const pauseMs = (answer.document?.retry_after_s ?? 0) * 1000;
      this.later(this.begin, Math.max(pauseMs, AGAIN_AFTER_MS));
      return;
    }
    this.code.textContent = answer.document.code;
    this.renewAt = performance.now() + (answer.document.expires_s - RENEW_BEFORE_S) * 1000;
    this.say();
    this.later(this.look, LOOK_EVERY_MS);
  }

  async look() {
    const answer = await post("/api/v1/screens/claim");
    if (this.over) return;
    if (answer.ok && answer.document.state === "bound") {
      this.over = true;
      this.joined(answer.document.bay);
    } else if (answer.code === "no_code" || performance.now() > this.renewAt) {
      this.begin();
    } else {
      this.later(this.look, LOOK_EVERY_MS);
    }
  }
}
