// Time left, from what the daemon said and this page's own monotonic clock. The wall clock of the machine
// that shows it plays no part: it may be wrong, and be put right in the middle of play.

export class Countdown {
  constructor() {
    this.seconds = 0;
    this.runs = false;
    this.at = performance.now();
  }

  /** `at`: when it was so, by `performance.now()`. Words may be shown again long after they came. */
  set(seconds, runs, at = performance.now()) {
    this.seconds = seconds;
    this.runs = runs;
    this.at = at;
  }

  get left() {
    const passed = this.runs ? (performance.now() - this.at) / 1000 : 0;
    return Math.max(0, this.seconds - passed);
  }
}

/** "4:07", "1:04:07". A part of a second counts as one: 0:00 is the end. */
export function clockText(seconds) {
  const whole = Math.ceil(seconds - 1e-6);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  const rest = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}
