// The board: who is signed in, and then the bays as they are. Without a touch for long it is locked again.

import { get, post } from "../lib/calls.js";
import { allowSound } from "../lib/chime.js";
import { h, setText } from "../lib/dom.js";
import { loadWords } from "../lib/words.js";
import { Board } from "./board.js";
import { signInAgain, signOut, stayWhileTouched } from "./head.js";
import { refusalText } from "./refusals.js";
import { clockText } from "../bay/clock.js";

const RETRY_MS = 2_000;
const page = document.documentElement.dataset;

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function patiently(what) {
  for (;;) {
    try {
      return await what();
    } catch {
      await pause(RETRY_MS);
    }
  }
}

/** Why somebody is here, and where to then: "#/day", "#out/day". */
const [, out, wanted = "/"] = /^#(out)?(\/(?:day|handover|devices)?)$/.exec(location.hash) ?? [];

/** The form; calls `entered(session)` when the daemon knows who it is. */
function signIn(words, entered) {
  const name = h("input", { id: "name", name: "name", autocomplete: "username", autocapitalize: "none", spellcheck: "false", required: true, maxlength: 32 });
  const pin = h("input", { id: "pin", name: "pin", type: "password", inputmode: "numeric", autocomplete: "current-password", required: true, maxlength: 12 });
  const said = h("p.refused", { role: "alert", "data-testid": "login-refused" });
  const go = h("button.main", { type: "submit", "data-testid": "login" }, words.say("login.go"));
  const form = h("form.sign-in", { "aria-labelledby": "sign-in-title" },
    h("h2", { id: "sign-in-title" }, words.say("login.title")),
    h("p.quiet", { "data-testid": "login-why" }, words.say(out ? "login.out" : wanted === "/" ? "login.how" : "login.first")),
    h("label", { for: "name" }, words.say("login.name")), name,
    h("label", { for: "pin" }, words.say("login.pin")), pin,
    said, go);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    allowSound();
    go.disabled = true;
    const answer = await post("/api/v1/login", { name: name.value, pin: pin.value });
    go.disabled = false;
    pin.value = "";
    if (answer.ok) {
      entered(answer.document);
      return;
    }
    const { code, document: problem } = answer;
    let text = refusalText(words, answer);
    if (code === "wrong_login" && problem.tries_left > 0) text = words.say("login.wrong", { count: problem.tries_left });
    else if (problem?.retry_after_s) text = words.say("login.locked", { time: clockText(problem.retry_after_s) });
    setText(said, text);
    pin.focus();
  });
  return form;
}

async function begin() {
  const words = await patiently(() => loadWords(JSON.parse(page.catalogues), page.language));
  const me = await patiently(async () => {
    const answer = await get("/api/v1/session");
    if (answer.status === 0) throw new Error("no answer");
    return answer.ok ? answer.document : null;
  });
  const entry = document.getElementById("entry");
  const enter = (session) => {
    history.replaceState(null, "", "/"); // why somebody was here is told
    entry.replaceChildren();
    page.role = session.role;
    const way = (name, path) => h("a", { href: path, "aria-current": name === "board" ? "page" : null }, words.say(`nav.${name}`));
    document.querySelector(".head nav").replaceChildren(way("board", "/"), way("day", "/day"), way("handover", "/handover"), way("devices", "/devices"));
    const board = new Board(words, { ...page, me: session }, signInAgain);
    document.getElementById("who").replaceChildren(
      board.waits.sound, ...board.headButtons(), h("span", {}, words.say("who", { name: session.name })),
      h("button", { type: "button", "data-testid": "sign-out", onclick: signOut }, words.say("sign_out")));
    board.begin();
  };
  if (me !== null) enter(me);
  else {
    entry.replaceChildren(signIn(words, (session) => {
      if (wanted !== "/") return location.assign(wanted);
      stayWhileTouched();
      enter(session);
    }));
    document.getElementById("name").focus();
  }
}

begin();
