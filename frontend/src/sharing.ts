// What is taken out of the page: a finding or the report as Markdown, and a link to what is selected.
import { fragment } from "./address";
import { copyButton } from "./copying";
import type { Recording } from "./recording";
import type { Store } from "./store";

export function offerCopies(recording: Recording, store: Store): void {
  for (const place of document.querySelectorAll<HTMLElement>("[data-copy]")) {
    const number = place.dataset["copy"]!;
    if (number === "report") place.prepend(copyButton("Copy report as Markdown", () => recording.markdown.report));
    else place.append(copyButton("Copy as Markdown", () => recording.markdown.findings[Number(number)] ?? ""));
  }
  const tools = document.querySelector("#timeline .tools");
  tools?.append(copyButton("Copy link", () => location.href.split("#")[0]! + fragment(store.choice)));
}
