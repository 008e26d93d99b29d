// Somebody plays: the time above all, then balls, and below them what can be done, one thing at a time.

import { focusOn, h, icon, keepFocus, rebuild, setText, settle, show } from "../lib/dom.js";
import { Buttons } from "./buttons.js";
import { clockText, Countdown } from "./clock.js";
import { Pad } from "./pad.js";
import { BallsPanel, EndPanel, GamesPanel, PlayersPanel, TimePanel } from "./panels.js";

const BACK_AFTER_MS = 30_000; // a panel that nobody uses any more
const LONG = 18; // letters that stand in a line of a fact

export class PlayScene {
  constructor(screen) {
    this.screen = screen;
    this.clock = new Countdown();
    this.label = h("h1.time-label");
    this.time = h("p.time", { role: "timer", "data-testid": "time" });
    this.ends = h("p.time-ends");
    this.bar = h("div.bar-left");
    this.state = h("p.time-state", { "data-testid": "time-state" });
    this.facts = h("dl.facts");
    this.lower = h("div.lower", { onpointerdown: () => this.keepOpen() });
    this.tiles = new Buttons(h("div.tiles"));
    this.note = h("p.note", { role: "status", "data-testid": "note" });
    this.panel = null;
    this.pad = null;
    this.opened = "";
    this.turning = false;
    this.root = h("section.play", {},
      h("div.time-panel", {},
        h("div.time-head", {}, this.label, this.state), this.time,
        h("div.bar", { "aria-hidden": "true" }, this.bar), this.ends),
      this.facts, this.lower);
    this.showActions();
  }

  close() {
    this.pad?.close();
    clearTimeout(this.back);
  }

  update(bay) {
    const { session } = bay;
    const another = this.bay !== undefined && this.bay.session.id !== session.id;
    this.bay = bay;
    if (another) this.showActions(); // what the guest before left open is not the next one's
    this.clock.set(session.remaining_s, !session.paused, this.screen.heardAt);
    this.root.dataset.phase = bay.phase;
    this.drawFacts();
    this.drawWords();
    this.drawActions();
    if (this.panel?.update(bay)) settle(this.lower);
    this.pad?.update(bay.pin, this.screen.fresh, this.screen.heardAt);
    this.tick();
  }

  tick() {
    if (this.bay === undefined) return;
    const left = this.clock.left;
    setText(this.time, clockText(left));
    this.time.toggleAttribute("data-long", this.time.textContent.length > 5);
    const share = Math.min(1, left / Math.max(1, this.bay.session.duration_s));
    this.bar.style.transform = `scaleX(${share.toFixed(4)})`;
    this.root.dataset.near = this.nearness(left);
    this.pad?.tick();
    if (this.wasZero === (left === 0)) return;
    this.wasZero = left === 0;
    this.drawWords();
    if (left === 0 && this.panel !== null) this.showActions();
    else this.drawActions();
  }

  /** Booked minutes that are left: in demonstrations they pass faster. */
  minutesLeft(left) {
    const { session } = this.bay;
    return session.minutes ? left / (session.duration_s / session.minutes) : left / 60;
  }

  nearness(left) {
    const minutes = this.minutesLeft(left);
    return minutes <= 1 ? "last" : minutes <= 5 ? "soon" : "far";
  }

  drawWords() {
    const { words } = this.screen;
    const { session } = this.bay;
    const left = this.clock.left;
    setText(this.label, words.say("play.left"));
    setText(this.ends, session.paused ? words.say(session.guest_pause.may_resume ? "play.paused_own" : "play.paused_text") : words.say("play.ends", { time: this.screen.timeOfDay(session.ends_at) }));
    const minutes = Math.ceil(this.minutesLeft(left) - 1e-6);
    const near = this.nearness(left) !== "far" && !session.paused;
    const key = `${near}${session.paused}${minutes}${words.language}`;
    rebuild(this.state, key, () => {
      if (session.paused) return [icon("pause"), words.say("play.paused_badge")];
      if (!near) return [];
      return [icon("warning"), left === 0 ? words.say("play.ending") : words.say("play.warning", { count: minutes })];
    });
  }

