// Builds elements; text goes in as text only.

type Child = Node | string | null;

export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Record<string, string> = {},
  ...children: Child[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

export function button(label: string, action: () => void, attributes: Record<string, string> = {}): HTMLButtonElement {
  const made = element("button", { type: "button", ...attributes }, label);
  made.addEventListener("click", action);
  return made;
}

/** A group of buttons of which one is pressed; gives the group and what presses one from outside. */
export function choice<Value extends string>(
  label: string,
  options: [Value, string][],
  chosen: (value: Value) => void,
): { group: HTMLElement; press: (value: Value) => void } {
  const buttons = new Map(
    options.map(([value, text]) => [value, button(text, () => chosen(value), { "data-value": value })]),
  );
  const press = (value: Value): void => {
    for (const [own, one] of buttons) one.setAttribute("aria-pressed", String(own === value));
  };
  return { group: element("div", { class: "choice", role: "group", "aria-label": label }, ...buttons.values()), press };
}

export function select(label: string, options: [string, string][], chosen: (value: string) => void): HTMLSelectElement {
  const made = element("select", { "aria-label": label }, ...options.map(([value, text]) => element("option", { value }, text)));
  made.addEventListener("change", () => chosen(made.value));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

/** How a box of that class looks in the flamegraph. */
export function swatch(look: string): HTMLElement {
  const picture = document.createElementNS(SVG, "svg");
  const group = document.createElementNS(SVG, "g");
  const rect = document.createElementNS(SVG, "rect");
  for (const [key, value] of Object.entries({ x: "1", y: "1", width: "22", height: "14" })) rect.setAttribute(key, value);
  group.setAttribute("class", look);
  picture.setAttribute("class", "waitspy-flame");
  group.append(rect);
  picture.append(group);
  return element("span", { class: "swatch" }, picture);
}
