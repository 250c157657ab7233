// The recording as the page holds it: the columns that page_data.py packs, unpacked once.

export type Role = "loop" | "pool" | "other";
export type PendingKind = "ready" | "overdue" | "unread" | "queued" | "backlog";
export type Verdict = "starving" | "late" | "latent";

/** What a thread was doing, as the timeline tells it apart; starving comes on top of that. */
export const enum Doing { Running, LoopIdle, Waiting, Unknown }

export interface Worker { pid: number; role: string; name: string }
/** `first` to `end` (exclusive) are the thread's activities. */
export interface Thread { index: number; pid: number; tid: number; name: string; role: Role; first: number; end: number }
export interface Pending { pid: number; tid: number | null; name: string; kind: PendingKind; times: Float64Array; counts: Int32Array; most: number }
export interface Episode { finding: number; number: number; pid: number; tid: number; start: number; end: number }
export interface Finding { kind: string; verdict: Verdict; blame: { name: string; file: string } | null; episodes: Episode[] }
/** Shares of a box's time under starvation from which on it looks different. */
export interface Thresholds { least: number; some: number; much: number }
export interface Wait { kind: string; label: string; syscall: string }
export interface Code { name: string; file: string; library: boolean; layer: string; shade: number }

/** Times are seconds after the recording's start; arrays are indexed by activity unless named otherwise. */
export interface Recording {
  start: Float64Array;
  end: Float64Array;
  what: Int32Array;
  starved: Float64Array;
  victims: Float64Array;
  length: number;
  grain: number;
  thresholds: Thresholds;
  /** Class and meaning of every look of a box. */
  looks: [string, string][];
  workers: Worker[];
  threads: Thread[];
  pending: Pending[];
  findings: Finding[];
  /** The whole report and each finding, to be copied. */
  markdown: { report: string; findings: string[] };
  waits: Wait[];
  whatNode: Int32Array;
  whatWait: Int32Array;
  whatDoing: Uint8Array;
  /** Parent of each node of the tree of stacks; -1 is the root. */
  nodeParent: Int32Array;
  nodeFrame: Int32Array;
  frameCode: Int32Array;
  frameLine: Int32Array;
  /** Frames without their lines. */
  codes: Code[];
}

interface Header {
  thresholds: Thresholds;
  looks: [string, string][];
  unit_ns: number;
  grain_ns: number;
  end: number;
  threads: [number, number, number, Role][];
  workers: [number, string, number][];
  pending: [number, number | null, number, PendingKind][];
  findings: { kind: string; verdict: Verdict; blame: [number, number] | null; episodes: [number, number, number, number][] }[];
  waits: [string, number, number][];
  markdown: { report: string; findings: string[] };
  strings: string[];
  columns: Record<string, ["i" | "d", number, number]>;
}

const SHORTEST = 0.001; // s; an empty recording is drawn as long as this
const USER = 0; // the first of code_origin.Origin
const DOING: Record<string, Doing> = { "on-cpu": Doing.Running, "loop-poll": Doing.LoopIdle, unknown: Doing.Unknown };

export async function unpack(base64: string): Promise<Recording> {
  const text = atob(base64);
  const packed = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) packed[at] = text.charCodeAt(at);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return read(await new Response(stream).arrayBuffer());
}

