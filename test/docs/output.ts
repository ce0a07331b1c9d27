/** Comparing what a document shows with what a command has printed. */

/**
 * Lines of `shown` that `printed` does not have, in this order. Numbers with their units may
 * differ, and widths of columns; a line `...` stands for any others.
 */
export function missingLines(shown: string, printed: string): string[] {
  const lines = printed.split('\n').map(withoutNumbers);
  let from = 0;
  return shown
    .split('\n')
    .map(withoutNumbers)
    .filter((line) => {
      if (line === '' || line === '...') return false;
      const at = lines.indexOf(line, from);
      if (at < 0) return true;
      from = at + 1;
      return false;
    });
}

/** `1,200` and `3.4 ms` become `#`; what a fast and a slow machine both print stays. */
function withoutNumbers(line: string): string {
  return line
    .replace(/, missed [\d,]+/, '')
    .replace(/\d[\d,.]*(?: ?(?:ns|µs|ms|s|%|[kMG]))?(?![\w])/g, '#')
    .replace(/\s+/g, ' ')
    .trim();
}
