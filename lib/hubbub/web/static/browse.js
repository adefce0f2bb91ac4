// The page of hubbub browse: its address says which of the views it shows.

const VIEWS = {
  "/": ["overview", "Overview"],
  "/recordings": ["recordings", "Recordings"],
  "/recording": ["recording", "Recording"],
  "/review": ["review", "Review"],
  "/verdicts": ["verdicts", "Verdicts"],
};

const [view, title] = VIEWS[location.pathname];
document.title = `${title} · hubbub`;
document.querySelector("h1").textContent = title;
await import(`./${view}.js`);
