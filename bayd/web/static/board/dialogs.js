// Dialogs over the board: one bay with all that can be done there, one act with its reason, the screens.

import { get, post, Press } from "../lib/calls.js";
import { focusOn, h, icon, rebuild, setText, show } from "../lib/dom.js";
import { ACTS, actsOf } from "./acts.js";
import { refusalText } from "./refusals.js";

const TAKEN_UP_WITHIN_S = 15;
let made = 0;

class Dialog {
  constructor(board) {
    this.board = board;
    this.words = board.words;
    made += 1;
    this.id = `dialog-${made}`;
    this.busy = false;
  }

  /** A modal one: the browser keeps the focus inside and gives it back at the end, if what had it is still there. */
  show(title, ...children) {
    const before = document.activeElement.dataset.testid;
    this.away = h("p.refused", { hidden: true, role: "alert", "data-testid": "dialog-stale" }, this.words.say("stale.title"));
    this.root = h("dialog", { "aria-labelledby": this.id, "data-testid": "dialog" },
      h("div.dialog-head", {}, h("h2", { id: this.id }, title),
        h("button.close", { type: "button", "aria-label": this.words.say("act.close"), onclick: () => this.root.close() }, icon("clear"))),
      this.away,
      ...children);
    this.root.addEventListener("close", () => {
      this.root.remove();
      if (this.board.dialog === this) this.board.dialog = null;
      if (document.activeElement !== document.body || before === undefined) return;
      focusOn(document.querySelector(`[data-testid="${CSS.escape(before)}"]`) ?? this.board.body);
    });
    document.body.append(this.root);
    this.root.showModal();
    this.board.dialog = this;
    this.changed();
  }

  /** Something happened at the bays, or the connection: what is out of date cannot be pressed. */
  changed() {
    show(this.away, !this.board.fresh);
    for (const button of this.root.querySelectorAll(".press")) button.disabled = this.busy || !this.board.fresh;
  }

  /** One press at a time. */
  async pressing(ask) {
    this.busy = true;
    this.changed();
    const answer = await ask();
    this.busy = false;
    if (this.root?.open) this.changed();
    return answer;
  }
}

/** All that can be done at one bay. */
export class BayDialog extends Dialog {
  constructor(board, number) {
    super(board);
    this.number = number;
    this.about = h("ul.about", { "data-testid": "about" });
    this.list = h("div.acts");
  }

  open() {
    this.show(`${this.words.say("bays.bay")} ${this.number}`, this.about, this.list);
    this.list.querySelector("button")?.focus();
  }

  changed() {
    const row = this.board.rowOf(this.number);
    const names = actsOf(row.state, this.board.page.me.role);
    const about = row.about();
    const missing = this.board.page.me.role === "staff" && !row.state.retired && !row.state.walk_ins && row.state.phase === "free";
    rebuild(this.about, about, () => about.map((text) => h("li", {}, text)));
    show(this.about, about.length > 0);
    rebuild(this.list, [names, missing], () => {
      if (names.length === 0) return [h("p", {}, this.words.say("act.none"))];
      const acts = names.map((name) => h(`button.press${ACTS[name].danger ? ".danger" : ""}`, {
        type: "button", "data-testid": `do-${name}`,
        onclick: () => { this.root.close(); this.board.beginAct(name, this.number); },
      }, this.words.say(`act.${name}`)));
      return missing ? [...acts, h("p.quiet.no-walk-ins", {}, this.words.say("act.walk-in_off"))] : acts;
    });
    super.changed();
  }
}

/** One act: what has to be said, and why it was refused when it was. It is for whom `state` showed. */
export class ActDialog extends Dialog {
  constructor(board, name, number, state) {
    super(board);
    this.name = name;
    this.number = number;
    this.state = state;
    this.press = new Press(`/api/v1/bays/${encodeURIComponent(number)}/${name}`);
    this.act = ACTS[name];
    this.meant = this.act.meant?.(state);
  }