  drawFacts() {
    const { words } = this.screen;
    const { session, balls } = this.bay;
    const rows = [];
    const name = this.playerName();
    if (name) rows.push(["player", words.say("play.player"), name]);
    if (session.game) rows.push(["game", words.say("play.game"), session.game.name]);
    if (balls.machine || balls.counted > 0) {
      if (balls.left !== null) {
        rows.push(["balls", words.say("balls.left"), words.say("balls.of", { left: balls.left, limit: balls.limit ?? balls.left })]);
      } else {
        rows.push(["balls", words.say("balls.out"), words.numbers.format(balls.counted)]);
      }
    }
    rebuild(this.facts, [rows, words.language], () =>
      rows.map(([kind, label, value]) =>
        h(`div.fact.fact-${kind}`, {}, h("dt", {}, label), h("dd", { "data-testid": `fact-${kind}`, "data-long": value.length > LONG }, value))));
  }

  playerName() {
    const { session } = this.bay;
    const turn = (session.players ?? []).find((player) => player.id === session.player_id);
    return turn?.name ?? session.player ?? "";
  }

  // What can be done

  showActions() {
    clearTimeout(this.back);
    const focused = this.lower.contains(document.activeElement);
    this.pad?.close();
    this.pad = null;
    this.panel = null;
    this.lower.replaceChildren(this.tiles.root, this.note);
    settle(this.lower);
    if (this.bay !== undefined) this.drawActions();
    if (focused && !this.tiles.focus(this.opened)) focusOn(this.label);
  }

  drawActions() {
    if (this.panel !== null || this.pad !== null) return;
    const { words, fresh } = this.screen;
    const { session, extension, balls, games, booked } = this.bay;
    const tiles = [];
    const over = !session.paused && this.clock.left === 0; // a disk that is full can hold up what follows
    const tile = (name, sign, label, look = {}) => {
      const { closed = false, main = false, ...rest } = look;
      tiles.push({
        id: `act-${name}`, style: main ? "tile main" : "tile", sign, label: words.say(label), disabled: closed || over || !fresh, press: () => this.open(name), ...rest,
      });
    };
    if (balls.machine) tile("balls", "ball", "act.balls", { main: true, ...this.ballsLook() });
    tile("time", "plus", "act.time", this.timeLook());
    if (games.length > 0) tile("game", "flag", "act.game");
    if ((session.players ?? []).length > 1) tile("players", "person", "act.players", { hint: this.playerName() });
    if (booked > 0) tile("next", "lock", "act.next", { hint: words.say("act.next_hint") });
    const { may_pause: mayPause, may_resume: mayResume, minutes } = session.guest_pause;
    if (mayPause) tile("pause", "pause", "act.pause", { hint: words.say("act.pause_hint", { count: minutes }), closed: this.turning });
    if (mayResume) tile("go_on", "play", "act.resume", { main: true, closed: this.turning });
    else if (session.paused) tile("resume", "play", "act.resume", { main: true, hint: words.say("act.resume_hint") });
    tile("end", "stop", "act.end");
    if (keepFocus(this.lower, () => this.label, () => this.tiles.draw(tiles))) settle(this.lower);
    setText(this.note, this.noteText());
  }

  /** What the tile for balls looks like: what is coming, or why none can be had now. */
  ballsLook() {
    const { words } = this.screen;
    const { balls, devices, session } = this.bay;
    const { state } = devices.dispenser;
    const spent = balls.left === 0 && balls.balance === 0;
    if (state === "fault" || state === "lost") {
      const closed = state === "fault" || session.paused || balls.queue_place !== null || spent;
      return { sign: "warning", state: "stopped", hint: words.say("balls.broken"), closed };
    }
    // Until the machine stands: the balls of a tray are all counted while it still tips.
    if (balls.queue_place !== null) {
      const { queue_place: place, paying } = balls;
      const busy = { state: "busy", closed: true };
      if (place > 0) return { ...busy, sign: "wait", hint: words.say("balls.queued", { count: place }) };
      return { ...busy, hint: paying > 0 ? words.say("balls.paying", { count: paying }) : words.say("balls.rolling") };
    }
    if (session.paused) return { hint: words.say("balls.paused"), closed: true };
    if (balls.balance > 0) return { hint: words.say("balls.balance", { count: balls.balance }) };
    return spent ? { hint: words.say("balls.none_left"), closed: true } : {};
  }

