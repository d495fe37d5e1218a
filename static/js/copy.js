// Copies a text. A clinic's address is plain HTTP more often than not, where the clipboard API is withheld.
export async function copy(text) {
  if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(text);
  const field = Object.assign(document.createElement('textarea'), { value: text, readOnly: true });
  field.className = 'unseen';
  document.body.append(field);
  field.select();
  document.execCommand('copy');
  field.remove();
}

/** Says on the button that it is done, for a moment. */
export async function copyFrom(button, text) {
  await copy(text);
  const words = button.querySelector('span');
  const before = words.textContent;
  words.textContent = button.dataset.copied;
  setTimeout(() => { words.textContent = before; }, 2000);
}
