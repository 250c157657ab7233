// Buttons that copy a text; where the clipboard is refused, a dialog shows it to be copied by hand.
import { button, element } from "./elements";

const SAID = 2000; // ms

/** A button and what it says after a click; `text` is asked for only then. */
export function copyButton(label: string, text: () => string): DocumentFragment {
  const said = element("span", { class: "status", role: "status" });
  const made = new DocumentFragment();
  made.append(button(label, () => {
    void copied(text()).then((done) => {
      if (!done) return;
      said.textContent = "Copied";
      setTimeout(() => { said.textContent = ""; }, SAID);
    });
  }, { class: "button" }), said);
  return made;
}

async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Refused, or not there: pages from disk have no clipboard in every browser.
    if (copiedOldWay(text)) return true;
    offer(text);
    return false;
  }
}

function copiedOldWay(text: string): boolean {
  const focused = document.activeElement;
  const field = element("textarea", { class: "away", "aria-hidden": "true", tabindex: "-1" });
  field.value = text;
  document.body.append(field);
  field.select();
  try {
    return document.execCommand("copy");
  } catch {
    return false;
  } finally {
    field.remove();
    if (focused instanceof HTMLElement) focused.focus({ preventScroll: true });
  }
}

function offer(text: string): void {
  const field = element("textarea", { readonly: "", rows: "16", "aria-label": "The text", spellcheck: "false" });
  field.value = text;
  const dialog = element(
    "dialog", { class: "offer", "aria-label": "Copy by hand" },
    element("p", {}, "This browser does not let the page use the clipboard. The text is selected: copy it with Ctrl+C or ⌘C."),
    field,
    button("Close", () => dialog.close(), { class: "button" }),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  field.select();
}
