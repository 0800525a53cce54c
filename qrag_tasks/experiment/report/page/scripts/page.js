// The page as a whole: forms send nothing, addresses are read, and the first view is drawn.

at("filters").addEventListener("submit", (event) => event.preventDefault());
addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
addEventListener("scroll", hideTip, { passive: true });
addEventListener("popstate", readAddress);
at("link").addEventListener("click", async () => {
  await navigator.clipboard?.writeText(location.href).catch(() => {});
  at("link").textContent = "Copied";
  setTimeout(() => { at("link").textContent = "Copy a link to this view"; }, 1500);
});
readAddress();