  timeLook() {
    const { words } = this.screen;
    const { extension, booked } = this.bay;
    if (extension.asked) {
      return { sign: "wait", state: "busy", label: words.say("time.asked", { count: extension.asked.minutes }), hint: words.say("time.asked_hint"), closed: true };
    }
    if (extension.offers.length === 0) return { hint: words.say(booked > 0 ? "time.booked" : "time.reception"), closed: true };
    return {};
  }

  noteText() {
    const { words } = this.screen;
    const { extension } = this.bay;
    return extension.declined && !extension.asked ? words.say("time.declined", { reason: extension.declined }) : "";
  }

  /** A session has begun here just now. */
  begin() {
    if (this.bay.games.length > 0) this.open("game");
  }

  /** In words, where they are not seen already. */
  warn() {
    const { screen } = this;
    const left = this.clock.left;
    const text = screen.words.say("play.warning", { count: Math.ceil(this.minutesLeft(left) - 1e-6) });
    if (this.nearness(left) === "far") screen.tell(text, "alarm");
    else screen.hear(text);
  }

  async turnClock(act) {
    const { screen } = this;
    this.turning = true;
    this.drawActions();
    const answer = await screen.act(act, { session_id: this.bay.session.id });
    this.turning = false;
    this.drawActions();
    if (!answer.ok) screen.tell(screen.words.refusal(answer.code), "alarm");
  }

  open(name) {
    const { screen } = this;
    if (name === "pause") return this.turnClock("pause");
    if (name === "go_on") return this.turnClock("resume");
    this.opened = `act-${name}`;
    if (name === "next" || name === "resume") {
      const pad = new Pad(screen.words, async (pin) => {
        const answer = await screen.act("pin", { pin });
        if (answer.ok) {
          if (this.pad === pad) this.showActions();
          if (name === "next") screen.tell(screen.words.say("act.next_done"), "good");
        }
        return answer;
      });
      this.pad = pad;
      const title = screen.words.say(name === "next" ? "pin.of_next" : "pin.of_pause");
      this.lower.replaceChildren(h("div.pad-panel", {}, this.panelHead(title), this.pad.top, this.pad.bottom));
      this.pad.update(this.bay.pin, screen.fresh, screen.heardAt);
    } else {
      const Panel = { balls: BallsPanel, time: TimePanel, game: GamesPanel, players: PlayersPanel, end: EndPanel }[name];
      const panel = new Panel(screen, () => this.panel === panel && this.showActions());
      this.panel = panel;
      this.panel.update(this.bay);
      this.lower.replaceChildren(h("div.panel", {}, this.panelHead(this.panel.title), this.panel.root));
    }
    settle(this.lower);
    this.lower.querySelector("button:not(:disabled)")?.focus({ preventScroll: true, focusVisible: false });
    this.keepOpen();
  }

  keepOpen() {
    clearTimeout(this.back);
    if (this.panel !== null || this.pad !== null) this.back = setTimeout(() => this.showActions(), BACK_AFTER_MS);
  }

  panelHead(title) {
    const { words } = this.screen;
    const back = h("button.back", { type: "button", "data-testid": "back", onclick: () => this.showActions() }, icon("back"), words.say("act.back"));
    return h("div.panel-head", {}, back, h("h2", {}, title));
  }

  say() {
    if (this.pad !== null || this.panel !== null) this.showActions();
  }
}
