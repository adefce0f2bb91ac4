// Of many labels those are left whose name holds what was typed.
for (const input of document.querySelectorAll(".find input")) {
  const cards = [...input.closest("section").querySelectorAll("details.label")];
  const names = cards.map((card) => card.querySelector("h4").textContent.toLowerCase());
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    cards.forEach((card, number) => { card.hidden = !names[number].includes(wanted); });
  });
}
