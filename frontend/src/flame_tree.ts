// All chosen threads' activities in a span of time as one tree of frames, weighed three ways.
import type { Recording, Role, Thresholds } from "./recording";
import { activityAt } from "./recording";
import type { Span } from "./store";
import type { Weight } from "./words";

export type Kind = "root" | "code" | "layers" | "wait";

/** A box of the flamegraph; `value` is the weight that is drawn, with everything below. */
export interface Box {
  name: string;
  /** The file, or what the box stands for. */
  where: string;
  kind: Kind;
  /** Names the box among all trees of this recording. */
  key: string;
  shade: number;
  blamed: boolean;
  wall: number;
  starved: number;
  victims: number;
  /** The part of `starved` that is this box's own. */
  ownStarved: number;
  /** Starves work for enough of its time to be coloured, or leads to a box that does. */
  marked: boolean;
  value: number;
  children: Box[];
}

export interface Question {
  selection: Span | null;
  weight: Weight;
  pid: number | null;
  role: Role | null;
  /** Keys of the folded layers that are shown whole; null shows all of them. */
  unfolded: ReadonlySet<string> | null;
  blamed: { name: string; file: string } | null;
}

interface Sums { wall: Float64Array; starved: Float64Array; victims: Float64Array }
/** `below` has frames by their code, folded layers by LAYERS, waits by their label. */
interface Growing extends Box { below: Map<string | number, Growing>; layers: Map<string, number> | null; deepest: number }

const NOT_A_WAIT = new Set(["on-cpu", "unknown"]);
const LAYERS_SHOWN = 3;
const LAYERS = "=";

export function flameTree(recording: Recording, question: Question): Box {
  const sums = weigh(recording, question);
  const root = growing("all", "all threads together", "root", "");
  const path: number[] = [];
  for (let what = 0; what < recording.whatNode.length; what += 1) {
    if (sums.wall[what]! <= 0) continue;
    path.length = 0;
    for (let node = recording.whatNode[what]!; node >= 0; node = recording.nodeParent[node]!) {
      path.push(recording.frameCode[recording.nodeFrame[node]!]!);
    }
    path.reverse();
    plant(root, recording, question, path, what, sums);
  }
  // Where boxes are as wide as the harm that they did, there is nothing to exaggerate.
  return grown(root, question.weight, question.weight === "wall" ? recording.thresholds.least : 0);
}

/** How much each stack weighs; an activity that lies partly inside the span counts in part. */
function weigh(recording: Recording, { selection, pid, role }: Question): Sums {
  const size = recording.whatNode.length;
  const sums = { wall: new Float64Array(size), starved: new Float64Array(size), victims: new Float64Array(size) };
  const { start, end, what, starved, victims } = recording;
  for (const thread of recording.threads) {
    if ((pid !== null && thread.pid !== pid) || (role !== null && thread.role !== role)) continue;
    let row = selection ? activityAt(recording, thread, selection.start) : thread.first;
    for (; row < thread.end; row += 1) {
      const from = start[row]!;
      const to = end[row]!;
      if (selection && from >= selection.end) break;
      const length = to - from;
      const inside = selection ? Math.min(to, selection.end) - Math.max(from, selection.start) : length;
      const part = length > 0 ? inside / length : 0;
      const which = what[row]!;
      sums.wall[which]! += inside;
      sums.starved[which]! += starved[row]! * part;
      sums.victims[which]! += victims[row]! * part;
    }
  }
  return sums;
}

