// Draws rows of the timeline onto a canvas. States differ by height and texture, not by colour only.
import type { Episode, Recording, Thread } from "./recording";
import { activityAt, Doing } from "./recording";
import type { Row } from "./rows";
import { swatch } from "./elements";
import type { Span } from "./store";

/** Colours of the page's style, as the canvas needs them. */
export interface Paints {
  running: string; idle: string; waiting: string; unknown: string; starving: string; stripe: string; edge: string;
  line: string; quiet: string; selection: string; accent: string;
  ready: string; overdue: string; unread: string; queued: string; backlog: string;
  font: string;
}

export function paintsOf(host: Element): Paints {
  const style = getComputedStyle(host);
  const paint = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  const names = ["running", "idle", "waiting", "unknown", "line", "quiet", "selection", "accent", "ready", "overdue", "unread", "queued", "backlog"] as const;
  const paints = Object.fromEntries(names.map((name) => [name, paint(name)])) as unknown as Paints;
  paints.font = `11px ${style.fontFamily}`;
  return { ...paints, ...harmPaints(host) };
}

/** The tones of harm are the flamegraph's own, which flame.css names. */
function harmPaints(host: Element): Pick<Paints, "starving" | "stripe" | "edge"> {
  const sample = swatch("busy");
  const picture = sample.firstElementChild!;
  const box = picture.querySelector("rect")!;
  host.append(sample);
  const edge = getComputedStyle(box).stroke;
  const fill = (look: string): string => {
    box.setAttribute("class", look);
    return getComputedStyle(box).fill;
  };
  picture.append(box); // outside of the group, which would paint it
  const found = { starving: fill("alarm"), stripe: fill("stripe"), edge };
  sample.remove();
  return found;
}

/** The canvas, as fine as the screen and as wide as its place. */
export function fitted(canvas: HTMLCanvasElement, height: number): CanvasRenderingContext2D {
  const fine = window.devicePixelRatio || 1;
  canvas.style.height = `${height}px`;
  const width = Math.round(canvas.clientWidth * fine);
  const tall = Math.round(height * fine);
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== tall) canvas.height = tall;
  const context = canvas.getContext("2d")!;
  context.setTransform(fine, 0, 0, fine, 0, 0);
  return context;
}

export interface Scale { view: Span; width: number }

export function xOf(at: number, { view, width }: Scale): number {
  return ((at - view.start) / (view.end - view.start)) * width;
}

export function timeOf(x: number, { view, width }: Scale): number {
  return view.start + (x / width) * (view.end - view.start);
}

const STARVING = 4; // a look of its own beside those of Doing
type Look = Doing | typeof STARVING;
const HEIGHT: Record<Look, number> = { [Doing.Running]: 0.72, [Doing.LoopIdle]: 0.14, [Doing.Waiting]: 0.36, [Doing.Unknown]: 0.36, [STARVING]: 1 };
const LOOKS = 5;

export class Painter {
  private stripes: CanvasPattern | null = null;

  constructor(private readonly recording: Recording, private readonly context: CanvasRenderingContext2D, private paints: Paints) {
    this.setPaints(paints);
  }

  setPaints(paints: Paints): void {
    this.paints = paints;
    const tile = document.createElement("canvas");
    tile.width = tile.height = 8;
    const drawing = tile.getContext("2d")!;
    drawing.fillStyle = paints.starving;
    drawing.fillRect(0, 0, 8, 8);
    drawing.strokeStyle = paints.stripe;
    drawing.lineWidth = 2.5;
    for (const shift of [-8, 0, 8]) {
      drawing.moveTo(shift - 1, 9);
      drawing.lineTo(shift + 9, -1);
    }
    drawing.stroke();
    this.stripes = this.context.createPattern(tile, "repeat");
  }

  row(row: Row, scale: Scale): void {
    const { context, paints } = this;
    if (row.kind === "worker") {
      context.fillStyle = paints.line;
      context.fillRect(0, row.top, scale.width, 1);
    } else if (row.kind === "thread") this.lane(row.thread, row.top + 4, row.height - 7, scale);
    else if (row.kind === "folded") this.bundle(row.threads, row.top + 4, row.height - 7, scale);
    else this.pending(row, scale);
  }

  /** One thread; what is narrower than a pixel is drawn as what took most of that pixel. */
  private lane(thread: Thread, top: number, height: number, scale: Scale): void {
    const { recording } = this;
    const { view } = scale;
    let pixel = -1;
    const shares = new Float64Array(LOOKS);
    const flush = (): void => {
      if (pixel >= 0) this.bar(pixel, pixel + 1, mostOf(shares), top, height);
      shares.fill(0);
    };
    for (let row = activityAt(recording, thread, view.start); row < thread.end && recording.start[row]! < view.end; row += 1) {
      const look = lookOf(recording, row);
      const left = Math.max(0, xOf(recording.start[row]!, scale));
      const right = Math.min(scale.width, xOf(recording.end[row]!, scale));
      const first = Math.floor(left);
      if (first !== pixel) {
        flush();
        pixel = first;
      }
      if (right <= first + 1) {
        shares[look]! += right - left;
        continue;
      }
      if (left > first) {
        shares[look]! += first + 1 - left;
        flush();
        this.bar(first + 1, Math.floor(right), look, top, height);
      } else this.bar(first, Math.floor(right), look, top, height);
      pixel = Math.floor(right);
      shares[look]! += right - pixel;
    }
    flush();
  }

