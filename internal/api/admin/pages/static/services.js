// Makes tabs of the examples and adds buttons that copy. Without it the page shows all of them, one below the other.
"use strict";

const KEY = "rapport-example-language";

function remember(label) {
  try { localStorage.setItem(KEY, label); } catch { /* private window: the choice is not kept */ }
}

function remembered() {
  try { return localStorage.getItem(KEY); } catch { return null; }
}

for (const box of document.querySelectorAll("[data-tabs]")) {
  const panes = [...box.querySelectorAll("[data-tab]")];
  if (panes.length < 2) continue;
  const bar = document.createElement("div");
  bar.className = "tabs";
  bar.setAttribute("role", "tablist");
  bar.setAttribute("aria-label", "Language");
  const tabs = panes.map((pane, i) => {
    const tab = document.createElement("button");
    tab.type = "button";
    tab.textContent = pane.dataset.tab;
    tab.id = "tab-" + i;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", "pane-" + i);
    pane.id = "pane-" + i;
    pane.setAttribute("role", "tabpanel");
    pane.setAttribute("aria-labelledby", tab.id);
    bar.append(tab);
    return tab;
  });
  const show = (at) => {
    tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === at));
      tab.tabIndex = i === at ? 0 : -1;
      panes[i].hidden = i !== at;
    });
  };
  bar.addEventListener("click", (e) => {
    const at = tabs.indexOf(e.target);
    if (at >= 0) { show(at); remember(tabs[at].textContent); }
  });
  bar.addEventListener("keydown", (e) => {
    const at = tabs.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[e.key];
    if (at < 0 || to === undefined) return;
    e.preventDefault();
    const next = (to + tabs.length) % tabs.length;
    show(next);
    tabs[next].focus();
    remember(tabs[next].textContent);
  });
  box.prepend(bar);
  box.classList.add("tabbed");
  show(Math.max(0, tabs.findIndex((tab) => tab.textContent === remembered())));
}

const told = document.createElement("p");
told.className = "told";
told.setAttribute("role", "status");
document.body.append(told);

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea"); // over plain HTTP there is no clipboard interface
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("copying is not allowed");
}

for (const pre of document.querySelectorAll("[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "second copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await copy(pre.textContent.trimEnd());
      button.textContent = "Copied";
      told.textContent = "Copied to the clipboard";
    } catch {
      button.textContent = "Select and copy";
      told.textContent = "The browser does not let this page copy";
    }
    setTimeout(() => { button.textContent = "Copy"; told.textContent = ""; }, 2000);
  });
  pre.before(button);
}
