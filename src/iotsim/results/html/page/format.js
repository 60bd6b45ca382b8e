// Figures as people read them.

const NARROW_SPACE = "\u202f";

/** 12 345 */
function countText(number) {
  return String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, NARROW_SPACE);
}

/** A moment: 1.203 456, seconds with microseconds. */
function momentText(t) {
  const [whole, part] = t.toFixed(6).split(".");
  return `${countText(Number(whole))}.${part.slice(0, 3)}${NARROW_SPACE}${part.slice(3)}`;
}

/** How long: 3.2 ms, 1.25 s. */
function durationText(seconds) {
  const size = Math.abs(seconds);
  if (size >= 1) return `${threeDigits(seconds)} s`;
  if (size >= 1e-3) return `${threeDigits(seconds * 1e3)} ms`;
  return `${threeDigits(seconds * 1e6)} µs`;
}

/** 0.123, 1.23, 12.3, 123, 1 234 */
function threeDigits(number) {
  const size = Math.abs(number);
  if (size >= 1000) return countText(number);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return String(Number(number.toFixed(digits)));
}

/** Milliseconds for columns of figures, which are read from top to bottom: 0.012, 3.200 */
function millisecondsText(seconds) {
  const [whole, part] = (seconds * 1e3).toFixed(3).split(".");
  return `${countText(Number(whole))}.${part}`;
}

/** A rate: 12.5, 3 200 */
function rateText(number) {
  return number === 0 ? "0" : threeDigits(number);
}

function plural(number, noun) {
  return `${countText(number)} ${noun}${number === 1 ? "" : "s"}`;
}
