/** Code blocks and links of a Markdown file. */

export type Block = { line: number } & (
  | { kind: 'file'; name: string; text: string }
  | { kind: 'commands'; commands: string[] }
  | { kind: 'output'; text: string; of: string | undefined }
  | { kind: 'unknown'; info: string }
);

/**
 * Every fenced block. `file=NAME` behind the language is a file to write, `sh` are commands, a line
 * each, and `text output` is what the last commands, or the one in `output="..."`, have printed.
 */
export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  for (const match of markdown.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)) {
    const [, info = '', text = ''] = match;
    const line = markdown.slice(0, match.index).split('\n').length;
    blocks.push({ line, ...classify(info, text) });
  }
  return blocks;
}

type Classified = Block extends infer One ? (One extends Block ? Omit<One, 'line'> : never) : never;

function classify(info: string, text: string): Classified {
  const name = /\bfile=(\S+)/.exec(info)?.[1];
  if (name !== undefined) return { kind: 'file', name, text };
  if (info === 'sh') return { kind: 'commands', commands: commandsOf(text) };
  const output = /^text output(?:="([^"]*)")?$/.exec(info);
  if (output) return { kind: 'output', text, of: output[1] };
  return { kind: 'unknown', info };
}

function commandsOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

/** Links to files and headings of this repository. */
export function linksOf(markdown: string): { file: string; heading: string }[] {
  const prose = markdown.replace(/^```[\s\S]*?^```$/gm, '').replace(/`[^`\n]*`/g, '');
  const targets = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
  return targets
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [file = '', heading = ''] = target.split('#');
      return { file, heading };
    });
}
