// Findings and episodes in the text lead to their place in the timeline and the flamegraph.
import type { Episode, Recording } from "./recording";
import type { Store } from "./store";

const AROUND = 0.6; // of an episode's length, shown on both sides of it

export function follow(recording: Recording, store: Store): void {
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-finding]") : null;
    if (!link) return;
    const finding = recording.findings[Number(link.dataset["finding"])];
    const number = link.dataset["episode"];
    const episode = number === undefined ? longest(finding?.episodes ?? []) : finding?.episodes[Number(number)];
    if (!finding || !episode) return;
    event.preventDefault();
    show(episode, finding.verdict === "latent", recording, store);
    const place = document.getElementById("timeline");
    place?.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    place?.querySelector<HTMLElement>(".lanes")?.focus({ preventScroll: true });
  });
}

/** Selects an episode: the timeline shows it with some time around, the flamegraph weighs it alone. */
export function show(episode: Episode, latent: boolean, recording: Recording, store: Store): void {
  const around = Math.max((episode.end - episode.start) * AROUND, 0.02);
  const start = Math.max(0, episode.start - around);
  store.set({
    selection: { start: episode.start, end: episode.end },
    view: { start, end: Math.max(start + 0.001, Math.min(recording.length, episode.end + around)) },
    weight: latent ? "wall" : "starved",
    pid: latent ? episode.pid : null,
    role: null,
    episode,
    finding: episode.finding,
  });
}

function longest(episodes: readonly Episode[]): Episode | undefined {
  return [...episodes].sort((one, other) => other.end - other.start - (one.end - one.start))[0];
}