  private bar(left: number, right: number, look: Look, top: number, height: number): void {
    if (right <= left) return;
    const { context, paints } = this;
    const tall = Math.max(2, Math.round(height * HEIGHT[look]));
    const wide = right - left;
    if (look === STARVING) context.fillStyle = wide > 6 && this.stripes ? this.stripes : paints.starving;
    else context.fillStyle = [paints.running, paints.idle, paints.waiting, paints.unknown][look]!;
    const y = look === Doing.LoopIdle ? top + Math.round((height - tall) / 2) : top + height - tall;
    context.fillRect(left, y, wide, tall);
    if (look === STARVING && wide > 3) {
      context.fillStyle = paints.edge;
      context.fillRect(left, top, wide, 1);
      context.fillRect(left, top + height - 1, wide, 1);
    }
  }

  /** Folded threads: how many of them run, and whether one starves something. */
  private bundle(threads: Thread[], top: number, height: number, scale: Scale): void {
    const { context, paints, recording } = this;
    const size = Math.ceil(scale.width);
    const running = new Float32Array(size + 1);
    const known = new Float32Array(size + 1);
    const starving = new Uint8Array(size + 1);
    for (const thread of threads) {
      for (let row = activityAt(recording, thread, scale.view.start); row < thread.end && recording.start[row]! < scale.view.end; row += 1) {
        const left = Math.max(0, Math.floor(xOf(recording.start[row]!, scale)));
        const right = Math.min(size, Math.max(left + 1, Math.floor(xOf(recording.end[row]!, scale))));
        const look = lookOf(recording, row);
        const inside = Math.min(1, xOf(recording.end[row]!, scale) - xOf(recording.start[row]!, scale));
        for (let x = left; x < right; x += 1) {
          known[x]! += inside;
          if (look === Doing.Running) running[x]! += inside;
          if (look === STARVING) starving[x] = 1;
        }
      }
    }
    for (let x = 0; x < size; x += 1) {
      if (!known[x]) continue;
      const part = Math.min(1, running[x]! / threads.length);
      context.fillStyle = paints.waiting;
      context.fillRect(x, top + height - Math.round(height * HEIGHT[Doing.Waiting]), 1, Math.round(height * HEIGHT[Doing.Waiting]));
      if (part > 0.02) {
        context.fillStyle = paints.running;
        const tall = Math.max(2, Math.round(height * HEIGHT[Doing.Running] * part));
        context.fillRect(x, top + height - tall, 1, tall);
      }
      if (starving[x]) {
        context.fillStyle = paints.starving;
        context.fillRect(x, top, 1, height);
      }
    }
  }

  /** What waited, as filled steps, one kind upon the other. */
  private pending(row: Row & { kind: "pending" }, scale: Scale): void {
    const { context, paints } = this;
    const bottom = row.top + row.height - 4;
    const tall = row.height - 10;
    const stack = (left: number, right: number, counts: number[]): void => {
      let y = bottom;
      row.series.forEach(({ kind }, index) => {
        if (!counts[index]) return;
        const high = Math.max(2, (counts[index] / row.most) * tall);
        y -= high;
        context.fillStyle = paints[kind];
        context.globalAlpha = 0.35;
        context.fillRect(left, y, right - left, high);
        context.globalAlpha = 1;
        context.fillRect(left, y, right - left, 1.5);
      });
    };
    const end = Math.min(scale.view.end, this.recording.length);
    const next = row.series.map(() => 0);
    const counts = row.series.map(() => 0);
    let highest: number[] = []; // of what began and ended within a pixel
    let left = 0;
    for (let at = scale.view.start; at < end; ) {
      row.series.forEach((series, index) => {
        while (series.times[next[index]!]! <= at) counts[index] = series.counts[next[index]!++]!;
      });
      at = Math.min(end, ...row.series.map((series, index) => series.times[next[index]!] ?? Infinity));
      const right = Math.round(xOf(at, scale));
      if (total(counts) > total(highest)) highest = [...counts];
      if (right <= left) continue;
      stack(left, left + 1, highest);
      if (right > left + 1) stack(left + 1, right, counts);
      highest = [];
      left = right;
    }
    context.fillStyle = paints.line;
    context.fillRect(0, bottom, scale.width, 1);
  }

  episode(episode: Episode, row: Row, scale: Scale, chosen: boolean): void {
    const { context, paints } = this;
    const left = xOf(episode.start, scale);
    const right = Math.max(left + 2, xOf(episode.end, scale));
    if (right < 0 || left > scale.width) return;
    context.fillStyle = chosen ? paints.accent : paints.starving;
    context.fillRect(left, row.top, right - left, 3);
    if (chosen) {
      context.strokeStyle = paints.accent;
      context.lineWidth = 1.5;
      context.strokeRect(left, row.top + 0.75, right - left, row.height - 2);
    }
  }
}

function lookOf(recording: Recording, row: number): Look {
  return recording.starved[row]! > 0 ? STARVING : (recording.whatDoing[recording.what[row]!]! as Doing);
}

function total(counts: number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Starving is shown as soon as it took a tenth of the pixel. */
function mostOf(shares: Float64Array): Look {
  const all = shares.reduce((sum, share) => sum + share, 0);
  if (shares[STARVING]! > all / 10) return STARVING;
  let most = 0;
  for (let look = 1; look < LOOKS; look += 1) if (shares[look]! > shares[most]!) most = look;
  return most as Look;
}
