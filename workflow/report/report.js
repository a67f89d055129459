// Pictures: a line between before and after. Tables: a click on a heading sorts, a field finds rows, a button copies, long ones show their first rows. Without this script the page is complete.
"use strict";
for (const slider of document.querySelectorAll(".compared input")) {
  slider.oninput = () => slider.parentElement.style.setProperty("--cut", `${slider.value}%`);
}
// What is folded opens where a link leads into it, and for print.
const unfold = () => {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const folded = target && (target.closest("details") || target.querySelector(":scope > details"));
  if (folded) {
    folded.open = true;
    target.scrollIntoView();
  }
};
addEventListener("hashchange", unfold);
unfold();
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const each of opened) each.open = true;
});
addEventListener("afterprint", () => opened.forEach((each) => (each.open = false)));
for (const box of document.querySelectorAll(".scroll:not(:has(> table.rows))")) {
  const table = box.querySelector("table"), body = table.tBodies[0];
  const rows = [...body.rows];
  const tools = document.createElement("div");
  tools.className = "tools";
  const LONG = 60, PAGE = 40; // a long table shows its first rows, until it is asked for all, or searched
  let all = rows.length <= LONG, found = () => true;
  const show = () => [...body.rows].forEach((row, index) => (row.hidden = !found(row) || (!all && index >= PAGE)));
  if (rows.length > 6) {
    const field = document.createElement("input");
    field.type = "search";
    field.placeholder = `find in ${rows.length} rows`;
    field.setAttribute("aria-label", "find rows of the table below");
    field.oninput = () => {
      const words = field.value.toLowerCase().split(/\s+/);
      found = (row) => words.every((word) => row.textContent.toLowerCase().includes(word));
      all ||= field.value !== "";
      show();
    };
    tools.append(field);
  }
  if (!all) {
    const more = document.createElement("button");
    more.type = "button";
    more.className = "more";
    more.textContent = `show all ${rows.length} rows`;
    more.onclick = () => {
      all = true;
      show();
      more.remove();
    };
    box.after(more);
    show();
  }
  const copy = document.createElement("button");
  copy.type = "button";
  copy.textContent = "copy";
  copy.title = "copy the table, to be pasted into a spreadsheet";
  copy.onclick = async () => {
    const shown = [table.tHead.rows[0], ...[...body.rows].filter((row) => !row.hidden)];
    const text = shown.map((row) => [...row.cells].map((cell) => cell.textContent.trim()).join("\t")).join("\n");
    const area = document.createElement("textarea"); // a page opened from a file has no clipboard of its own
    area.value = text;
    document.body.append(area);
    area.select();
    copy.textContent = document.execCommand("copy") ? "copied" : "not copied";
    area.remove();
    setTimeout(() => (copy.textContent = "copy"), 1500);
  };
  tools.append(copy);
  box.before(tools);
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    cell.tabIndex = 0;
    cell.title = "sort";
    const sort = () => {
      const down = cell.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => row.cells[column].textContent.trim();
      const order = (a, b) => {
        const [x, y] = [value(a), value(b)], [m, n] = [parseFloat(x), parseFloat(y)];
        if (isNaN(m) !== isNaN(n)) return isNaN(m) ? 1 : -1; // what is unknown comes last
        return (down ? -1 : 1) * (isNaN(m) ? x.localeCompare(y, "en", { numeric: true }) : m - n);
      };
      body.append(...[...body.rows].sort(order));
      show();
    };
    cell.onclick = sort;
    cell.onkeydown = (event) => event.key === "Enter" && sort();
  });
}
