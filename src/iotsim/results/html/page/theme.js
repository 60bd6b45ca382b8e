// The switch between light and dark. What is chosen holds for this page, and for the next one if the browser
// lets pages that are files remember anything.

const themeListeners = [];

function startTheme() {
  const select = document.getElementById("theme");
  const remembered = (() => {
    try {
      return localStorage.getItem("iotsim-theme") ?? "";
    } catch {
      return "";
    }
  })();
  const apply = (theme) => {
    document.documentElement.dataset.theme = theme;
    for (const listener of themeListeners) listener();
  };
  select.value = ["light", "dark"].includes(remembered) ? remembered : "";
  apply(select.value);
  select.addEventListener("change", () => {
    try {
      localStorage.setItem("iotsim-theme", select.value);
    } catch {
      // It still holds for this page.
    }
    apply(select.value);
  });
  // Paper is light, and what was drawn in colors has to be drawn anew for it.
  addEventListener("beforeprint", () => apply("light"));
  addEventListener("afterprint", () => apply(select.value));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply(select.value));
}
