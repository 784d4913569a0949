// Starts the page. It is a file of its own because the page's policy runs
// nothing that is written into the page.
"use strict";

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

SwaggerUIBundle({
  url: document.getElementById("docs").dataset.url,
  dom_id: "#docs",
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  displayRequestDuration: true,
  filter: true,
  tryItOutEnabled: true,
  // Nothing is asked of anybody else, and nothing is kept in the browser.
  validatorUrl: null,
  persistAuthorization: false,
  queryConfigEnabled: false,
});
