import { h } from "../lib/dom.js";
import { Live } from "../lib/live.js";

export class BayScreen {
  constructor(root, words, page, putOut) {
    this.root = root;
    this.words = words;
    this.bay = page.bay;
    this.putOut = putOut;
  }

  begin() {
    this.number = h("h1", {}, this.words.say("bay"), " ", h("span", { "data-testid": "bay-number" }, this.bay));
    this.phase = h("p", { "data-testid": "phase" });
    this.root.replaceChildren(this.number, this.phase);
    this.live = new Live({
      changed: (_bay, state) => { this.phase.textContent = state.phase; },
      linked: (fresh) => { document.documentElement.dataset.fresh = String(fresh); },
      refused: (status) => { if (status === 401) this.putOut(); },
    }, `?bay=${encodeURIComponent(this.bay)}`);
  }
}
