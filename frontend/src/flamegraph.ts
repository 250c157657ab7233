// The flamegraph: d3-flame-graph draws, zooms and searches; this adds keyboard, folding and words.
import draw, { type Placed } from "d3-flame-graph";
import { select as selectElement } from "d3-selection";
import "d3-transition";
import { button, choice, element, select, swatch } from "./elements";
import { type Box, flameTree, look } from "./flame_tree";
import type { Recording, Role } from "./recording";
import type { Store } from "./store";
import { hideTooltip, type Line, showTooltip } from "./tooltip";
import { amount, duration, moment, percent, plural, type Weight } from "./words";

type Frame = Placed<Box>;

const ROW = 20;
const LEAST_WIDTH = 1; // px
const TRAIL_END = 3; // steps of a long way that are shown beside the first
const WEIGHTS: [Weight, string][] = [["wall", "Wall"], ["starved", "Starved"], ["victims", "Victim-seconds"]];
const MEANINGS: Record<Weight, string> = {
  wall: "time that threads spent in a stack, added up",
  starved: "time in which a stack kept due work waiting",
  victims: "starved time, times how many items waited",
};

export class FlamegraphView {
  private readonly chart = draw<Box>();
  private readonly canvas = element("div", { class: "flame waitspy-flame" });
  private readonly trail = element("nav", { class: "trail", "aria-label": "Way to the zoomed frame" });
  private readonly status = element("span", { class: "status", role: "status" });
  private readonly chips = element("div", { class: "chips" });
  private readonly note = element("p", { class: "quiet" });
  private readonly field = element("input", {
    type: "search", placeholder: "Search functions and files", "aria-label": "Search functions and files", spellcheck: "false",
  });
  private readonly fold = button("Unfold libraries", () => this.foldAll(this.unfolded === null));
  private readonly weights = choice("Weight", WEIGHTS, (weight) => this.store.set({ weight }));
  private readonly orientation = choice("Direction", [["icicle", "Icicle"], ["flame", "Flame"]], (value) => this.turn(value === "flame"));
  private readonly workers: HTMLSelectElement;
  private readonly roles = select(
    "Threads", [["", "All threads"], ["loop", "Loop threads"], ["pool", "Pool threads"], ["other", "Other threads"]],
    (value) => this.store.set({ role: (value || null) as Role | null }),
  );
  private unfolded: Set<string> | null = new Set();
  private root: Frame | null = null;
  private zoomed: Frame | null = null;
  private active: Frame | null = null;
  private drawnWidth = 0;
  private upwards = false;

  constructor(host: HTMLElement, private readonly recording: Recording, private readonly store: Store) {
    this.workers = select(
      "Worker",
      [["", "All workers"], ...recording.workers.map(({ pid, role }): [string, string] => [String(pid), `${role} ${pid}`])],
      (value) => this.store.set({ pid: value ? Number(value) : null }),
    );
    host.append(
      element("div", { class: "tools" }, this.weights.group, this.workers, this.roles, this.orientation.group, this.fold, this.field, this.status),
      this.chips, this.note, this.trail, this.canvas, legend(recording.looks),
    );
    this.chart
      .cellHeight(ROW).minFrameSize(LEAST_WIDTH).transitionDuration(0).inverted(true).resetHeightOnZoom(true)
      .setLabelHandler(() => "").setColorMapper(() => "")
      .setSearchMatch(({ data }, term) => matches(data, term))
      .setSearchHandler((found, sum, total) => this.found(found, sum, total))
      .onClick((frame) => this.clicked(frame));
    this.orientation.press("icicle");
    this.listen();
    store.onChange((changed) => {
      if (["selection", "weight", "pid", "role", "episode"].some((key) => changed.has(key as never))) this.reweigh();
    });
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    this.reweigh();
  }

  // --- drawing -----------------------------------------------------------------------------------

  private reweigh(): void {
    const { selection, weight, pid, role, episode } = this.store.choice;
    const zoomedTo = this.zoomed?.data.key ?? "";
    const blamed = episode ? this.recording.findings[episode.finding]!.blame : null;
    const tree = flameTree(this.recording, { selection, weight, pid, role, unfolded: this.unfolded, blamed });
    this.weights.press(weight);
    this.workers.value = pid === null ? "" : String(pid);
    this.roles.value = role ?? "";
    this.fold.textContent = this.unfolded === null ? "Fold libraries" : "Unfold libraries";
    this.sayWhatIsShown(tree);
    this.canvas.hidden = tree.value <= 0;
    this.trail.hidden = this.canvas.hidden;
    hideTooltip();
    if (this.canvas.hidden) return;
    this.drawnWidth = this.canvas.clientWidth || this.drawnWidth || 960;
    this.chart.width(this.drawnWidth);
    const host = selectElement<HTMLElement, Box>(this.canvas).datum(tree);
    host.call(this.chart);
    this.root = host.datum() as unknown as Frame;
    this.zoomed = this.root;
    this.active = this.root;
    const again = zoomedTo ? this.root.find((frame) => frame.data.key === zoomedTo) : undefined;
    if (again && again !== this.root) this.chart.zoomTo(again as Frame);
    else this.settle();
    if (this.field.value) this.search();
  }

