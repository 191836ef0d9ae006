// The sets of columns differ between tables: another table begins with its summary.
const table = document.querySelector("#table"), show = document.querySelector("#show");
table?.addEventListener("change", () => {
  show.value = "summary";
  for (const option of show.options) option.disabled = false;
});
