// What the lower half shows when something was chosen: sizes, lengths, players, games, a question.

import { Press } from "../lib/calls.js";
import { h, keepFocus, setText, show } from "../lib/dom.js";
import { Buttons } from "./buttons.js";

const USUAL_SIZES = [10, 25, 50];

/** For the session it was opened in, whoever plays when it is pressed. One press at a time. */
class Panel {
  /** `act` is what a choice asks the daemon for. */
  constructor(screen, close, title, act) {
    this.screen = screen;
    this.close = close;
    this.title = screen.words.say(title);
    this.sessionId = screen.bay.session.id;
    this.press = new Press(`${screen.path}/${act}`);
    this.choices = h("div.choices");
    this.buttons = new Buttons(this.choices);
    this.none = h("p.note");
    this.root = h("div.panel-body", {}, this.choices, this.none);
    this.busy = false;
  }

  async send(body) {
    if (this.busy) return;
    this.busy = true;
    this.redraw();
    const answer = await this.press.send({ ...body, session_id: this.sessionId });
    this.busy = false;
    if (answer.ok) this.close();
    else {
      this.screen.tell(this.screen.words.refusal(answer.code), "alarm");
      this.redraw();
    }
  }

  /** Tells whether something else is offered than before, or at another price. */
  update(bay) {
    this.bay = bay;
    const before = this.said;
    this.redraw();
    return before !== undefined && before !== this.said;
  }

  redraw() {
    const offered = this.offered();
    this.said = JSON.stringify(offered.map(({ id, label, hint }) => [id, label, hint]));
    const disabled = this.busy || !this.screen.fresh;
    keepFocus(this.root, () => this.root, () =>
      this.buttons.draw(offered.map(({ body, ...one }) => ({ style: "choice", disabled, press: () => this.send(body), ...one }))));
    show(this.choices, offered.length > 0);
    show(this.none, offered.length === 0);
    setText(this.none, offered.length > 0 ? "" : this.whyNone());
  }

  /** `id`, `label`, `hint`, and the `body` of the press, or a `press` of its own. */
  offered() {
    return [];
  }

  whyNone() {
    return "";
  }
}

export class BallsPanel extends Panel {
  constructor(screen, close) {
    super(screen, close, "balls.how_many", "dispense");
    this.root.classList.add("panel-balls");
  }

  /** The site's sizes, or usual ones in steps that the machine can pay; what is owed beside them. */
  sizes() {
    const { balls } = this.bay;
    const most = balls.left === null ? Infinity : balls.left + balls.balance;
    const stepped = (size) => Math.max(balls.step, Math.round(size / balls.step) * balls.step);
    const sizes = new Set(balls.choices.length ? balls.choices : USUAL_SIZES.map(stepped));
    if (!balls.choices.length) {
      for (const size of [balls.balance, balls.left ?? 0]) if (size > 0 && size <= 50 && size % balls.step === 0) sizes.add(size);
    }
    return [...sizes].filter((size) => size <= most).sort((a, b) => a - b);
  }

  offered() {
    const { words } = this.screen;
    return this.sizes().map((balls) => ({
      id: `balls-${balls}`,
      label: words.numbers.format(balls),
      hint: balls === this.bay.balls.balance ? words.say("balls.owed") : words.say("balls.unit", { count: balls }),
      body: { balls },
    }));
  }

  whyNone() {
    return this.screen.words.say("balls.none_left");
  }
}

export class TimePanel extends Panel {
  constructor(screen, close) {
    super(screen, close, "time.how_long", "extend");
  }

  offered() {
    const { words, page } = this.screen;
    return this.bay.extension.offers.map(({ minutes, amount, at_once: atOnce }) => {
      const price = amount === null ? words.say("time.ask_price") : words.price(amount, page.currency);
      return {
        id: `time-${minutes}`,
        label: words.say("time.plus", { count: minutes }),
        hint: atOnce ? words.say("time.on_account", { price }) : price,
        body: { minutes, shown_amount: amount, shown_at_once: atOnce },
      };
    });
  }

  whyNone() {
    return this.screen.words.say("time.reception");
  }
}

export class PlayersPanel extends Panel {
  constructor(screen, close) {
    super(screen, close, "players.whose_turn", "player");
  }

  offered() {
    const { words } = this.screen;
    const { players, player_id: turn } = this.bay.session;
    return (players ?? []).map(({ id, name }, place) => ({
      id: `player-${id}`,
      label: name ?? words.say("players.number", { number: place + 1 }),
      hint: id === turn ? words.say("players.turn") : "",
      pressed: id === turn,
      body: { session_user_id: id },
    }));
  }
}

/** The site's games, while the session has none. */
export class GamesPanel extends Panel {
  constructor(screen, close) {
    super(screen, close, "games.which", "game");
    this.root.classList.add("panel-games");
  }

  update(bay) {
    if (bay.games.length > 0) return super.update(bay);
    this.close(); // the desk has chosen
    return true;
  }

  offered() {
    const { words } = this.screen;
    return this.bay.games.map(({ id, name, balls_limit: limit }) => ({
      id: `game-${id}`,
      label: name,
      hint: limit === 0 ? words.say("games.unlimited") : words.say("games.limit", { count: limit }),
      body: { game_id: id },
    }));
  }
}

export class EndPanel extends Panel {
  constructor(screen, close) {
    super(screen, close, "end.sure", "end");
    this.root.classList.add("panel-question");
  }

  offered() {
    const { words } = this.screen;
    return [
      { id: "end-no", style: "choice main", sign: "check", label: words.say("end.no"), disabled: false, press: () => this.close() },
      { id: "end-yes", label: words.say("end.yes"), hint: words.say("end.hint"), body: {} },
    ];
  }
}
