/** Reads the fields of the account pages' forms. */
export function readText(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === 'string' ? value : '';
}

/** A code; people may type it with spaces. */
export function readCode(form: FormData, name: string): string {
  return readText(form, name).replace(/\s/g, '');
}
