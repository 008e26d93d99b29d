// The newest state of the bays, as the daemon tells it, and whether it still is.
//
// The stream opens with all states, or goes on behind the last event without a gap (Last-Event-ID, which the
// browser sends by itself). Every message carries the whole state of its bay: drawing the newest is right
// however many were missed. What is new and no event comes as the states of those bays, and what concerns the
// whole range as `range`. The daemon says "alive" every few seconds, with what its clock alone has moved: this
// machine's may have stood still, asleep. When nothing at all comes for longer than `STALE_AFTER_MS`, or the
// connection breaks, what is shown is stale and is called so at once.

const STALE_AFTER_MS = 12_000;
const LOOK_EVERY_MS = 1_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 8_000;

/** The state of a bay with what the clock has moved since it was said. */
function moved(state, { remaining_s, locked_for_s, help_for_s, waits_s }) {
  const { session, extension } = state;
  const { asked } = extension;
  return {
    ...state,
    session: session && { ...session, remaining_s: remaining_s ?? session.remaining_s },
    pin: { ...state.pin, locked_for_s },
    help_for_s: help_for_s ?? state.help_for_s,
    extension: { ...extension, asked: asked && { ...asked, waits_s: waits_s ?? asked.waits_s } },
  };
}

/** Handlers: `changed(bay, document, event or null)`, `linked(isFresh)`, `refused(status)`; for who watches all
    bays also `range(document)`, and `now(time)` by the daemon's clock. */
export class Live {
  constructor(handlers, query = "") {
    this.handlers = handlers;
    this.address = `/api/v1/events${query}`;
    this.fresh = null;
    this.states = new Map();
    this.heardAt = performance.now();
    this.pauseMs = FIRST_PAUSE_MS;
    this.source = null;
    this.timer = null;
    this.open();
    this.watch = setInterval(() => this.look(), LOOK_EVERY_MS);
    // A machine that wakes up, or a tab that comes back, must not show the past as the present.
    this.onvisible = () => document.visibilityState === "visible" && this.askAnew();
    document.addEventListener("visibilitychange", this.onvisible);
  }

  close() {
    clearInterval(this.watch);
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.onvisible);
    this.source?.close();
    this.source = null;
  }

  open() {
    this.timer = null;
    this.heardAt = performance.now();
    const source = new EventSource(this.address);
    this.source = source;
    source.addEventListener("bays", (message) => {
      for (const [bay, state] of Object.entries(JSON.parse(message.data).bays)) {
        this.changed(bay, state, null);
      }
      this.heard();
    });
    source.addEventListener("message", (message) => {
      const event = JSON.parse(message.data);
      this.changed(event.bay, event.state, event);
      this.heard();
    });
    source.addEventListener("range", (message) => {
      this.handlers.range?.(JSON.parse(message.data));
      this.heard();
    });
    source.addEventListener("alive", (message) => {
      const { now, bays } = JSON.parse(message.data);
      this.handlers.now?.(now);
      for (const [bay, moving] of Object.entries(bays)) {
        const state = this.states.get(bay);
        if (state !== undefined) this.changed(bay, moved(state, moving), null);
      }
      this.heard();
    });
    source.addEventListener("error", () => this.broken(source));
  }

  changed(bay, state, event) {
    this.states.set(bay, state);
    this.handlers.changed(bay, state, event);
  }

  heard() {
    this.heardAt = performance.now();
    this.pauseMs = FIRST_PAUSE_MS;
    this.tell(true);
  }

  tell(fresh) {
    if (this.fresh === fresh) return;
    this.fresh = fresh;
    this.handlers.linked(fresh);
  }

  look() {
    if (this.source === null || performance.now() - this.heardAt < STALE_AFTER_MS) return;
    this.source.close();
    this.broken(this.source);
  }

  askAnew() {
    if (this.source === null) return;
    this.tell(false);
    this.source.close();
    this.open();
  }

  /** The browser comes back by itself after a break, but not after a refusal. */
  async broken(source) {
    if (source !== this.source) return;
    this.tell(false);
    if (source.readyState !== EventSource.CLOSED) return;
    this.source = null;
    const refused = await this.refusal();
    if (this.timer !== null || this.source !== null) return;
    if (refused !== null) this.handlers.refused(refused);
    const pause = this.pauseMs * (0.75 + Math.random() / 2); // a hundred screens do not come back as one
    this.pauseMs = Math.min(2 * this.pauseMs, LONGEST_PAUSE_MS);
    this.timer = setTimeout(() => this.open(), pause);
  }

  /** EventSource does not say why it was refused. */
  async refusal() {
    try {
      const response = await fetch("/api/v1/session", { cache: "no-store", signal: AbortSignal.timeout(5000) });
      return response.status;
    } catch {
      return null;
    }
  }
}
