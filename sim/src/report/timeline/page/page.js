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
  drawNow();
  window.seedlog.readyMs = performance.now();
  listenToTools();
  listenToChart(byId('chart'));
  listenToOverview(byId('overview'));
  window.addEventListener('keydown', onKey);
  new ResizeObserver(() => {
    resized();
    redraw();
  }).observe(byId('stage'));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    readColours();
    fillLegend();
    redraw();
  });
}

begin();
