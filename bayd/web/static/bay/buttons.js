// A row of large buttons that change in place: a finger that is down on one, and the focus, stay there.

import { h, icon, setText } from "../lib/dom.js";

class Button {
  constructor({ id, style }) {
    this.label = h("span.label");
    this.hint = h("span.hint");
    this.root = h("button", { type: "button", class: style, "data-testid": id, onclick: () => this.press() }, this.label, this.hint);
    this.sign = null;
  }

  draw({ sign = null, state = "", label, hint = "", disabled = false, pressed, press }) {
    if (sign !== this.sign) {
      this.root.querySelector(".icon")?.remove();
      if (sign !== null) this.root.prepend(icon(sign));
      this.sign = sign;
    }
    this.root.dataset.state = state;
    setText(this.label, label);
    setText(this.hint, hint);
    this.root.disabled = disabled;
    if (pressed !== undefined) this.root.setAttribute("aria-pressed", String(pressed));
    this.press = press;
  }
}

export class Buttons {
  constructor(root) {
    this.root = root;
    this.buttons = new Map();
  }

  /**
   * Each has `id` and `style` (its classes) for good, the rest as it is now; `state` is "busy", "stopped" or nothing.
   * Tells whether other ones stand there than before.
   */
  draw(wanted) {
    const { root, buttons } = this;
    let changed = false;
    for (const [id, button] of buttons) {
      if (wanted.some((one) => one.id === id)) continue;
      button.root.remove();
      buttons.delete(id);
      changed = true;
    }
    wanted.forEach((one, place) => {
      const button = buttons.get(one.id) ?? new Button(one);
      if (root.children[place] !== button.root) {
        root.insertBefore(button.root, root.children[place] ?? null);
        buttons.set(one.id, button);
        changed = true;
      }
      button.draw(one);
    });
    return changed;
  }

  /** Tells whether it could have it. */
  focus(id) {
    const button = this.buttons.get(id)?.root;
    if (button === undefined || button.disabled) return false;
    button.focus({ preventScroll: true, focusVisible: false });
    return true;
  }
}
