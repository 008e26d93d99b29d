// A paired screen: the frame that never changes, and in it the scene that fits what the bay is doing.

import { press } from "../lib/calls.js";
import { allowSound, chime } from "../lib/chime.js";
import { h, icon, keepFocus, rebuild, setText, show } from "../lib/dom.js";
import { Live } from "../lib/live.js";
import { isOutdated } from "../lib/release.js";
import { PlayScene } from "./play.js";
import { ClosedScene, WelcomeScene } from "./welcome.js";

const TICK_MS = 200;
const TOLD_MS = 7_000;
const LANGUAGE_BACK_MS = 90_000; // somebody looked, chose a language and went on
const SCENES = {
  free: WelcomeScene, booked: WelcomeScene, grace: WelcomeScene,
  playing: PlayScene, paused: PlayScene,
  held: ClosedScene, out_of_service: ClosedScene,
};
const TUNES = {
  SessionEnded: [880, 660, 494],
  SessionExtended: [523, 659, 784],
  SessionStarted: [523, 784],
  WarningGiven: [880, 880, 880],
  ExtensionDeclined: [494, 440],
};

export class BayScreen {
  /** `putOut()` is called when this browser is no longer the bay's screen. */
  constructor(root, words, page, putOut) {
    this.root = root;
    this.words = words;
    this.page = page;
    this.putOut = putOut;
    this.bay = null;
    this.scene = null;
    this.fresh = false;
    this.said = document.getElementById("said");
    this.path = `/api/v1/bays/${encodeURIComponent(page.bay)}`;
  }

  begin() {
    this.drawFrame();
    this.say();
    document.addEventListener("pointerdown", () => { this.touchedAt = performance.now(); allowSound(); });
    setInterval(() => this.tick(), TICK_MS);
    this.live = new Live({
      changed: (bay, state, event) => bay === this.page.bay && this.changed(state, event),
      linked: (fresh) => this.linked(fresh),
      refused: (status) => status === 401 && this.putOut(),
    }, `?bay=${encodeURIComponent(this.page.bay)}`);
  }

  // The frame

  drawFrame() {
    this.bayWord = h("span.bay-word");
    this.language = h("button.head-button", { type: "button", "data-testid": "language", onclick: () => this.switchLanguage() });
    this.help = h("button.head-button.help", { type: "button", "data-testid": "help", onclick: () => this.callHelp() });
    this.stale = h("div.band.band-stale", { role: "alert", "data-testid": "stale", hidden: true });
    this.told = h("div.band.band-told", { "data-testid": "told", hidden: true });
    this.place = h("div.place", {}, h("p.connecting", { role: "status" }, this.words.say("connecting")));
    this.root.replaceChildren(
      h("header.head", {},
        h("p.bay-name", {}, this.bayWord, h("span.bay-number", { "data-testid": "bay-number" }, this.page.bay)),
        h("p.site", {}, this.page.site),
        this.language, this.help),
      this.stale, this.told, this.place);
  }

  say() {
    const { words } = this;
    document.documentElement.lang = words.language;
    setText(this.bayWord, words.say("bay"));
    const other = this.otherLanguage;
    this.language.replaceChildren(icon("globe"), h("span", { lang: other }, words.nameOf(other)));
    this.drawStale();
    this.help.dataset.key = "";
    this.drawHelp();
    this.scene?.say();
    if (this.bay !== null) this.scene.update(this.bay);
  }

  drawStale() {
    const { words } = this;
    const plays = this.bay?.session != null;
    rebuild(this.stale, [plays, words.language], () =>
      [icon("offline"), h("p", {}, h("strong", {}, words.say("stale.title")), " ", words.say(plays ? "stale.text" : "stale.idle"))]);
  }

  get otherLanguage() {
    const { languages, language } = this.words;
    return languages[(languages.indexOf(language) + 1) % languages.length];
  }