function read(buffer: ArrayBuffer): Recording {
  const bytes = new Uint8Array(buffer);
  const body = bytes.indexOf(10) + 1;
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(0, body))) as Header;
  const unit = header.unit_ns / 1e9;
  const text = (index: number): string => header.strings[index] ?? "";
  const place = (name: string): ["i" | "d", number, number] => {
    const found = header.columns[name];
    if (!found) throw new Error(`no column ${name}`);
    return found;
  };
  const ints = (name: string): Int32Array => {
    const [, offset, length] = place(name);
    return new Int32Array(buffer, body + offset, length);
  };
  const doubles = (name: string): Float64Array => {
    const [, offset, length] = place(name);
    return new Float64Array(buffer, body + offset, length);
  };

  const waits = header.waits.map(([kind, label, syscall]) => ({ kind, label: text(label), syscall: text(syscall) }));
  const whatWait = ints("what_wait");
  const { codes, frameCode } = codesOf(ints, text);
  return {
    ...activitiesOf(ints, doubles, unit),
    what: ints("what"),
    length: Math.max(header.end * unit, SHORTEST),
    thresholds: header.thresholds,
    looks: header.looks,
    grain: header.grain_ns / 1e9,
    workers: header.workers.map(([pid, role, name]) => ({ pid, role, name: text(name) })),
    threads: threadsOf(header, ints("thread_rows"), text),
    pending: pendingOf(header, ints, unit, text),
    findings: header.findings.map((one, finding) => ({
      kind: one.kind,
      verdict: one.verdict,
      blame: one.blame && { name: text(one.blame[0]), file: text(one.blame[1]) },
      episodes: one.episodes.map(([pid, tid, start, end], number) => ({ finding, number, pid, tid, start: start * unit, end: end * unit })),
    })),
    markdown: header.markdown,
    waits,
    whatNode: ints("what_node"),
    whatWait,
    whatDoing: Uint8Array.from(whatWait, (wait) => DOING[waits[wait]!.kind] ?? Doing.Waiting),
    nodeParent: ints("node_parent").map((distance, node) => (distance ? node - distance : -1)),
    nodeFrame: ints("node_frame"),
    frameCode,
    frameLine: ints("line"),
    codes,
  };
}

function activitiesOf(
  ints: (name: string) => Int32Array,
  doubles: (name: string) => Float64Array,
  unit: number,
): Pick<Recording, "start" | "end" | "starved" | "victims"> {
  const gap = ints("gap");
  const length = ints("length");
  const start = new Float64Array(gap.length);
  const end = new Float64Array(gap.length);
  let row = 0;
  for (const rows of ints("thread_rows")) {
    let reached = 0;
    for (const last = row + rows; row < last; row += 1) {
      reached += gap[row]!;
      start[row] = reached * unit;
      reached += length[row]!;
      end[row] = reached * unit;
    }
  }
  const starved = new Float64Array(gap.length);
  const victims = new Float64Array(gap.length);
  const harmStarved = ints("harm_starved");
  const harmVictims = doubles("harm_victims");
  let at = 0;
  ints("harm_at").forEach((step, index) => {
    at += step;
    starved[at] = harmStarved[index]! * unit;
    victims[at] = harmVictims[index]! * unit;
  });
  return { start, end, starved, victims };
}

function threadsOf(header: Header, rows: Int32Array, text: (index: number) => string): Thread[] {
  let first = 0;
  return header.threads.map(([pid, tid, name, role], index) => {
    const end = first + rows[index]!;
    const thread = { index, pid, tid, name: text(name), role, first, end };
    first = end;
    return thread;
  });
}

function pendingOf(header: Header, ints: (name: string) => Int32Array, unit: number, text: (index: number) => string): Pending[] {
  const steps = ints("pending_time");
  const counts = ints("pending_count");
  const rows = ints("pending_rows");
  let first = 0;
  return header.pending.map(([pid, tid, name, kind], index) => {
    const end = first + rows[index]!;
    let at = 0;
    const times = Float64Array.from(steps.subarray(first, end), (step) => (at += step) * unit);
    const own = counts.subarray(first, end);
    first = end;
    return { pid, tid, name: text(name), kind, times, counts: own, most: own.reduce((most, one) => Math.max(most, one), 0) };
  });
}

function codesOf(ints: (name: string) => Int32Array, text: (index: number) => string): { codes: Code[]; frameCode: Int32Array } {
  const [names, files, origins, layers, shades] = ["function", "file", "origin", "layer", "shade"].map(ints) as
    [Int32Array, Int32Array, Int32Array, Int32Array, Int32Array];
  const codes: Code[] = [];
  const known = new Map<string, number>();
  const frameCode = names.map((name, frame) => {
    const key = `${name} ${files[frame]}`;
    let code = known.get(key);
    if (code === undefined) {
      code = codes.length;
      known.set(key, code);
      codes.push({
        name: text(name) || "(no name)",
        file: text(files[frame]!),
        library: origins[frame] !== USER,
        layer: text(layers[frame]!),
        shade: shades[frame]!,
      });
    }
    return code;
  });
  return { codes, frameCode };
}

/** The first activity of a thread that ends after `at`. */
export function activityAt(recording: Recording, thread: Thread, at: number): number {
  let low = thread.first;
  let high = thread.end;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (recording.end[middle]! > at) high = middle;
    else low = middle + 1;
  }
  return low;
}
