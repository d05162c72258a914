'use strict';
// Where things are: lanes from top to bottom, time from left to right.

const GUTTER = 116;
const RULER = 44;
const EDGE = 14;
const STRIP = 15;
const STRIPS_MAX = 5;
const OWNED = 13;

/** A canvas that is sharp on every screen; its context counts in CSS pixels. */
function fitCanvas(canvas) {
  const box = canvas.getBoundingClientRect();
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(box.width * scale));
  canvas.height = Math.max(1, Math.round(box.height * scale));
  const context = canvas.getContext('2d');
  context.setTransform(scale, 0, 0, scale, 0, 0);
  return { context, width: box.width, height: box.height };
}

/** Gives each interval the first row that is free; at most `max` rows. */
function packed(intervals, max) {
  const ends = [];
  for (const interval of intervals) {
    let row = ends.findIndex((end) => end <= interval.from);
    if (row < 0) {
      row = Math.min(ends.length, max - 1);
    }
    ends[row] = Math.max(ends[row] ?? 0, interval.until);
    interval.row = row;
  }
  return ends.length;
}

function isStrip(band) {
  return band.kind !== 'down' && band.kind !== 'paused' && band.kind !== 'quorum';
}

/** The faults that are drawn as strips along a lane's upper edge. */
function stripsOf(lane) {
  const strips = [];
  run.bands.forEach((band, index) => {
    if (isStrip(band) && (band.lane === lane || band.other === lane)) {
      strips.push({ from: band.from, until: band.until, index });
    }
  });
  return strips;
}

const BASE = { producer: 48, member: 44, consumer: 44, client: 34, broker: 46, disk: 50, zookeeper: 40, helper: 36 };
const LINES = { member: 24, consumer: 24 };

function measureLane(lane, index) {
  const strips = stripsOf(index);
  const owned = run.owned.map((bar, at) => ({ ...bar, at })).filter((bar) => bar.lane === index);
  const stripRows = packed(strips, STRIPS_MAX);
  const ownedRows = packed(owned, 24);
  const hasLines = run.lines.some((line) => line.lane === index);
  const linesHeight = hasLines ? LINES[lane.kind] ?? 0 : 0;
  const height = BASE[lane.kind] + stripRows * STRIP + ownedRows * OWNED + linesHeight;
  return { index, lane, strips, owned, stripRows, ownedRows, linesHeight, hasLines, height, top: 0, y: 0 };
}

const layout = { lanes: [], byLane: [], height: 0, width: 0, view: 0 };

/** Shown lanes, each with its height; what a chosen node leaves out is not there at all. */
function arrange(width, height) {
  layout.width = width;
  layout.view = height - RULER;
  const shown = run.lanes.map((lane, index) => measureLane(lane, index)).filter(({ lane }) => isLaneShown(lane));
  const natural = shown.reduce((sum, lane) => sum + lane.height, 0);
  const spare = Math.max(0, layout.view - natural - EDGE);
  const stretch = shown.length === 0 ? 0 : Math.min(34, spare / shown.length);
  layout.byLane = [];
  let top = 0;
  for (const lane of shown) {
    lane.top = top;
    lane.height += stretch;
    lane.rows = top + lane.stripRows * STRIP + 17 + stretch * 0.38;
    layout.byLane[lane.index] = lane;
    top += lane.height;
  }
  layout.lanes = shown;
  layout.height = top;
  state.scroll = Math.max(0, Math.min(state.scroll, layout.height - layout.view + EDGE));
}

function isLaneShown(lane) {
  return state.node === '' || state.node === lane.name || state.node === groupChoice(lane.group);
}

/** How the selection of nodes calls all members of a group; no node is called so. */
function groupChoice(group) {
  return group === null ? null : `group ${group}`;
}

/** The y of a lane's upper edge on the canvas. */
function topOf(lane) {
  return RULER + lane.top - state.scroll;
}

/** The y of a mark's row in its lane. */
function rowOf(lane, row) {
  return RULER + lane.rows - state.scroll + row * 15;
}

/** The y at which messages leave and reach a lane. */
function portOf(lane) {
  return rowOf(lane, 0.5);
}

function xOf(at) {
  return GUTTER + ((at - state.from) / (state.until - state.from)) * (layout.width - GUTTER - EDGE);
}

function timeOf(x) {
  return state.from + ((x - GUTTER) / (layout.width - GUTTER - EDGE)) * (state.until - state.from);
}

const SPAN_MIN = 50;

/** Shows this much of the run, within its bounds. */
function show(from, until) {
  const span = Math.max(SPAN_MIN, Math.min(until - from, run.end * 1.04));
  const begin = Math.max(-run.end * 0.02, Math.min(from, run.end * 1.02 - span));
  state.from = begin;
  state.until = begin + span;
}

/** Zooms so that the time at `x` stays where it is. */
function zoom(factor, x = GUTTER + (layout.width - GUTTER - EDGE) / 2) {
  const at = timeOf(x);
  const span = Math.max(SPAN_MIN, (state.until - state.from) / factor);
  const share = (at - state.from) / (state.until - state.from);
  show(at - share * span, at + (1 - share) * span);
}

function pan(micros) {
  show(state.from + micros, state.until + micros);
}

/** The stretch of the run in which the chosen violation came about. */
function showViolation() {
  const telling = [...lit.keys()].filter(isTelling);
  const times = (telling.length > 1 ? telling : [...lit.keys()]).map((mark) => run.marks.time[mark]);
  if (times.length === 0) {
    show(0, run.end);
    return;
  }
  const first = Math.min(...times);
  const last = Math.max(...times);
  const room = Math.max((last - first) * 0.14, 20000);
  show(first - room, last + room * 1.6);
  showLanesOf(telling.length > 1 ? telling : [...lit.keys()]);
}

/** Scrolls as little as brings the lanes of these marks into view, the uppermost of them at least. */
function showLanesOf(marks) {
  const lanes = marks.map((mark) => layout.byLane[run.marks.lane[mark]]).filter((lane) => lane !== undefined);
  if (lanes.length === 0) {
    return;
  }
  const top = Math.min(...lanes.map((lane) => lane.top));
  const bottom = Math.max(...lanes.map((lane) => lane.top + lane.height));
  state.scroll = Math.min(top, Math.max(state.scroll, bottom - layout.view));
}
