// One player sounds at a time; a line moves over its picture, and a click on the picture moves the sound.
"use strict";
for (const card of document.querySelectorAll(".recording")) {
  const audio = card.querySelector("audio");
  const figure = card.querySelector(".figure");
  if (!audio || !figure) continue;
  const shown_s = Number(figure.dataset.shownS);
  const head = figure.querySelector(".playhead");

  function place() {
    head.style.left = `${Math.min(100, (100 * audio.currentTime) / shown_s)}%`;
    head.classList.toggle("on", audio.currentTime > 0);
  }

  function follow() {
    place();
    if (!audio.paused) requestAnimationFrame(follow);
  }

  audio.addEventListener("play", () => {
    for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
    follow();
  });
  audio.addEventListener("seeked", place);

  for (const surface of figure.querySelectorAll(".seek")) {
    surface.addEventListener("click", (event) => {
      const box = surface.getBoundingClientRect();
      audio.currentTime = (shown_s * (event.clientX - box.left)) / box.width;
      audio.play();
    });
  }
}
