'use strict';
// Everything around the canvas. Texts of the run are only ever set as text.

function byId(id) {
  return document.getElementById(id);
}

function element(name, text = '', className = '') {
  const made = document.createElement(name);
  made.textContent = text;
  if (className !== '') {
    made.className = className;
  }
  return made;
}

function fillList(list, pairs) {
  list.replaceChildren(...pairs.flatMap(([name, value]) => [element('dt', name), element('dd', value)]));
}

function fillHeader() {
  const { title } = run;
  const told = run.story.violations[state.violation];
  byId('badge').textContent = title.verdict === 'pass' ? 'PASS' : title.verdict === 'violation' ? 'FAIL' : title.verdict.toUpperCase();
  byId('badge').classList.toggle('bad', title.verdict !== 'pass');
  const check = told === undefined ? '' : ` — ${told.slug} (${told.check})`;
  byId('name').textContent = `${title.scenario}, seed ${title.seed}${check}`;
  byId('message').textContent = told === undefined ? '' : unfilled(told.message);
}

function fillStory() {
  const { violations } = run.story;
  byId('violation').parentElement.hidden = violations.length < 2;
  byId('violation').value = String(state.violation);
  const told = violations[state.violation];
  if (told === undefined) {
    byId('evidence').replaceChildren(element('li', 'No check found anything.'));
    return;
  }
  byId('evidence').replaceChildren(...told.evidence.map(([line, mark]) => evidenceItem(line, mark)));
}

/** A line of evidence is `TIMEs  WHO  WHAT`; clicking it goes there. */
function evidenceItem(line, mark) {
  const [, time, who, what] = /^(\S+)s\s+(.*?)(?:\s{2,}|\s(?=\S+\s))(.*)$/.exec(line) ?? [null, '', '', line];
  const item = document.createElement('li');
  const button = element('button');
  const isFault = mark < 0 ? who === 'FAULT' : looks[run.marks.category[mark]].name === 'fault';
  button.classList.toggle('fault', isFault);
  const isOfTestbed = isFault || who === 'FAULT';
  const number = lit.get(mark);
  const words = element('span', '', 'what');
  if (mark >= 0) {
    const lane = run.lanes[run.marks.lane[mark]];
    words.append(element('span', isFault ? 'fault: ' : isOfTestbed ? 'end of fault: ' : `${lane.kind === 'disk' ? lane.name.replace('-', ' ') : lane.label}: `, 'who'), unfilled(markText(mark)));
  } else {
    words.append(`${who} ${what}`);
  }
  if (isNecessary(line)) {
    words.append(' ', element('span', 'necessary', 'needed'));
  }
  const badge = element('span', number === undefined ? '·' : String(number), 'number');
  badge.style.background = mark < 0 ? '' : `var(--${isTelling(mark) ? looks[run.marks.category[mark]].name : 'muted'})`;
  button.append(badge, element('time', `${time} s`), words);
  button.addEventListener('click', () => mark >= 0 && goTo({ what: 'mark', index: mark }));
  button.dataset.mark = String(mark);
  item.append(button);
  return item;
}

function fillDetails() {
  const { selected } = state;
  const pairs = selected === null ? [['', 'Click an event, a message or a band.']] : detailsOf(selected);
  fillList(byId('details'), pairs);
  for (const button of byId('evidence').querySelectorAll('button')) {
    const isIt = selected !== null && selected.what === 'mark' && button.dataset.mark === String(selected.index);
    button.setAttribute('aria-current', String(isIt));
  }
  if (selected !== null) {
    byId('said').textContent = pairs.map(([name, value]) => `${name} ${value}`).join(', ');
  }
}

function chip(words, count, isOn, swatch, toggle) {
  const button = document.createElement('button');
  button.setAttribute('aria-pressed', String(isOn));
  button.append(swatch, words, element('span', String(count), 'count'));
  button.addEventListener('click', toggle);
  return button;
}

