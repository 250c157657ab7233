// The timeline: an axis and an overview above, below them one lane a thread, all on one clock.
// Only the rows in sight are drawn. Pointer and keys are in timeline_input.ts.
import { scaleLinear } from "d3-scale";
import { button, element, swatch } from "./elements";
import { show } from "./follow";
import { Overview } from "./overview";
import { fitted, Painter, paintsOf, type Paints, type Scale, timeOf, xOf } from "./paint";
import type { Episode, Recording } from "./recording";
import { type Row, rowsOf } from "./rows";
import type { Span, Store } from "./store";
import { describe } from "./timeline_words";
import { listen, type Steered } from "./timeline_input";
import { hideTooltip, showTooltip } from "./tooltip";
import { duration, moment } from "./words";

const AXIS = 24;
const LEAST_SPAN = 0.0005; // s
const LEGEND: [string, string][] = [
  ["running", "running"],
  ["idle", "loop idle"],
  ["waiting", "waiting, harms nobody"],
  ["harm", "starving: due work waits"],
  ["unknown", "not known"],
];
const HINT = "Drag to select. Ctrl and the wheel zoom, Shift and the wheel move, the wheel alone scrolls the lanes; so do + − ← → ↑ ↓ and Page up and down once the timeline has the focus; 0 shows all, n and p go through the episodes.";
const OVERLAP = 40; // px that stay in sight when a page is turned
const PENDING: Record<string, string> = {
  ready: "ready callbacks", overdue: "overdue timers", unread: "unread I/O", queued: "queued items", backlog: "connections to accept",
};

export class TimelineView implements Steered {
  private readonly lanes = element("div", {
    class: "lanes", tabindex: "0", role: "group",
    "aria-label": "Timeline. Left and right move, up and down, Page up and Page down, Home and End scroll the lanes, plus and minus zoom, 0 shows all, n and p go to the next and previous episode, Escape ends a selection.",
  });
  private readonly inner = element("div", { class: "inner" });
  private readonly labels = element("div", { class: "labels" });
  private readonly canvas = element("canvas", { "aria-hidden": "true" });
  private readonly axis = element("canvas", { class: "axis", "aria-hidden": "true" });
  private readonly status = element("p", { class: "status", role: "status" });
  private readonly zoomTo = button("Zoom to selection", () => this.zoomToSelection());
  private readonly unfold = button("Unfold threads", () => this.unfoldAll());
  private readonly sight = element("span", { class: "status lanes-in-sight", role: "status" });
  private readonly pages = element(
    "div", { class: "choice", role: "group", "aria-label": "Lanes" },
    button("↑ Lanes", () => this.page(-1), { "aria-label": "Lanes above" }),
    button("Lanes ↓", () => this.page(1), { "aria-label": "Lanes below" }),
  );
  private readonly painter: Painter;
  private readonly overview: Overview;
  private readonly toggled = new Set<number>();
  private readonly episodes: Episode[];
  private paints: Paints;
  private rows: Row[] = [];
  private readonly places = new Map<string, Row>(); // by process, and by process and thread
  private drawing = 0;

