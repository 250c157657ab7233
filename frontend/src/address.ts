// The address after its # names what the reader looks at: an open finding, a span of time, a worker,
// as in #finding-2&span=1.25-3&pid=4711. Opening the file with it shows that again.
import { show } from "./follow";
import type { Recording } from "./recording";
import type { Choice, Span, Store } from "./store";

export interface Place { finding: number | null; selection: Span | null; pid: number | null }

const DIGITS = 6; // of a second; nothing is known more exactly
const NEAR = 2e-6; // s
const AROUND = 0.1; // of a span's length, shown on both sides of it
const PAUSE = 200; // ms; browsers refuse to change the address all the time
const FINDING = /^finding-([1-9]\d{0,6})$/;
const SPAN = /^span=(\d{1,9}(?:\.\d+)?)-(\d{1,9}(?:\.\d+)?)$/;
const PID = /^pid=([1-9]\d{0,9})$/;

/** The fragment that names a place, with its #; "" for none. */
export function fragment({ finding, selection, pid }: Place): string {
  const parts = [
    finding === null ? "" : `finding-${finding + 1}`,
    selection ? `span=${seconds(selection.start)}-${seconds(selection.end)}` : "",
    pid === null ? "" : `pid=${pid}`,
  ].filter(Boolean);
  return parts.length ? `#${parts.join("&")}` : "";
}

/** The place that a fragment names; null if any part of it names nothing in this recording. */
export function placeOf(text: string, recording: Recording): Place | null {
  const place: Place = { finding: null, selection: null, pid: null };
  for (const part of text.replace(/^#/, "").split("&")) {
    const [finding, span, pid] = [FINDING, SPAN, PID].map((pattern) => pattern.exec(part));
    if (finding) {
      place.finding = Number(finding[1]) - 1;
      if (!recording.findings[place.finding]) return null;
    } else if (span) {
      const [start, end] = [Number(span[1]), Number(span[2])];
      if (start >= end || end > recording.length + NEAR) return null;
      place.selection = { start, end: Math.min(end, recording.length) };
    } else if (pid) {
      place.pid = Number(pid[1]);
      if (!recording.workers.some((worker) => worker.pid === place.pid)) return null;
    } else return null;
  }
  return place;
}

/** Keeps the address and what is chosen together, and marks the open finding. */
export function keepAddress(recording: Recording, store: Store): void {
  let waiting = 0;
  store.onChange((changed) => {
    if (changed.has("finding")) markOpen(store.choice.finding);
    if (!changed.has("finding") && !changed.has("selection") && !changed.has("pid")) return;
    clearTimeout(waiting);
    waiting = setTimeout(() => write(store.choice, recording), PAUSE);
  });
  const follow = (): void => {
    const place = placeOf(location.hash, recording);
    if (place) goTo(place, recording, store);
  };
  window.addEventListener("hashchange", follow);
  follow();
}

function write(choice: Choice, recording: Recording): void {
  const wanted = fragment(choice);
  // Another part of the page stays in the address until something is chosen.
  if (!wanted && !placeOf(location.hash, recording)) return;
  try {
    history.replaceState(null, "", wanted || location.href.split("#")[0]!);
  } catch {
    // Some viewers show the page where its address may not change.
  }
}

function goTo({ finding, selection, pid }: Place, recording: Recording, store: Store): void {
  if (selection) {
    const found = finding === null ? null : recording.findings[finding]!;
    const episode = found?.episodes.find((one) => near(one.start, selection.start) && near(one.end, selection.end));
    if (episode) show(episode, found!.verdict === "latent", recording, store);
    else store.set({ selection, view: around(selection, recording.length), episode: null });
  }
  store.set({ ...(finding === null ? {} : { finding }), ...(pid === null && !selection ? {} : { pid }) });
  const target = selection || finding === null ? "timeline" : `finding-${finding + 1}`;
  document.getElementById(target)?.scrollIntoView();
}

function markOpen(finding: number | null): void {
  for (const one of document.querySelectorAll("article.finding[aria-current]")) one.removeAttribute("aria-current");
  if (finding !== null) document.getElementById(`finding-${finding + 1}`)?.setAttribute("aria-current", "true");
}

function around({ start, end }: Span, length: number): Span {
  const margin = (end - start) * AROUND;
  return { start: Math.max(0, start - margin), end: Math.min(length, end + margin) };
}

function near(one: number, other: number): boolean {
  return Math.abs(one - other) <= NEAR;
}

function seconds(value: number): string {
  return String(Number(value.toFixed(DIGITS)));
}
