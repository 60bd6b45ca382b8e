// Scales: from values to places, and the round values that stand at an axis.

/** A linear scale from 0 to at least `max`, with about `wanted` ticks. */
function linearScale(max, wanted = 4) {
  const step = roundStep((max || 1) / wanted);
  const top = Math.ceil((max || 1) / step - 1e-9) * step;
  const ticks = [];
  for (let at = 0; at <= top / step + 1e-9; at++) ticks.push(at * step);
  return { at: (value) => value / top, ticks };
}

/** A logarithmic one from the power of ten below `min` to the one above `max`. */
function logScale(min, max) {
  const low = Math.floor(Math.log10(min) + 1e-9);
  const high = Math.max(low + 1, Math.ceil(Math.log10(max) - 1e-9));
  const ticks = [];
  for (let power = low; power <= high; power++) ticks.push(10 ** power);
  return { at: (value) => Math.max(0, (Math.log10(Math.max(value, 1e-12)) - low) / (high - low)), ticks, isLog: true };
}

/** The round step (1, 2, 5, 10, ...) next to `step`. */
function roundStep(step) {
  const power = 10 ** Math.floor(Math.log10(step));
  const part = step / power;
  return (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10) * power;
}

const SECONDS_SHOWN = 120; // of longer runs, minutes

/** Times at the time axis: round numbers of seconds, or of minutes where the run is long. */
function timeTicks(end, wanted) {
  const rough = end / wanted;
  const long = [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400];
  const step = end <= SECONDS_SHOWN ? roundStep(rough) : (long.find((size) => size >= rough) ?? roundStep(rough));
  const ticks = [];
  for (let at = 0; at * step <= end * (1 + 1e-9); at++) ticks.push(at * step);
  return ticks;
}

function timeTickText(t, end) {
  if (end <= SECONDS_SHOWN) return `${Number(t.toFixed(6))} s`;
  const hours = Math.floor(t / 3600);
  const minutes = Math.floor((t % 3600) / 60);
  const seconds = String(Math.round(t % 60)).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
}
