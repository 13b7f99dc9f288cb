// Sorts the people of the gallery.
(function () {
  "use strict";
  const select = document.getElementById("sort");
  if (!select) return;
  const people = [...document.querySelectorAll("#people > .person")];
  const value = (person, key) => key === "" ? -person.dataset.place : Number(JSON.parse(person.dataset.values)[key] ?? -1);
  select.disabled = false;
  select.addEventListener("change", () => {
    const order = [...people].sort((a, b) => value(b, select.value) - value(a, select.value));
    order.forEach((person) => person.parentNode.appendChild(person));
  });
})();
