// Tell textual.js, which reads it when the page has loaded, where the app is: beside this page.
const terminal = document.getElementById("terminal");
const address = new URL("ws", window.location.origin + window.location.pathname);
address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
terminal.dataset.sessionWebsocketUrl = address.href;
terminal.dataset.fontSize = new URLSearchParams(window.location.search).get("fontsize") || "16";

// The size of a cell is measured at the start, so the fonts must be there by then.
const start = window.onload;
window.onload = async (event) => {
  const fonts = ["", "bold ", "italic "].map((style) => document.fonts.load(`${style}16px "Roboto Mono"`));
  await Promise.allSettled(fonts);
  start.call(window, event);
};

// Keys go to the app as soon as it is drawn.
const drawn = new MutationObserver(() => {
  if (document.body.classList.contains("-first-byte")) {
    drawn.disconnect();
    terminal.querySelector("textarea").focus();
  }
});
drawn.observe(document.body, { attributeFilter: ["class"] });
