// Lines for the operator. A program gives its own functions; by default warnings and errors go to standard error.

const QUIET = () => {};

export const DEFAULT_LOG = {
  error: (text) => console.error(`molecule-runtime: ${text}`),
  warn: (text) => console.error(`molecule-runtime: ${text}`),
  info: QUIET,
};

/** `text` without anything that moves a terminal's cursor. */
export function oneLine(text) {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
}
