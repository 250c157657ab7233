// What of d3-flame-graph this page uses; the package has no types of its own.
declare module "d3-flame-graph" {
  import type { HierarchyRectangularNode } from "d3-hierarchy";
  import type { Selection } from "d3-selection";

  export type Placed<T> = HierarchyRectangularNode<T & { fade?: boolean; hide?: boolean }> & {
    id: string;
    highlight?: boolean;
  };

  export interface FlameGraph<T> {
    (selection: Selection<HTMLElement, T, null, undefined>): void;
    width(px: number): this;
    cellHeight(px: number): this;
    minFrameSize(px: number): this;
    transitionDuration(ms: number): this;
    inverted(on: boolean): this;
    resetHeightOnZoom(on: boolean): this;
    onClick(handler: (node: Placed<T>) => void): this;
    setLabelHandler(label: (node: Placed<T>) => string): this;
    setColorMapper(mapper: (node: Placed<T>, original: string) => string): this;
    setSearchMatch(matches: (node: Placed<T>, term: string) => boolean): this;
    setSearchHandler(handler: (results: Placed<T>[], sum: number, total: number) => void): this;
    search(term: string): void;
    clear(): void;
    zoomTo(node: Placed<T>): void;
    resetZoom(): void;
    update(data?: T): this;
  }

  export default function flamegraph<T>(): FlameGraph<T>;
}
