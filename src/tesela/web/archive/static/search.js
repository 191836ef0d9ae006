// The sets of columns differ between tables: another table offers its own, and begins with the first.
const table = document.querySelector("#table"), show = document.querySelector("#show");

function offer() {
  for (const group of show.querySelectorAll("optgroup")) {
    const mine = group.dataset.table === table.value;
    group.disabled = group.hidden = !mine;
    if (mine && !group.contains(show.selectedOptions[0])) show.value = "", group.children[0].selected = true;
  }
}

if (table && show) {
  table.addEventListener("change", offer);
  offer();
}

// Another page of results begins at its top, and the key that was pressed is under the hand still.
let turned = "";
document.addEventListener("click", (event) => {
  turned = event.target.closest?.(".pages a")?.id ?? "";
});
document.addEventListener("htmx:after:swap", () => {
  if (!turned) return;
  const results = document.querySelector("#results");
  results?.scrollIntoView({ block: "start" });
  const again = document.getElementById(turned) ?? results?.querySelector(".pages a");
  again?.focus({ preventScroll: true });
  turned = "";
});