  private sayWhatIsShown(tree: Box): void {
    const { selection, weight, pid } = this.store.choice;
    const total = tree[weight];
    this.chips.replaceChildren();
    if (selection) {
      const step = (selection.end - selection.start) / 100;
      const span = `${moment(selection.start, step)} to ${moment(selection.end, step)}`;
      this.chips.append(chip(`Only ${span} (${duration(selection.end - selection.start)})`, () => this.store.set({ selection: null, episode: null })));
    }
    if (pid !== null) this.chips.append(chip(`Only pid ${pid}`, () => this.store.set({ pid: null })));
    if (total > 0) this.note.textContent = `${amount(total, weight)} in all: ${MEANINGS[weight]}`;
    else if (tree.wall > 0) this.note.textContent = `Nothing was starved in ${duration(tree.wall)} of these threads' time.`;
    else this.note.textContent = "Nothing was recorded of these threads here.";
  }

  /** What d3-flame-graph does not do: looks, roles, the trail, which frame is in the tab order. */
  private settle(): void {
    const svg = this.canvas.querySelector("svg");
    if (!svg || !this.zoomed) return;
    // d3-flame-graph moves boxes in transitions, of which each leaves a frame or two with old ones.
    selectElement(this.canvas).selectAll("*").interrupt();
    svg.classList.add("graph");
    svg.setAttribute("role", "tree");
    svg.setAttribute("aria-label", "Frames; arrow keys move, Enter zooms, Escape goes back");
    for (const group of this.groups()) {
      const frame = frameOf(group);
      const { data } = frame;
      this.place(group, frame, svg.height.baseVal.value);
      group.setAttribute("class", `frame ${look(data, this.recording.thresholds)}${data.fade ? " above" : ""}${frame.highlight ? " found" : ""}${data.blamed ? " blamed" : ""}`);
      group.setAttribute("role", "treeitem");
      group.setAttribute("aria-level", String(frame.depth + 1));
      group.setAttribute("aria-label", this.lines(data).map((line) => line.text).join(", "));
      group.setAttribute("tabindex", frame === this.active ? "0" : "-1");
    }
    svg.classList.toggle("searching", this.field.value !== "");
    this.writeTrail(this.zoomed);
  }

  private place(group: SVGGElement, frame: Frame, height: number): void {
    const top = this.upwards ? height - (frame.depth + 1) * ROW : frame.depth * ROW;
    group.setAttribute("transform", `translate(${frame.x0 * this.drawnWidth},${top})`);
    group.querySelector("rect")!.setAttribute("width", group.getAttribute("width") ?? "0");
    group.querySelector("div")!.textContent = label(frame.data);
  }

  private writeTrail(zoomed: Frame): void {
    const steps = zoomed.ancestors().reverse() as Frame[];
    const shown: (Frame | null)[] = steps.length > TRAIL_END + 2 ? [steps[0]!, null, ...steps.slice(-TRAIL_END)] : steps;
    this.trail.replaceChildren(
      ...shown.flatMap((step, index): Node[] => {
        const name = step ? step.data.name : "…";
        const part = step && step !== zoomed
          ? button(name, () => this.chart.zoomTo(step), { title: step.data.where })
          : element("span", step ? { "aria-current": "location" } : {}, name);
        return index ? [element("span", { class: "quiet", "aria-hidden": "true" }, "›"), part] : [part];
      }),
    );
    if (zoomed.depth) this.trail.append(button("Reset zoom", () => this.chart.resetZoom(), { class: "reset" }));
    else this.trail.append(element("span", { class: "quiet hint" }, "Click a frame to zoom; arrow keys and Enter do the same, / searches, Esc goes back."));
  }

  private turn(flame: boolean): void {
    this.upwards = flame;
    this.canvas.classList.toggle("upwards", flame);
    this.chart.inverted(!flame);
    this.orientation.press(flame ? "flame" : "icicle");
    this.reweigh();
  }

  private resize(): void {
    if (this.canvas.clientWidth && this.canvas.clientWidth !== this.drawnWidth) this.reweigh();
  }

  private foldAll(fold: boolean): void {
    this.unfolded = fold ? new Set() : null;
    this.reweigh();
  }

  // --- frames ------------------------------------------------------------------------------------

  private groups(): SVGGElement[] {
    return [...this.canvas.querySelectorAll<SVGGElement>("g")];
  }

  private lines(box: Box): Line[] {
    const whole = this.root?.data ?? box;
    const line = (name: string, part: number, all: number, text: string): Line => ({
      text: `${name} ${text}${all > 0 ? ` (${percent(part, all)})` : ""}`,
    });
    const rows = [
      { text: box.name, look: "heading" as const },
      { text: box.where, look: box.kind === "code" ? "mono" as const : "quiet" as const },
      line("wall time", box.wall, whole.wall, amount(box.wall, "wall")),
    ];
    if (box.starved <= 0) return rows;
    return [
      ...rows,
      { ...line("starved time", box.starved, whole.starved, amount(box.starved, "starved")), look: "harm" },
      { ...line("victim time", box.victims, whole.victims, amount(box.victims, "victims")), look: "harm" },
    ];
  }

