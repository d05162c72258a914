'use strict';
// Puts everything together, and draws when something has changed.

const canvases = { chart: null, overview: null };
let isDrawPending = false;

function redraw() {
  if (isDrawPending) {
    return;
  }
  isDrawPending = true;
  requestAnimationFrame(() => {
    isDrawPending = false;
    drawNow();
  });
}

function drawNow() {
  state.scroll = Math.max(0, Math.min(state.scroll, layout.height - layout.view + EDGE));
  drawAll(canvases.chart);
  drawOverview(canvases.overview);
}

function resized() {
  canvases.chart = fitCanvas(byId('chart'));
  canvases.overview = fitCanvas(byId('overview'));
  arrange(canvases.chart.width, canvases.chart.height);
}

/** For tests, and for whoever looks behind the scenes. */
window.seedlog = { run, state, lit, drawn, hit, detailsOf, placeOf, countPassing, drawNow, readyMs: null, errors: [] };
window.addEventListener('error', (event) => window.seedlog.errors.push(event.message));

/** `timeline.html#3.7-3.8` opens with these seconds. */
function showWhatIsAsked() {
  const asked = /^#([\d.]+)-([\d.]+)$/.exec(location.hash);
  if (asked !== null && Number(asked[1]) < Number(asked[2])) {
    show(Number(asked[1]) * 1e6, Number(asked[2]) * 1e6);
  }
}

function begin() {
  readColours();
  chooseViolation(0);
  filterMarks();
  fillSelects();
  fillHeader();
  fillStory();
  fillDetails();
  fillLegend();
  fillBandKeys();
  fillFacts();
  fillList(byId('keys'), KEYS.map(([keys, words]) => [keys, words]));
  describeChart();
  byId('pin').disabled = run.story.violations.length === 0;
  resized();
  showViolation();
  showWhatIsAsked();
  drawNow();
  window.seedlog.readyMs = performance.now();
  listenToTools();
  listenToChart(byId('chart'));
  listenToOverview(byId('overview'));
  window.addEventListener('keydown', onKey);
  window.addEventListener('hashchange', () => {
    showWhatIsAsked();
    redraw();
  });
  new ResizeObserver(() => {
    // At once: a canvas of a new size is empty until it is drawn.
    resized();
    drawNow();
  }).observe(byId('stage'));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    readColours();
    fillLegend();
    redraw();
  });
}

begin();
