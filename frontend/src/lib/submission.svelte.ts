/** The state of a form that is sent by script: whether its response is still awaited. */
import type { SubmitFunction } from '@sveltejs/kit';

type OnResponse = Exclude<Awaited<ReturnType<SubmitFunction>>, void>;

/** `submit` is for the form's `use:enhance`; `isPending` disables its buttons. */
export function trackSubmission(onResponse: OnResponse = ({ update }) => update()) {
  let isPending = $state(false);
  const submit: SubmitFunction = () => {
    isPending = true;
    return async (response) => {
      await onResponse(response);
      isPending = false;
    };
  };
  return {
    submit,
    get isPending() {
      return isPending;
    },
  };
}
