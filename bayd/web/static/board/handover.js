// The one thing that paper needs of a script.

import "./head.js";

document.getElementById("print").addEventListener("click", () => print());
