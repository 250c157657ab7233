// One tooltip for the page: beside the pointer or the focused thing, inside the window.
import { element } from "./elements";

const box = element("div", { class: "tooltip", role: "tooltip", hidden: "" });
document.body.append(box);

/** Lines: the first is a heading, `mono` ones are code. */
export interface Line { text: string; look?: "heading" | "mono" | "harm" | "quiet" }

export function showTooltip(lines: Line[], x: number, y: number): void {
  box.replaceChildren(...lines.map((line) => element("p", { class: line.look ?? "" }, line.text)));
  box.hidden = false;
  const { offsetWidth: width, offsetHeight: height } = box;
  const left = Math.max(8, Math.min(x + 14, window.innerWidth - width - 8));
  const below = y + 18 + height <= window.innerHeight - 8;
  box.style.left = `${left}px`;
  box.style.top = `${below ? y + 18 : Math.max(8, y - height - 12)}px`;
}

export function hideTooltip(): void {
  box.hidden = true;
}

window.addEventListener("scroll", hideTooltip, { passive: true, capture: true });
