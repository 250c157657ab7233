// The whole recording in one strip: how many threads starved something, and which part is in view.
import { element } from "./elements";
import { fitted, type Paints } from "./paint";
import type { Recording } from "./recording";
import type { Store } from "./store";

const HEIGHT = 34;
const BINS = 600;

export class Overview {
  readonly element = element("div", { class: "overview" });
  private readonly canvas = element("canvas", { "aria-hidden": "true" });
  private readonly starved: Float64Array;
  private readonly most: number;
  private paints: Paints | null = null;

  constructor(private readonly recording: Recording, private readonly store: Store) {
    this.starved = starvedThreads(recording);
    this.most = Math.max(1, this.starved.reduce((most, one) => Math.max(most, one), 0));
    this.element.append(this.canvas);
    let from: number | null = null;
    const at = (event: PointerEvent): number => (event.offsetX / (this.canvas.clientWidth || 1)) * recording.length;
    this.canvas.addEventListener("pointerdown", (event) => {
      from = at(event);
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const to = at(event);
      if (Math.abs(to - from) < recording.length / 200) return;
      this.store.set({ view: { start: Math.max(0, Math.min(from, to)), end: Math.min(recording.length, Math.max(from, to)) } });
    });
    this.canvas.addEventListener("pointerup", (event) => {
      if (from !== null && Math.abs(at(event) - from) < recording.length / 200) this.centre(from);
      from = null;
    });
  }

  setPaints(paints: Paints): void {
    this.paints = paints;
  }

  draw(): void {
    const { paints, recording } = this;
    if (!paints) return;
    const context = fitted(this.canvas, HEIGHT);
    const width = this.canvas.clientWidth;
    context.clearRect(0, 0, width, HEIGHT);
    context.fillStyle = paints.starving;
    for (let bin = 0; bin < BINS; bin += 1) {
      const part = this.starved[bin]!;
      if (part <= 0) continue;
      const tall = Math.max(2, ((HEIGHT - 6) * part) / this.most);
      const left = Math.round((bin / BINS) * width);
      context.fillRect(left, HEIGHT - tall, Math.max(1, Math.round(((bin + 1) / BINS) * width) - left), tall);
    }
    const { view } = this.store.choice;
    const left = (view.start / recording.length) * width;
    const right = Math.max(left + 2, (view.end / recording.length) * width);
    if (right - left >= width - 1) return;
    context.fillStyle = paints.selection;
    context.fillRect(0, 0, left, HEIGHT);
    context.fillRect(right, 0, width - right, HEIGHT);
    context.strokeStyle = paints.accent;
    context.lineWidth = 1.5;
    context.strokeRect(left + 0.75, 0.75, right - left - 1.5, HEIGHT - 1.5);
  }

  private centre(at: number): void {
    const { view } = this.store.choice;
    const length = view.end - view.start;
    const start = Math.max(0, Math.min(at - length / 2, this.recording.length - length));
    this.store.set({ view: { start, end: start + length } });
  }
}

/** Threads that starve something at once, averaged over each bin. */
function starvedThreads(recording: Recording): Float64Array {
  const bins = new Float64Array(BINS);
  const wide = recording.length / BINS;
  for (let row = 0; row < recording.start.length; row += 1) {
    if (recording.starved[row]! <= 0) continue;
    const from = Math.max(0, recording.start[row]!);
    const to = Math.min(recording.length, recording.end[row]!);
    for (let bin = Math.floor(from / wide); bin < BINS && bin * wide < to; bin += 1) {
      bins[bin]! += (Math.min(to, (bin + 1) * wide) - Math.max(from, bin * wide)) / wide;
    }
  }
  return bins;
}
