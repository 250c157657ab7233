// What the reader has chosen; timeline and flamegraph follow it.
import type { Episode, Role } from "./recording";
import type { Weight } from "./words";

export interface Span { start: number; end: number }

export interface Choice {
  /** The part of the recording that the flamegraph weighs; null is all of it. */
  selection: Span | null;
  /** The part that the timeline shows. */
  view: Span;
  weight: Weight;
  pid: number | null;
  role: Role | null;
  episode: Episode | null;
  /** The number of the open finding: the one that the reader has followed last. */
  finding: number | null;
}

export type Changed = ReadonlySet<keyof Choice>;

export class Store {
  private readonly listeners: ((changed: Changed) => void)[] = [];

  constructor(public choice: Readonly<Choice>) {}

  onChange(listener: (changed: Changed) => void): void {
    this.listeners.push(listener);
  }

  set(change: Partial<Choice>): void {
    const before = this.choice;
    this.choice = { ...before, ...change };
    const changed = new Set((Object.keys(change) as (keyof Choice)[]).filter((key) => before[key] !== this.choice[key]));
    if (changed.size) for (const listener of this.listeners) listener(changed);
  }
}
