'use strict';
// Pointer, wheel and keys.

const KEYS = [
  ['+ / -', 'zoom in, out', { '+': () => zoom(1.5), '=': () => zoom(1.5), '-': () => zoom(1 / 1.5), _: () => zoom(1 / 1.5) }],
  ['← → or a d', 'move through time', {
    ArrowLeft: () => step(-0.15), a: () => step(-0.15), ArrowRight: () => step(0.15), d: () => step(0.15),
  }],
  ['↑ ↓ or w s', 'move through lanes', {
    ArrowUp: () => scrollBy(-60), w: () => scrollBy(-60), ArrowDown: () => scrollBy(60), s: () => scrollBy(60),
  }],
  ['v', 'the violation; again: the next one', { v: () => jumpToViolation() }],
  ['n / p', 'next, previous event that the filter shows', { n: () => follow(1), p: () => follow(-1) }],
  ['0', 'the whole run', { 0: () => show(0, run.end) }],
  ['m', 'messages on and off', { m: () => toggleMessages() }],
  ['/', 'filter', { '/': () => byId('filter').focus() }],
  ['Esc', 'unselect, clear the filter', { Escape: () => escape() }],
  ['?', 'these keys', { '?': () => byId('help').showModal() }],
];
const KEY_ACTIONS = Object.assign({}, ...KEYS.map(([, , actions]) => actions));

function step(share) {
  pan((state.until - state.from) * share);
}

function scrollBy(pixels) {
  state.scroll += pixels;
}

let violationShown = false;

/** Goes to the chosen violation; if it is what is shown already, to the next one. */
function jumpToViolation() {
  const { violations } = run.story;
  if (violations.length === 0) {
    return;
  }
  pickViolation(violationShown ? (state.violation + 1) % violations.length : state.violation);
}

function pickViolation(index) {
  chooseViolation(index);
  letEvidenceThrough();
  fillHeader();
  fillStory();
  describeChart();
  showViolation();
  violationShown = true;
  const last = [...lit.keys()].pop();
  select(last === undefined ? null : { what: 'mark', index: last });
}

/** Evidence that a choice of node or partition would hide undoes that choice. */
function letEvidenceThrough() {
  const marks = [...lit.keys()];
  if (marks.some((mark) => !isLaneShown(run.lanes[run.marks.lane[mark]]))) {
    state.node = '';
    byId('node').value = '';
    resized();
  }
  const isOther = (partition) => partition >= 0 && partition !== state.partition;
  if (state.partition >= 0 && marks.some((mark) => isOther(run.marks.partition[mark]))) {
    state.partition = -1;
    byId('partition').value = '-1';
  }
  changedFilter();
}

function toggleMessages() {
  state.messages = !state.messages;
  byId('arrows').setAttribute('aria-pressed', String(state.messages));
}

function escape() {
  select(null);
  if (byId('filter').value !== '') {
    byId('filter').value = '';
    filterBy('');
  }
}

function select(thing) {
  state.selected = thing;
  fillDetails();
  redraw();
}

/** Selects it and brings it into view. */
function goTo(thing) {
  const time = run.marks.time[thing.index];
  const span = state.until - state.from;
  if (time < state.from + span * 0.03 || time > state.until - span * 0.03) {
    show(time - span / 2, time + span / 2);
  }
  const lane = layout.byLane[run.marks.lane[thing.index]];
  if (lane !== undefined && (lane.top < state.scroll || lane.top + lane.height > state.scroll + layout.view)) {
    state.scroll = lane.top - layout.view / 2;
  }
  select(thing);
}

function follow(direction) {
  const mark = neighbour(direction);
  if (mark >= 0) {
    goTo({ what: 'mark', index: mark });
  }
}

function filterBy(text) {
  state.words = text.toLowerCase().split(/\s+/).filter((word) => word !== '');
  changedFilter();
}

