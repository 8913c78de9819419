// What the page does beside being read: its tables sort, one pair can be picked of several, and a
// curve tells its values. Without script all of it is shown and nothing is missing.
"use strict";
(() => {
  // Tables. The library answers to a click and to Enter; a button also answers to the space bar.
  for (const table of document.querySelectorAll("table.sortable")) {
    new Tablesort(table, { descending: true });
    table.tHead.addEventListener("keydown", (event) => {
      if (event.key !== " ") return;
      event.preventDefault();
      event.target.click();
    });
  }

  // Pairs.
  const choice = document.getElementById("pair-choice");
  const show = (pair) => {
    choice.value = pair;
    for (const part of document.querySelectorAll("[data-pair]")) {
      part.hidden = pair !== "" && part.dataset.pair !== pair;
    }
  };
  if (choice) {
    choice.closest("[hidden]").hidden = false;
    choice.addEventListener("change", () => show(choice.value));
    // A link into a pair that is put away brings that pair.
    document.addEventListener("click", (event) => {
      const link = event.target.closest('a[href^="#"]');
      const target = link && document.getElementById(link.getAttribute("href").slice(1));
      const part = target && target.closest("section[data-pair]");
      if (part && part.hidden) show(part.dataset.pair);
    });
  }

  // Curves: a line at an epoch, and a box with what each curve is there.
  const box = document.createElement("div");
  box.className = "readout";
  box.setAttribute("role", "status");
  box.hidden = true;
  document.body.append(box);

  const element = (tag, text) => {
    const made = document.createElement(tag);
    made.textContent = text;
    return made;
  };

  for (const svg of document.querySelectorAll("svg[data-readout]")) {
    const { x, y, series } = JSON.parse(svg.dataset.readout);
    const names = Object.keys(series);
    const last = series[names[0]].length;
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    line.setAttribute("class", "guide");
    line.setAttribute("y1", y[0]);
    line.setAttribute("y2", y[1]);
    let epoch = 0;

    const xOf = (number) => (last > 1 ? x[0] + ((number - 1) * (x[1] - x[0])) / (last - 1) : x[0]);
    const hide = () => {
      line.remove();
      box.hidden = true;
      epoch = 0;
    };
    const tell = (number) => {
      epoch = Math.min(Math.max(number, 1), last);
      line.setAttribute("x1", xOf(epoch));
      line.setAttribute("x2", xOf(epoch));
      svg.append(line);
      box.replaceChildren(element("b", `Epoch ${epoch}`));
      for (const name of names) {
        const value = series[name][epoch - 1];
        const row = element("span", `${name} `);
        row.append(element("b", value === null ? "–" : String(value)));
        box.append(row);
      }
      box.hidden = false;
      const panel = svg.getBoundingClientRect();
      const at = panel.left + (xOf(epoch) * panel.width) / svg.viewBox.baseVal.width;
      const room = document.documentElement.clientWidth - box.offsetWidth - 8;
      box.style.left = `${window.scrollX + Math.max(8, Math.min(at + 10, room))}px`;
      // Above the panel and its title, where there is room under the banner.
      const above = panel.top - box.offsetHeight + 6;
      box.style.top = `${window.scrollY + (above > 48 ? above : panel.top)}px`;
    };

    const point = (event) => {
      const panel = svg.getBoundingClientRect();
      const at = ((event.clientX - panel.left) * svg.viewBox.baseVal.width) / panel.width;
      tell(last > 1 ? 1 + Math.round(((at - x[0]) * (last - 1)) / (x[1] - x[0])) : 1);
    };
    svg.addEventListener("pointermove", point);
    svg.addEventListener("pointerdown", point);
    svg.addEventListener("pointerleave", hide);
    svg.tabIndex = 0;
    svg.addEventListener("focus", () => tell(epoch || last));
    svg.addEventListener("blur", hide);
    svg.addEventListener("keydown", (event) => {
      const to = {
        ArrowLeft: epoch - 1,
        ArrowRight: epoch + 1,
        Home: 1,
        End: last,
      }[event.key];
      if (event.key === "Escape") hide();
      if (to === undefined) return;
      event.preventDefault();
      tell(to);
    });
  }
})();
