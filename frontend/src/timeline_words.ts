// What the timeline's tooltip says of a place in it.
import type { Episode, Recording, Thread } from "./recording";
import { activityAt } from "./recording";
import type { Row } from "./rows";
import type { Line } from "./tooltip";
import { duration, moment, plural } from "./words";

const KINDS: Record<string, [string, string]> = {
  ready: ["ready callback", "ready callbacks"],
  overdue: ["overdue timer", "overdue timers"],
  unread: ["socket with unread data", "sockets with unread data"],
  queued: ["queued item", "queued items"],
  backlog: ["connection to accept", "connections to accept"],
};

export function describe(recording: Recording, row: Row, at: number, episode: Episode | undefined): Line[] | null {
  if (episode) return describeEpisode(recording, episode);
  if (row.kind === "thread") return describeThread(recording, row.thread, at);
  if (row.kind === "pending") return describePending(row, at);
  if (row.kind === "folded") return describeFolded(recording, row.threads, row.title, at);
  return null;
}

function describeEpisode(recording: Recording, episode: Episode): Line[] {
  const finding = recording.findings[episode.finding]!;
  return [
    { text: finding.kind.replace("-", " "), look: "heading" },
    { text: `${duration(episode.end - episode.start)} from ${moment(episode.start, 0.001)}`, look: "harm" },
    ...(finding.blame ? [{ text: finding.blame.name, look: "mono" as const }] : []),
    { text: "click to select it", look: "quiet" },
  ];
}

function describeThread(recording: Recording, thread: Thread, at: number): Line[] {
  const heading: Line = { text: `${thread.name || "thread"} · pid ${thread.pid} · tid ${thread.tid}`, look: "quiet" };
  const row = activityAt(recording, thread, at);
  if (row >= thread.end || recording.start[row]! > at) return [{ text: "nothing is known here", look: "heading" }, heading];
  const what = recording.what[row]!;
  const wait = recording.waits[recording.whatWait[what]!]!;
  const length = recording.end[row]! - recording.start[row]!;
  const starved = recording.starved[row]!;
  const lines: Line[] = [{ text: `${wait.label}, ${duration(length)}`, look: "heading" }, heading];
  if (starved > 0) {
    const items = recording.victims[row]! / starved;
    lines.push({ text: `starves ${plural(Math.round(items), "item")} of due work`, look: "harm" });
  }
  const node = recording.whatNode[what]!;
  if (node >= 0) lines.push(...innermost(recording, node));
  if (wait.syscall) lines.push({ text: `system call ${wait.syscall}`, look: "quiet" });
  return lines;
}

/** The deepest frame, and the deepest one of the program itself where that is another one. */
function innermost(recording: Recording, deepest: number): Line[] {
  let own = deepest;
  while (own >= 0 && recording.codes[recording.frameCode[recording.nodeFrame[own]!]!]!.library) own = recording.nodeParent[own]!;
  return [...new Set([own, deepest])].filter((node) => node >= 0).map((node) => {
    const frame = recording.nodeFrame[node]!;
    const code = recording.codes[recording.frameCode[frame]!]!;
    const line = recording.frameLine[frame]!;
    return { text: `${code.name}  ${code.file}${line >= 0 ? `:${line}` : ""}`, look: "mono" };
  });
}

function describePending(row: Row & { kind: "pending" }, at: number): Line[] {
  const lines = row.series.map((series): Line => {
    let count = 0;
    for (let index = 0; index < series.times.length && series.times[index]! <= at; index += 1) count = series.counts[index]!;
    const [one, many] = KINDS[series.kind] ?? [series.kind, series.kind];
    return { text: `${count.toLocaleString("en")} ${count === 1 ? one : many} · ${series.name}`, look: count ? "harm" : "quiet" };
  });
  return [{ text: `waiting at ${moment(at, 0.001)}`, look: "heading" }, ...lines];
}

function describeFolded(recording: Recording, threads: Thread[], title: string, at: number): Line[] {
  const labels = new Map<string, number>();
  for (const thread of threads) {
    const row = activityAt(recording, thread, at);
    const known = row < thread.end && recording.start[row]! <= at;
    const label = known ? recording.waits[recording.whatWait[recording.what[row]!]!]!.label : "nothing is known";
    labels.set(label, (labels.get(label) ?? 0) + 1);
  }
  const lines = [...labels].sort(([, one], [, other]) => other - one).map(([label, count]): Line => ({ text: `${count} × ${label}` }));
  return [{ text: title, look: "heading" }, ...lines.slice(0, 6)];
}
