// Gives the flamegraph its zoom, search, keyboard and a layout as wide as the window. Everything it
// shows it reads from the picture and writes as text, never as markup; without it the picture is
// complete, only still.
(() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const HTML = "http://www.w3.org/1999/xhtml";
  const LEAST_LABEL = 4; // characters
  const BOTH_ENDS = 16; // characters; shorter labels keep the beginning only
  const LEAST_WIDTH = 0.1; // px

  const picture = document.currentScript.closest("svg");
  const graph = picture.querySelector(".graph");
  const span = Number(picture.dataset.span);
  const margin = Number(picture.dataset.margin);
  const pitch = Number(picture.dataset.pitch);
  const alone = document.documentElement === picture;

  // The frames, callers before callees, as the file holds them. `end` is the index after a frame's
  // last descendant, so that zooming compares whole numbers.
  const frames = [];
  const byGroup = new Map();
  const path = [];
  for (const group of Array.from(graph.children)) { // a copy: a live list is slow while titles go
    const title = group.querySelector("title");
    const rect = group.querySelector("rect");
    const lines = title.textContent.split("\n");
    const depth = Number(rect.getAttribute("y")) / pitch;
    while (path.length > depth) frames[path.pop()].end = frames.length;
    const code = !/^(wait|harm|layers)/.test(group.getAttribute("class"));
    const place = code && depth > 0 ? lines[1].slice(lines[1].lastIndexOf("/") + 1) : "";
    frames.push({
      group, rect, lines, depth,
      text: group.querySelector("text"),
      label: Array.from(place ? `${lines[0]} (${place})` : lines[0]),
      name: Array.from(lines[0]),
      left: Number(rect.getAttribute("x")) / span,
      share: Number(rect.getAttribute("width")) / span,
      parent: path.length ? path[path.length - 1] : -1,
      end: 0, shown: true, width: 0,
    });
    byGroup.set(group, frames.length - 1);
    path.push(frames.length - 1);
    title.remove(); // the tip says it, and two of them would cover each other
    group.setAttribute("role", "treeitem");
    group.setAttribute("aria-level", String(depth + 1));
    group.setAttribute("aria-label", lines.join(", "));
    group.setAttribute("tabindex", "-1");
  }
  while (path.length) frames[path.pop()].end = frames.length;
  const rows = frames.reduce((most, frame) => Math.max(most, frame.depth + 1), 0);

  let zoomed = 0;
  let active = 0;
  let drawnWidth = -1;
  let found = null; // the indices that a search found, or null without a search

  function element(name, className, text) {
    const made = document.createElementNS(HTML, name);
    if (className) made.setAttribute("class", className);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function button(text, action, label) {
    const made = element("button", "", text);
    made.setAttribute("type", "button");
    if (label) made.setAttribute("aria-label", label);
    made.addEventListener("click", action);
    return made;
  }

  // --- the panel above the frames: heading, legend, tools -----------------------------------

  const head = picture.querySelector(".head");
  const holder = document.createElementNS(SVG, "foreignObject");
  const panel = element("div", "panel");
  for (const text of head.querySelectorAll(":scope > text")) {
    panel.append(element("p", text.getAttribute("class"), text.textContent));
  }
  const key = element("ul", "key");
  for (const item of head.querySelectorAll(".item")) {
    const swatch = document.createElementNS(SVG, "svg");
    swatch.setAttribute("width", "23");
    swatch.setAttribute("height", "15");
    swatch.append(item.querySelector(".swatch"));
    const entry = element("li");
    entry.append(swatch, element("span", "", item.querySelector("text").textContent));
    key.append(entry);
  }
  const field = element("input");
  const pattern = button(".*", () => {
    pattern.setAttribute("aria-pressed", String(!isPattern()));
    search();
  }, "read the search as a regular expression");
  const clear = button("Clear", () => { field.value = ""; search(); field.focus(); });
  const status = element("span", "status");
  const reset = button("Reset zoom", () => zoom(0));
  const trail = element("div", "trail");
  const tools = element("div", "tools");
  field.setAttribute("type", "text");
  field.setAttribute("placeholder", "Search functions and files");
  field.setAttribute("aria-label", "Search functions and files");
  field.setAttribute("spellcheck", "false");
  pattern.setAttribute("aria-pressed", "false");
  pattern.setAttribute("title", "regular expression");
  status.setAttribute("role", "status");
  field.addEventListener("input", search);
  if (frames.length) {
    tools.append(field, pattern, button("Search", () => { search(); field.focus(); }), clear, reset, status);
    panel.append(key, tools, trail);
  }
  holder.append(panel);
  head.replaceWith(holder);

  const tip = document.createElementNS(SVG, "foreignObject");
  const tipBox = element("div");
  tip.setAttribute("class", "tip");
  tip.append(tipBox);

  // --- layout -----------------------------------------------------------------------------------

  graph.setAttribute("role", "tree");
  graph.setAttribute("aria-label", "Frames; arrow keys move, Enter zooms");
  const ruler = document.createElementNS(SVG, "text");
  ruler.textContent = "M".repeat(100);
  graph.append(ruler);
  const cell = ruler.getComputedTextLength() / 100 || 7.23;
  ruler.remove();

  function fitted(characters, limit) {
    if (characters.length <= limit) return characters.join("");
    const start = limit < BOTH_ENDS ? limit - 1 : Math.floor((limit - 1) / 2);
    return `${characters.slice(0, start).join("")}…${characters.slice(characters.length - (limit - 1 - start)).join("")}`;
  }

  function write(frame, left) {
    const room = frame.width - 6;
    let limit = Math.floor(room / cell);
    if (limit < LEAST_LABEL) {
      if (frame.text) frame.text.textContent = "";
      return;
    }
    if (!frame.text) {
      frame.text = document.createElementNS(SVG, "text");
      frame.text.setAttribute("y", String(frame.depth * pitch + 13));
      frame.group.append(frame.text);
    }
    const text = frame.text;
    text.setAttribute("x", String(left + 3));
    text.textContent = frame.label.length <= limit ? frame.label.join("") : fitted(frame.name, limit);
    // Only characters of other scripts can be wider than a cell.
    while (limit > 1 && /[^ -~…]/.test(text.textContent) && text.getComputedTextLength() > room) {
      limit = Math.min(limit - 1, Math.floor(limit * 0.9));
      text.textContent = fitted(frame.name, limit);
    }
  }

  function draw() {
    const room = drawnWidth - 2 * margin;
    const focus = frames[zoomed];
    const above = new Set();
    for (let index = focus.parent; index >= 0; index = frames[index].parent) above.add(index);
    frames.forEach((frame, index) => {
      const isAbove = above.has(index);
      const isBelow = index >= zoomed && index < focus.end;
      frame.width = isAbove ? room : room * (frame.share / focus.share);
      frame.shown = isAbove || (isBelow && frame.width >= LEAST_WIDTH);
      frame.group.style.display = frame.shown ? "" : "none";
      frame.group.classList.toggle("above", isAbove);
      if (!frame.shown) return;
      const left = isAbove ? 0 : room * ((frame.left - focus.left) / focus.share);
      frame.rect.setAttribute("x", String(left));
      // A gap between neighbours, unless it would take much of the box.
      frame.rect.setAttribute("width", String(frame.width > 4 ? frame.width - 1 : frame.width));
      write(frame, left);
    });
  }

  function layOut(again = false) {
    const width = Math.round(picture.getBoundingClientRect().width);
    if (!width) return;
    holder.setAttribute("x", String(margin));
    holder.setAttribute("width", String(Math.max(width - 2 * margin, 1)));
    holder.setAttribute("height", "1000");
    const top = Math.ceil(panel.offsetHeight);
    const height = top + rows * pitch + margin;
    holder.setAttribute("height", String(top));
    graph.setAttribute("transform", `translate(${margin} ${top})`);
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    picture.setAttribute("height", String(height));
    // The new height can bring a scroll bar, or take it away; then once more, and not to and fro.
    if (!again && Math.round(picture.getBoundingClientRect().width) !== width) {
      layOut(true);
      return;
    }
    if (width === drawnWidth || !frames.length) return;
    drawnWidth = width;
    draw();
  }

  // --- zoom -------------------------------------------------------------------------------------

  function zoom(index) {
    zoomed = index;
    hideTip();
    if (drawnWidth > 0) draw();
    activate(index, false);
    const steps = [];
    for (let at = index; at >= 0; at = frames[at].parent) steps.unshift(at);
    // The ends of a long way say enough; the frames themselves show all of it.
    const shown = steps.length > 5 ? [steps[0], null, ...steps.slice(-3)] : steps;
    trail.replaceChildren();
    shown.forEach((step, position) => {
      if (position) trail.append(element("span", "", "›"));
      if (step === null) trail.append(element("span", "", "…"));
      else if (step === index) trail.append(element("span", "", index ? frames[step].lines[0] : hint));
      else trail.append(button(fitted(frames[step].name, 60), () => zoom(step)));
    });
    reset.style.display = index ? "" : "none";
    layOut();
  }

  const hint = "Click a frame to zoom; arrow keys and Enter do the same; / searches; Esc goes back.";

  function activate(index, focus) {
    frames[active].group.setAttribute("tabindex", "-1");
    active = index;
    frames[active].group.setAttribute("tabindex", "0");
    if (focus) frames[active].group.focus();
  }

  // --- search -----------------------------------------------------------------------------------

  function isPattern() {
    return pattern.getAttribute("aria-pressed") === "true";
  }

  function tester(term) {
    if (!isPattern()) {
      const wanted = term.toLowerCase();
      return (text) => text.toLowerCase().includes(wanted);
    }
    const expression = new RegExp(term, "i");
    return (text) => expression.test(text);
  }

  function search() {
    const term = field.value;
    found = null;
    status.textContent = "";
    if (term) {
      try {
        const matches = tester(term);
        found = new Set();
        frames.forEach((frame, index) => {
          if (frame.lines.slice(0, 2).some(matches)) found.add(index);
        });
        status.textContent = summary();
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
        status.textContent = "not a regular expression";
      }
    }
    graph.classList.toggle("searching", found !== null);
    frames.forEach((frame, index) => frame.group.classList.toggle("found", found !== null && found.has(index)));
    clear.style.display = term ? "" : "none";
    layOut();
  }

  // A frame below another that was found is part of it and not counted again.
  function summary() {
    let share = 0;
    for (let index = 0; index < frames.length; index = found.has(index) ? frames[index].end : index + 1) {
      if (found.has(index)) share += frames[index].share;
    }
    const count = `${found.size} ${found.size === 1 ? "frame matches" : "frames match"}`;
    return `${count}: ${(100 * share).toFixed(1)} % of ${picture.dataset.weight}`;
  }

  // --- tip --------------------------------------------------------------------------------------

  function showTip(index, x, y) {
    tipBox.replaceChildren(...frames[index].lines.map((line) => element("p", "", line)));
    const bounds = picture.getBoundingClientRect();
    tipBox.style.maxWidth = `${Math.max(Math.min(bounds.width - 20, 560), 120)}px`;
    if (!tip.parentNode) picture.append(tip);
    const width = tipBox.offsetWidth;
    const height = tipBox.offsetHeight;
    const left = Math.min(Math.max(x - bounds.left + 14, 10), Math.max(bounds.width - width - 10, 10));
    const below = y + 20 + height <= window.innerHeight;
    const top = below ? y + 18 : Math.max(y - height - 10, 4);
    tip.setAttribute("x", String(left));
    tip.setAttribute("y", String(top - bounds.top));
    tip.setAttribute("width", String(width));
    tip.setAttribute("height", String(height));
  }

  function hideTip() {
    tip.remove();
  }

  // --- events -----------------------------------------------------------------------------------

  function indexOf(target) {
    const group = target.closest(".graph > g");
    return group && byGroup.has(group) ? byGroup.get(group) : -1;
  }

  let hovered = -1;
  graph.addEventListener("mouseover", (event) => { hovered = indexOf(event.target); });
  graph.addEventListener("mousemove", (event) => {
    if (hovered >= 0) showTip(hovered, event.clientX, event.clientY);
  });
  graph.addEventListener("mouseleave", hideTip);
  graph.addEventListener("click", (event) => {
    const index = indexOf(event.target);
    if (index >= 0) zoom(index);
  });
  graph.addEventListener("focusin", (event) => {
    const index = indexOf(event.target);
    if (index < 0 || !event.target.matches(":focus-visible")) return;
    const box = frames[index].rect.getBoundingClientRect();
    showTip(index, Math.max(box.left, 0), box.bottom - 14);
  });
  graph.addEventListener("focusout", hideTip);

  // The shown frame next to the active one in its row, or its caller, or its widest callee.
  function neighbour(from, direction) {
    if (direction === "ArrowUp") return frames[from].parent;
    if (direction === "ArrowDown") {
      let widest = -1;
      for (let index = from + 1; index < frames[from].end; index += 1) {
        const frame = frames[index];
        if (frame.parent === from && frame.shown && (widest < 0 || frame.width > frames[widest].width)) widest = index;
      }
      return widest;
    }
    const step = direction === "ArrowRight" ? 1 : -1;
    for (let index = from + step; index >= 0 && index < frames.length; index += step) {
      if (frames[index].shown && frames[index].depth === frames[from].depth) return index;
    }
    return -1;
  }

  graph.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" || event.key === " ") zoom(active);
    else if (event.key === "Home") activate(zoomed, true);
    else if (event.key.startsWith("Arrow")) {
      const next = neighbour(active, event.key);
      if (next >= 0) activate(next, true);
    } else return;
    event.preventDefault();
    if (event.key === "Enter" || event.key === " ") frames[active].group.focus();
  });

  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !found || !found.size) return;
    const next = frames.findIndex((frame, index) => frame.shown && found.has(index));
    if (next >= 0) activate(next, true);
  });

  function onKey(event) {
    const typing = event.target === field;
    const find = (event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "f";
    // A second Ctrl-F, from within the field, is the browser's own.
    if (!typing && (find || (event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey))) {
      field.focus();
      field.select();
      event.preventDefault();
    } else if (event.key === "Escape") {
      if (field.value) {
        field.value = "";
        search();
      } else if (zoomed) zoom(0);
      else hideTip();
    }
  }

  if (frames.length) {
    // Inside a page only the keys that are meant for the picture are its own.
    (alone ? document : picture).addEventListener("keydown", onKey);
    clear.style.display = "none";
    zoom(0);
  }
  layOut();
  window.addEventListener("resize", () => layOut());
  // In a page the picture can change its width without the window. Not at once: the new height must
  // not be part of the observer's own round, which browsers report as an error.
  if (!alone) new ResizeObserver(() => requestAnimationFrame(() => layOut())).observe(picture.parentElement);
})();
