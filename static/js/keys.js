// /studio/keys: copies what is shown once.
import { all, one } from './page.js';
import { copyFrom } from './copy.js';

for (const button of all('[data-copy]')) {
  const field = one(`#${button.dataset.copy}`);
  button.addEventListener('click', () => copyFrom(button, field.value));
  field.addEventListener('focus', () => field.select());
}
