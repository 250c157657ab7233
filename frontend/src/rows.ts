// The timeline's rows, top to bottom: for each worker its threads, and under them what waited.
import type { Pending, Recording, Thread } from "./recording";

export interface WorkerRow { kind: "worker"; pid: number; title: string; detail: string; open: boolean; foldable: boolean }
export interface ThreadRow { kind: "thread"; thread: Thread; title: string }
/** Several threads in one row, as long as they are folded. */
export interface FoldedRow { kind: "folded"; threads: Thread[]; title: string; pid: number }
/** All kinds of work that waited on one thread's loop, or on a pool or listener of the process. */
export interface PendingRow { kind: "pending"; series: Pending[]; title: string; most: number }
export type Row = (WorkerRow | ThreadRow | FoldedRow | PendingRow) & { top: number; height: number };

const HEIGHTS = { worker: 30, thread: 24, folded: 24, pending: 34 };
const MANY_WORKERS = 8; // from then on only loop threads are shown unfolded
const ROLES = { loop: 0, other: 1, pool: 2 };

/** `toggled` holds the workers whose folding the reader has changed. */
export function rowsOf(recording: Recording, toggled: ReadonlySet<number>): Row[] {
  const rows: Row[] = [];
  let top = 0;
  const add = (row: WorkerRow | ThreadRow | FoldedRow | PendingRow): void => {
    rows.push({ ...row, top, height: HEIGHTS[row.kind] });
    top += HEIGHTS[row.kind];
  };
  for (const pid of workerOrder(recording)) {
    const threads = recording.threads.filter((thread) => thread.pid === pid);
    threads.sort((one, other) => ROLES[one.role] - ROLES[other.role] || one.tid - other.tid);
    const series = recording.pending.filter((one) => one.pid === pid);
    const worker = recording.workers.find((one) => one.pid === pid);
    const open = toggled.has(pid);
    const folded = open ? [] : threads.filter((one) => isFolded(one, recording));
    const hides = threads.filter((one) => isFolded(one, recording)).length > 1;
    add({ kind: "worker", pid, title: `pid ${pid}`, detail: [worker?.role, worker?.name].filter(Boolean).join(" · "), open, foldable: hides });
    for (const thread of threads) {
      if (hides && folded.includes(thread)) continue;
      add({ kind: "thread", thread, title: thread.name || `thread ${thread.tid}` });
      addPending(series.filter((one) => one.tid === thread.tid));
    }
    if (hides && folded.length) add({ kind: "folded", threads: folded, title: foldedTitle(folded), pid });
    addPending(series.filter((one) => !threads.some((thread) => thread.tid === one.tid)));
  }
  return rows;

  function addPending(series: Pending[]): void {
    if (!series.length) return;
    const most = mostTogether(series);
    add({ kind: "pending", series, title: `waiting: up to ${most.toLocaleString("en")}`, most });
  }
}

function isFolded(thread: Thread, recording: Recording): boolean {
  return thread.role === "pool" || (thread.role === "other" && recording.workers.length > MANY_WORKERS);
}

function foldedTitle(threads: Thread[]): string {
  const pool = threads.every((thread) => thread.role === "pool");
  return `${threads.length} ${pool ? "pool" : "other"} threads`;
}

/** Workers that starved work come first, the longest first; then by pid. */
function workerOrder(recording: Recording): number[] {
  const harm = new Map<number, number>();
  for (const thread of recording.threads) harm.set(thread.pid, harm.get(thread.pid) ?? 0);
  for (const series of recording.pending) harm.set(series.pid, harm.get(series.pid) ?? 0);
  for (const finding of recording.findings) {
    if (finding.verdict === "latent") continue;
    for (const { pid, start, end } of finding.episodes) harm.set(pid, (harm.get(pid) ?? 0) + end - start);
  }
  return [...harm].sort(([pid, one], [otherPid, other]) => other - one || pid - otherPid).map(([pid]) => pid);
}

/** The largest sum of all these at one time. */
function mostTogether(series: Pending[]): number {
  const steps = series.flatMap((one) => [...one.times].map((at, index) => ({ at, by: one.counts[index]! - (one.counts[index - 1] ?? 0) })));
  steps.sort((one, other) => one.at - other.at || one.by - other.by);
  let sum = 0;
  return steps.reduce((most, { by }) => Math.max(most, (sum += by)), 1);
}
