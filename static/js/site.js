// Every page: what reads and works without it, made a little handier.
import { all } from './page.js';

const UNITS = [['year', 31_536_000], ['month', 2_592_000], ['day', 86_400], ['hour', 3_600], ['minute', 60]];

/** Keeps "10 minutes ago" true while a page stays open. */
function age() {
  const words = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: 'always' });
  for (const time of all('time[datetime]')) {
    const seconds = (Date.parse(time.dateTime) - Date.now()) / 1000;
    const unit = UNITS.find(([, length]) => Math.abs(seconds) >= length * 0.95);
    if (unit) time.textContent = words.format(Math.round(seconds / unit[1]), unit[0]).replace('yang lalu', 'lalu').replace(/^dalam (.*)$/, '$1 lagi');
  }
}
setInterval(age, 30_000);

/** A second press of a form's button while the first is under way would send it twice. */
addEventListener('submit', (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== 'post') return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = 'yes';
  setTimeout(() => { delete form.dataset.sent; }, 5000);
});
addEventListener('pageshow', () => all('form[data-sent]').forEach((form) => delete form.dataset.sent));

// A field that is wrong is where one wants to be.
all('[aria-invalid=true]')[0]?.focus();