function swatchOf(draw) {
  const swatch = document.createElement('canvas');
  swatch.width = 24;
  swatch.height = 24;
  const c = swatch.getContext('2d');
  c.setTransform(2, 0, 0, 2, 0, 0);
  draw(c);
  return swatch;
}

function toggled(set, name) {
  if (!set.delete(name)) {
    set.add(name);
  }
  changedFilter();
  fillLegend();
}

function fillLegend() {
  const counts = new Array(looks.length).fill(0);
  run.marks.category.forEach((category) => { counts[category] += 1; });
  byId('legend').replaceChildren(...looks.map((look, index) => [look, counts[index]])
    .filter(([, count]) => count > 0)
    .map(([look, count]) => chip(look.word, count, !state.hiddenCategories.has(look.name),
      swatchOf((c) => drawShape(c, look, 6, 6, 4)), () => toggled(state.hiddenCategories, look.name))));
  const families = {};
  run.arrows.kind.forEach((kind) => { families[familyOf(kind)] = (families[familyOf(kind)] ?? 0) + 1; });
  byId('messages').replaceChildren(...Object.entries(families).map(([family, count]) => chip(
    FAMILIES[family], count, !state.hiddenFamilies.has(family),
    swatchOf((c) => drawArrow(c, { x1: 1, y1: 10, x2: 11, y2: 2, lost: false }, colour[family], true)),
    () => toggled(state.hiddenFamilies, family))));
}

function fillBandKeys() {
  const kinds = new Set(run.bands.map((band) => band.kind));
  byId('bandkeys').replaceChildren(...[...kinds].map((kind) => {
    const key = element('span', BANDS[kind][1]);
    key.style.setProperty('--swatch', `var(--${BANDS[kind][0]})`);
    return key;
  }));
}

function fillSelects() {
  const option = (value, text) => {
    const made = element('option', text);
    made.value = String(value);
    return made;
  };
  const { violations } = run.story;
  byId('violation').replaceChildren(...violations.map((told, index) => option(
    index, `${index + 1} of ${violations.length}: ${told.check} ${told.slug}`)));
  const partitions = [...new Set(run.marks.partition)].filter((partition) => partition >= 0);
  partitions.sort((a, b) => run.strings[a].localeCompare(run.strings[b], undefined, { numeric: true }));
  byId('partition').replaceChildren(option(-1, 'all'), ...partitions.map((one) => option(one, run.strings[one])));
  const nodes = run.lanes.filter((lane) => lane.kind !== 'disk');
  const groups = [...new Set(run.lanes.map((lane) => groupChoice(lane.group)))].filter((group) => group !== null);
  byId('node').replaceChildren(option('', 'all'), ...groups.map((group) => option(group, group)),
    ...nodes.map((lane) => option(lane.name, lane.label)));
}

function fillFacts() {
  const { title } = run;
  const faults = Object.entries(title.faults).map(([kind, count]) => `${kind} ${count}`).join(', ');
  const pairs = [
    ['records', `${title.sent} sent, ${title.acked} acked, ${title.delivered} read`],
    ['faults', faults === '' ? 'none' : faults],
    ['shown', `${run.marks.count} events, ${run.arrows.count} messages`],
    ['trace hash', title.trace_hash],
  ];
  if (title.without.length > 0) {
    pairs.splice(2, 0, ['suspended', title.without.join(', ')]);
  }
  const [marks, arrows] = run.left_out;
  if (marks + arrows > 0) {
    pairs.push(['left out', `${marks} events, ${arrows} messages`]);
  }
  fillList(byId('facts'), pairs);
  byId('replay').textContent = title.replay;
}

function describeChart() {
  const told = run.story.violations[state.violation];
  const found = told === undefined ? 'No violation.' : `Violation ${told.slug}: ${told.message}.`;
  byId('chart').setAttribute('aria-label', `${run.lanes.length} lanes, ${run.marks.count} events. ${found} The story is told as a list beside it.`);
}
