// Small comforts; every page works without them.

// A theme is chosen for the page that is shown, whose address scripts may have changed.
for (const form of document.querySelectorAll("form.themes")) {
  form.addEventListener("submit", () => {
    form.elements.back.value = location.pathname + location.search;
  });
}

// <button data-copy="text"> copies its text; hidden until scripts run.
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  const label = button.textContent;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select and copy by hand";
    }
    setTimeout(() => { button.textContent = label; }, 1600);
  });
}
