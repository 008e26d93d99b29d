// What the lower half shows when something was chosen: sizes, lengths, players, a question.

import { h, icon, rebuild } from "../lib/dom.js";

const USUAL_SIZES = [10, 25, 50];

/** For the session it was opened in, whoever plays when it is pressed. One press at a time. */
class Panel {
  constructor(screen, close, title) {
    this.screen = screen;
    this.close = close;
    this.title = title;
    this.sessionId = screen.bay.session.id;
    this.root = h("div.choices");
    this.busy = false;
  }

  choice(testid, label, hint, press, style = "choice") {
    const disabled = this.busy || !this.screen.fresh;
    const attributes = { type: "button", "data-testid": testid, disabled, onclick: () => this.press(press) };
    return h(`button.${style}`, attributes, h("span.choice-label", {}, label), hint ? h("span.tile-hint", {}, hint) : null);
  }

  async press(press) {
    if (this.busy) return;
    this.busy = true;
    this.redraw();
    const answer = await press();
    this.busy = false;
    if (answer.ok) this.close();
    else {
      this.screen.tell(this.screen.words.refusal(answer.code), "alarm");
      this.redraw();
    }
  }

  act(name, body = {}) {
    return this.screen.act(name, { ...body, session_id: this.sessionId });
  }

  update(bay) {
    this.bay = bay;
    this.redraw();
  }
}

export class BallsPanel extends Panel {
  constructor(screen, close) {
    super(screen, close, screen.words.say("balls.how_many"));
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

  redraw() {
    const { words } = this.screen;
    const sizes = this.sizes();
    rebuild(this.root, [sizes, this.busy, this.screen.fresh, this.bay.balls.balance], () =>
      sizes.length
        ? sizes.map((balls) => this.choice(`balls-${balls}`, words.numbers.format(balls),
          balls === this.bay.balls.balance ? words.say("balls.owed") : words.say("balls.unit", { count: balls }),
          () => this.act("dispense", { balls })))
        : [h("p.note", {}, words.say("balls.none_left"))]);
  }
}

export class TimePanel extends Panel {
  constructor(screen, close) {
    super(screen, close, screen.words.say("time.how_long"));
  }

  redraw() {
    const { words, page } = this.screen;
    const { offers } = this.bay.extension;
    rebuild(this.root, [offers, this.busy, this.screen.fresh], () =>
      offers.length
        ? offers.map((offer) => {
          const price = offer.amount === null ? words.say("time.ask_price") : words.price(offer.amount, page.currency);
          const hint = offer.at_once ? words.say("time.on_account", { price }) : price;
          return this.choice(`time-${offer.minutes}`, words.say("time.plus", { count: offer.minutes }), hint,
            () => this.act("extend", { minutes: offer.minutes }));
        })
        : [h("p.note", {}, words.say("time.reception"))]);
  }
}

export class PlayersPanel extends Panel {
  constructor(screen, close) {
    super(screen, close, screen.words.say("players.whose_turn"));
  }

  redraw() {
    const { session } = this.bay;
    const players = session?.players ?? [];
    rebuild(this.root, [players, session?.player_id, this.busy, this.screen.fresh], () =>
      players.map((player, place) => {
        const turn = player.id === session.player_id;
        const name = player.name ?? this.screen.words.say("players.number", { number: place + 1 });
        const button = this.choice(`player-${player.id}`, name, turn ? this.screen.words.say("players.turn") : "",
          () => this.act("player", { session_user_id: player.id }));
        button.setAttribute("aria-pressed", String(turn));
        return button;
      }));
  }
}

/** The site's games, while the session has none. */
export class GamesPanel extends Panel {
  constructor(screen, close) {
    super(screen, close, screen.words.say("games.which"));
    this.root.classList.add("choices-games");
  }

  redraw() {
    const { words } = this.screen;
    const { games } = this.bay;
    if (games.length === 0) this.close(); // the desk has chosen
    rebuild(this.root, [games, this.busy, this.screen.fresh], () => games.map((game) =>
      this.choice(`game-${game.id}`, game.name, game.balls_limit === 0 ? words.say("games.unlimited") : words.say("games.limit", { count: game.balls_limit }),
        () => this.act("game", { game_id: game.id }))));
  }
}

export class EndPanel extends Panel {
  constructor(screen, close) {
    super(screen, close, screen.words.say("end.sure"));
    this.root.classList.add("choices-question");
  }

  redraw() {
    const { words } = this.screen;
    rebuild(this.root, [this.busy, this.screen.fresh], () => [
      h("button.choice.main", { type: "button", "data-testid": "end-no", onclick: () => this.close() }, icon("check"), words.say("end.no")),
      this.choice("end-yes", words.say("end.yes"), words.say("end.hint"), () => this.act("end")),
    ]);
  }
}
