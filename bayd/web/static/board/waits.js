// Who waits for staff: calls for help and requests for more time, the oldest first, with a tone and in the
// title of the tab. Answered late, they grow urgent.

import { canSound, chime, allowSound } from "../lib/chime.js";
import { h, icon, rebuild, setText, settle } from "../lib/dom.js";
import { clockText } from "../bay/clock.js";

const LATE_AFTER_S = 120;
const CALM = { notes: [660, 880], everyMs: 20_000, loudness: 0.35 };
const LATE = { notes: [988, 740, 988, 740, 988], everyMs: 5_000, loudness: 0.9 };

/** A call as it is told: `{kind: "help" or "time", bay, minutes, amount, since}`, `since` in seconds. */
export class Waits {
  /** `acts(call)`: what stands beside it. */
  constructor(words, currency, acts) {
    this.words = words;
    this.currency = currency;
    this.acts = acts;
    this.place = document.getElementById("calls");
    this.place.tabIndex = -1;
    this.said = document.getElementById("said");
    this.title = document.title;
    this.known = new Set();
    this.rangAt = -Infinity;
    this.sound = h("button.sound", { type: "button", "data-testid": "sound", onclick: () => { allowSound(); chime([660]); setTimeout(() => this.drawSound(), 200); } });
    for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, allowSound);
    this.drawSound();
  }

  /** `nobody`: what is said when nobody waits; `key`: what else the acts depend on. */
  draw(calls, nobody = null, key = null) {
    const { words } = this;
    const waits = calls.sort((a, b) => b.since - a.since);
    const late = (one) => one.since >= LATE_AFTER_S;
    const before = this.place.dataset.key;
    rebuild(this.place, [waits.map((one) => [one.kind, one.bay, one.minutes, one.amount, one.request, late(one)]), key], () => {
      if (waits.length === 0) return nobody === null ? [] : [h("p.quiet.nobody", { "data-testid": "no-calls" }, nobody)];
      return [
        h("h2.calls-title", {}, words.say("calls.title")),
        h("ul", {}, ...waits.map((one) => h(`li.call${late(one) ? ".late" : ""}`, { "data-testid": `call-${one.kind}-${one.bay}` },
          icon(late(one) ? "warning" : one.kind === "help" ? "hand" : "plus"),
          h("div.call-text", {}, h("strong", {}, this.text(one)),
            one.amount === null ? null : h("span", {}, words.say("calls.price", { price: words.price(one.amount, this.currency) })),
            h("span.since", { "data-kind": one.kind, "data-bay": one.bay })),
          ...this.acts(one)))),
      ];
    });
    // The next call stands where the answered one stood.
    if (before !== undefined && before !== this.place.dataset.key) settle(this.place);
    for (const one of waits) {
      const since = this.place.querySelector(`.since[data-kind="${one.kind}"][data-bay="${CSS.escape(one.bay)}"]`);
      setText(since, words.say(late(one) ? "calls.late" : "calls.since", { time: clockText(Math.floor(one.since)) }));
    }
    document.documentElement.dataset.calls = waits.length === 0 ? "none" : waits.some(late) ? "late" : "some";
    const title = waits.length === 0 ? this.title : `(${waits.length}) ${this.title}`;
    if (document.title !== title) document.title = title;
    this.ring(waits, late);
    this.drawSound();
  }

  text(one) {
    return one.kind === "help" ? this.words.say("calls.help", { bay: one.bay }) : this.words.say("calls.time", { bay: one.bay, count: one.minutes });
  }

  ring(waits, late) {
    const name = (one) => `${one.kind} ${one.bay}`;
    const fresh = waits.filter((one) => !this.known.has(name(one)));
    this.known = new Set(waits.map(name));
    if (fresh.length > 0) setText(this.said, fresh.map((one) => this.words.say("calls.new", { what: this.text(one) })).join(" "));
    if (waits.length === 0) {
      this.rangAt = -Infinity;
      return;
    }
    const { notes, everyMs, loudness } = waits.some(late) ? LATE : CALM;
    if (fresh.length === 0 && performance.now() - this.rangAt < everyMs) return;
    this.rangAt = performance.now();
    chime(notes, loudness);
  }

  drawSound() {
    const on = canSound();
    rebuild(this.sound, on, () => [icon(on ? "check" : "warning"), h("span", {}, this.words.say(on ? "sound.on" : "sound.off"))]);
  }
}
