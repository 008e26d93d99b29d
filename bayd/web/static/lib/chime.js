// Short tones made on the spot: nothing to load, and silent where the machine has no sound.

let audio = null;

/** Browsers let a page sound only after it was touched, unless they are told otherwise (kiosk mode is). */
export function allowSound() {
  audio ??= typeof AudioContext === "undefined" ? null : new AudioContext();
  if (audio?.state === "suspended") audio.resume().catch(() => {});
}

/** Whether a tone would be heard now. */
export function canSound() {
  return audio !== null && audio.state === "running";
}

/** Notes in hertz, one after the other; `loudness` up to 1. */
export function chime(notes = [660, 880], loudness = 0.35) {
  allowSound();
  if (audio === null || audio.state !== "running") return;
  notes.forEach((hertz, place) => {
    const at = audio.currentTime + place * 0.22;
    const tone = audio.createOscillator();
    const gain = audio.createGain();
    tone.frequency.value = hertz;
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(loudness, at + 0.02);
    gain.gain.exponentialRampToValueAtTime(0.001, at + 0.5);
    tone.connect(gain).connect(audio.destination);
    tone.start(at);
    tone.stop(at + 0.55);
  });
}
