// Calls of the API. One press is one idempotency key, kept through every repetition of that press, also by hand:
// whatever was lost on the way, what it asks for is done once.

const TRIES = 4;
const PAUSE_MS = 600;
const TIMEOUT_MS = 8_000;

/** What the daemon said to a press. `code` is stable; `document` is the bay, or the problem. */
export class Answer {
  constructor(status, document) {
    this.status = status;
    this.document = document;
  }

  get ok() {
    return this.status >= 200 && this.status < 300;
  }

  /** A yes or a no; what failed on the way or at the disk may have been done all the same. */
  get isDefinite() {
    return this.status > 0 && this.status < 500;
  }

  get code() {
    return this.ok ? "" : this.document?.code ?? "unreachable";
  }
}

export const UNREACHABLE = new Answer(0, null);

/** What one panel or dialog asks for. Until the daemon has said yes or no, the same again is the same press. */
export class Press {
  constructor(path) {
    this.path = path;
    this.unanswered = null;
  }

  async send(body = {}) {
    const text = JSON.stringify(body);
    if (this.unanswered?.text !== text) this.unanswered = { text, key: freshKey() };
    const { key } = this.unanswered;
    for (let tried = 1; ; tried += 1) {
      const answer = await post(this.path, body, key);
      if (answer.isDefinite) this.unanswered = null;
      // Busy, restarting, or no answer: the same press again. The key says that it is the same.
      const again = answer === UNREACHABLE || answer.code === "busy" || answer.code === "stopping";
      if (!again || tried === TRIES) return answer;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * tried));
    }
  }
}

export async function press(path, body = {}) {
  return new Press(path).send(body);
}

export async function post(path, body = {}, key = null) {
  const headers = { "Content-Type": "application/json" };
  if (key !== null) headers["Idempotency-Key"] = key;
  return ask(path, { method: "POST", headers, body: JSON.stringify(body) });
}

export async function get(path) {
  return ask(path, {});
}

async function ask(path, options) {
  try {
    const response = await fetch(path, {
      ...options, cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.text();
    return new Answer(response.status, text ? JSON.parse(text) : null);
  } catch {
    return UNREACHABLE;
  }
}

function freshKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  // Where the page is served by plain HTTP on a LAN.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
