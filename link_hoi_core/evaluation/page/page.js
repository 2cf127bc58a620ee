'use strict';

// The table of classes: sorted by any column, narrowed by words and by group.
const table = document.getElementById('class-table');
const body = table.tBodies[0];
const rows = [...body.rows];
const search = document.getElementById('search');
const group = document.getElementById('group');

function valueOf(row, column) {
  const cell = row.cells[column];
  return 'value' in cell.dataset ? Number(cell.dataset.value) : cell.textContent.trim();
}

function compare(a, b) {
  return typeof a === 'number' ? a - b : a.localeCompare(b);
}

function sortBy(heading) {
  const descending = heading.getAttribute('aria-sort') === 'ascending';
  const column = heading.cellIndex;
  rows.sort((a, b) => {
    const order = compare(valueOf(a, column), valueOf(b, column));
    return descending ? -order : order;
  });
  for (const other of heading.parentNode.cells) other.setAttribute('aria-sort', 'none');
  heading.setAttribute('aria-sort', descending ? 'descending' : 'ascending');
  body.append(...rows);
}

function narrow() {
  const words = search.value.toLowerCase().replaceAll('_', ' ').split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of rows) {
    const name = row.cells[0].textContent.toLowerCase().replaceAll('_', ' ');
    const groups = group && group.value ? row.cells[1].textContent.trim().split(', ') : null;
    const fits = words.every((word) => name.includes(word)) && (!groups || groups.includes(group.value));
    row.hidden = !fits;
    shown += fits;
  }
  document.getElementById('shown').textContent =
    shown === rows.length ? `${shown} classes` : `${shown} of ${rows.length} classes`;
}

for (const button of table.querySelectorAll('.sort')) {
  button.addEventListener('click', () => sortBy(button.closest('th')));
}
search.addEventListener('input', narrow);
if (group) group.addEventListener('change', narrow);

// The precision-recall curve of the chosen class. Its points are, in per mille, recall, precision
// and the best precision from there on; and the score at which each is reached.
const { curves, threshold } = JSON.parse(document.getElementById('curves').textContent);
const chosen = document.getElementById('class');
const chart = document.getElementById('curve');
const marks = chart.querySelector('.marks');
const edge = Object.fromEntries(Object.entries(chart.dataset).map(([name, value]) => [name, Number(value)]));
const across = (recall) => edge.left + (recall / 1000) * (edge.right - edge.left);
const down = (precision) => edge.bottom - (precision / 1000) * (edge.bottom - edge.top);

function draw(kind, attributes) {
  const mark = document.createElementNS('http://www.w3.org/2000/svg', kind);
  for (const [name, value] of Object.entries(attributes)) mark.setAttribute(name, value);
  marks.append(mark);
}

function tipAt([, recall, precision, , score]) {
  return `score ${score}: recall ${(recall / 10).toFixed(1)} %, precision ${(precision / 10).toFixed(1)} %`;
}

function drawCurve(index) {
  marks.replaceChildren();
  const row = rows.find((other) => other.dataset.class === index);
  for (const other of rows) other.classList.toggle('chosen', other === row);
  const ap = row.querySelector('.ap').textContent;
  const curve = curves[index];
  const text = document.getElementById('curve-text');
  text.textContent = `AP ${ap}. `;
  if (!curve) {
    text.textContent += 'Nothing right was detected.';
    return;
  }
  const [recalls, precisions, best, scores] = curve;
  let step = `M${across(0)} ${down(best[0])}`;
  for (let i = 0; i < recalls.length; i += 1) {
    step += `V${down(best[i])}H${across(recalls[i])}`;
  }
  const last = recalls[recalls.length - 1];
  draw('path', { class: 'area', d: `${step}V${edge.bottom}H${edge.left}Z` });
  draw('polyline', { class: 'raw', points: recalls.map((r, i) => `${across(r)},${down(precisions[i])}`).join(' ') });
  draw('path', { class: 'step', d: `${step}V${edge.bottom}` });
  recalls.forEach((recall, i) => {
    const tip = tipAt([index, recall, precisions[i], best[i], scores[i]]);
    draw('circle', { class: 'hit', cx: across(recall), cy: down(precisions[i]), r: 7, 'data-tip': tip });
  });
  const above = scores.findLastIndex((score) => score > threshold);
  if (above >= 0) {
    draw('circle', {
      class: 'threshold', cx: across(recalls[above]), cy: down(precisions[above]), r: 4.5,
      'data-tip': `above ${threshold}: recall ${(recalls[above] / 10).toFixed(1)} %, precision ${(precisions[above] / 10).toFixed(1)} %`,
    });
  }
  text.textContent += `Recall ends at ${(last / 10).toFixed(1)} %. The blue line is the best precision from `
    + 'there on, which AP averages; the thin one the precision itself'
    + (above >= 0 ? `; the ring is at score ${threshold}.` : '.');
}

function choose(index) {
  chosen.value = index;
  drawCurve(index);
}

chosen.addEventListener('change', () => drawCurve(chosen.value));
body.addEventListener('click', (event) => {
  const button = event.target.closest('.choose');
  if (!button) return;
  choose(button.closest('tr').dataset.class);
  const bounds = chart.getBoundingClientRect();
  if (bounds.bottom < 0 || bounds.top > innerHeight) chosen.scrollIntoView({ block: 'start' });
});
if (rows.length) {
  const annotated = (row) => Number(row.querySelector('.annotated').dataset.value);
  choose(rows.reduce((a, b) => (annotated(b) > annotated(a) ? b : a)).dataset.class);
}

// Mistakes of one kind alone.
for (const gallery of document.querySelectorAll('.gallery')) {
  const filters = [...gallery.querySelectorAll('.filter')];
  const cards = [...gallery.querySelectorAll('.card')];
  for (const filter of filters) {
    filter.addEventListener('click', () => {
      const on = filter.getAttribute('aria-pressed') !== 'true';
      for (const other of filters) other.setAttribute('aria-pressed', String(on && other === filter));
      let shown = 0;
      for (const card of cards) {
        card.hidden = on && card.dataset.kind !== filter.dataset.kind;
        shown += !card.hidden;
      }
      gallery.querySelector('.count').textContent = on ? `${shown} of ${cards.length} shown` : `${shown} shown`;
    });
  }
}

// Published rows: LINK's first, the others on demand.
for (const more of document.querySelectorAll('.more')) {
  const part = more.closest('.published');
  const others = part.querySelectorAll('.others').length;
  const toggle = () => {
    const few = part.classList.toggle('only-link');
    more.setAttribute('aria-expanded', String(!few));
    more.textContent = few ? `${others} other methods` : "only LINK's rows";
  };
  more.addEventListener('click', toggle);
  if (others) toggle();
  else more.parentNode.remove();
}

// What a mark means, beside the pointer.
const tip = document.getElementById('tip');
function showTip(event) {
  const mark = event.target.closest('[data-tip]');
  tip.hidden = !mark;
  if (!mark) return;
  tip.textContent = mark.dataset.tip;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 12, innerWidth - width - 4))}px`;
  tip.style.top = `${event.clientY > height + 16 ? event.clientY - height - 10 : event.clientY + 16}px`;
}
document.addEventListener('pointerover', showTip);
document.addEventListener('pointerdown', showTip);