  open(refused = null) {
    const { words, act } = this;
    const label = words.say(`act.${this.name}`);
    const title = words.say("act.for", { act: label, bay: this.number });
    const back = h("button", { type: "button", "data-testid": "back", onclick: () => this.root.close() }, words.say("act.back"));
    const hindered = act.hindered?.(this.board) ?? null;
    if (hindered !== null) {
      this.show(title, h("p", { "data-testid": "hindered" }, words.say(hindered)), h("div.buttons", {}, back));
      back.focus();
      return;
    }
    this.fields = act.fields(this.state, this.board).map((field) => [field, this.input(field)]);
    this.refused = h("p.refused", { role: "alert", "data-testid": "refused" });
    const go = h(`button.press.main${act.danger ? ".danger" : ""}`, { type: "submit", "data-testid": "go" }, words.say("act.do", { act: label }));
    const form = h("form", {},
      ...this.fields.map(([field, input]) => this.labelled(field, input)),
      this.refused,
      h("div.buttons", {}, back, go));
    form.addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
    this.show(title, form);
    (this.fields[0]?.[1] ?? go).focus();
    if (refused !== null) this.tell(refused);
  }

  /** Closes when there is nobody any more for whom it was opened: the next guest has no part in it. */
  changed() {
    if (!this.root.open) return;
    const { state } = this.board.rowOf(this.number);
    const still = this.act.when(state) && JSON.stringify(this.act.meant?.(state)) === JSON.stringify(this.meant);
    if (still || this.busy) {
      super.changed();
      return;
    }
    this.root.close();
    this.board.tell(this.words.say("act.gone", { act: this.words.say(`act.${this.name}`), bay: this.number }), "warning");
  }

  input(field) {
    const id = `${this.id}-${field.name}`;
    const common = { id, name: field.name, "data-testid": `field-${field.name}`, required: field.required };
    if (field.kind === "choice") return h("select", common, ...field.choices(this.words).map(([value, text]) => h("option", { value }, text)));
    if (field.kind === "check") return h("input", { ...common, type: "checkbox" });
    if (field.kind === "number") return h("input", { ...common, type: "number", inputmode: "numeric", min: field.low, max: field.high, step: 1, value: field.value });
    return h("input", { ...common, type: "text", maxlength: field.maxlength, autocomplete: "off" });
  }

  labelled(field, input) {
    const text = this.words.say(`field.${field.label ?? field.name}`, field.values);
    const { currency } = this.board.page;
    const label = h("label", { for: input.id }, field.money && currency ? this.words.say("field.in", { field: text, currency }) : text);
    return h(`div.field.field-${field.kind}`, {}, ...(field.kind === "check" ? [input, label] : [label, input]));
  }

  body() {
    const body = {};
    for (const [field, input] of this.fields) {
      if (field.kind === "check") body[field.name] = input.checked;
      else if (field.whole) body[field.name] = Number(input.value);
      else if (field.kind !== "number") body[field.name] = input.value.trim();
      else if (input.value !== "") body[field.name] = input.valueAsNumber;
    }
    return body;
  }

  async submit() {
    const answer = await this.pressing(() => this.send(this.body()));
    if (!answer.ok) this.tell(answer);
  }

  async send(body) {
    const answer = await this.press.send({ ...this.meant, ...body });
    if (answer.ok) {
      this.root?.close();
      this.board.acted(this.number, answer.document);
      this.board.tell(this.words.say("act.done", { act: this.words.say(`act.${this.name}`), bay: this.number }));
    }
    return answer;
  }

  tell(answer) {
    setText(this.refused, refusalText(this.words, answer));
    const at = this.fields.find(([field]) => field.name === answer.document?.field);
    at?.[1].focus();
  }
}

