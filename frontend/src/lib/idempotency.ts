/** The key that a form is sent under, so that sending it twice does its work once. */
const KEY = /^[A-Za-z0-9_-]{1,64}$/;

/** The form's own key, or nothing if it is none that the API would take. */
export function readKey(form: FormData): string | undefined {
  const key = form.get('key');
  return typeof key === 'string' && KEY.test(key) ? key : undefined;
}
