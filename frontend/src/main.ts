import "./page.css";
import { keepAddress } from "./address";
import { FlamegraphView } from "./flamegraph";
import { follow } from "./follow";
import { unpack } from "./recording";
import { offerCopies } from "./sharing";
import { Store } from "./store";
import { TimelineView } from "./timeline";

async function start(): Promise<void> {
  const data = document.getElementById("data");
  const recording = await unpack(data?.textContent ?? "");
  data?.remove(); // some megabytes of text
  const starved = recording.starved.some((seconds) => seconds > 0);
  const store = new Store({
    selection: null,
    view: { start: 0, end: recording.length },
    weight: starved ? "starved" : "wall",
    pid: null,
    role: null,
    episode: null,
    finding: null,
  });
  new TimelineView(widget("timeline"), recording, store);
  new FlamegraphView(widget("flamegraph"), recording, store);
  follow(recording, store);
  offerCopies(recording, store);
  keepAddress(recording, store);
  document.documentElement.dataset["ready"] = "true";
}

function widget(name: string): HTMLElement {
  const found = document.querySelector<HTMLElement>(`[data-widget="${name}"]`);
  if (!found) throw new Error(`no place for ${name}`);
  return found;
}

start().catch((error: unknown) => {
  for (const host of document.querySelectorAll("[data-widget]")) {
    host.textContent = "This part could not be drawn. It needs a browser of 2023 or later.";
  }
  console.error(error);
});
