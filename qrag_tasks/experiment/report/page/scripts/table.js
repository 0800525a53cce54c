// The table: rows of cells that are chosen, and the further columns where somebody asked for them.

onView((now) => {
  const numbers = new Set(now.map((cell) => String(cell.number)));
  for (const row of at("cells").tBodies[0].rows) row.hidden = !numbers.has(row.dataset.cell);
  at("rows-shown").textContent = now.length === cells.length ? "" : `${now.length} of ${counted(cells.length, "row")}`;
  at("cells").classList.toggle("all", view.columns === "all");
  at("further").checked = view.columns === "all";
});
at("further").addEventListener("change", () => choose({ columns: at("further").checked ? "all" : undefined }));
