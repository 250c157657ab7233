// Pointer, wheel and keys of the timeline.
import { type Scale, timeOf } from "./paint";
import type { Episode } from "./recording";
import type { Span } from "./store";
import { hideTooltip } from "./tooltip";

const DRAGGED = 4; // px; less is a click
const ZOOM_STEP = 0.7;
const MOVE_STEP = 0.15;
const LINE = 0.1;

/** What can be done with a timeline. */
export interface Steered {
  readonly scale: Scale;
  zoom(factor: number, x?: number): void;
  move(part: number): void;
  lookAtAll(): void;
  select(span: Span | null): void;
  step(by: 1 | -1): void;
  /** Scrolls the lanes by that many heights of what is in sight. */
  page(by: number): void;
  choose(episode: Episode): void;
  episodeAt(x: number, y: number): Episode | undefined;
  hover(x: number, y: number, clientX: number, clientY: number): void;
}

export function listen(timeline: Steered, lanes: HTMLElement, canvas: HTMLCanvasElement): void {
  listenToPointer(timeline, canvas);
  lanes.addEventListener("wheel", (event) => {
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (event.ctrlKey || event.metaKey) {
      timeline.zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 200))), event.clientX - canvas.getBoundingClientRect().left);
    } else if (Math.abs(sideways) > (event.shiftKey ? 0 : Math.abs(event.deltaY))) {
      timeline.move(sideways / timeline.scale.width);
    } else return;
    event.preventDefault();
  }, { passive: false });
  lanes.addEventListener("keydown", (event) => {
    if (event.target !== lanes || event.ctrlKey || event.metaKey || event.altKey) return;
    const action = KEYS[event.key];
    if (!action) return;
    action(timeline);
    event.preventDefault();
  });
}

const KEYS: Record<string, (timeline: Steered) => void> = {
  ArrowLeft: (timeline) => timeline.move(-MOVE_STEP),
  ArrowRight: (timeline) => timeline.move(MOVE_STEP),
  "+": (timeline) => timeline.zoom(ZOOM_STEP),
  "=": (timeline) => timeline.zoom(ZOOM_STEP),
  "-": (timeline) => timeline.zoom(1 / ZOOM_STEP),
  "0": (timeline) => timeline.lookAtAll(),
  ArrowUp: (timeline) => timeline.page(-LINE),
  ArrowDown: (timeline) => timeline.page(LINE),
  PageUp: (timeline) => timeline.page(-1),
  PageDown: (timeline) => timeline.page(1),
  Home: (timeline) => timeline.page(-Infinity),
  End: (timeline) => timeline.page(Infinity),
  n: (timeline) => timeline.step(1),
  p: (timeline) => timeline.step(-1),
  Escape: (timeline) => timeline.select(null),
};

/** A drag selects, a click on an episode's mark chooses it, any other click ends the selection. */
function listenToPointer(timeline: Steered, canvas: HTMLCanvasElement): void {
  let from: { x: number; y: number; dragged: boolean } | null = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    from = { x: event.offsetX, y: event.offsetY, dragged: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!from) {
      timeline.hover(event.offsetX, event.offsetY, event.clientX, event.clientY);
      return;
    }
    from.dragged ||= Math.abs(event.offsetX - from.x) > DRAGGED;
    if (!from.dragged) return;
    hideTooltip();
    timeline.select({ start: timeOf(from.x, timeline.scale), end: timeOf(event.offsetX, timeline.scale) });
  });
  canvas.addEventListener("pointerup", () => {
    if (from && !from.dragged) {
      const episode = timeline.episodeAt(from.x, from.y);
      if (episode) timeline.choose(episode);
      else timeline.select(null);
    }
    from = null;
  });
  canvas.addEventListener("pointercancel", () => { from = null; });
  canvas.addEventListener("pointerleave", hideTooltip);
  canvas.addEventListener("dblclick", (event) => timeline.zoom(0.5, event.offsetX));
}