function plant(root: Growing, recording: Recording, question: Question, path: number[], what: number, sums: Sums): void {
  const wall = sums.wall[what]!;
  const starved = sums.starved[what]!;
  const victims = sums.victims[what]!;
  let at = root;
  const add = (): void => {
    at.wall += wall;
    at.starved += starved;
    at.victims += victims;
  };
  add();
  for (let index = 0; index < path.length; ) {
    let last = index;
    while (last < path.length && recording.codes[path[last]!]!.library) last += 1;
    if (last - index >= 2 && question.unfolded && !question.unfolded.has(`${at.key}/${LAYERS}`)) {
      at = layersBelow(at, recording, path, index, last);
      add();
      index = last;
      continue;
    }
    // One frame, or a run of library frames that is not folded.
    for (const end = Math.max(last, index + 1); index < end; index += 1) {
      at = codeBelow(at, recording, question, path[index]!);
      add();
    }
  }
  const wait = recording.waits[recording.whatWait[what]!]!;
  if (!NOT_A_WAIT.has(wait.kind) || !path.length) {
    at = below(at, wait.label, (key) => growing(wait.label, "what the thread did below its last Python frame", "wait", key));
    add();
  }
  at.ownStarved += starved;
}

function codeBelow(at: Growing, recording: Recording, question: Question, code: number): Growing {
  return below(at, code, (key) => {
    const { name, file, shade } = recording.codes[code]!;
    const made = growing(name, file || "file not known", "code", key);
    made.shade = shade;
    made.blamed = question.blamed !== null && question.blamed.name === name && question.blamed.file === file;
    return made;
  });
}

function layersBelow(at: Growing, recording: Recording, path: number[], first: number, last: number): Growing {
  const folded = below(at, LAYERS, (key) => {
    const made = growing("", "", "layers", key);
    made.layers = new Map();
    return made;
  });
  for (let index = first; index < last; index += 1) {
    const { layer } = recording.codes[path[index]!]!;
    folded.layers!.set(layer, (folded.layers!.get(layer) ?? 0) + 1);
  }
  folded.deepest = Math.max(folded.deepest, last - first);
  return folded;
}

function below(at: Growing, what: string | number, make: (key: string) => Growing): Growing {
  let found = at.below.get(what);
  if (!found) {
    found = make(`${at.key}/${what}`);
    at.below.set(what, found);
  }
  return found;
}

function growing(name: string, where: string, kind: Kind, key: string): Growing {
  return {
    name, where, kind, key, shade: 0, blamed: false, wall: 0, starved: 0, victims: 0, ownStarved: 0, marked: false, value: 0,
    children: [], below: new Map(), layers: null, deepest: 0,
  };
}

/** Boxes without any of the weight go; the rest is sorted by name, as the picture is. */
function grown(root: Growing, weight: Weight, least: number): Box {
  const open = [root];
  const every: Box[] = [];
  for (let box = open.pop(); box; box = open.pop()) {
    every.push(box);
    box.value = box[weight];
    if (box.layers) nameLayers(box);
    const children = [...box.below.values()].filter((child) => child[weight] > 0);
    children.sort((one, other) => compare(one.name, other.name) || compare(one.where, other.where));
    box.children = children;
    open.push(...children);
  }
  for (const box of every.reverse()) {
    box.marked = box.children.some((child) => child.marked) || (box.starved > 0 && share(box) >= least);
  }
  return root;
}

function nameLayers(box: Growing): void {
  const layers = [...box.layers!.keys()];
  const more = layers.length > LAYERS_SHOWN ? " …" : "";
  box.name = `⋯ ${layers.slice(0, LAYERS_SHOWN).join(" · ")}${more}`;
  box.where = `${box.deepest} library frames, folded; click to unfold`;
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

function share(box: Box): number {
  return box.wall > 0 ? box.starved / box.wall : box.starved > 0 ? 1 : 0;
}

/** The class that flame.css paints, as in the pictures: what a box is, and how much of it starves work. */
export function look(box: Box, { some, much }: Thresholds): string {
  const waits = box.kind === "wait" && !/^\[(on-cpu|unknown)\]/.test(box.name);
  const layers = box.kind === "layers";
  if (!box.marked) return waits ? "wait" : layers ? "layers" : `code${box.shade}`;
  const starving = share(box);
  const part = starving >= much ? "" : starving >= some ? " part" : " slight";
  if (waits) return `harm${part}`;
  if (box.ownStarved >= box.starved * much && starving >= some) return `busy${part}`;
  const path = starving >= much ? "path3" : starving >= some ? "path2" : "path1";
  return layers ? `layers ${path}` : path;
}
