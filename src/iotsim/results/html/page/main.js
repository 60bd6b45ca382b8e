// Draws the parts of the page. One that fails says so, and leaves the others alone.

const PARTS = [
  ["failures-here", startFailures],
  ["timeline-here", startTimeline],
  ["messages-here", startExplorer],
  ["devices-here", startFleet],
  ["output-here", startOutput],
];

startTheme();
// Up to here they are hidden, so that nothing moves while they grow.
document.documentElement.classList.add("drawn");
for (const [id, start] of PARTS) {
  const place = document.getElementById(id);
  if (!place) continue;
  try {
    start(place);
  } catch (error) {
    place.append(element("p", { class: "quiet", text: `This part could not be drawn: ${error}` }));
    console.error(error);
  }
}
