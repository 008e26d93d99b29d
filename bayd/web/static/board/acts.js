// What can be done at a bay: when it makes sense, and what has to be said with it. The daemon decides.

const REASON = { name: "reason", kind: "text", required: true, maxlength: 200 };
const PLAYED = (bay) => bay.session !== null;
const OPEN = (bay) => bay.phase === "free" || bay.phase === "booked" || bay.phase === "grace";
const MODES = ["locked", "free_play", "closed", "configured"];
const none = () => [];
const reason = () => [REASON];

function payment(...kinds) {
  return { name: "payment", kind: "choice", choices: (words) => kinds.map((kind) => [kind, words.say(`pay.${kind}`)]) };
}

const NUMBER = (name, { required = true, low = 0, high = 1_000_000, value = null, label = name } = {}) => ({ name, kind: "number", required, low, high, value, label });

const AMOUNT = (more = {}) => ({ ...NUMBER("amount", more), values: more.values, money: true });

/** Of whom a press was thought: when another plays or waits by then, the daemon refuses it. */
const session = (bay) => ({ session_id: bay.session.id });
const asked = (bay) => ({ session_id: bay.session.id, request_id: bay.extension.asked.request_id });

/** `when(bay)`; `fields(bay, board)`; `meant(bay)`: whom it is for; `hindered(board)`: why not now; `danger`: ends something;
    `settles`: what was left open, also at a bay that is configured no more. */
export const ACTS = {
  "help/acknowledge": { when: (bay) => bay.help_called, fields: none },
  "extend/approve": {
    when: (bay) => bay.extension.asked !== null,
    meant: asked,
    fields: ({ extension: { asked } }, board) => [
      payment("cash", "card", "on_account"),
      asked.amount === null ? AMOUNT() : AMOUNT({ required: false, label: "amount_default", values: { price: board.words.price(asked.amount, board.page.currency) } })],
  },
  "extend/decline": { when: (bay) => bay.extension.asked !== null, meant: asked, fields: reason },
  start: {
    when: (bay) => bay.booked > 0 && !PLAYED(bay) && OPEN(bay),
    meant: (bay) => ({ session_id: bay.next_session_id }),
    fields: reason,
  },
  "walk-in": {
    when: (bay) => bay.walk_ins && bay.booked === 0 && OPEN(bay),
    fields: () => [NUMBER("minutes", { low: 1, high: 1440, value: 60 }), AMOUNT(), payment("cash", "card"), REASON],
  },
  extend: {
    when: PLAYED,
    meant: session,
    fields: () => [NUMBER("minutes", { low: 1, high: 1440, value: 15 }), AMOUNT({ required: false }), payment("desk", "cash", "card", "on_account"), REASON],
  },
  pause: { when: (bay) => bay.phase === "playing", meant: session, fields: reason },
  resume: { when: (bay) => bay.phase === "paused", meant: session, fields: none },
  move: {
    when: PLAYED,
    hindered: (board) => (board.freeBays().length === 0 ? "act.move_nowhere" : null),
    meant: session,
    fields: (_bay, board) => [{ name: "to", kind: "choice", choices: () => board.freeBays().map((number) => [number, number]) }, REASON],
  },
  game: {
    when: (bay) => bay.games.length > 0,
    meant: session,
    fields: (bay) => [{ name: "game_id", kind: "choice", whole: true, choices: () => bay.games.map((game) => [game.id, game.name]) }],
  },
  end: { when: PLAYED, danger: true, meant: session, fields: reason },
  unlock: { when: (bay) => bay.pin.locked_for_s > 0 || bay.pin.tries_left < 5, fields: reason },
  "balls/settle": {
    settles: true,
    when: (bay) => bay.balls.unsettled.length > 0,
    fields: (bay) => [
      { name: "payout_id", kind: "choice", choices: (words) => bay.balls.unsettled.map((one) => [one.payout_id, words.say("unknown.text", { count: one.balls, session: one.session_id })]) },
      NUMBER("came_out", { high: 10_000 }), REASON],
  },
  "dues/settle": {
    settles: true,
    when: (bay) => bay.dues.length > 0,
    fields: (bay, board) => [
      { name: "due_id", kind: "choice", choices: (words) => bay.dues.map((one) => [one.due_id, words.say("due.text", { count: one.minutes, price: words.price(one.amount, board.page.currency) })]) },
      payment("cash", "card", "desk"), REASON],
  },
  "conflicts/settle": {
    settles: true,
    when: (bay) => bay.warnings.some((one) => one.conflict !== null),
    fields: (bay) => [
      { name: "conflict", kind: "choice", choices: (words) => bay.warnings.filter((one) => one.conflict !== null).map((one) => [one.conflict, words.warning(one)]) },
      REASON],
  },
  refill: { when: (bay) => bay.balls.machine, technician: true, fields: () => [NUMBER("balls", { required: false })] },
  "fault/clear": {
    when: (bay) => faulty(bay).length > 0, technician: true,
    fields: (bay) => [{ name: "device", kind: "choice", choices: (words) => faulty(bay).map((name) => [name, words.say(`device.${name}`)]) }],
  },
  mode: {
    when: () => true,
    fields: () => [
      { name: "mode", kind: "choice", choices: (words) => MODES.map((mode) => [mode, words.say(`mode.${mode}`)]) },
      { name: "until", kind: "choice", choices: (words) => ["day_end", "revoked"].map((until) => [until, words.say(`until.${until}`)]) },
      REASON],
  },
  hold: { when: OPEN, fields: reason },
  release: { when: (bay) => bay.phase === "held", fields: none },
  "service/stop": {
    when: (bay) => bay.phase !== "out_of_service", technician: true, danger: true,
    fields: (bay, board) => [REASON, ...(bay.session !== null && board.page.me.role === "staff" ? [{ name: "force", kind: "check" }] : [])],
  },
  "service/resume": { when: (bay) => bay.phase === "out_of_service", technician: true, fields: none },
};

function faulty(bay) {
  return ["reader", "dispenser", "screen"].filter((name) => bay.devices[name].state === "fault");
}

/** The names of what can be done now by this role. */
export function actsOf(bay, role) {
  const may = (act) => (role === "staff" || act.technician) && (act.settles || !bay.retired);
  return Object.keys(ACTS).filter((name) => may(ACTS[name]) && ACTS[name].when(bay));
}
