/** The idempotency key of a form: sending it twice does its work once. */
const KEY = /^[A-Za-z0-9_-]{1,64}$/;

/** The form's key; undefined if the API would not accept it. */
export function readKey(form: FormData): string | undefined {
  const key = form.get('key');
  return typeof key === 'string' && KEY.test(key) ? key : undefined;
}
