// The one thing that paper needs of a script.

document.getElementById("print").addEventListener("click", () => print());