/** Which browser is which bay's screen. */
export class ScreensDialog extends Dialog {
  async open() {
    const { words, board } = this;
    const code = h("input", { id: `${this.id}-code`, required: true, maxlength: 12, autocomplete: "off", autocapitalize: "characters", spellcheck: "false", "data-testid": "field-code" });
    const bay = h("select", { id: `${this.id}-bay`, "data-testid": "field-bay" }, ...[...board.rows.keys()].map((number) => h("option", { value: number }, number)));
    const reason = h("input", { id: `${this.id}-reason`, maxlength: 200, autocomplete: "off", "data-testid": "field-reason" });
    const replace = h("input", { id: `${this.id}-replace`, type: "checkbox", "data-testid": "field-replace", onchange: () => { reason.required = replace.checked; } });
    this.refused = h("p.refused", { role: "alert", "data-testid": "refused" });
    this.given = h("p.given", { role: "status", "data-testid": "given" });
    this.list = h("ul.screens");
    const form = h("form", {},
      h("p.quiet", {}, words.say("screens.how")),
      h("div.field", {}, h("label", { for: code.id }, words.say("screens.code")), code),
      h("div.field", {}, h("label", { for: bay.id }, words.say("screens.bay")), bay),
      h("div.field.field-check", {}, replace, h("label", { for: replace.id }, words.say("screens.replace"))),
      h("div.field", {}, h("label", { for: reason.id }, words.say("screens.reason")), reason),
      this.refused,
      h("div.buttons", {}, h("button.press.main", { type: "submit", "data-testid": "pair" }, words.say("screens.pair"))));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const answer = await this.pressing(() => post("/api/v1/screens/pair", { code: code.value, bay: bay.value, replace: replace.checked, reason: reason.value }));
      this.tell(answer);
      if (!answer.ok) return;
      const given = bay.value;
      form.reset();
      reason.required = false;
      await this.seeTakenUp(given);
    });
    this.show(words.say("screens.title"), form, this.given, this.list);
    code.focus();
    await this.load();
  }

  async load() {
    const answer = await get("/api/v1/screens");
    if (answer.ok) this.draw(answer.document.screens);
  }

  /** A screen asks every other second whether it was given a bay, and opens it; only then the bay has it. */
  async seeTakenUp(bay) {
    const of = () => this.screens.find((screen) => screen.bay === bay);
    const before = of()?.id;
    setText(this.given, this.words.say("screens.paired", { bay }));
    for (let asked = 0; asked < TAKEN_UP_WITHIN_S && this.root.open; asked += 1) {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      await this.load();
      if (!of()?.connected || of().id === before) continue;
      setText(this.given, this.words.say("screens.taken_up", { bay }));
      return;
    }
  }

  draw(screens) {
    const { words } = this;
    const unchanged = JSON.stringify(screens) === JSON.stringify(this.screens);
    this.screens = screens;
    if (unchanged) return; // a reason may be half typed
    if (screens.length === 0) {
      this.list.replaceChildren(h("li.quiet", {}, words.say("screens.none")));
      return;
    }
    this.list.replaceChildren(...screens.map((screen) => {
      const reason = h("input", { id: `${this.id}-${screen.id}`, required: true, maxlength: 200, autocomplete: "off", "data-testid": `unbind-reason-${screen.bay}` });
      const form = h("form.unbind", {},
        h("p", {}, h("strong", {}, `${words.say("bays.bay")} ${screen.bay}`), ` ${words.say(screen.connected ? "screens.connected" : "screens.away")}, ${words.say("screens.since", { time: this.board.timeOfDay(screen.since) })}`),
        h("label", { for: reason.id }, words.say("field.reason")), reason,
        h("button.press.danger", { type: "submit", "data-testid": `unbind-${screen.bay}`, "aria-label": words.say("screens.unbind_bay", { bay: screen.bay }) }, words.say("screens.unbind")));
      form.addEventListener("submit", async (event) => {
        event.preventDefault();
        const answer = await this.pressing(() => post("/api/v1/screens/unbind", { id: screen.id, reason: reason.value }));
        this.tell(answer);
        if (answer.ok) this.draw(answer.document.screens);
        else if (answer.code === "unbound_not_recorded") await this.load(); // it is out all the same
      });
      return h("li", {}, form);
    }));
  }

  tell(answer) {
    setText(this.refused, answer.ok ? "" : refusalText(this.words, answer));
  }
}
