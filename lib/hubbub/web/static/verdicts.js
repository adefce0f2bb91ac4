import { openPage, showing } from "./shell.js";
const page = document.querySelector("#page");
await showing(page, () => openPage());
