/** What the account pages' forms have in common. */
export function readText(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === 'string' ? value : '';
}

/** A code as people type it: with spaces between the digits. */
export function readCode(form: FormData, name: string): string {
  return readText(form, name).replace(/\s/g, '');
}