  constructor(private readonly host: HTMLElement, private readonly recording: Recording, private readonly store: Store) {
    this.episodes = recording.findings.flatMap((finding) => finding.episodes).sort((one, other) => one.start - other.start);
    this.inner.append(this.labels, this.canvas);
    this.lanes.append(this.inner);
    this.overview = new Overview(recording, store);
    const zooms = element(
      "div", { class: "choice", role: "group", "aria-label": "Zoom" },
      button("−", () => this.zoom(2), { "aria-label": "Zoom out" }),
      button("+", () => this.zoom(0.5), { "aria-label": "Zoom in" }),
      button("All", () => this.look({ start: 0, end: recording.length })),
    );
    const steps = element(
      "div", { class: "choice", role: "group", "aria-label": "Episodes" },
      button("‹ Episode", () => this.step(-1), { "aria-label": "Previous episode" }),
      button("Episode ›", () => this.step(1), { "aria-label": "Next episode" }),
    );
    steps.hidden = !this.episodes.length;
    host.append(
      element("div", { class: "tools" }, zooms, steps, this.zoomTo, this.unfold, this.status),
      element("div", { class: "board" }, this.overview.element, element("div", { class: "axis-row" }, this.axis), this.lanes),
      element("div", { class: "tools below" }, this.pages, this.sight),
      legend(recording),
    );
    this.paints = paintsOf(host);
    this.painter = new Painter(recording, this.canvas.getContext("2d")!, this.paints);
    this.layOut();
    listen(this, this.lanes, this.canvas);
    this.lanes.addEventListener("scroll", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.lanes);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.paints = paintsOf(this.host);
      this.painter.setPaints(this.paints);
      this.overview.setPaints(this.paints);
      this.draw();
    });
    this.overview.setPaints(this.paints);
    store.onChange((changed) => {
      if (changed.has("episode")) this.scrollTo(store.choice.episode);
      if (changed.has("view") || changed.has("selection") || changed.has("episode")) this.draw();
    });
  }

  // --- what can be done with it ------------------------------------------------------------------

  get scale(): Scale {
    return { view: this.store.choice.view, width: this.canvas.clientWidth || 1 };
  }

  /** Zooms by a factor around the time at `x`, or around the middle. */
  zoom(factor: number, x = this.scale.width / 2): void {
    const { view } = this.store.choice;
    const at = timeOf(x, this.scale);
    this.look({ start: at - (at - view.start) * factor, end: at + (view.end - at) * factor });
  }

  move(part: number): void {
    const { start, end } = this.store.choice.view;
    const by = (end - start) * part;
    this.look({ start: start + by, end: end + by });
  }

  look(wanted: Span): void {
    const whole = this.recording.length;
    const length = Math.min(whole, Math.max(LEAST_SPAN, wanted.end - wanted.start));
    const start = Math.max(0, Math.min(wanted.start, whole - length));
    this.store.set({ view: { start, end: start + length } });
  }

  lookAtAll(): void {
    this.look({ start: 0, end: this.recording.length });
  }

  select(span: Span | null): void {
    const selection = span && { start: Math.max(0, Math.min(span.start, span.end)), end: Math.min(this.recording.length, Math.max(span.start, span.end)) };
    this.store.set({ selection: selection && selection.end > selection.start ? selection : null, episode: null });
  }

  /** The next episode after the chosen one, or before it. */
  step(by: 1 | -1): void {
    const { episode, view } = this.store.choice;
    let index = episode ? this.episodes.indexOf(episode) + by : this.episodes.findIndex((one) => one.start >= view.start);
    index = (index + this.episodes.length) % this.episodes.length;
    this.choose(this.episodes[index]);
  }

  page(by: number): void {
    const most = this.lanes.scrollHeight - this.lanes.clientHeight;
    const step = Math.max(this.lanes.clientHeight - OVERLAP, OVERLAP);
    this.lanes.scrollTop = Math.max(0, Math.min(this.lanes.scrollTop + by * step, most));
  }

  choose(episode: Episode | undefined): void {
    if (episode) show(episode, this.recording.findings[episode.finding]!.verdict === "latent", this.recording, this.store);
  }

  /** The episode whose mark is at this place of the canvas. */
  episodeAt(x: number, y: number): Episode | undefined {
    const row = this.rowAt(y);
    if (!row || row.kind === "pending" || y + this.lanes.scrollTop - row.top > 5) return undefined;
    const at = timeOf(x, this.scale);
    const near = timeOf(4, this.scale) - timeOf(0, this.scale);
    return this.episodes.find((one) => this.rowOf(one) === row && one.start - near <= at && at <= one.end + near);
  }

  hover(x: number, y: number, clientX: number, clientY: number): void {
    const row = this.rowAt(y);
    const episode = this.episodeAt(x, y);
    const lines = row && describe(this.recording, row, timeOf(x, this.scale), episode);
    if (lines) showTooltip(lines, clientX, clientY);
    else hideTooltip();
  }

  // --- rows --------------------------------------------------------------------------------------

  private rowAt(y: number): Row | undefined {
    const at = y + this.lanes.scrollTop;
    return this.rows.find((row) => row.top <= at && at < row.top + row.height);
  }

  private rowOf({ pid, tid }: { pid: number; tid: number }): Row | undefined {
    return this.places.get(`${pid} ${tid}`) ?? this.places.get(`${pid}`);
  }

  private remember(row: Row): void {
    if (row.kind === "worker") this.places.set(`${row.pid}`, row);
    const threads = row.kind === "thread" ? [row.thread] : row.kind === "folded" ? row.threads : [];
    for (const { pid, tid } of threads) this.places.set(`${pid} ${tid}`, row);
  }

  private scrollTo(episode: Episode | null): void {
    const row = episode && this.rowOf(episode);
    if (row) this.lanes.scrollTop = Math.max(0, row.top - this.lanes.clientHeight / 3);
  }

  private layOut(): void {
    this.rows = rowsOf(this.recording, this.toggled);
    this.places.clear();
    for (const row of this.rows) this.remember(row);
    const last = this.rows.at(-1);
    this.inner.style.height = `${last ? last.top + last.height + 4 : 40}px`;
    this.labels.replaceChildren(...this.rows.map((row) => this.label(row)));
    const foldable = this.foldable();
    this.unfold.hidden = !foldable.length;
    this.unfold.textContent = foldable.every((pid) => this.toggled.has(pid)) ? "Fold threads" : "Unfold threads";
    this.draw();
  }

  private foldable(): number[] {
    return this.rows.flatMap((row) => (row.kind === "worker" && row.foldable ? [row.pid] : []));
  }

  private unfoldAll(): void {
    const pids = this.foldable();
    if (pids.every((pid) => this.toggled.has(pid))) this.toggled.clear();
    else for (const pid of pids) this.toggled.add(pid);
    this.layOut();
  }

  private label(row: Row): HTMLElement {
    const made = element("div", { class: `label ${row.kind}` });
    made.style.top = `${row.top}px`;
    made.style.height = `${row.height}px`;
    const toggle = (pid: number): void => {
      if (!this.toggled.delete(pid)) this.toggled.add(pid);
      this.layOut();
      this.labels.querySelector<HTMLElement>(`[data-pid="${pid}"]`)?.focus();
    };
    if (row.kind === "worker") {
      const name = element("bdi", {}, row.title);
      const detail = element("bdi", { class: "quiet" }, row.detail);
      made.title = `${row.title} ${row.detail}`;
      if (row.foldable) {
        const handle = button("", () => toggle(row.pid), { "aria-expanded": String(row.open), "data-pid": String(row.pid) });
        handle.append(name, detail);
        made.append(handle);
      } else made.append(name, detail);
    } else if (row.kind === "folded") made.append(button(row.title, () => toggle(row.pid), { "aria-expanded": "false" }));
    else {
      made.title = row.title;
      made.append(element("bdi", {}, row.title));
    }
    return made;
  }

  private zoomToSelection(): void {
    const { selection } = this.store.choice;
    if (!selection) return;
    const margin = (selection.end - selection.start) * 0.05;
    this.look({ start: selection.start - margin, end: selection.end + margin });
  }

  // --- drawing -----------------------------------------------------------------------------------

  draw(): void {
    if (!this.drawing) this.drawing = requestAnimationFrame(() => this.drawNow());
  }

  private drawNow(): void {
    this.drawing = 0;
    const height = this.lanes.clientHeight;
    const context = fitted(this.canvas, height);
    const { scale } = this;
    const { selection, episode, view } = this.store.choice;
    const ticks = scaleLinear().domain([view.start, view.end]).ticks(Math.max(2, Math.floor(scale.width / 110)));
    const scrolled = this.lanes.scrollTop;
    context.clearRect(0, 0, scale.width, height);
    context.fillStyle = this.paints.line;
    for (const tick of ticks) context.fillRect(Math.round(xOf(tick, scale)), 0, 1, height);
    context.save();
    context.translate(0, -scrolled);
    for (const row of this.rows) {
      if (row.top + row.height >= scrolled && row.top <= scrolled + height) this.painter.row(row, scale);
    }
    for (const one of this.episodes) {
      if (one.end < view.start || one.start > view.end) continue;
      const row = this.rowOf(one);
      if (row) this.painter.episode(one, row, scale, one === episode);
    }
    context.restore();
    if (selection) this.shade(context, selection, scale, height);
    this.drawAxis(ticks, scale, selection);
    this.overview.draw();
    this.zoomTo.disabled = !selection;
    this.sayLanesInSight();
    this.status.textContent = selection
      ? `Selected ${duration(selection.end - selection.start)}`
      : `Showing ${duration(view.end - view.start)} of ${duration(this.recording.length)}`;
  }

  private sayLanesInSight(): void {
    const { scrollTop, clientHeight, scrollHeight } = this.lanes;
    const lanes = this.rows.filter((row) => row.kind === "thread" || row.kind === "folded");
    // A lane is in sight if its middle is.
    const seen = lanes.flatMap(({ top, height }, index) => {
      const middle = top + height / 2 - scrollTop;
      return middle >= 0 && middle <= clientHeight ? [index + 1] : [];
    });
    this.pages.hidden = scrollHeight <= clientHeight;
    this.sight.hidden = this.pages.hidden;
    const text = seen.length ? `Lanes ${seen[0]} to ${seen.at(-1)} of ${lanes.length}` : `${lanes.length} lanes`;
    if (this.sight.textContent !== text) this.sight.textContent = text;
    const [above, below] = this.pages.querySelectorAll("button");
    above!.disabled = scrollTop <= 0;
    below!.disabled = scrollTop + clientHeight >= scrollHeight - 1;
  }

  private shade(context: CanvasRenderingContext2D, selection: Span, scale: Scale, height: number): void {
    const left = xOf(selection.start, scale);
    const right = Math.max(left + 1, xOf(selection.end, scale));
    context.fillStyle = this.paints.selection;
    context.fillRect(0, 0, Math.max(0, left), height);
    context.fillRect(right, 0, Math.max(0, scale.width - right), height);
    context.fillStyle = this.paints.accent;
    context.fillRect(left - 1, 0, 1, height);
    context.fillRect(right, 0, 1, height);
  }

  private drawAxis(ticks: number[], scale: Scale, selection: Span | null): void {
    const context = fitted(this.axis, AXIS);
    context.clearRect(0, 0, scale.width, AXIS);
    if (selection) {
      context.fillStyle = this.paints.accent;
      const left = xOf(selection.start, scale);
      context.fillRect(left, AXIS - 3, Math.max(2, xOf(selection.end, scale) - left), 3);
    }
    context.font = this.paints.font;
    context.fillStyle = this.paints.quiet;
    context.textBaseline = "middle";
    const step = (ticks[1] ?? 1) - (ticks[0] ?? 0);
    for (const tick of ticks) {
      const x = Math.round(xOf(tick, scale));
      context.fillRect(x, AXIS - 6, 1, 6);
      const text = moment(tick, step);
      const wide = context.measureText(text).width;
      context.fillText(text, Math.max(0, Math.min(scale.width - wide, x + 4)), AXIS / 2 - 1);
    }
  }
}

function legend(recording: Recording): HTMLElement {
  const kinds = [...new Set(recording.pending.map((one) => one.kind))];
  const items = [...LEGEND, ...kinds.map((kind): [string, string] => [`line ${kind}`, PENDING[kind] ?? kind])];
  const hint = element("p", { class: "quiet hint" }, HINT);
  const grain = recording.grain
    ? element("p", { class: "quiet" }, `There is more than can be shown: the order of what is shorter than ${duration(recording.grain)} is not exact, all sums are.`)
    : null;
  return element("div", {}, element("ul", { class: "legend" }, ...items.map(([look, meaning]) =>
    element("li", {}, look === "harm" ? swatch(look) : element("span", { class: `state ${look}` }), meaning))), hint, grain);
}
