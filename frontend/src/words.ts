// How times and amounts are written; as words.py does it.

export type Weight = "wall" | "starved" | "victims";

export function duration(seconds: number): string {
  const size = Math.abs(seconds);
  if (size >= 1000) return `${seconds.toFixed(0)} s`;
  if (size >= 0.9995) return `${Number(seconds.toPrecision(3))} s`;
  if (size < 1e-6) return size === 0 ? "0 s" : "under 0.001 ms";
  return `${Number((seconds * 1000).toPrecision(3))} ms`;
}

export function amount(value: number, weight: Weight): string {
  if (weight !== "victims") return duration(value);
  return `${value >= 100 ? Math.round(value).toLocaleString("en") : Number(value.toPrecision(3))} victim-s`;
}

export function percent(part: number, whole: number): string {
  if (whole <= 0) return "";
  const share = (100 * part) / whole;
  return share > 0 && share < 0.05 ? "<0.1 %" : `${share.toFixed(1)} %`;
}

export function plural(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** A moment, exact enough for its neighbours at a distance of `step` seconds. */
export function moment(seconds: number, step: number): string {
  if (step >= 1) return `${Math.round(seconds)} s`;
  const digits = Math.min(6, Math.ceil(-Math.log10(step)));
  return `${seconds.toFixed(digits)} s`;
}
