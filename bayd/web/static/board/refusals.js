// Why the daemon refused, for staff.

/** By its stable code; `detail`, the daemon's own words, stands where the catalogue wants it, or alone. */
export function refusalText(words, { code, document }) {
  const text = document?.detail;
  if (text === undefined) return words.say("refusal.unreachable");
  return words.has(`refusal.${code}`) ? words.say(`refusal.${code}`, { text }) : text;
}