  /** d3-flame-graph has zoomed to it; folded layers are unfolded instead. */
  private clicked(frame: Frame): void {
    if (frame.data.kind === "layers" && this.unfolded) {
      this.unfolded.add(frame.data.key);
      // The zoom stays where it was.
      this.reweigh();
      this.focus(this.root?.find((one) => one.data.key.startsWith(`${frame.data.key.slice(0, -1)}`)) as Frame | undefined);
      return;
    }
    this.zoomed = frame;
    this.activate(frame);
    this.settle();
  }

  private activate(frame: Frame): void {
    this.active = frame;
    for (const group of this.groups()) group.setAttribute("tabindex", frameOf(group) === frame ? "0" : "-1");
  }

  private focus(frame: Frame | undefined): void {
    if (!frame) return;
    this.activate(frame);
    this.groups().find((group) => frameOf(group) === frame)?.focus();
  }

  private neighbour(key: string): Frame | undefined {
    const from = this.active;
    if (!from) return undefined;
    const shown = new Set(this.groups().map(frameOf));
    if (key === (this.upwards ? "ArrowDown" : "ArrowUp")) return (from.parent as Frame | null) ?? undefined;
    if (key === (this.upwards ? "ArrowUp" : "ArrowDown")) {
      const children = ((from.children ?? []) as Frame[]).filter((child) => shown.has(child));
      return children.sort((one, other) => (other.value ?? 0) - (one.value ?? 0))[0];
    }
    const row = [...shown].filter((frame) => frame.depth === from.depth).sort((one, other) => one.x0 - other.x0);
    return row[row.indexOf(from) + (key === "ArrowRight" ? 1 : -1)];
  }

  // --- search ------------------------------------------------------------------------------------

  private search(): void {
    const term = this.field.value;
    if (term) this.chart.search(term);
    else {
      this.status.textContent = "";
      this.chart.clear();
    }
    this.settle();
  }

  private found(found: Frame[], sum: number, total: number): void {
    const share = total > 0 ? `: ${percent(sum, total)}` : "";
    this.status.textContent = `${plural(found.length, "frame")} found${share}`;
  }

  // --- events ------------------------------------------------------------------------------------

  private listen(): void {
    const at = (event: Event): SVGGElement | null =>
      event.target instanceof Element ? event.target.closest<SVGGElement>("g.frame") : null;
    this.canvas.addEventListener("mousemove", (event) => {
      const group = at(event);
      if (group) showTooltip(this.lines(frameOf(group).data), event.clientX, event.clientY);
      else hideTooltip();
    });
    this.canvas.addEventListener("mouseleave", hideTooltip);
    this.canvas.addEventListener("focusin", (event) => {
      const group = at(event);
      if (!group?.matches(":focus-visible")) return;
      const bounds = group.querySelector("rect")!.getBoundingClientRect();
      showTooltip(this.lines(frameOf(group).data), Math.max(bounds.left, 0), bounds.bottom - 14);
    });
    this.canvas.addEventListener("focusout", hideTooltip);
    this.canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key.startsWith("Arrow")) this.focus(this.neighbour(event.key));
      else if (event.key === "Home") this.focus(this.zoomed ?? undefined);
      else if ((event.key === "Enter" || event.key === " ") && this.active) {
        const key = this.active.data.key;
        at(event)?.dispatchEvent(new MouseEvent("click"));
        this.focus((this.root?.find((frame) => frame.data.key === key) ?? this.active) as Frame);
      } else if (event.key === "Escape" && this.zoomed?.depth) this.chart.zoomTo((this.zoomed.parent ?? this.zoomed) as Frame);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    this.field.addEventListener("input", () => this.search());
    this.field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        this.field.value = "";
        this.search();
      } else if (event.key === "Enter") {
        this.focus(this.groups().map(frameOf).find((frame) => frame.highlight));
      }
    });
    document.addEventListener("keydown", (event) => {
      const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      this.field.focus();
      this.field.select();
      event.preventDefault();
    });
  }
}

function frameOf(group: Element): Frame {
  return selectElement<Element, Frame>(group).datum();
}

/** The name and, where there is room, the file; as in the picture. */
function label({ kind, name, where }: Box): string {
  return kind === "code" ? `${name} (${where.slice(where.lastIndexOf("/") + 1)})` : name;
}

function matches(box: Box, term: string): boolean {
  const wanted = term.toLowerCase();
  return box.name.toLowerCase().includes(wanted) || (box.kind === "code" && box.where.toLowerCase().includes(wanted));
}

function chip(text: string, remove: () => void): HTMLElement {
  return element("span", { class: "chip" }, text, button("×", remove, { "aria-label": `Remove: ${text}` }));
}

function legend(looks: [string, string][]): HTMLElement {
  const items = looks.map(([look, meaning]) => element("li", {}, swatch(look), meaning));
  return element("ul", { class: "legend" }, ...items);
}