  switchLanguage() {
    this.words.use(this.otherLanguage);
    this.switchedAt = performance.now();
    this.say();
  }

  languageBack() {
    if (this.words.language === this.page.language) return;
    this.words.use(this.page.language);
    this.say();
  }

  drawHelp() {
    const called = this.bay?.help_called ?? false;
    this.help.disabled = !this.fresh || this.bay === null;
    rebuild(this.help, [called, this.words.language], () =>
      [icon(called ? "check" : "hand"), h("span", {}, this.words.say(called ? "help.called" : "help.call"))]);
    this.help.classList.toggle("called", called);
  }

  async callHelp() {
    if (this.bay.help_called) {
      this.tell(this.words.say("help.coming"), "good");
      return;
    }
    const answer = await this.act("help");
    if (answer.ok) this.tell(this.words.say("help.coming"), "good");
    else this.tell(this.words.refusal(answer.code), "alarm");
  }

  /** A sentence for the one who stands there; it goes by itself. */
  tell(text, tone = "calm") {
    clearTimeout(this.toldTimer);
    this.told.dataset.tone = tone;
    this.told.replaceChildren(icon(tone === "alarm" ? "warning" : "check"), h("p", {}, text));
    show(this.told, true);
    this.hear(text);
    this.toldTimer = setTimeout(() => {
      show(this.told, false);
      this.hear("");
    }, TOLD_MS);
  }

  /** For who hears the page. */
  hear(text) {
    setText(this.said, text);
  }

  // What the daemon says

  changed(state, event) {
    const before = this.bay;
    this.bay = state;
    this.heardAt = performance.now();
    const sessionBefore = before?.session?.id ?? null;
    const over = before !== null && sessionBefore !== null && state.session !== null && sessionBefore !== state.session.id;
    const began = before !== null && state.phase === "playing" && sessionBefore !== state.session.id;
    const left = before?.phase === "grace" && state.phase !== "grace";
    if (over || left) this.languageBack();
    if (event !== null && event.kind in TUNES) chime(TUNES[event.kind]);
    const same = sessionBefore === (state.session?.id ?? null); // else the call has gone with its session
    if (same && before?.help_called && !state.help_called) this.tell(this.words.say("help.seen"), "good");
    this.draw();
    if (began) this.scene.begin();
    if (event?.kind === "WarningGiven") this.scene.warn?.();
  }

  linked(fresh) {
    this.fresh = fresh;
    document.documentElement.dataset.fresh = String(fresh);
    show(this.stale, !fresh);
    if (this.bay !== null) this.draw();
    else this.drawHelp();
    if (fresh) this.renew();
  }

  /** After every break: the daemon may be of another release by then. */
  async renew() {
    if (await isOutdated(this.page.files)) location.reload();
  }

  draw() {
    keepFocus(this.root, () => this.scene.root.querySelector("h1"), () => this.drawScene());
  }

  drawScene() {
    const Scene = SCENES[this.bay.phase];
    if (!(this.scene instanceof Scene)) {
      this.scene?.close();
      this.scene = new Scene(this);
      this.place.replaceChildren(this.scene.root);
    }
    this.scene.update(this.bay);
    this.drawHelp();
    this.drawStale();
    this.root.dataset.phase = this.bay.phase;
    this.root.dataset.version = this.bay.version;
  }

  tick() {
    this.scene?.tick();
    const idle = this.bay !== null && this.bay.session === null && this.bay.phase !== "grace";
    const since = Math.max(this.touchedAt ?? 0, this.switchedAt ?? 0);
    if (idle && performance.now() - since > LANGUAGE_BACK_MS) this.languageBack();
  }

  act(name, body = {}) {
    return press(`${this.path}/${name}`, body);
  }

  dayAndTime(text) {
    return this.words.time(text, { weekday: "long", timeZone: this.page.timezone });
  }

  timeOfDay(text) {
    return this.words.time(text, { timeZone: this.page.timezone });
  }
}