function changedFilter() {
  filterMarks();
  redraw();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId('help').open) {
    return;
  }
  const isTyping = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
  if (isTyping) {
    if (event.key === 'Escape' || event.key === 'Enter') {
      if (event.key === 'Escape') {
        escape();
      }
      byId('chart').focus();
    }
    return;
  }
  const action = KEY_ACTIONS[event.key];
  if (action === undefined) {
    return;
  }
  event.preventDefault();
  if (event.key !== 'v') {
    violationShown = false;
  }
  action();
  redraw();
}

function place(event) {
  const box = event.currentTarget.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

const DRAG_MIN = 4;

function listenToChart(chart) {
  let drag = null;
  chart.addEventListener('wheel', (event) => {
    event.preventDefault();
    if (event.shiftKey) {
      scrollBy(event.deltaY);
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      step(event.deltaX / 900);
    } else {
      zoom(Math.exp(-event.deltaY / 400), place(event).x);
    }
    redraw();
  }, { passive: false });
  chart.addEventListener('pointerdown', (event) => {
    drag = { ...place(event), moved: false };
    chart.setPointerCapture(event.pointerId);
  });
  chart.addEventListener('pointermove', (event) => {
    const at = place(event);
    if (drag === null) {
      showTip(at);
      return;
    }
    if (!drag.moved && Math.hypot(at.x - drag.x, at.y - drag.y) < DRAG_MIN) {
      return;
    }
    drag.moved = true;
    chart.classList.add('moving');
    violationShown = false;
    pan(timeOf(drag.x) - timeOf(at.x));
    scrollBy(drag.y - at.y);
    Object.assign(drag, at);
    redraw();
  });
  chart.addEventListener('pointerup', (event) => {
    if (drag !== null && !drag.moved) {
      select(hit(drag.x, drag.y));
      chart.focus();
    }
    drag = null;
    chart.classList.remove('moving');
    chart.releasePointerCapture(event.pointerId);
  });
  chart.addEventListener('pointerleave', () => { byId('tip').hidden = true; });
}

function showTip({ x, y }) {
  const tip = byId('tip');
  const thing = hit(x, y);
  tip.hidden = thing === null;
  byId('chart').style.cursor = thing === null ? '' : 'pointer';
  if (thing === null) {
    return;
  }
  const details = detailsOf(thing);
  tip.textContent = `${details[0][1]}\n${details.slice(1, 4).map(([, value]) => value).join(' · ')}`;
  const chart = byId('chart');
  tip.style.left = `${Math.min(x + 14, layout.width - tip.offsetWidth - 6)}px`;
  tip.style.top = `${chart.offsetTop + Math.min(y + 16, layout.view - 20)}px`;
}

function listenToOverview(overview) {
  let dragging = false;
  const move = (event) => {
    const share = (place(event).x - GUTTER) / (layout.width - GUTTER - EDGE);
    const half = (state.until - state.from) / 2;
    show(share * run.end - half, share * run.end + half);
    redraw();
  };
  overview.addEventListener('pointerdown', (event) => {
    dragging = true;
    violationShown = false;
    overview.setPointerCapture(event.pointerId);
    move(event);
  });
  overview.addEventListener('pointermove', (event) => dragging && move(event));
  overview.addEventListener('pointerup', () => { dragging = false; });
}

function listenToTools() {
  const on = (id, act) => byId(id).addEventListener('click', () => {
    act();
    redraw();
  });
  on('in', () => zoom(1.5));
  on('out', () => zoom(1 / 1.5));
  on('whole', () => show(0, run.end));
  on('pin', () => jumpToViolation());
  on('next', () => follow(1));
  on('previous', () => follow(-1));
  on('arrows', () => toggleMessages());
  on('ask', () => byId('help').showModal());
  byId('filter').addEventListener('input', (event) => filterBy(event.target.value));
  byId('violation').addEventListener('change', (event) => pickViolation(Number(event.target.value)));
  byId('partition').addEventListener('change', (event) => {
    state.partition = Number(event.target.value);
    changedFilter();
  });
  byId('node').addEventListener('change', (event) => {
    state.node = event.target.value;
    resized();
    changedFilter();
  });
}
